cpdef bint may_collect(object chosen, object default)
cpdef holding(object chosen, object default)
cpdef bint refused(object chosen, bint said_out=*)
cpdef last_said_ms(object consent)
