cimport cython
from perso_core.rules.known cimport Known
from perso_core.rules.bits cimport bits_of

@cython.no_gc
cdef class Asking(Known):
    cpdef queue(self, object positions)
    cpdef flip(self, object bits)
    cpdef answer(self, object position, bint holds)
    cdef _tell(self, object position)
    cpdef profile(self)
    cpdef tuple held(self, object parts)
    cpdef run(self, object position)
    cpdef verdict_of(self, object position)
