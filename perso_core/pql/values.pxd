cimport cython

cpdef str fold(str text)
cpdef walk(object value, object segments)
@cython.locals(found=list)
cpdef list project(object items, object segment)
