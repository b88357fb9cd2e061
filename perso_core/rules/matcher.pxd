cimport cython
from perso_core.pql.values cimport fold, project
from perso_core.rules.bits cimport bits_of, lowest_bits

cdef class _AtPath:
    cdef readonly tuple segments
    cdef readonly object bits
    cdef readonly object absent
    cdef readonly bint among_alone
    cdef readonly dict remembered
    cdef dict _equal
    cdef object _has_among
    cdef dict _has_limit
    cdef dict _texts
    cdef dict _folded
    cdef dict _numbers
    cdef dict _limits
    cdef dict _steps
    cdef dict _begins
    cdef list _singles
    cdef dict _computed

    cpdef failed(self, object value)
    cpdef failed_by(self, object value)
    cpdef computed(self, object value)
    cdef _among(self, object values)


cdef class Matcher:
    cdef object _all
    cdef dict _paths
    cdef dict _rest
    cdef object _resting
    cdef object _own
    cdef Py_ssize_t _above
    cdef list _whose
    cdef _AtPath _type
    cdef dict _plans
    cdef readonly list common
    cdef readonly dict number_of

    @cython.locals(plan=tuple, groups=tuple, parents=tuple, leaves=tuple, remembered=dict, at_path=_AtPath, within=dict)
    cpdef matching(self, object event)
    cdef tuple _plan(self, object kind)

cdef _beyond(str op, object values, list ascending, list sums, object everything)
