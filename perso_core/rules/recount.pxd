cimport cython
from perso_core.rules.program cimport Program, Effects
from perso_core.rules.standing cimport happened, logged, reached, run_up_to, time_at

@cython.locals(found=tuple)
cpdef tuple extended(tuple runs, Py_ssize_t step, tuple first, object at_ms)

@cython.locals(times=bytes, known=tuple, place=Py_ssize_t)
cpdef living(tuple log, object bits, object end, object now_ms)
