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
    None: nobody did. expired: first remove what is past its retention, where it is the state of
    this very version. first_visit_ms: when a device came that no later request has proved; 0: one
    has. returned: this is the one. arrivals_alone: nothing but events came. epoch: of
    the store that it was decided on; 0: of any. linked: it was known to be part of another profile.
    bringing: events that bring along what is said of consent. senders: other keys under which its
    events came.
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
    words = words_of(entries)
    if len(entries) > 1:
        # What came before the visitor was forgotten is forgotten too.
        last = max((n for n, entry in enumerate(entries) if _erases(entry)), default=0)
        entries = entries[last:]
    # Whatever was stored is gone before the rest is kept.
    anew = _erases(entries[0])
    expired = entries[0].change if isinstance(entries[0].change, Expired) and anew else None
    writes = [entry for entry in entries if entry.profile is not None]
    brought = [entry for entry in entries if brought_by(entry.change) is not None]
    reported = [entry for entry in writes if entry.event is not None]
    first = next(iter(writes or brought), None)
    decided_ms = first.now_ms if first is not None else 0
    return KeyChange(
        key=key,
        events_from_ms=entries[-1].events_from_ms,
        forgotten=anew and expired is None,
        base_version=writes[0].base_version if writes and not anew else None,
        profile=writes[-1].profile if writes else None,
        events=_arrived(writes),
        cuts=_cuts(writes) if any(entry.evicted for entry in writes) else (),
        words=words,
        decided_ms=decided_ms,
        reported_ms=min(
            (entry.dated_ms for entry in (*reported, *brought)),
            default=decided_ms,
        ),
        said_ms=min((entry.dated_ms for entry in writes if _patches(entry)), default=None),
        erased_ms=entries[0].now_ms if isinstance(entries[0].change, Forgotten) else None,
        expired=expired,
        first_visit_ms=entries[-1].first_visit_ms,
        returned=any(isinstance(entry.change, Visited) for entry in entries),
        arrivals_alone=all(
            isinstance(entry.change, EventArrived) and not entry.redated for entry in entries
        ),
        epoch=entries[0].epoch,
        linked=entries[0].linked,
        bringing=tuple(event for entry in brought if (event := brought_by(entry.change))),
        senders=senders_of(entries),
    )


def senders_of(entries: Iterable[Entry]) -> frozenset[str]:
    """The other keys under which the events of entries of one profile came. What was erased under
    one of them is known again by it."""
    return frozenset(
        entry.change.sender
        for entry in entries
        if isinstance(entry.change, EventArrived) and entry.change.sender not in ("", entry.key)
    )


def consent_after(change: KeyChange, stored: Consent | None) -> Consent | None:
    """The consent to be kept on top of what is stored. `stored` itself: it stays."""
    return after_words(change.words, None if change.erased_ms is not None else stored)


def _erases(entry: Entry) -> bool:
    """What came before is gone: the visitor asked for that, refused to be kept, or did not come
    for so long."""
    if isinstance(entry.change, ConsentChosen):
        return entry.change.general == "out" and refused(entry.consent)
    if isinstance(entry.change, Expired):
        return entry.profile is None
    return isinstance(entry.change, Forgotten)


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
    kept = {}
    for entry in writes:
        kept.update({event.id: event for event in entry.redated})
        if entry.event:
            kept[entry.event.id] = entry.event
    return tuple(kept.values())
