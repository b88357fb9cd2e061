"""The store's promises over dicts: for tests and first tries. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from perso_core.decision.consent import refused
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.membership import ImportedMembership
from perso_core.decision.profile import mark_of, packed
from perso_core.decision.projection import Projection
from perso_core.decision.retention import (
    Retention,
    erased_from_ms,
    erased_since,
    expires_ms,
    outlives,
    returned,
)
from perso_core.definitions.document import Definitions
from perso_core.engine.erased import marked_under
from perso_core.engine.journal import Entry, Expired
from perso_core.stores.batch import (
    AHEAD_MS,
    KEPT_NOTICES,
    MOST_EVENTS,
    NOBODY,
    KeyChange,
    changes_by_key,
    consent_after,
    with_imported,
)
from perso_core.stores.clock import Clock, system_clock_ms
from perso_core.stores.imports import Batch, Progress, last_of_each, with_withheld
from perso_core.stores.incarnation import is_another
from perso_core.stores.links import Joined, Joining, Link
from perso_core.stores.memory_database import MemoryDatabase as MemoryDatabase
from perso_core.stores.memory_database import Notice, join
from perso_core.stores.protocol import (
    ClockMark,
    Committed,
    Held,
    News,
    Stored,
    StoredDefinitions,
    Swept,
    Whole,
    held_by_nobody,
)


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

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        profile = self._database.profiles.get(key)
        if profile is not None:
            profile = structs.replace(profile, events=tuple(self._database.ordered(key)))
            profile = profile if projection is None else packed(profile, projection)
        profile = with_imported(key, profile, {**self._database.imported.get(key, {})})
        erased_ms = self._database.erased_ms.get(key, 0)
        linked_to, _ = self._database.links.get(key, ("", 0))
        return Stored(
            profile,
            self._database.consents.get(key),
            erased_ms,
            linked_to=linked_to,
            first_visit_ms=self._database.first_visits.get(key, 0),
            epoch=self._database.epoch,
            erased_events=marked_under(self._database.erased_events, key),
        )

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        kept = self._database.events.get(key, {})
        return {id: kept[id] for id in ids if id in kept}

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        database = self._database
        kept = database.profiles.keys() | database.consents.keys() | database.links.keys()
        kept |= database.imported.keys() | {to for to, _ in database.links.values()}
        return tuple(sorted(key for key in kept if identity_of(key) == identity))

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        conflicts = set()
        for change in changes_by_key(entries):
            if not self._keep(change):
                conflicts.add(change.key)
            elif announce or change.told_at_once:
                self._announce(change.key)
        return Committed(frozenset(conflicts))

    async def join(self, joining: Joining) -> Joined:
        joined = join(self._database, joining, now_ms=self._clock_ms(), max_events=self._max_events)
        if joined.kept:
            for key in (joining.source, joining.target, *joined.links):
                self._announce(key)
        return joined

    async def links(self, key: str) -> tuple[Link, ...]:
        return tuple(self._database.linked_to(key))

    async def definitions(self) -> StoredDefinitions | None:
        saved = self._database.definitions
        return saved[-1] if saved else None

    async def save_definitions(self, definitions: Definitions, *, saved_ms: int = 0) -> int:
        version = len(self._database.definitions) + 1
        self._database.definitions.append(StoredDefinitions(version, definitions, saved_ms))
        self._announce(None)
        return version

    async def news(self, held: Held = held_by_nobody) -> News:
        fresh = [notice for notice in self._database.notices if notice.sequence > self._heard]
        missed = self._database.notice_sequence - self._heard > len(fresh)
        self._heard = self._database.notice_sequence
        others = [one.key for one in fresh if one.origin != id(self) and not one.imported]
        return News(
            definitions=None in others,
            keys=frozenset(key for key in others if key is not None),
            missed=missed,
            imported=frozenset(one.key for one in fresh if one.imported and one.key is not None),
        )

    async def sweep_ended(
        self, after: tuple[str, str], *, ended_ms: int, at_most: int = 2_000
    ) -> tuple[str, str] | None:
        imported = self._database.imported
        for key, of_key in list(imported.items()):
            imported[key] = {one: m for one, m in of_key.items() if m.until_ms >= ended_ms}
            if not imported[key]:
                del imported[key]
        return None

    async def sweep_notices(self, through: int) -> int:
        newest = self._database.notice_sequence
        if 0 < newest <= through:
            self._announce(None)
        self._database.notices[:] = [
            one for one in self._database.notices if one.sequence > through
        ]
        return newest

    async def sweep_first_visits(self, retention: Retention, *, now_ms: int, at_most: int) -> int:
        visits = self._database.first_visits
        for key, begun_ms in visits.items():
            visits[key] = now_ms if begun_ms > now_ms + AHEAD_MS else begun_ms
        before_ms = now_ms - retention.first_visit_ms
        due = [key for key, begun_ms in visits.items() if begun_ms <= before_ms]
        for key in due[:at_most]:
            self._remove(key, first_visit=True)
        return len(due[:at_most])

    async def sweep_profiles(
        self,
        retention: Retention,
        *,
        now_ms: int,
        events_from_ms: int,
        after: int = 0,
        at_most: int = 200,
    ) -> Swept:
        removed = 0
        for key in list(self._database.profiles):  # it is small: all of them in one step
            if now_ms >= expires_ms(self._database.profiles[key], 0, retention):
                self._remove(key, first_visit=False)
                removed += 1
                continue
            kept = self._database.events.get(key, {})
            self._database.events[key] = {
                id: event for id, event in kept.items() if event.timestamp_ms >= events_from_ms
            }
        return Swept(removed, 0)

    async def sweep_set_aside(
        self, retention: Retention, *, now_ms: int, after: int, at_most: int = 64
    ) -> int:
        return 0  # nothing here was written, so all of it can be read

    async def whole(self, key: str) -> Whole:
        stored = await self.load(key)
        if stored.profile is not None:
            every = structs.replace(stored.profile, events=tuple(self._database.ordered(key)))
            stored = structs.replace(stored, profile=every)
        return Whole(stored, links=await self.links(key))

    async def devices_of(self, device_key: str) -> tuple[str, ...]:
        first = f"{device_key}~"
        kept = self._database.profiles
        return tuple(sorted(key for key in kept if key == device_key or key.startswith(first)))

    async def shrink(self) -> bool:
        return False

    async def clock_mark(self) -> ClockMark | None:
        return self._database.clock

    async def keep_clock_mark(self, mark: ClockMark) -> None:
        self._database.clock = mark

    async def import_memberships(self, batch: Batch) -> frozenset[str]:
        links = self._database.links
        led = {key: links.get(key, (key, 0))[0] for key, _, _ in batch.rows}
        barred = await self.withheld([*led, *led.values()], since_ms=batch.began_ms)
        withheld = frozenset(key for key, to in led.items() if {key, to} & barred)
        kept = [(led[row[0]], *row[1:]) for row in batch.rows if row[0] not in withheld]
        for key, audience_id, until_ms in last_of_each(kept, batch.now_ms):
            self._import(key, audience_id, until_ms, batch.now_ms)
            self._announce(key, imported=True)
        if batch.progress is not None:
            self._database.files[batch.name] = with_withheld(batch.progress, batch, withheld)
        return withheld

    def _import(self, key: str, audience_id: str, until_ms: int, now_ms: int) -> None:
        kept = self._database.imported.setdefault(key, {})
        before = kept.get(audience_id)
        live = before is not None and before.until_ms > now_ms
        if before is not None and live:
            since_ms = min(before.since_ms, now_ms) if until_ms > now_ms else before.since_ms
            kept[audience_id] = structs.replace(
                before, since_ms=since_ms, until_ms=max(until_ms, now_ms)
            )
        elif until_ms > now_ms:
            earlier = before and structs.replace(before, earlier=None)
            kept[audience_id] = ImportedMembership(now_ms, until_ms, earlier)

    async def withheld(self, keys: Sequence[str], *, since_ms: int) -> frozenset[str]:
        database, now_ms = self._database, self._clock_ms()
        from_ms = erased_from_ms(since_ms, now_ms=now_ms)
        return frozenset(
            key
            for key in keys
            if refused(database.consents.get(key))
            or from_ms <= database.erased_ms.get(key, -1) <= now_ms
        )

    async def leading(self, keys: Sequence[str]) -> Mapping[str, str]:
        links = self._database.links
        return {key: links[key][0] for key in keys if key in links}

    async def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        profiles = self._database.profiles
        return frozenset(
            key for key in keys if key in profiles and datastream_id in profiles[key].datastreams
        )

    async def progress(self, name: bytes) -> Progress | None:
        return self._database.files.get(name)

    async def keep_progress(self, name: bytes, progress: Progress) -> None:
        self._database.files[name] = progress

    async def close(self) -> None:
        pass

    def _version(self, key: str) -> int:
        profile = self._database.profiles.get(key)
        return profile.version if profile else 0

    def _expire(self, key: str, state: Expired) -> bool:
        """False: it is in another state than that, and stays."""
        first_visit = bool(state.first_visit_ms)
        if not self._version(key) and state.version:
            return True  # somebody removed it before
        if self._version(key) != state.version:
            return False
        if first_visit and key not in self._database.first_visits:
            return False
        self._remove(key, first_visit=first_visit)
        return True

    def _remove(self, key: str, *, first_visit: bool) -> None:
        database = self._database
        stays = outlives(database.consents.get(key), first_visit=first_visit)
        gone: list[dict[str, Any]] = [database.profiles, database.events, database.first_visits]
        gone.append(database.arrivals)
        for kept in gone if stays else [*gone, database.consents]:
            kept.pop(key, None)
        # What was imported stays; processes that have the profile in memory read it as it is now.
        if key in database.imported:
            self._announce(key, imported=True)
        # No identity leads to a profile that is gone. Each process hears of it, this one as well.
        for link in self._database.linked_to(key):
            del database.links[link.key]
            self._announce(link.key, origin=NOBODY)

    def _keep(self, change: KeyChange) -> bool:
        """False: the stored version is another one, and nothing was kept."""
        database = self._database
        if is_another(change.epoch, database.epoch):
            return False
        if change.expired is not None and not self._expire(change.key, change.expired):
            return False
        before = database.consents.get(change.key)
        if change.yields_to(before):
            return False
        consent = consent_after(change, before)
        visit_ms = database.first_visits.get(change.key, 0)
        if change.begins and (refused(consent) or change.meets_return(before, visit_ms)):
            return False
        erased_ms = database.erased_ms.get(change.key, -1)
        if change.may_be_erased:
            dated_ms, now_ms = change.dated_ms, self._clock_ms()
            if erased_since(erased_ms, dated_ms=dated_ms, now_ms=now_ms):
                return False
        if change.may_be_led and change.key in database.links:
            return False
        linked_to, _ = database.links.get(change.key, ("", 0))
        if change.erased_from not in (None, linked_to):
            return False
        if change.erased_ms is not None:
            self._mark_events(change.key)
        marks = marked_under(database.erased_events, change.key, *change.senders)
        if any(mark_of(event.id) in marks for event in change.told_by):
            return False
        if change.erased_ms is not None:
            database.erased_ms[change.key] = change.erased_ms
            for link in self._database.linked_to(change.key):
                del database.links[link.key]
                database.erased_ms[link.key] = change.erased_ms
                self._announce(link.key)
        if change.forgotten:
            for kept in (
                database.profiles,
                database.events,
                database.arrivals,
                database.consents,
                database.links,
                database.first_visits,
                database.imported,
            ):
                kept.pop(change.key, None)
        if change.profile is not None:
            stored = database.profiles.get(change.key)
            if change.base_version not in (None, stored.version if stored else 0):
                return False
            database.profiles[change.key] = structs.replace(change.profile, events=(), imported={})
            self._keep_events(change)
        if consent is not None:
            database.consents[change.key] = consent
        said = consent is not None and (consent is not before or change.returned)
        self._note_visit(change, said=said)
        return True

    def _mark_events(self, key: str) -> None:
        """As sqlite_erased.mark_events."""
        database = self._database
        person, _ = database.links.get(key, (key, 0))
        lying = {mark_of(id) for of in {key, person} for id in database.events.get(of, {})}
        profiles = [database.profiles[of] for of in {key, person} if of in database.profiles]
        marks = frozenset(lying).union(*(one.marks for of in profiles for one in of.moved))
        devices = (
            of
            for of, profile in database.profiles.items()
            if any(one.to == mark_of(key) for one in profile.moved)
        )
        for of in (key, *(link.key for link in database.linked_to(key)), *devices):
            database.erased_events[of] = database.erased_events.get(of, frozenset()) | marks

    def _note_visit(self, change: KeyChange, *, said: bool) -> None:
        """said: something of consent."""
        visits, key = self._database.first_visits, change.key
        profile = self._database.profiles.get(key)
        if change.profile is None and profile is not None:
            if said and key in visits and returned(visits[key], change.first_visit_ms):
                del visits[key]
                self._database.profiles[key] = structs.replace(profile, version=profile.version + 1)
        elif change.first_visit_ms:
            visits.setdefault(key, change.first_visit_ms)
        elif said or change.returned or change.profile is not None:
            visits.pop(key, None)

    def _keep_events(self, change: KeyChange) -> None:
        done = 0
        for arrived, stay in change.cuts:
            self._add_events(change.key, change.events[done:arrived])
            self._sweep(change, stay)
            done = arrived
        self._add_events(change.key, change.events[done:])
        if change.sweep:
            self._sweep(change, MOST_EVENTS)

    def _add_events(self, key: str, events: Sequence[Event]) -> None:
        kept = self._database.events.setdefault(key, {})
        arrivals = self._database.arrivals.setdefault(key, {})
        for event in events:
            before = kept.get(event.id)
            if before is None or before.timestamp_ms != event.timestamp_ms:
                self._database.arrived += 1
                arrivals[event.id] = self._database.arrived
            kept[event.id] = event

    def _sweep(self, change: KeyChange, kept: int) -> None:
        newest = self._database.ordered(change.key)[-kept:]
        self._database.events[change.key] = {
            event.id: event for event in newest if event.timestamp_ms >= change.events_from_ms
        }

    def _announce(
        self, key: str | None, *, origin: int | None = None, imported: bool = False
    ) -> None:
        self._database.notice_sequence += 1
        origin = id(self) if origin is None else origin
        notice = Notice(self._database.notice_sequence, origin, key, imported)
        self._database.notices.append(notice)
        del self._database.notices[:-KEPT_NOTICES]
