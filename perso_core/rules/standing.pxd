cimport cython

@cython.locals(last=tuple)
cpdef tuple happened(tuple times, object at_ms, Py_ssize_t kept)
cpdef latest_before(tuple times, object at_ms)
@cython.locals(times=bytes, known=tuple)
cpdef tuple logged(tuple log, object at_ms, object matched)
cpdef time_at(bytes times, Py_ssize_t place)
@cython.locals(earlier=tuple, last=tuple)
cpdef tuple reached(tuple before, tuple run)
@cython.locals(earlier=tuple, last=tuple)
cpdef tuple run_before(tuple reached, object at_ms)
@cython.locals(before=tuple)
cpdef tuple run_up_to(tuple runs, Py_ssize_t step, tuple first, object at_ms)
@cython.locals(times=bytes, those=bytes, known=tuple, place=Py_ssize_t, oldest=Py_ssize_t)
cpdef holders_of(tuple log, object wanted, object end)
# `log` in a tuple of itself: the compiler cannot tell its type by itself.
@cython.locals(log=tuple)
cpdef tuple log_from(bytes times, object matched)
