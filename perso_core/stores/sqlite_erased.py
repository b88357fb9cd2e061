"""Marks of erased events, in the SQLite file: one that is sent again does not bring back what was
erased. Called by the threads that own the connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import apsw

from perso_core.decision.event import Event
from perso_core.decision.identity import Device
from perso_core.decision.profile import Profile, mark_of
from perso_core.engine.erased import SENT_AGAIN_MS, erased_under
from perso_core.errors import UnreadableRecord
from perso_core.stores.batch import ERASED_KNOWN_MS, erasure_mark
from perso_core.stores.record import profile_from
from perso_core.stores.sqlite_links import led_to

# Under the key that is erased, and as many again under all others together: the newest events,
# which are the ones that come again.
MOST_MARKS = 20_000
# Of one ECID, that of its owner first: whoever names it has a device of their own, and a flood may.
MOST_DEVICES = 100


def mark_events(connection: apsw.Connection, key: str, aging_ms: int) -> None:
    """Before the events of a key are removed: they may also come again under the keys that lead to
    it. What came under one of these lies where it leads, and is marked with each; so is what came
    under a device and moved here. Their dates do not tell how long ago they were sent: a calendar
    gave them. aging_ms: now, see Writer."""
    person = led_to(connection, key) or key
    leading = connection.execute("SELECT key FROM link WHERE canonical = ?", (person,)).fetchall()
    every = [person, *(row[0] for row in cast(list[tuple[str]], leading))]
    every += _moved_from(connection, person)
    keys = every if person == key else [key]
    rows = connection.execute(
        "SELECT id FROM event WHERE key IN (?, ?) ORDER BY timestamp_ms DESC LIMIT ?",
        (key, person, MOST_MARKS),
    ).fetchall()
    marks = [mark_of(row[0]) for row in cast(list[tuple[str]], rows)]
    moved = _moved(connection, key) | _moved(connection, person)
    for of in keys:
        known = marks if of == key else marks[: MOST_MARKS // len(keys)]
        connection.executemany(
            "REPLACE INTO erased_event VALUES (?, ?, ?)",
            [(erasure_mark(of), mark, aging_ms) for mark in {*known, *moved}],
        )


def mark_devices(connection: apsw.Connection, key: str) -> None:
    """Before a profile is erased: of the devices whose events became its own a backup may be older
    than that, and must not bring them back under the device. The mark is of when they moved."""
    for device, moved_ms in _moved_from(connection, key).items():
        connection.execute("REPLACE INTO erased VALUES (?, ?)", (moved_mark(device), moved_ms))


def moved_mark(device_key: str) -> bytes:
    """What is kept of a device that had events which were erased with somebody's profile."""
    return erasure_mark(f"{device_key}\0moved")


def has_what_moved(connection: apsw.Connection, device_key: str, moved_ms: int) -> bool:
    """Whether the device has what was taken out of it at an instant. Of a record that cannot be
    read it may."""
    profile = _profile(connection, device_key)
    return profile is None or all(one.at_ms < moved_ms for one in profile.moved)


def _moved_from(connection: apsw.Connection, key: str) -> dict[str, int]:
    """The keys of devices whose events became the profile's, and when the last did."""
    found: dict[str, int] = {}
    for device in _devices_of(connection, key):
        profile = _profile(connection, device)
        moved = [one.at_ms for one in profile.moved if one.to == mark_of(key)] if profile else []
        if moved:
            found[device] = max(moved)
    return found


def _devices_of(connection: apsw.Connection, key: str) -> list[str]:
    """The keys of the devices that a profile names; of each ECID the first MOST_DEVICES."""
    profile = _profile(connection, key)
    named = [one.id for one in profile.claims if one.namespace == "ECID"] if profile else []
    found: list[str] = []
    for ecid in named:
        own = Device(ecid).profile_key
        rows = connection.execute(
            "SELECT key FROM profile WHERE key = ?"
            " UNION ALL SELECT key FROM profile WHERE key >= ? AND key < ? LIMIT ?",
            (own, f"{own}~", f"{own}~\U0010ffff", MOST_DEVICES),
        ).fetchall()
        found += [row[0] for row in cast(list[tuple[str]], rows)]
    return found


def _moved(connection: apsw.Connection, key: str) -> set[bytes]:
    """Of the key's events that became another profile's."""
    profile = _profile(connection, key)
    return {mark for one in profile.moved for mark in one.marks} if profile else set()


def _profile(connection: apsw.Connection, key: str) -> Profile | None:
    """Without its events; None: there is none that can be read."""
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT version, record FROM profile WHERE key = ?", (key,)
    ).get
    try:
        return profile_from(key, *row, ()) if row is not None else None
    except UnreadableRecord:
        return None


def any_erased(connection: apsw.Connection, after_ms: int) -> bool:
    """Whether anybody was erased after an instant: one look instead of one for each key."""
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM erased WHERE erased_ms > ?)", (after_ms,)
    ).get
    return bool(found)


def any_marks(connection: apsw.Connection) -> bool:
    """Whether there are marks of erased events."""
    found: int = connection.execute("SELECT EXISTS (SELECT 1 FROM erased_event)").get
    return bool(found)


def sent_again(
    connection: apsw.Connection, told: Iterable[tuple[str, Sequence[str], Sequence[Event]]]
) -> set[str]:
    """Those of whom one of the events is among what was erased under one of the keys. told: who,
    keys, events."""
    if not any_marks(connection):
        return set()
    sent = [(mark, who) for who, keys, events in told for mark in marks_of(keys, events)]
    rows = connection.executemany(
        "SELECT of, mark FROM erased_event WHERE of = ? AND mark = ?", [mark for mark, _ in sent]
    ).fetchall()
    found = set(cast(list[tuple[bytes, bytes]], rows))
    return {who for mark, who in sent if mark in found}


def marks_of(keys: Sequence[str], events: Sequence[Event]) -> list[tuple[bytes, bytes]]:
    """What is kept of the events (whose, and which) where they were erased under one of the
    keys."""
    erased = [erasure_mark(of) for key in keys for of in erased_under(key)]
    return [(of, mark_of(event.id)) for of in erased for event in events]


def erased_events_of(connection: apsw.Connection, key: str) -> frozenset[bytes]:
    """The marks of what was erased and may come again under a key."""
    found: set[bytes] = set()
    for of in erased_under(key):
        rows = connection.execute(
            "SELECT mark FROM erased_event WHERE of = ?", (erasure_mark(of),)
        ).fetchall()
        found.update(row[0] for row in cast(list[tuple[bytes]], rows))
    return frozenset(found)


def forget_marks(connection: apsw.Connection, aging_ms: int) -> None:
    """Those of events that nobody sends again."""
    connection.execute("DELETE FROM erased_event WHERE erased_ms < ?", (aging_ms - SENT_AGAIN_MS,))


def forget_erased(connection: apsw.Connection, now_ms: int) -> None:
    """Whose backups nobody restores any more. now_ms: what the earlier one of both clocks shows."""
    connection.execute("DELETE FROM erased WHERE erased_ms < ?", (now_ms - ERASED_KNOWN_MS,))
