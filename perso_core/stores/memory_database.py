"""What several stores in one process's memory share, and a profile of it that becomes part of
another one."""

from __future__ import annotations

from msgspec import Struct, field, structs

from perso_core.decision.consent import Consent, refused
from perso_core.decision.event import Event
from perso_core.decision.membership import ImportedMembership, imported_of_both
from perso_core.decision.profile import Profile, mark_of, with_dropped
from perso_core.decision.retention import erased_since
from perso_core.decision.union import United, event_of_both
from perso_core.engine.erased import marked_under
from perso_core.stores.imports import Progress
from perso_core.stores.incarnation import is_another, new_epoch
from perso_core.stores.links import BARRED, NOT_JOINED, Joined, Joining, Link
from perso_core.stores.protocol import ClockMark, StoredDefinitions


class Notice(Struct, frozen=True):
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
    notices: list[Notice] = field(default_factory=list)
    notice_sequence: int = 0
    epoch: int = field(default_factory=new_epoch)

    def ordered(self, key: str) -> list[Event]:
        """The events under a key, oldest first."""
        kept = self.events.get(key, {}).values()
        arrivals = self.arrivals.get(key, {})
        return sorted(kept, key=lambda event: (event.timestamp_ms, arrivals[event.id]))

    def linked_to(self, canonical: str) -> list[Link]:
        """The identities that are part of a profile, the oldest link first."""
        found = [
            Link(key, linked_ms) for key, (to, linked_ms) in self.links.items() if to == canonical
        ]
        return sorted(found, key=lambda link: (link.linked_ms, link.key))


def join(database: MemoryDatabase, joining: Joining, *, now_ms: int, max_events: int) -> Joined:
    """See Store.join."""
    if joining.by is not None and _said_before(database, joining, joining.by, now_ms):
        return BARRED
    if not _may_join(database, joining, now_ms):
        return NOT_JOINED
    united = joining.united
    gone = _move(database, joining, united, max_events) if united is not None else 0
    if united is not None or joining.linked:
        _move_imported(database, joining)
    moved, dropped = _link(database, joining) if joining.linked else ([], [])
    _count_dropped(database, joining, len(dropped))
    for profile in joining.begun_anew(dropped):
        database.profiles.setdefault(profile.key, profile)
    return Joined(True, (*moved, *dropped), len(dropped), gone)


def _said_before(database: MemoryDatabase, joining: Joining, by: Event, now_ms: int) -> bool:
    """Whether an event that says whose two are was erased with one of them, or is of before."""
    erased_ms, dated_ms = database.erased_ms, joining.dated_ms
    return any(
        mark_of(by.id) in marked_under(database.erased_events, key)
        or erased_since(erased_ms.get(key, -1), dated_ms=dated_ms, now_ms=now_ms)
        for key in (joining.source, joining.target)
    )


def _may_join(database: MemoryDatabase, joining: Joining, now_ms: int) -> bool:
    if is_another(joining.epoch, database.epoch) or joining.target in database.links:
        return False
    if joining.led and database.links.get(joining.source, ("", 0))[0] != joining.target:
        return False
    if any(refused(database.consents.get(key)) for key in (joining.source, joining.target)):
        return False
    erased_ms = database.erased_ms.get(joining.target, -1)
    decided_ms = joining.decided_ms
    if not joining.target_version and erased_since(erased_ms, dated_ms=decided_ms, now_ms=now_ms):
        return False
    if joining.united is None:
        return True
    kept = (database.profiles.get(key) for key in (joining.source, joining.target))
    versions = [profile.version if profile else 0 for profile in kept]
    return versions == [joining.source_version, joining.target_version]


def _count_dropped(database: MemoryDatabase, joining: Joining, dropped: int) -> None:
    profiles, key = database.profiles, joining.target
    if not dropped or key not in profiles:
        return
    counted = with_dropped(profiles[key], identities=dropped)
    further = counted.version + (joining.united is None)
    profiles[key] = structs.replace(counted, version=further)


def _move(database: MemoryDatabase, joining: Joining, united: United, max_events: int) -> int:
    """Returns how many events made room."""
    source, target = joining.source, joining.target
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
    newest = database.ordered(target)[-max_events:]
    gone = len(events) - len(newest)
    profile = with_dropped(united.profile, events=gone)
    database.profiles[target] = structs.replace(profile, events=(), imported={})
    database.events[target] = {event.id: event for event in newest}
    return gone


def _move_imported(database: MemoryDatabase, joining: Joining) -> None:
    imported = database.imported
    moved = imported.pop(joining.source, {})
    both = imported_of_both(imported.get(joining.target, {}), moved)
    if both:
        imported[joining.target] = {**both}


def _link(database: MemoryDatabase, joining: Joining) -> tuple[list[str], list[str]]:
    """Keys of the other identities that came along, and of those that made room."""
    links = database.links
    moved = database.linked_to(joining.source)
    for link in moved:
        links[link.key] = (joining.target, link.linked_ms)
    links[joining.source] = (joining.target, joining.decided_ms)
    if joining.united is None and (left := database.profiles.get(joining.source)):
        further = structs.replace(left, version=left.version + 1)
        database.profiles[joining.source] = further
    linked = database.linked_to(joining.target)
    dropped = linked[: max(len(linked) - (joining.max_identities - 1), 0)]
    for link in dropped:
        del links[link.key]
    return [link.key for link in moved], [link.key for link in dropped]
