"""The store's promises over dicts: for tests and first tries. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field, structs

from perso_core.decision.consent import Consent, refused
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.membership import ImportedMembership, imported_of_both
from perso_core.decision.profile import Profile, mark_of, with_dropped
from perso_core.decision.retention import Retention, erased_since, expires_ms, outlives, returned
from perso_core.decision.union import United, event_of_both
from perso_core.definitions.document import Definitions
from perso_core.engine.erased import SENT_AGAIN_MS, marked_under
from perso_core.engine.journal import Entry, Expired
from perso_core.stores.batch import (
    AHEAD_MS,
    KEPT_NOTICES,
    NOBODY,
    KeyChange,
    changes_by_key,
    consent_after,
    with_imported,
)
from perso_core.stores.clock import Clock, system_clock_ms
from perso_core.stores.imports import Batch, Progress, with_withheld
from perso_core.stores.incarnation import is_another, new_epoch
from perso_core.stores.links import NOT_JOINED, Joined, Joining, Link
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


class _Notice(Struct, frozen=True):
    """key None: definitions were saved. origin: the store object that wrote. imported: the key's
    imported memberships changed."""

    sequence: int
    origin: int
    key: str | None
    imported: bool = False


class MemoryDatabase(Struct):
    """What several MemoryStores share, as several processes share one file."""

    profiles: dict[str, Profile] = field(default_factory=dict)  # without their events
    events: dict[str, dict[str, Event]] = field(default_factory=dict)  # by key, by id
    arrivals: dict[str, dict[str, int]] = field(default_factory=dict)  # the same, in which order
    arrived: int = 0
    consents: dict[str, Consent] = field(default_factory=dict)
    erased_ms: dict[str, int] = field(default_factory=dict)
    erased_events: dict[str, frozenset[bytes]] = field(default_factory=dict)
    links: dict[str, tuple[str, int]] = field(default_factory=dict)  # canonical key, linked_ms
    first_visits: dict[str, int] = field(default_factory=dict)  # when a device came, by key
    clock: ClockMark | None = None
    imported: dict[str, dict[str, ImportedMembership]] = field(default_factory=dict)
    files: dict[bytes, Progress] = field(default_factory=dict)
    definitions: list[StoredDefinitions] = field(default_factory=list)
    notices: list[_Notice] = field(default_factory=list)
    notice_sequence: int = 0
    epoch: int = field(default_factory=new_epoch)


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
            profile = structs.replace(profile, events=tuple(self._ordered(key)))
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

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        database = self._database
        kept = database.profiles.keys() | database.consents.keys() | database.links.keys()
        kept |= database.imported.keys()
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
        if not self._may_join(joining):
            return NOT_JOINED
        gone = self._move(joining, joining.united) if joining.united is not None else 0
        if joining.united is not None or joining.linked:
            self._move_imported(joining)
        moved, dropped = self._link(joining) if joining.linked else ([], [])
        self._count_dropped(joining, len(dropped))
        for profile in joining.begun_anew(dropped):
            self._database.profiles.setdefault(profile.key, profile)
        for key in (joining.source, joining.target, *moved, *dropped):
            self._announce(key)
        return Joined(True, (*moved, *dropped), len(dropped), gone)

    def _count_dropped(self, joining: Joining, dropped: int) -> None:
        profiles, key = self._database.profiles, joining.target
        if not dropped or key not in profiles:
            return
        counted = with_dropped(profiles[key], identities=dropped)
        further = counted.version + (joining.united is None)
        profiles[key] = structs.replace(counted, version=further)

    async def links(self, key: str) -> tuple[Link, ...]:
        return tuple(self._linked_to(key))

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

    async def whole(self, key: str) -> Whole:
        stored = await self.load(key)
        if stored.profile is not None:
            every = structs.replace(stored.profile, events=tuple(self._ordered(key)))
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
        for key, audience_id, until_ms in batch.rows:
            if key not in withheld:
                self._import(led[key], audience_id, until_ms, batch.now_ms)
                self._announce(led[key], imported=True)
        if batch.progress is not None:
            self._database.files[batch.name] = with_withheld(batch.progress, batch, withheld)
        return withheld

    def _import(self, key: str, audience_id: str, until_ms: int, now_ms: int) -> None:
        kept = self._database.imported.setdefault(key, {})
        before = kept.get(audience_id)
        live = before is not None and before.until_ms > now_ms
        since_ms = before.since_ms if before is not None and live else now_ms
        if until_ms > now_ms:
            kept[audience_id] = ImportedMembership(since_ms, until_ms)
        elif live:
            kept[audience_id] = ImportedMembership(since_ms, now_ms)

    async def withheld(self, keys: Sequence[str], *, since_ms: int) -> frozenset[str]:
        database = self._database
        return frozenset(
            key
            for key in keys
            if refused(database.consents.get(key)) or database.erased_ms.get(key, -1) >= since_ms
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
        for link in self._linked_to(key):
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
        if change.erased_ms is not None:
            self._mark_events(change.key, change.erased_ms)
        marks = marked_under(database.erased_events, change.key)
        if any(mark_of(event.id) in marks for event in change.events):
            return False
        if change.erased_ms is not None:
            database.erased_ms[change.key] = change.erased_ms
            for link in self._linked_to(change.key):
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

    def _mark_events(self, key: str, erased_ms: int) -> None:
        """Those under the key, and under those that lead to it, that may be sent again."""
        lately = (
            mark_of(id)
            for id, event in self._database.events.get(key, {}).items()
            if event.timestamp_ms > erased_ms - SENT_AGAIN_MS
        )
        profile = self._database.profiles.get(key)
        moved = (one.marks for one in (profile.moved if profile else ()))
        marks = frozenset(lately).union(*moved)
        for of in (key, *(link.key for link in self._linked_to(key))):
            known = self._database.erased_events.get(of, frozenset())
            self._database.erased_events[of] = known | marks

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
        kept = self._database.events.setdefault(change.key, {})
        arrivals = self._database.arrivals.setdefault(change.key, {})
        for event in change.events:
            before = kept.get(event.id)
            if before is None or before.timestamp_ms != event.timestamp_ms:
                self._database.arrived += 1
                arrivals[event.id] = self._database.arrived
            kept[event.id] = event
        if change.sweep:
            newest = self._ordered(change.key)[-change.events_kept :]
            from_ms = change.events_from_ms
            stay = {event.id for event in newest if event.timestamp_ms >= from_ms}
            self._database.events[change.key] = {
                id: event for id, event in kept.items() if id in stay
            }

    def _ordered(self, key: str) -> list[Event]:
        kept = self._database.events.get(key, {}).values()
        arrivals = self._database.arrivals.get(key, {})
        return sorted(kept, key=lambda event: (event.timestamp_ms, arrivals[event.id]))

    def _may_join(self, joining: Joining) -> bool:
        database = self._database
        if is_another(joining.epoch, database.epoch) or joining.target in database.links:
            return False
        if any(refused(database.consents.get(key)) for key in (joining.source, joining.target)):
            return False
        erased_ms = database.erased_ms.get(joining.target, -1)
        decided_ms, now_ms = joining.decided_ms, self._clock_ms()
        if not joining.target_version and erased_since(
            erased_ms, dated_ms=decided_ms, now_ms=now_ms
        ):
            return False
        if joining.united is None:
            return True
        kept = (database.profiles.get(key) for key in (joining.source, joining.target))
        versions = [profile.version if profile else 0 for profile in kept]
        return versions == [joining.source_version, joining.target_version]

    def _move(self, joining: Joining, united: United) -> int:
        """Returns how many events made room."""
        database, source, target = self._database, joining.source, joining.target
        if joining.linked:
            # Of whom there was only an import there is none.
            database.profiles.pop(source, None)
        else:
            database.profiles[source] = united.rest
        events, arrivals = database.events.setdefault(target, {}), database.arrivals
        for id, event in database.events.pop(source, {}).items():
            events[id] = event_of_both(events[id], event) if id in events else event
        both = (arrivals.pop(source, {}), arrivals.get(target, {}))
        arrivals[target] = {id: min(of_one[id] for of_one in both if id in of_one) for id in events}
        newest = self._ordered(target)[-self._max_events :]
        gone = len(events) - len(newest)
        profile = with_dropped(united.profile, events=gone)
        database.profiles[target] = structs.replace(profile, events=(), imported={})
        database.events[target] = {event.id: event for event in newest}
        return gone

    def _move_imported(self, joining: Joining) -> None:
        imported = self._database.imported
        moved = imported.pop(joining.source, {})
        both = imported_of_both(imported.get(joining.target, {}), moved)
        if both:
            imported[joining.target] = {**both}

    def _link(self, joining: Joining) -> tuple[list[str], list[str]]:
        """Keys of the other identities that came along, and of those that made room."""
        links = self._database.links
        moved = self._linked_to(joining.source)
        for link in moved:
            links[link.key] = (joining.target, link.linked_ms)
        links[joining.source] = (joining.target, joining.decided_ms)
        linked = self._linked_to(joining.target)
        dropped = linked[: max(len(linked) - (joining.max_identities - 1), 0)]
        for link in dropped:
            del links[link.key]
        return [link.key for link in moved], [link.key for link in dropped]

    def _linked_to(self, canonical: str) -> list[Link]:
        found = [
            Link(key, linked_ms)
            for key, (to, linked_ms) in self._database.links.items()
            if to == canonical
        ]
        return sorted(found, key=lambda link: (link.linked_ms, link.key))

    def _announce(
        self, key: str | None, *, origin: int | None = None, imported: bool = False
    ) -> None:
        self._database.notice_sequence += 1
        origin = id(self) if origin is None else origin
        notice = _Notice(self._database.notice_sequence, origin, key, imported)
        self._database.notices.append(notice)
        del self._database.notices[:-KEPT_NOTICES]
