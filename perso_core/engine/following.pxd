from perso_core.engine.apply cimport seen_of

cdef class Following:
    cdef object _hot
    cdef public object epoch
    cdef public object decided_again
    cdef set _left
    cdef set _written

    cpdef bint behind(self, object hot, object seen)
    cpdef seen(self, object hot)
