"""The store's promises over dicts: for tests and first tries. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field, structs

from perso_core.decision.consent import Consent, refused
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.profile import Profile
from perso_core.definitions.document import Definitions
from perso_core.engine.journal import Entry
from perso_core.stores.batch import (
    KEPT_NOTICES,
    KeyChange,
    changes_by_key,
    consent_after,
    erased_since,
)
from perso_core.stores.clock import Clock, system_clock_ms
from perso_core.stores.protocol import Committed, News, Stored, StoredDefinitions


class _Notice(Struct, frozen=True):
    """key None: definitions were saved. origin: the store object that wrote."""

    sequence: int
    origin: int
    key: str | None


class MemoryDatabase(Struct):
    """What several MemoryStores share, as several processes share one file."""

    profiles: dict[str, Profile] = field(default_factory=dict)  # without their events
    events: dict[str, dict[str, Event]] = field(default_factory=dict)  # by key, by id
    consents: dict[str, Consent] = field(default_factory=dict)
    erased_ms: dict[str, int] = field(default_factory=dict)
    definitions: list[StoredDefinitions] = field(default_factory=list)
    notices: list[_Notice] = field(default_factory=list)
    notice_sequence: int = 0


class MemoryStore:
    """A Store (protocol.py). max_events, clock_ms: as in SqliteStore."""

    def __init__(
        self,
        database: MemoryDatabase | None = None,
        *,
        max_events: int = 5_000,
        clock_ms: Clock = system_clock_ms,
    ) -> None:
        self._clock_ms = clock_ms
        self._database = database or MemoryDatabase()
        self._max_events = max_events
        self._heard = self._database.notice_sequence

    async def load(self, key: str) -> Stored:
        profile = self._database.profiles.get(key)
        if profile is not None:
            events = self._ordered(key)[-self._max_events :]
            profile = structs.replace(profile, events=tuple(events))
        erased_ms = self._database.erased_ms.get(key, 0)
        return Stored(profile, self._database.consents.get(key), erased_ms)

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        kept = self._database.profiles.keys() | self._database.consents.keys()
        return tuple(sorted(key for key in kept if identity_of(key) == identity))

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        conflicts = set()
        for change in changes_by_key(entries):
            if not self._keep(change):
                conflicts.add(change.key)
            elif announce or change.told_at_once:
                self._announce(change.key)
        return Committed(frozenset(conflicts))

    async def definitions(self) -> StoredDefinitions | None:
        saved = self._database.definitions
        return saved[-1] if saved else None

    async def save_definitions(self, definitions: Definitions, *, saved_ms: int = 0) -> int:
        version = len(self._database.definitions) + 1
        self._database.definitions.append(StoredDefinitions(version, definitions, saved_ms))
        self._announce(None)
        return version

    async def news(self) -> News:
        fresh = [notice for notice in self._database.notices if notice.sequence > self._heard]
        missed = self._database.notice_sequence - self._heard > len(fresh)
        self._heard = self._database.notice_sequence
        others = [notice.key for notice in fresh if notice.origin != id(self)]
        return News(
            definitions=None in others,
            keys=frozenset(key for key in others if key is not None),
            missed=missed,
        )

    async def close(self) -> None:
        pass

    def _keep(self, change: KeyChange) -> bool:
        """False: the stored version is another one, and nothing was kept."""
        database = self._database
        before = database.consents.get(change.key)
        consent = consent_after(change, before)
        if change.begins and refused(consent):
            return False
        erased_ms = database.erased_ms.get(change.key, -1)
        if change.begins and not change.forgotten:
            decided_ms, now_ms = change.decided_ms, self._clock_ms()
            if erased_since(erased_ms, decided_ms=decided_ms, now_ms=now_ms):
                return False
        if change.erased_ms is not None:
            database.erased_ms[change.key] = change.erased_ms
        if change.forgotten:
            for kept in (database.profiles, database.events, database.consents):
                kept.pop(change.key, None)
        if change.profile is not None:
            stored = database.profiles.get(change.key)
            if change.base_version not in (None, stored.version if stored else 0):
                return False
            database.profiles[change.key] = structs.replace(change.profile, events=())
            self._keep_events(change)
        if consent is not None:
            database.consents[change.key] = consent
        return True

    def _keep_events(self, change: KeyChange) -> None:
        kept = self._database.events.setdefault(change.key, {})
        kept.update((event.id, event) for event in change.events)
        if change.sweep:
            newest = self._ordered(change.key)[-self._max_events :]
            from_ms = change.events_from_ms
            stay = {event.id for event in newest if event.timestamp_ms >= from_ms}
            self._database.events[change.key] = {
                id: event for id, event in kept.items() if id in stay
            }

    def _ordered(self, key: str) -> list[Event]:
        kept = self._database.events.get(key, {}).values()
        return sorted(kept, key=lambda event: event.timestamp_ms)

    def _announce(self, key: str | None) -> None:
        self._database.notice_sequence += 1
        notice = _Notice(self._database.notice_sequence, id(self), key)
        self._database.notices.append(notice)
        del self._database.notices[:-KEPT_NOTICES]
