cimport cython

cpdef bytes whole_event(object event)
cpdef bint has_large_integers(object event)
cdef tuple _fields(object event)

cdef class Projection:
    cdef readonly object paths
    cdef readonly bint whole
    cdef object _others
    cdef list _leaves
    cdef list _nodes
    cdef tuple _tree
    @cython.locals(xdm=dict, values=list)
    cpdef object packed(self, object event)
    @cython.locals(values=list)
    cpdef object packed_unread(self, object event_id, object timestamp_ms, object xdm)
    cpdef dict unpacked(self, bytes row, object timestamp_ms)
    @cython.locals(event=dict, place=Py_ssize_t, inner=dict)
    cdef dict _spread(self, list kept)

cdef bint _asked(tuple below)
# As deep as the paths are, not as what an event holds.
cdef _gather(tuple tree, dict value, list values)
cdef _gather_unread(tuple tree, dict fields, list values)
@cython.locals(kept=dict, members=list)
cdef _trimmed(object value, tuple tree, Py_ssize_t levels)
@cython.locals(fields=dict, kept=dict, members=list)
cdef _trimmed_unread(object value, tuple tree, Py_ssize_t levels)
cdef _bits(object here)
cdef _kind(object value)
cdef _count_in(object value)
