cimport cython

cdef class Lookups:
    cdef dict _destinations
    cdef tuple _ids

    @cython.locals(known=_Remembered)
    cpdef of(self, object members, object attributes, object datastream_id, object until_ms, object now_ms, object consent=*, object before=*)
    cdef tuple _told(self, _Remembered known, object realized, object days, object bar, object now_ms, object before)

cdef class _Remembered:
    cdef object destination
    cdef dict _place_of
    cdef tuple _ids
    cdef object bits
    cdef dict told
    cdef dict entries
    cdef dict _closed

    cpdef permitted(self, object realized, object days, object before)
    cdef _moved(self, tuple permitted, object moved, object realized)

cdef _days(object destination, object now_ms)
