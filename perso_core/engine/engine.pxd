cimport cython
from perso_core.decision.profile cimport knows_for
from perso_core.engine.apply cimport entry_of, whole_needed
from perso_core.engine.deciding cimport Deciding
from perso_core.engine.following cimport Following
from perso_core.engine.hits cimport Hits, Hot
from perso_core.engine.keeping cimport Keeping

cdef class Engine(Deciding):
    cdef object _hot
    cdef dict _by_key
    cdef readonly Hits hits
    cdef readonly Following following
    cdef object _journal_limit
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
    cdef bint _caught_up(self, Hot hot)
    cdef _lacking(self, Hot hot, object changes=*, object now_ms=*)
    cdef _committed(self, Hot hot, object datastream_id, object now_ms)
