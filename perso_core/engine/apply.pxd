cimport cython
from perso_core.decision.consent cimport last_said_ms, refused
from perso_core.decision.dated_ahead cimport is_ahead
from perso_core.decision.profile cimport lacks_whole, merge, seen_on, with_claims, without_events_before, without_moves_before
from perso_core.decision.qualification cimport advance, after_event

cpdef current(object state, object snapshot, object now_ms)
cpdef seen_of(object state, object epoch)
cpdef bint barred(object change, object consent)
cpdef apply(object before, object change, object key, object snapshot, object now_ms, object touched_ms, object events_from_ms, object caps, object read)
cpdef whole_needed(object state, object changes, object now_ms, object touched_ms)
cpdef entry_of(object applied, object change, object key, object before, object now_ms, object sequence, object events_from_ms, object epoch)
cdef tuple _put_right(object before, object now_ms, object touched_ms)
cdef _event_arrived(object before, object change, object key, object snapshot, object now_ms, object touched_ms, object events_from_ms, object caps, object read)
cdef _version_after(object profile, object now_ms)
