"""What others added to profiles in memory, read for all of them at once. Called by the thread that
owns the connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import cast

import apsw

from perso_core.decision.event import Event
from perso_core.engine.hot_profiles import Appended
from perso_core.stores.record import event_from_record, profile_and_visit_from

# Of more events than these whoever was away for so long reads the profiles instead.
MOST_EVENTS = 2_000

# Origin and key of each announcement; below 0: events were added, and nothing else happened.
Notices = Collection[tuple[int, str | None]]


def added_alone(notices: Notices, own: int) -> list[str]:
    """Keys of profiles to which others added events, where nobody else did anything more."""
    more = {key for origin, key in notices if origin >= 0 and origin != own}
    added = {key for origin, key in notices if origin < 0 and origin != -own}
    return [key for key in added - more if key is not None]


def last_event(connection: apsw.Connection) -> int:
    """The place of the event that came last; 0: there is none."""
    last: int = connection.execute("SELECT coalesce(max(sequence), 0) FROM event").get
    return last


def appended(
    connection: apsw.Connection, keys: Collection[str], *, after: int, through: int
) -> Mapping[str, Appended]:
    """What these profiles are now, with those of their events whose places are after the one and
    up to the other. Of a profile that is gone, or where there are too many events, nothing."""
    if not keys or through - after > MOST_EVENTS:
        return {}
    events: dict[str, list[Callable[[], Event]]] = {key: [] for key in keys}
    rows = connection.execute(
        "SELECT key, record FROM event WHERE sequence > ? ORDER BY sequence", (after,)
    )
    for key, record in cast(list[tuple[str, bytes]], rows):
        if key in events:
            events[key].append(partial(event_from_record, record))
    found = {}
    for key, added in events.items():
        row = connection.execute("SELECT version, record FROM profile WHERE key = ?", (key,)).get
        if row is not None:
            version, record = cast(tuple[int, bytes], row)
            unpacked = partial(profile_and_visit_from, key, version, record, ())
            found[key] = Appended(version, unpacked, tuple(added))
    return found
