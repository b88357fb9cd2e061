cimport cython
from perso_core.decision.kept_events cimport KeptEvents
from perso_core.decision.projection cimport Projection

cdef KeptEvents _events(object profile)
@cython.locals(events=KeptEvents, more=KeptEvents, kept=KeptEvents)
cpdef merge(object profile, object event, Py_ssize_t max_events, object stored=*)
@cython.locals(events=KeptEvents)
cpdef lacks_whole(object profile, object event_id, object stored=*)
@cython.locals(events=KeptEvents)
cpdef object packed(object profile, Projection projection)
cpdef bint knows_for(object profile, Projection projection)
cpdef without_moves_before(object profile, object oldest_ms)
@cython.locals(events=KeptEvents, kept=KeptEvents)
cpdef without_events_before(object profile, object oldest_ms)
cpdef with_claims(object profile, tuple claims, Py_ssize_t max_claims)
cpdef seen_on(object profile, object datastream_id)
cpdef attributes_of(object profile)
