"""A profile in memory, the answers kept with it, and the way on which one of them is found again.

Compiled where there is a compiler (compiled.py): nothing else of the engine is asked so often.
"""

from __future__ import annotations

from collections.abc import Callable

from perso_core.decision.lookup import Lookup
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.interaction import NeedProfile
from perso_core.engine.state import Appended, State

Missed = Callable[[str, str, int], Lookup | NeedProfile]


class Kept:
    """An answer and what it was computed from: it holds for that very state until until_ms."""

    __slots__ = ("lookup", "snapshot", "state", "until_ms")

    def __init__(self, state: State, snapshot: Snapshot, until_ms: int, lookup: Lookup) -> None:
        self.state = state
        self.snapshot = snapshot
        self.until_ms = until_ms
        self.lookup = lookup


class Hot:
    """One profile in memory. committed: what is on disk, the only state other requests see.
    latest: with changes that wait for their commit; `committed` itself when none do. appended: what
    others are known to have added to `committed`; None: nothing.
    """

    __slots__ = (
        "answers",
        "appended",
        "committed",
        "key",
        "last_sequence",
        "latest",
        "pending",
        "used",
    )

    def __init__(self, key: str, state: State) -> None:
        self.key = key
        self.committed = state
        self.latest = state
        self.pending = 0  # entries not yet committed
        self.last_sequence = 0  # the youngest of them
        self.used = False  # read since it was last considered for eviction
        self.answers: dict[str, Kept] = {}  # by datastream id
        self.appended: Appended | None = None


class Hits:
    """by_key: the profiles in memory, changed elsewhere. missed: who is asked where no kept answer
    holds. snapshot: what is in force."""

    __slots__ = ("_by_key", "_missed", "snapshot")

    def __init__(self, by_key: dict[str, Hot], snapshot: Snapshot, missed: Missed) -> None:
        self._by_key = by_key
        self._missed = missed
        self.snapshot = snapshot

    def lookup(self, key: str, datastream_id: str, now_ms: int) -> Lookup | NeedProfile:
        """What is committed of a profile, as the datastream's destinations may see it.

        A hit is two dict reads and four comparisons. Consent is in the state, so an answer kept
        for this very state has been through it. Raises UnknownDatastream.
        """
        hot = self._by_key.get(key)
        if hot is not None:
            kept = hot.answers.get(datastream_id)
            if (
                kept is not None
                and kept.state is hot.committed
                and now_ms < kept.until_ms
                and kept.snapshot is self.snapshot
            ):
                hot.used = True
                return kept.lookup
        return self._missed(key, datastream_id, now_ms)
