"""What came before a profile was erased, and must not come back. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from perso_core.decision.identity import device_named_by
from perso_core.decision.profile import mark_of
from perso_core.decision.retention import erased_since
from perso_core.engine.journal import Entry, EventArrived, brought_by

# For so long what was sent before may be sent again: so long an event takes effect once (P5).
SENT_AGAIN_MS = 24 * 60 * 60 * 1000


class Erased(Struct, frozen=True):
    """at_ms: when; 0: never. events: marks of the ids of the events that there were."""

    at_ms: int = 0
    events: frozenset[bytes] = frozenset()

    def bars(self, entry: Entry, now_ms: int) -> bool:
        """Whether an entry that waits for its commit is of before."""
        change = entry.change
        event = change.event if isinstance(change, EventArrived) else brought_by(change)
        if event is not None and mark_of(event.id) in self.events:
            return True
        return erased_since(self.at_ms, dated_ms=entry.dated_ms, now_ms=now_ms)


NEVER_ERASED = Erased()


def erased_under(key: str) -> tuple[str, ...]:
    """The keys under which an event that comes to one may have been erased. A device that a server
    names had a key of its own for as long as it was known."""
    device = device_named_by(key)
    return (key,) if device is None else (key, device)


def marked_under(marks: Mapping[str, frozenset[bytes]], *keys: str) -> frozenset[bytes]:
    """The marks of what was erased and may come again under the keys. marks: by the key erased."""
    every = (of for key in keys for of in erased_under(key))
    return frozenset[bytes]().union(*(marks.get(of, ()) for of in every))
