"""What a batch of journal entries comes to, key by key. Pure: every store keeps the same."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.profile import Profile
from perso_core.engine.journal import ConsentChosen, Entry, Forgotten

# Events past the window or the cap go once in so many versions of a profile, not at each write:
# finding them reads all of the profile's events.
SWEPT_EVERY_VERSIONS = 16
# Announcements kept for those who poll; who sleeps through more hears `missed`.
KEPT_NOTICES = 100_000


class KeyChange(Struct, frozen=True, kw_only=True):
    """What is to be kept under one key, all of it or nothing.

    forgotten: first remove profile, events and consent, whatever their version. base_version:
    the version that must be stored for the rest to be kept (0: no row; None: no matter).
    profile None: the profile stays as it is. consent None: so does the consent. events_from_ms:
    older events need not be kept.
    """

    key: str
    events_from_ms: int
    forgotten: bool = False
    base_version: int | None = None
    profile: Profile | None = None
    events: tuple[Event, ...] = ()  # in order of arrival
    consent: Consent | None = None

    @property
    def sweep(self) -> bool:
        """Whether this write is the one that also removes old events."""
        if self.profile is None or not self.base_version:
            return False
        before = self.base_version // SWEPT_EVERY_VERSIONS
        return self.profile.version // SWEPT_EVERY_VERSIONS != before


def changes_by_key(entries: Iterable[Entry]) -> list[KeyChange]:
    """One change per key, in the order in which the keys first come. O(entries)."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.key, []).append(entry)
    return [_key_change(key, of_key) for key, of_key in grouped.items()]


def _key_change(key: str, entries: list[Entry]) -> KeyChange:
    if len(entries) > 1:
        # What came before the visitor was forgotten is forgotten too.
        last = max((n for n, e in enumerate(entries) if isinstance(e.change, Forgotten)), default=0)
        entries = entries[last:]
    forgotten = isinstance(entries[0].change, Forgotten)
    writes = [entry for entry in entries if entry.profile is not None]
    return KeyChange(
        key=key,
        events_from_ms=entries[-1].events_from_ms,
        forgotten=forgotten,
        base_version=writes[0].base_version if writes and not forgotten else None,
        profile=writes[-1].profile if writes else None,
        events=_arrived(writes),
        consent=_chosen(entries),
    )


def _arrived(writes: list[Entry]) -> tuple[Event, ...]:
    # A dict keeps the place where an id first came, also when the event is replaced.
    return tuple({entry.event.id: entry.event for entry in writes if entry.event}.values())


def _chosen(entries: list[Entry]) -> Consent | None:
    # Only a choice writes consent: an event that was decided before another process kept a
    # withdrawal must not put the older choice back.
    for entry in reversed(entries):
        if isinstance(entry.change, ConsentChosen):
            return entry.consent
    return None
