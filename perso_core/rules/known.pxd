cimport cython
from perso_core.rules.making cimport Making
from perso_core.rules.program cimport Told
from perso_core.rules.layered cimport entry_at
from perso_core.rules.recount cimport extended

@cython.no_gc
cdef class Known(Making):
    cpdef carry_on(self, tuple steps, object at_ms)
    cpdef tuple times_of(self, object condition)
    cpdef tuple runs_of(self, object chain)
    @cython.locals(times=tuple, last=tuple, step=Py_ssize_t)
    cpdef end(self, Told literal)

cdef _end(Told literal, Py_ssize_t step, object at_ms)
