"""What a batch of journal entries comes to, key by key. Pure: every store keeps the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from perso_core.decision.consent import Consent, refused
from perso_core.decision.event import Event
from perso_core.decision.membership import ImportedMembership
from perso_core.decision.profile import Profile
from perso_core.decision.retention import returned
from perso_core.engine.journal import (
    AttributesPatched,
    ConsentChosen,
    Entry,
    EventArrived,
    Expired,
    Forgotten,
    Visited,
    brought_by,
)
from perso_core.stores.consent_kept import NO_WORDS, ConsentWords, after_words, words_of

# Events past the window go once in so many versions of a profile, not at each write: finding them
# reads all of the profile's events. Of one that has more events than that, once in the next power
# of two above their number, which stays the same while they come: else each of 5,000 events of a
# flood would pay for the 80 others that a sweep has read for it.
SWEPT_EVERY_VERSIONS = 64
# So long it is known that a profile was erased: no backup that is older is restored.
ERASED_KNOWN_MS = 400 * 24 * 60 * 60 * 1000
# Clocks of two processes on one machine, and a request under way: no more than that lies ahead.
AHEAD_MS = 60_000
# More events no profile has, whatever its cap.
MOST_EVENTS = 2**62
# Announcements kept for those who poll; who sleeps through more hears `missed`.
KEPT_NOTICES = 100_000
# The origin of one that nobody passes over as its own.
NOBODY = 0


def erasure_mark(key: str) -> bytes:
    """What is kept of the key of an erased profile: enough to know it again, not whose it was."""
    return hashlib.sha256(key.encode()).digest()[:16]


def aging_mark(key: str) -> bytes:
    """What is kept beside it of an erasure at which the calendar was wrong: the instant is of the
    clock that nobody can set then."""
    return erasure_mark(f"{key}\0erased")


def with_imported(
    key: str, profile: Profile | None, imported: Mapping[str, ImportedMembership]
) -> Profile | None:
    """The profile with what was imported of it; one of version 0 where there is nothing else."""
    if not imported:
        return profile
    return structs.replace(profile or Profile(key=key), imported=imported)


class KeyChange(Struct, frozen=True, kw_only=True):
    """What is to be kept under one key, all of it or nothing.

    forgotten: first remove profile, events and consent, whatever their version: the visitor asked
    for that, or refused to be kept. base_version: the version that must be stored for the rest to
    be kept (0: no row; None: no matter). profile None: the profile stays as it is. words: of
    consent. cuts: where older events made room: after so many of these events as many stay, the
    newest; one that comes later and is older than those comes in again.
    events_from_ms: older events need not be kept.
    decided_ms: when the first of it was decided. reported_ms: the earliest date of what was
    reported in it; an event that is told more of may be older. said_ms: when the first of the
    patches in it was said; None: there is none. erased_ms: when the visitor asked to be forgotten;
    None: nobody did. erased_from: the profile that the identity was part of as it was forgotten, ""
    for none: where it is another one's by now, nothing is kept; None: no matter. expired: first
    remove what is past its retention, where it is the state of this very version. first_visit_ms:
    when a device came that no later request has proved; 0: one has. returned: this is the one.
    arrivals_alone: nothing but events came. epoch: of the store that it was decided on; 0: of any.
    linked: it was known to be part of another profile. bringing: events that bring along what is
    said of consent. senders: other keys under which its events came.
    """

    key: str
    events_from_ms: int
    forgotten: bool = False
    base_version: int | None = None
    profile: Profile | None = None
    events: tuple[Event, ...] = ()  # in order of arrival
    cuts: tuple[tuple[int, int], ...] = ()
    words: ConsentWords = NO_WORDS
    decided_ms: int = 0
    reported_ms: int = 0
    said_ms: int | None = None
    erased_ms: int | None = None
    erased_from: str | None = None
    expired: Expired | None = None
    first_visit_ms: int = 0
    returned: bool = False
    arrivals_alone: bool = False
    epoch: int = 0
    linked: bool = False
    bringing: tuple[Event, ...] = ()
    senders: frozenset[str] = frozenset()

    @property
    def appends(self) -> bool:
        """Whether events come to a profile that is there, and there is no more to it. One of them
        may be a second report, which makes a version and no row."""
        return self.arrivals_alone and bool(self.base_version) and not self.cuts

    @property
    def told_at_once(self) -> bool:
        """Whether other processes must hear of it: what they hold in memory may go no further."""
        return self.forgotten or self.words is not NO_WORDS

    @property
    def begins(self) -> bool:
        """Whether this write makes a profile where none is. A refusal that another process kept
        meanwhile stands against that. Against other writes it need not: the profile on whose
        version they were decided went with the refusal."""
        return self.profile is not None and not self.base_version

    @property
    def may_be_led(self) -> bool:
        """Whether it makes a profile of an identity that may have become part of another one: then
        it is to be decided again, by whoever knows that. One that had a profile lost that version.
        """
        return self.begins and not self.forgotten and not self.linked

    @property
    def dated_ms(self) -> int:
        """When the first of it was: an event may be dated before it was decided."""
        said_ms = self.decided_ms if self.said_ms is None else self.said_ms
        return min(self.decided_ms, said_ms, self.reported_ms)

    @property
    def may_be_erased(self) -> bool:
        """Whether an erasure may have been after what this keeps: it makes a profile where none is,
        or something of it was before it was decided, such as what a server sends again later, or
        was said of another profile."""
        dated = self.dated_ms < self.decided_ms
        return not self.forgotten and (self.begins or dated or bool(self.bringing))

    @property
    def told_by(self) -> tuple[Event, ...]:
        """The events that it is of: where one of them was erased, nothing of it is kept."""
        return (*self.events, *self.bringing) if self.bringing else self.events

    @property
    def told(self) -> tuple[str, tuple[str, ...], tuple[Event, ...]]:
        """Its key, the keys under which its events came, the events."""
        return self.key, (self.key, *self.senders), self.told_by

    def meets_return(self, consent: Consent | None, visit_ms: int) -> bool:
        """Whether the stored consent, with its first_visit_ms, tells that the device came back of
        which this keeps a first visit: it is to be decided again as what it is."""
        if consent is None or not self.first_visit_ms or self.forgotten:
            return False
        return returned(self.first_visit_ms, visit_ms)

    def yields_to(self, consent: Consent | None) -> bool:
        """Whether a refusal in it counts only where nothing was chosen, and what is stored is an
        agreement that another process kept meanwhile."""
        chosen = consent is not None and consent.general == "in"
        return self.forgotten and self.erased_ms is None and self.words.yields and chosen

    @property
    def sweep(self) -> bool:
        """Whether this write is the one that also removes old events. Cuts do so as well."""
        if self.profile is None or not self.base_version or self.cuts:
            return False
        every = max(SWEPT_EVERY_VERSIONS, 1 << len(self.profile.events).bit_length())
        return self.profile.version // every != self.base_version // every


def changes_by_key(entries: Iterable[Entry]) -> list[KeyChange]:
    """One change per key, in the order in which the keys first come. O(entries)."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.key, []).append(entry)
    return [_key_change(key, of_key) for key, of_key in grouped.items()]


def _key_change(key: str, entries: list[Entry]) -> KeyChange:
    """In one pass: nearly always it is one entry, an event, and looks for anything else cost more
    than what they find."""
    words = words_of(entries)
    if len(entries) > 1:
        # What came before the visitor was forgotten is forgotten too.
        entries = entries[_last_erasure(entries) :]
    begin, end = entries[0], entries[-1]
    # Whatever was stored is gone before the rest is kept.
    anew = _erases(begin)
    expired = begin.change if anew and isinstance(begin.change, Expired) else None
    writes: list[Entry] = []
    bringing: list[Event] = []
    dates_ms: list[int] = []  # of what was reported
    said_ms: list[int] = []
    decided_ms = brought_ms = 0
    evicted = returned = False
    arrivals_alone = True
    for entry in entries:
        change = entry.change
        if entry.profile is not None:
            decided_ms = decided_ms if writes else entry.now_ms
            writes.append(entry)
            evicted = evicted or entry.evicted
            if entry.event is not None:
                dates_ms.append(entry.dated_ms)
        if isinstance(change, EventArrived):
            arrivals_alone = arrivals_alone and not entry.redated
            continue
        arrivals_alone = False
        by = brought_by(change)
        if by is not None:
            brought_ms = brought_ms if bringing else entry.now_ms
            bringing.append(by)
            dates_ms.append(entry.dated_ms)
        elif _patches(entry):
            said_ms.append(entry.dated_ms)
        elif isinstance(change, Visited):
            returned = True
    if not writes:
        decided_ms = brought_ms
    return KeyChange(
        key=key,
        events_from_ms=end.events_from_ms,
        forgotten=anew and expired is None,
        base_version=writes[0].base_version if writes and not anew else None,
        profile=writes[-1].profile if writes else None,
        events=_arrived(writes),
        cuts=_cuts(writes) if evicted else (),
        words=words,
        decided_ms=decided_ms,
        reported_ms=min(dates_ms) if dates_ms else decided_ms,
        said_ms=min(said_ms) if said_ms else None,
        erased_ms=begin.now_ms if isinstance(begin.change, Forgotten) else None,
        erased_from=begin.change.linked_to if isinstance(begin.change, Forgotten) else None,
        expired=expired,
        first_visit_ms=end.first_visit_ms,
        returned=returned,
        arrivals_alone=arrivals_alone,
        epoch=begin.epoch,
        linked=begin.linked,
        bringing=tuple(bringing),
        senders=senders_of(entries),
    )


def senders_of(entries: Iterable[Entry]) -> frozenset[str]:
    """The other keys under which the events of entries of one profile came. What was erased under
    one of them is known again by it."""
    found: set[str] = set()
    for entry in entries:
        change = entry.change
        if isinstance(change, EventArrived) and change.sender not in ("", entry.key):
            found.add(change.sender)
    return frozenset(found)


def consent_after(change: KeyChange, stored: Consent | None) -> Consent | None:
    """The consent to be kept on top of what is stored. `stored` itself: it stays."""
    return after_words(change.words, None if change.erased_ms is not None else stored)


def _last_erasure(entries: list[Entry]) -> int:
    return max((place for place, entry in enumerate(entries) if _erases(entry)), default=0)


def _erases(entry: Entry) -> bool:
    """What came before is gone: the visitor asked for that, refused to be kept, or did not come
    for so long."""
    change = entry.change
    if isinstance(change, EventArrived):
        return False
    if isinstance(change, ConsentChosen):
        return change.general == "out" and refused(entry.consent)
    if isinstance(change, Expired):
        return entry.profile is None
    return isinstance(change, Forgotten)


def _patches(entry: Entry) -> bool:
    """Whether a patch changed something: one that was barred leaves the profile as it is."""
    changed = entry.profile is not None and entry.profile.version != entry.base_version
    return changed and isinstance(entry.change, AttributesPatched)


def _cuts(writes: list[Entry]) -> tuple[tuple[int, int], ...]:
    cuts: list[tuple[int, int]] = []
    for number, entry in enumerate(writes, start=1):
        if entry.evicted and entry.profile is not None:
            cuts.append((len(_arrived(writes[:number])), len(entry.profile.events)))
    return tuple(cuts)


def _arrived(writes: list[Entry]) -> tuple[Event, ...]:
    # A dict keeps the place where an id first came, also when the event is replaced.
    kept: dict[str, Event] = {}
    for entry in writes:
        for event in entry.redated:
            kept[event.id] = event
        if entry.event is not None:
            kept[entry.event.id] = entry.event
    return tuple(kept.values())
