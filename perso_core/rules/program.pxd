from perso_core.rules.bits cimport bits_of
from perso_core.rules.matcher cimport Matcher

cdef class Class:
    cdef readonly object bits
    cdef readonly object lasting

cdef class Told:
    cdef readonly object condition
    cdef readonly Py_ssize_t least
    cdef readonly object chain
    cdef readonly tuple lasting
    cdef readonly bint several
    cdef readonly tuple ms

cdef class Series:
    cdef readonly object position
    cdef readonly object flag
    cdef readonly Told literal
    cdef readonly object alarm

cdef class Look:
    cdef readonly object place
    cdef readonly object position
    cdef readonly object flag
    cdef readonly Told literal

cdef class Effects:
    cdef readonly object flag
    cdef readonly Py_ssize_t kept
    cdef readonly tuple steps
    cdef readonly tuple series
    cdef readonly tuple looks

cdef class Program:
    cdef readonly tuple ids_by_position
    cdef readonly tuple rules
    cdef readonly dict position_of
    cdef readonly object index
    cdef readonly tuple outlines
    cdef readonly object simple
    cdef readonly dict series
    cdef readonly object alone
    cdef readonly dict alone_parts
    cdef readonly dict class_of
    cdef readonly tuple classes
    cdef readonly object shortest_ms
    cdef readonly object base
    cdef readonly object sensitive
    cdef dict _shared
    cdef public object nobody
    cdef readonly tuple judges
    cdef readonly tuple judging
    cdef readonly dict judge_of
    cdef readonly frozenset silent
    cdef readonly tuple kinds
    cdef readonly tuple chains
    cdef readonly tuple effects
    cdef readonly tuple chain_bits
    cdef readonly tuple reach
    cdef readonly object running
    cdef readonly Py_ssize_t shift
    cdef readonly Matcher matcher
    cdef readonly object longest_ms

    cpdef list ids(self, object members)
    cpdef shared(self, value)
