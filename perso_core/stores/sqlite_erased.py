"""Marks of erased events, in the SQLite file: one that is sent again does not bring back what was
erased. Called by the threads that own the connections."""

from __future__ import annotations

from typing import cast

import apsw

from perso_core.decision.profile import mark_of
from perso_core.engine.erased import SENT_AGAIN_MS
from perso_core.errors import UnreadableRecord
from perso_core.stores.batch import KeyChange, erasure_mark
from perso_core.stores.record import profile_from

# Of one erasure, for all keys together: the newest events, which are the ones that come again.
MOST_MARKS = 20_000


def mark_events(connection: apsw.Connection, key: str, erased_ms: int) -> None:
    """Before the events of a key are removed: they may also come again under the keys that lead to
    it."""
    leading = connection.execute("SELECT key FROM link WHERE canonical = ?", (key,)).fetchall()
    keys = [key, *(row[0] for row in cast(list[tuple[str]], leading))]
    rows = connection.execute(
        "SELECT id FROM event WHERE key = ? AND timestamp_ms > ?"
        " ORDER BY timestamp_ms DESC LIMIT ?",
        (key, erased_ms - SENT_AGAIN_MS, MOST_MARKS // len(keys)),
    ).fetchall()
    marks = {mark_of(row[0]) for row in cast(list[tuple[str]], rows)} | _moved(connection, key)
    connection.executemany(
        "REPLACE INTO erased_event VALUES (?, ?, ?)",
        [(erasure_mark(of), mark, erased_ms) for of in keys for mark in marks],
    )


def _moved(connection: apsw.Connection, key: str) -> set[bytes]:
    """Of the key's events that became another profile's."""
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT version, record FROM profile WHERE key = ?", (key,)
    ).get
    try:
        moved = profile_from(key, *row, ()).moved if row is not None else ()
    except UnreadableRecord:
        return set()
    return {mark for one in moved for mark in one.marks}


def any_sent_again(connection: apsw.Connection, change: KeyChange) -> bool:
    """Whether one of the events is among those that were erased under the key."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM erased_event)").get:
        return False
    of = erasure_mark(change.key)
    return any(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM erased_event WHERE of = ? AND mark = ?)",
            (of, mark_of(event.id)),
        ).get
        for event in change.events
    )


def erased_events_of(connection: apsw.Connection, key: str) -> frozenset[bytes]:
    """The marks of what was erased under a key."""
    rows = connection.execute(
        "SELECT mark FROM erased_event WHERE of = ?", (erasure_mark(key),)
    ).fetchall()
    return frozenset(row[0] for row in cast(list[tuple[bytes]], rows))


def forget_marks(connection: apsw.Connection, now_ms: int) -> None:
    """Those of events that nobody sends again."""
    connection.execute("DELETE FROM erased_event WHERE erased_ms < ?", (now_ms - SENT_AGAIN_MS,))
