cdef class Keeping:
    cdef object _first_visit_ms
    cdef public object clock_ms
    cdef public object told_ms
    cdef public object latest_ms
    cdef object _snapshot
    cdef public object retention
    cdef object _event_window_ms

    cpdef now_ms(self, object now_ms)
    cpdef events_from_ms(self, object now_ms)
    cpdef made_up(self, object state, object now_ms)
    cpdef bint expired(self, object state, object now_ms)
    cpdef until_ms(self, object state, object now_ms)
    cpdef living(self, object state, object now_ms)
    cpdef due(self, object state, object now_ms, bint visits)
    cpdef bint visit_due(self, object state, object now_ms)
    cpdef bint was_here(self, object before, object state, object now_ms)
    cdef bint _first(self, object state)
    cdef _expires_ms(self, object state)
