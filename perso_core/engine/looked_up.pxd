from perso_core.decision.lookup cimport Lookups
from perso_core.decision.profile cimport attributes_of

cpdef looked_up(object qualified, object consent, Lookups lookups, object datastream_id, object snapshot, object now_ms, object before)
