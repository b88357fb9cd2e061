cpdef bint is_ahead(object profile, object now_ms, object machine_ms)
