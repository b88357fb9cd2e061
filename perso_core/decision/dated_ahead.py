"""A profile that a clock dated ahead of what it shows now that it was put right. Pure.

Nothing lies ahead of the clock by itself: the events that do were dated by one that was ahead.
Kept so, they would count for longer than their rules say, and no event since would count until
time has caught up.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from perso_core.decision.event import Event
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.membership import Memberships
from perso_core.decision.profile import Profile

# A clock is kept right by steps of seconds, and those of processes on one machine may differ.
STEP_MS = 60_000
# A clock that is so far behind the time that the machine has run (retention goes by it) is itself
# the one that is wrong: what is dated by it now would be too old once it is right again.
BEHIND_MS = 60 * 60 * 1_000
# The newest event was so long ago, as far as anybody can tell: before those that come now.
LATELY_MS = 1_000


class PutRight(Struct, frozen=True):
    """The profile as of now, on which the rules are to be run. events: those that got another
    instant."""

    profile: Profile
    events: tuple[Event, ...] = ()


def is_ahead(profile: Profile, *, now_ms: int, machine_ms: int) -> bool:
    """Whether it was decided by a clock that has been put right since. machine_ms: now, by the
    clock that nobody can set."""
    return profile.evaluated_ms > now_ms + STEP_MS and now_ms >= machine_ms - BEHIND_MS


def put_right(profile: Profile, *, now_ms: int) -> PutRight | None:
    """The profile with nothing ahead of now. None: an event that would get another instant is
    packed. What lies ahead is moved back together, so that what was between the events stays, and
    none gets before one that stays. O(events ahead)."""
    events = KeptEvents.of(profile.events)
    stay = len(events) - len(events.since(now_ms + 1))
    late = [events.whole_at(place) for place in range(stay, len(events))]
    whole = [event for event in late if event is not None]
    if len(whole) < len(late):
        return None
    redated = _moved_back(whole, events.time_at(stay - 1) if stay else 0, now_ms)
    kept = Memberships.of(profile.memberships)
    since = [structs.replace(one, since_ms=now_ms) for one in kept.each() if one.since_ms > now_ms]
    right = structs.replace(
        profile,
        events=events.ending(stay, redated) if redated else events,
        memberships=kept.replaced(since) if since else profile.memberships,
        evaluated_ms=now_ms,
    )
    return PutRight(right, redated)


def _moved_back(events: Sequence[Event], oldest_ms: int, now_ms: int) -> tuple[Event, ...]:
    if not events:
        return ()
    by_ms = events[-1].timestamp_ms - (now_ms - LATELY_MS)
    return tuple(_dated(event, max(event.timestamp_ms - by_ms, oldest_ms)) for event in events)


def _dated(event: Event, at_ms: int) -> Event:
    return structs.replace(event, timestamp_ms=at_ms, xdm={**event.xdm, "timestamp": at_ms})
