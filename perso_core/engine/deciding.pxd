cimport cython
from perso_core.decision.consent cimport may_collect
from perso_core.decision.lookup cimport Lookups
from perso_core.decision.profile cimport packed
from perso_core.decision.projection cimport Projection
from perso_core.engine.apply cimport apply, barred, current
from perso_core.engine.hits cimport Hot, Kept
from perso_core.engine.keeping cimport Keeping
from perso_core.engine.looked_up cimport looked_up

cdef class Deciding:
    cdef object _snapshot
    cdef object _deciding_by
    cdef readonly bint runs_rules
    cdef Projection _projection
    cdef Lookups _lookups
    cdef object _caps
    cdef public Keeping keeping

    cdef _follow(self, object snapshot)
    cdef bint _may_apply(self, object change, object state, object datastream_id)
    cdef bint _permitted(self, object state, object datastream_id)
    cdef _apply(self, object key, object state, object change, object now_ms)
    cdef _brought(self, object state, object now_ms)
    cdef _state(self, object profile, object consent, object linked_to, object first_visit_ms, object now_ms)
    cdef _packed(self, object state)
    @cython.locals(kept=Kept)
    cdef _pack(self, Hot hot)
    @cython.locals(kept=Kept)
    cdef _found(self, Hot hot, object state, object datastream_id, object now_ms)
    cdef _answer(self, object state, tuple lookups, object sequence, object datastream_id)
