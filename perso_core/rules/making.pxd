cimport cython
from perso_core.rules.program cimport Program

@cython.no_gc
cdef class Making:
    cdef public Program rules
    cdef public object view
    cdef public object now_ms
    cdef public object members
    cdef public tuple log
    cdef public object live
    cdef public object base
    cdef public object sensitive
    cdef public tuple holders
    cdef public tuple ends_ms
    cdef public object simple_until_ms
    cdef public object holding
    cdef public tuple old_times
    cdef public tuple old_runs
    cdef public tuple old_judged
    cdef public object alert
    cdef public tuple order
    cdef public tuple old_order
    cdef public dict times
    cdef public dict runs
    cdef public dict judged
    cdef public dict deadlines
    cdef public object stale
    cdef public list begun
    cdef public bint first_moved
    cdef public list due
    cdef public frozenset outdated
    cdef public frozenset retold
    cdef public bint put_off
    cdef public object seen
    cdef public dict realized
