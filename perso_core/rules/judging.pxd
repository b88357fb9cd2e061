cimport cython
from perso_core.rules.bits cimport lowest_bits

cpdef tuple judgement_of(tuple tables, list ends, object now_ms)
cpdef tuple judged_by(object table, list ends, object now_ms)
cpdef tuple judged_alone(object table, object end, object now_ms)
cdef tuple _judged_pair(object table, object one, object other, object now_ms)
@cython.locals(number=Py_ssize_t)
cdef tuple _judged_over(tuple tables, list ends, object now_ms)
cdef _lasting_past(list ends, object at_ms)
