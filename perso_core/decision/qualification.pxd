cimport cython
from perso_core.rules.ruleset cimport RuleSet

@cython.locals(rules=RuleSet)
cpdef after_event(object before, object profile, object event, object snapshot, object now_ms, bint evicted=*)
cpdef advance(object before, object snapshot, object now_ms)
cdef _seen(object profile, object snapshot)
cdef _qualified(object profile, object standing, object changed, object snapshot)
cdef _as_stands(object profile, object standing, object memberships, object snapshot)
