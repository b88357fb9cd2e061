cimport cython

cdef Py_ssize_t _TOO_DEEP

# As deep as a body may be, not as what somebody sends.
cdef Py_ssize_t _strings(object value, Py_ssize_t levels)
@cython.locals(strings=Py_ssize_t, inner=Py_ssize_t)
cdef Py_ssize_t _strings_of_object(dict members, Py_ssize_t levels)
@cython.locals(strings=Py_ssize_t, inner=Py_ssize_t)
cdef Py_ssize_t _strings_of_array(list members, Py_ssize_t levels)
