cimport cython
from perso_core.rules.bits cimport lowest_bits
from perso_core.rules.alone cimport Alone
from perso_core.rules.judging cimport judged_alone, judgement_of
from perso_core.rules.layered cimport changed, entry_at
from perso_core.rules.program cimport Effects, Look, Series
from perso_core.rules.standing cimport entry_ms, entry_of, entry_position, happened

@cython.no_gc
@cython.final
cdef class Draft(Alone):
    cpdef happen(self, object at, object matched)
    @cython.locals(effects=tuple, times=dict, quiet=bint, one=Effects, known=tuple)
    cdef _happen_to(self, object at, object conditions)
    @cython.locals(order=tuple, quiet=bint, one=Series)
    cdef bint _series(self, tuple touched, Py_ssize_t number)
    @cython.locals(below=tuple, index=bytes, quiet=bint, look=Look)
    cdef bint _look(self, tuple looks)
    @cython.locals(order=tuple)
    cdef bint _only_lasts(self, object one, object flag, object position)
    cdef _judged_at(self, object place)
    @cython.locals(one=Series)
    cpdef expire(self)
    cpdef evaluate(self)
    @cython.locals(literals=tuple, conditions=tuple, tables=tuple, held=tuple, now=tuple)
    cdef _judge(self, object place)
    cdef tuple _tables(self, object position, object parts, object before)
    cpdef frozen(self)
    @cython.locals(order=list)
    cdef tuple _ordered(self, object stale)
    @cython.locals(series=Series)
    cdef _make_first_exact(self, list order)
    cdef _exact_deadline(self, object at, object position)
    cdef _deadline_before(self, object position)
    cdef bint _counts(self, object entry)
