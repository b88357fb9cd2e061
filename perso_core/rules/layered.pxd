cimport cython

@cython.locals(below=tuple, above=dict)
cpdef entry_at(tuple entries, object place)

@cython.locals(below=tuple, above=dict, whole=list)
cpdef tuple changed(tuple before, dict changes)
