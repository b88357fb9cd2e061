cimport cython

@cython.locals(found=list, rest=list)
cpdef list bits_of(object mask)
@cython.locals(place=Py_ssize_t, found=list)
cdef list _by_bytes(bytes octets)
# Not a C integer, which a set of rules outgrows.
cpdef lowest_bits(object count)
