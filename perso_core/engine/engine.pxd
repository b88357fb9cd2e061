cimport cython
from perso_core.decision.consent cimport may_collect
from perso_core.decision.lookup cimport Lookups
from perso_core.decision.profile cimport knows_for, packed
from perso_core.decision.projection cimport Projection
from perso_core.engine.apply cimport apply, barred, current, entry_of, whole_needed
from perso_core.engine.following cimport Following
from perso_core.engine.hits cimport Hits, Hot, Kept
from perso_core.engine.keeping cimport Keeping
from perso_core.engine.looked_up cimport looked_up

cdef class Engine:
    cdef object _snapshot
    cdef object _by
    cdef readonly bint dear
    cdef Projection _projection
    cdef Lookups _lookups
    cdef object _hot
    cdef dict _by_key
    cdef readonly Hits hits
    cdef readonly Following following
    cdef object _caps
    cdef object _journal_limit
    cdef public Keeping keeping
    cdef object _sequence
    cdef set _lagging
    cdef dict _journal

    cpdef decide(self, object interaction, object now_ms, object enough=*, bint begun=*, object ahead=*)
    @cython.locals(hot=Hot)
    cdef _decided(self, object interaction, object now_ms, object enough, bint begun)
    cpdef held(self, object key)
    @cython.locals(hot=Hot)
    cpdef seen(self, object key)
    @cython.locals(hot=Hot)
    cpdef kept(self, object sequences)
    cdef _changed(self, Hot hot, object interaction, object now_ms, object enough)
    cdef _applied(self, Hot hot, object state, object change, object now_ms)
    cdef _apply(self, object key, object state, object change, object now_ms)
    cdef bint _caught_up(self, Hot hot)
    cdef _lacking(self, Hot hot, object changes=*, object now_ms=*)
    @cython.locals(kept=Kept)
    cdef _pack(self, Hot hot)
    cdef _packed(self, object state)
    cdef _brought(self, object state, object now_ms)
    cdef bint _may_apply(self, object change, object state, object datastream_id)
    cdef bint _permitted(self, object state, object datastream_id)
    cdef _committed(self, Hot hot, object datastream_id, object now_ms)
    @cython.locals(kept=Kept)
    cdef _found(self, Hot hot, object state, object datastream_id, object now_ms)
    cdef _answer(self, object state, tuple lookups, object sequence, object datastream_id)
