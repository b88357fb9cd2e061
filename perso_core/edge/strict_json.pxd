cdef bint _fits(object value, Py_ssize_t levels)
cdef bint _object_fits(dict members, Py_ssize_t levels)
cdef bint _array_fits(list members, Py_ssize_t levels)
