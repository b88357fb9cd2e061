cimport cython

@cython.locals(realized=dict, exited=dict, instant=cython.longlong)
cdef tuple _since(tuple ids, object instants)
