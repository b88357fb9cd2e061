"""The profiles kept in memory, bounded, oldest use out first."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import LRUCache
from msgspec import Struct, structs

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.lookup import Lookup
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import Qualified
from perso_core.definitions.snapshot import Snapshot


class State(Struct, frozen=True):
    """One profile key at one moment. qualified None: nothing is kept of this visitor.

    complete: every audience was run after the last event; False after an event of a datastream
    without edge segmentation. linked_to: the key of the profile that this identity is part of; "":
    of none. first_visit_ms: when it began by a request that no cookie proved, where none has since;
    0: one has, or proved it at once.
    """

    qualified: Qualified | None = None
    consent: Consent | None = None
    complete: bool = True
    linked_to: str = ""
    first_visit_ms: int = 0

    @property
    def version(self) -> int:
        return self.qualified.profile.version if self.qualified else 0


class Kept(Struct):
    """An answer and what it was computed from: it holds for that very state until until_ms."""

    state: State
    snapshot: Snapshot
    until_ms: int
    lookup: Lookup


class Appended(Struct, frozen=True):
    """Events that other processes added to a profile, as they are stored. version: of the profile
    then. profile, events: unpack it but for its events, with its first_visit_ms, and each event, in
    order of arrival. They raise UnreadableRecord. Some of the events may be known already."""

    version: int
    profile: Callable[[], tuple[Profile, int]]
    events: tuple[Callable[[], Event], ...]

    def then(self, later: Appended) -> Appended:
        """With what was added after that."""
        return structs.replace(later, events=self.events + later.events)


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


class HotProfiles(LRUCache[str, Hot]):
    """At most `maxsize` profiles. Never evicts one with uncommitted entries: those are fewer
    than the bound, as the journal is (Engine checks it). A read only marks `used`, which spares
    the profile once: reordering on every read would cost more than the read.
    """

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        # A plain dict beside the ordered one: a lookup is one dict read.
        self.by_key: dict[str, Hot] = {}

    def __setitem__(self, key: str, hot: Hot) -> None:
        super().__setitem__(key, hot)
        self.by_key[key] = hot

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.by_key.pop(key, None)

    def popitem(self) -> tuple[str, Hot]:
        spared: list[tuple[str, Hot]] = []
        while True:
            key, hot = super().popitem()
            if not hot.pending and not hot.used:
                break
            hot.used = False
            spared.append((key, hot))
        for spared_key, spared_hot in spared:
            self[spared_key] = spared_hot
        return key, hot
