"""What one caller asks of one profile, and what the engine answers."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.dropped import NOTHING_DROPPED, Dropped
from perso_core.decision.lookup import Lookup
from perso_core.engine.journal import Change

# The operator's own writes belong to no datastream: only a visitor's `out` stands against them.
OPERATOR = ""


class Seen(Struct, frozen=True):
    """How far a caller has been told of a profile. version: 0: of nothing. consent_ms: when consent
    was last said, epoch milliseconds; 0: never. epoch: by which incarnation of the store
    (stores/incarnation.py); 0: nobody said."""

    version: int = 0
    consent_ms: int = 0
    epoch: int = 0

    def beyond(self, other: Seen) -> bool:
        """Whether it has seen something that the other has not. What another incarnation of the
        store told cannot be compared: it may be."""
        return (
            self.epoch != other.epoch
            or self.version > other.version
            or self.consent_ms > other.consent_ms
        )

    def joined(self, other: Seen) -> Seen:
        """All that either has seen. Of two incarnations: beyond whatever there is."""
        if self is NOTHING_SEEN or other is NOTHING_SEEN:
            return other if self is NOTHING_SEEN else self
        return Seen(
            max(self.version, other.version),
            max(self.consent_ms, other.consent_ms),
            self.epoch if self.epoch == other.epoch else _SEVERAL,
        )


NOTHING_SEEN = Seen()
_SEVERAL = -1  # no store's epoch
# Beyond whatever there is: the store is asked before anything is decided.
ALL_THAT_IS_STORED = Seen(epoch=_SEVERAL)


class Interaction(Struct, frozen=True, kw_only=True):
    """What one caller asks of one profile.

    datastream_id: OPERATOR for the operator's own writes. changes: applied in order.
    new: no cookie proved this key, it was made for this request: nothing can be stored under it.
    visits: whoever proved to be this visitor, or to speak of them, is here. unsigned: by a cookie
    that anybody could have made up; where nothing is kept under this key it is a first visit.
    seen: what the caller was told before, perhaps by another process; no answer is older.
    counts_dropped: the answer is to say what gives way.
    """

    profile_key: str
    datastream_id: str
    changes: tuple[Change, ...] = ()
    new: bool = False
    visits: bool = False
    unsigned: bool = False
    seen: Seen = NOTHING_SEEN
    counts_dropped: bool = False


class NeedProfile(Struct, frozen=True):
    """The engine holds no profile for this key: load it, admit it, ask again. behind: it holds one
    that is older than what the caller has seen, or lacks what rules in force since then read: load
    it, renew it, ask again without `seen`. whole: renew it with its events whole. again: or, where
    there are such, say what is stored of the events of these ids, which are reported again
    (EventArrived.known)."""

    profile_key: str
    behind: bool = False
    whole: bool = False
    again: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """lookups: one per change, as of after it; one alone when there were no changes.

    sequence: send nothing before durable(sequence); 0: nothing to wait for.
    consent: what the visitor chose, None: never chose. permitted: whether a profile may be kept
    and answered from; where not, lookups hold no destinations. known: there is a profile.
    datastreams: those that reported an event of it. dropped: what gave way at a cap by these
    changes, where that was to be counted.
    """

    lookups: tuple[Lookup, ...]
    sequence: int
    consent: Consent | None
    permitted: bool
    known: bool
    datastreams: tuple[str, ...] = ()
    dropped: Dropped = NOTHING_DROPPED
