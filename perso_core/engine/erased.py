"""What came before a profile was erased, and must not come back. Pure."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.profile import mark_of
from perso_core.decision.retention import erased_since
from perso_core.engine.journal import Entry, EventArrived

# For so long what was sent before may be sent again: so long an event takes effect once (P5).
SENT_AGAIN_MS = 24 * 60 * 60 * 1000


class Erased(Struct, frozen=True):
    """at_ms: when; 0: never. events: marks of the ids of the events that there were."""

    at_ms: int = 0
    events: frozenset[bytes] = frozenset()

    def bars(self, entry: Entry, now_ms: int) -> bool:
        """Whether an entry that waits for its commit is of before."""
        change = entry.change
        if isinstance(change, EventArrived) and mark_of(change.event.id) in self.events:
            return True
        return erased_since(self.at_ms, dated_ms=entry.dated_ms, now_ms=now_ms)


NEVER_ERASED = Erased()
