cimport cython

# `walk` is none of C: it and `project` call each other as deep as lists lie in lists, and only what
# is called as Python does notices in time that the stack ends.
cpdef str fold(str text)
@cython.locals(found=list)
cpdef list project(object items, object segment)
