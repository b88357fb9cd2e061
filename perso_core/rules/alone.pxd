cimport cython
from perso_core.rules.asking cimport Asking
from perso_core.rules.program cimport Class, Series
from perso_core.rules.standing cimport entry_of, entry_position, holders_of
from perso_core.rules.recount cimport living

@cython.locals(place=Py_ssize_t, first=Py_ssize_t)
cdef Py_ssize_t first_of(list ends_ms)

@cython.no_gc
cdef class Alone(Asking):
    cpdef begin_series(self, Series one)
    cpdef end_series(self, Series one)
    cpdef happen_simply(self, object at, object deciding)
    @cython.locals(one=Class)
    cdef _counting(self, object at, object simple)
    @cython.locals(holders=list, ends_ms=list, class_of=dict, classes=tuple, begun=set, lasts=bint, one=Class, number=Py_ssize_t, first=Py_ssize_t)
    cdef _begin_or_last(self, object at, object found)
    @cython.locals(first=Py_ssize_t)
    cdef _settle(self, list holders, list ends_ms, set exact)
    cdef _recount_class(self, Py_ssize_t number, list holders, list ends_ms)
    @cython.locals(one=Class)
    cdef object _holders(self, Py_ssize_t number)
    @cython.locals(holders=list, ends_ms=list, first=Py_ssize_t)
    cpdef expire_simply(self)
    @cython.locals(series=Series)
    cpdef weigh(self, object position)
    @cython.locals(number=Py_ssize_t, holders=list, ends_ms=list)
    cdef _weigh_ends(self, object position, object flag)
