cimport cython

@cython.locals(grouped=dict)
cpdef list changes_by_key(object entries)
@cython.locals(
    writes=list, bringing=list, dates_ms=list, said_ms=list,
    evicted=bint, returned=bint, arrivals_alone=bint,
)
cdef _key_change(object key, list entries)
@cython.locals(found=set)
cpdef senders_of(object entries)
cdef bint _erases(object entry)
cdef bint _patches(object entry)
cdef tuple _cuts(list writes)
@cython.locals(kept=dict)
cdef tuple _arrived(list writes)
