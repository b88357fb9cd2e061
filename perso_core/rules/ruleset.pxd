cimport cython
from perso_core.rules.draft cimport Draft
from perso_core.rules.program cimport Program
from perso_core.rules.standing cimport logged

cdef class RuleSet(Program):
    @cython.locals(draft=Draft, log=tuple, spare=object)
    cpdef after_event(self, object before, object event, object view, object now_ms, object kept=*, bint evicted=*)
    @cython.locals(draft=Draft)
    cpdef advance(self, object before, object view, object now_ms)
