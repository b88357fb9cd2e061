cimport cython
from perso_core.decision.projection cimport Projection, whole_event

cdef Py_ssize_t _TIME_BYTES
cdef Py_ssize_t _MARK_BYTES

cdef class KeptEvents:
    cdef readonly Projection projection
    cdef bytes _times
    cdef bytes _marks
    cdef tuple _rows
    cdef Py_ssize_t _loose
    cdef tuple _blocks
    cdef Py_ssize_t _gone
    cdef bint _woken

    @cython.locals(at=Py_ssize_t, place=Py_ssize_t)
    cpdef place_of(self, object event_id)
    cpdef time_at(self, Py_ssize_t place)
    cpdef whole_at(self, Py_ssize_t place)
    cpdef KeptEvents with_event(self, object event)
    cpdef KeptEvents since(self, object oldest_ms)
    cpdef bint knows_for(self, Projection projection)
    cpdef KeptEvents packed(self, Projection projection)
    @cython.locals(before=tuple, rows=tuple, blocks=tuple, last=Py_ssize_t)
    cdef KeptEvents _packed_from(self, Py_ssize_t loose, Projection projection)
    cdef _packed(self, Py_ssize_t number, Projection projection)
    cdef _newest(self, Py_ssize_t number, Projection projection)
    cdef KeptEvents _none(self, Projection projection)
    cpdef KeptEvents newest(self, Py_ssize_t count)
    cpdef KeptEvents ending(self, Py_ssize_t count, object events)
    cpdef KeptEvents replaced(self, Py_ssize_t place, object event)
    cdef KeptEvents _loosened(self, Py_ssize_t place)
    cdef KeptEvents _from(self, Py_ssize_t place)
    cdef _newest_in_block(self)
    cdef _all_rows(self)
    cdef _milliseconds(self)
    cdef _last_ms(self)
    cdef _whole(self, object row)
    cdef KeptEvents _with(self, bytes times, bytes marks, tuple rows, Py_ssize_t loose)
    cdef Py_ssize_t _in_blocks(self)
    cdef _row_at(self, Py_ssize_t place)
    cpdef _event(self, object row, object at_ms)

cdef bytes _mark(object event_id)
cdef bytes _row(object row)
