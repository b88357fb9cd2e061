"""What a store promises. One suite of tests (tests/stores) runs against every store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.decision.retention import Retention
from perso_core.definitions.document import Definitions
from perso_core.engine.hot_profiles import Appended
from perso_core.engine.journal import Entry
from perso_core.stores.imports import Batch, Progress
from perso_core.stores.links import Joined, Joining, Link


class Stored(Struct, frozen=True):
    """What is kept under one profile key. profile None: nothing (or unreadable: quarantined).
    erased_ms: when all that was here was erased last; 0: never, or so long ago that nothing from
    before can still come. set_aside: something of it could not be read just now. linked_to: the key
    of the profile that this identity is part of; "": of none. first_visit_ms: when it began by a
    request that no cookie proved, where none has since; 0: one has. epoch: the incarnation of the
    store that it was read from (incarnation.py). erased_events: marks of what was erased, for as
    long as it may be sent again (engine/erased.py)."""

    profile: Profile | None = None
    consent: Consent | None = None
    erased_ms: int = 0
    set_aside: bool = False
    linked_to: str = ""
    first_visit_ms: int = 0
    epoch: int = 0
    erased_events: frozenset[bytes] = frozenset()


class Quarantined(Struct, frozen=True):
    """A record that could not be read and was set aside."""

    kind: str
    record: bytes
    reason: str


class Whole(Struct, frozen=True):
    """All that is kept under a key: with every event, also those that no audience counts. links:
    the identities that are part of its profile."""

    stored: Stored
    quarantined: tuple[Quarantined, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def holds_something(self) -> bool:
        """Whether there is anything but a mark of an erasure."""
        stored = self.stored
        kept = stored.profile is not None or stored.consent is not None
        return kept or bool(stored.linked_to or self.links or self.quarantined)


class StoredDefinitions(Struct, frozen=True):
    """version: 1, 2, 3 …, given by the store at each save. saved_ms: when; 0: not known."""

    version: int
    definitions: Definitions
    saved_ms: int = 0


class Committed(Struct, frozen=True):
    """What a commit kept. conflicts: keys of which nothing was kept, as their stored version is
    not the one the entries were decided on: load, decide again, commit again.
    """

    conflicts: frozenset[str] = frozenset()


class News(Struct, frozen=True):
    """What others (another process on this database) changed since the last call.

    definitions: a new version was saved. keys: profiles written by others. appended: of those of
    them that are held, and that others did nothing but add events to: what was added. missed: so
    long was not asked that announcements were dropped unheard; any profile may have been written.
    imported: profiles whose imported memberships changed, also by this process; imported_any: any
    profile's may have.
    """

    definitions: bool = False
    keys: frozenset[str] = frozenset()
    appended: Mapping[str, Appended] = {}
    missed: bool = False
    imported: frozenset[str] = frozenset()
    imported_any: bool = False


Held = Callable[[str], bool]


def held_by_nobody(key: str) -> bool:
    """Of what was added to profiles nothing is told but that something was."""
    return False


class ClockMark(Struct, frozen=True):
    """What the retention's clock showed at an instant (worker/running.py). boot: of the machine,
    as running_ms counts from there. clock_ms: what the clock showed. owed_ms: time the machine was
    off that is still to be made up for."""

    boot: str
    running_ms: int
    clock_ms: int
    owed_ms: int = 0


class Swept(Struct, frozen=True):
    """One step over the profiles. removed: profiles that were past their retention. after: where
    the next step begins; 0: that was the last of them."""

    removed: int
    after: int


class Retaining(Protocol):
    """A store that forgets what nobody touched. Each step is short: others write in between. All
    methods raise StoreUnavailable."""

    async def sweep_first_visits(self, retention: Retention, *, now_ms: int, at_most: int) -> int:
        """Remove devices that came and were not proved by any request within the retention: what
        is kept of them but refusals. Returns how many were looked at; fewer than at_most: none is
        left."""
        ...

    async def sweep_profiles(
        self,
        retention: Retention,
        *,
        now_ms: int,
        events_from_ms: int,
        after: int = 0,
        at_most: int = 200,
    ) -> Swept:
        """Remove, of the next at_most profiles, those that nobody touched within their retention,
        and of the others events from before events_from_ms. Consent stays."""
        ...

    async def sweep_notices(self, through: int) -> int:
        """Forget the announcements up to this one, which name the keys of the erased, too: whoever
        has not heard them by now hears `missed`. 0: none. Returns the newest, for a later call."""
        ...

    async def sweep_ended(
        self, after: tuple[str, str], *, ended_ms: int, at_most: int = 2_000
    ) -> tuple[str, str] | None:
        """Remove, of the next at_most imported memberships after one (profile key, audience id),
        those that ended before ended_ms. Returns the last one that was looked at, for a later call;
        None: there are no more."""
        ...

    async def sweep_set_aside(
        self, retention: Retention, *, now_ms: int, after: int, at_most: int = 64
    ) -> int:
        """Remove, of the next at_most records that cannot be read, those that were set aside as
        long ago as they are kept. Returns where the next step begins; 0: those were the last."""
        ...

    async def shrink(self) -> bool:
        """Give back some of the room that was made. True: there is more."""
        ...

    async def clock_mark(self) -> ClockMark | None:
        """What was noted of the retention's clock; None: nothing yet."""
        ...

    async def keep_clock_mark(self, mark: ClockMark) -> None: ...


class Telling(Protocol):
    """A store that tells all it keeps. All methods raise StoreUnavailable."""

    async def whole(self, key: str) -> Whole:
        """All that is kept under a key."""
        ...

    async def devices_of(self, device_key: str) -> tuple[str, ...]:
        """Keys with a profile of an ECID's devices, ascending: the device's own, and those of
        devices that merely named it. device_key: the former. O(those keys)."""
        ...


class Store(Protocol):
    """All methods raise StoreUnavailable when the store cannot be read or written."""

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        """The profile with its events (oldest first) and the consent kept under a key. projection:
        what is wanted of the events, packed as it is read, with the newest whole as well; None: all
        of each, which takes twenty times the memory that it takes on disk."""
        ...

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        """By id, those of these events of a profile that are kept and can be read. O(ids)."""
        ...

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        """Keys of an identity with a profile, a consent or a link, also one that leads there,
        ascending: of every organisation and datastream that there ever was, and of an ECID those of
        devices that merely named it. O(keys)."""
        ...

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        """Keep entries (in order, one transaction, on disk when this returns).

        Of several entries with one key the last profile is kept, and each event. An entry's
        profile is kept only where the stored version equals the base_version of that key's first
        entry (0: no row). Forgotten removes what is stored at any version, and what came before
        it in the batch; so does a ConsentChosen that refuses, which is kept itself. After Forgotten
        no profile begins from an entry that was decided before it: that is a conflict. Expired
        removes what is stored at the very version it names, and is a conflict with any other; the
        consent that outlives it stays. What was decided on another incarnation of the store is a
        conflict. Consent is last write wins, and only ConsentChosen entries write it, and a
        PrivacySignalled its instant. No profile begins where the stored consent refuses: that is a
        conflict.
        announce: tell other processes of the changed keys (they hear it in `news`). Of what was
        forgotten and of changed consents they are told in any case.
        """
        ...

    async def join(self, joining: Joining) -> Joined:
        """Make one profile part of another (one transaction, on disk when this returns), and tell
        other processes of all keys that it changes.

        Nothing is kept where a stored version is another one than it was decided on, or the store
        of another incarnation, where either visitor has refused, where the target was erased since
        or is a link itself, or what says so is an event that was erased with either, or dated
        before (barred). Events go on with the places in which they arrived; those for which there
        is no room are counted in the target's profile. Of an identity that becomes a link nothing
        else stays but its consent. No link leads to a link. Of more identities of one profile than
        max_identities the oldest links go, are counted in the target's profile, where there is one,
        and begin anew.
        """
        ...

    async def links(self, key: str) -> tuple[Link, ...]:
        """The identities that are part of the profile of this key, those linked first first."""
        ...

    async def definitions(self) -> StoredDefinitions | None:
        """The definitions saved last; None when none ever were.

        Raises UnreadableRecord when they cannot be read: older ones must not come back unnoticed.
        """
        ...

    async def save_definitions(self, definitions: Definitions, *, saved_ms: int = 0) -> int:
        """Keep definitions as the next version, durably, and announce them. Returns the version.
        saved_ms: since when they are in force; 0: not known."""
        ...

    async def news(self, held: Held = held_by_nobody) -> News:
        """What others changed since this store object's last call. Cheap when nothing did. held:
        whether a profile is in memory; asked in whichever thread."""
        ...

    async def close(self) -> None: ...


class ImportStore(Protocol):
    """What a store promises whoever imports. Raises as Store does."""

    async def import_memberships(self, batch: Batch) -> frozenset[str]:
        """Keep imported memberships (one transaction, on disk when this returns), and announce
        them. Whoever refused, or was erased since the import began, gets none: returns their keys.
        """
        ...

    async def withheld(self, keys: Sequence[str], *, since_ms: int) -> frozenset[str]:
        """Of these keys those whose visitors refused to be kept, or were erased since then."""
        ...

    async def leading(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Of these keys those that are part of another one's profile: the key of that."""
        ...

    async def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        """Of these keys those with a profile of which the datastream reported an event."""
        ...

    async def progress(self, name: bytes) -> Progress | None:
        """How far a file is imported; None: not known. Raises UnreadableRecord."""
        ...

    async def keep_progress(self, name: bytes, progress: Progress) -> None:
        """For what is kept by other ways than import_memberships."""
        ...
