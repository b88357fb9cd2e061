cimport cython

@cython.locals(below=tuple, index=bytes, above=dict)
cpdef entry_at(tuple entries, Py_ssize_t place)

@cython.locals(below=tuple, index=bytes, common=Py_ssize_t, above=dict, kept=list, slots=bytearray, slot=Py_ssize_t, place=Py_ssize_t)
cpdef tuple changed(tuple before, dict changes)
