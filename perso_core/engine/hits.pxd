cimport cython

@cython.final
cdef class Kept:
    cdef public object state
    cdef public object snapshot
    cdef public object until_ms
    cdef public object lookup

@cython.final
cdef class Hot:
    cdef public object key
    cdef public object committed
    cdef public object latest
    cdef public object pending
    cdef public object last_sequence
    cdef public object used
    cdef public dict answers
    cdef public object appended

@cython.final
cdef class Hits:
    cdef dict _by_key
    cdef object _missed
    cdef public object snapshot
    @cython.locals(hot=Hot, kept=Kept)
    cpdef lookup(self, object key, object datastream_id, object now_ms)
