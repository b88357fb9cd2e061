"""What a batch keeps under each key, as rows of the SQLite file. Called by the thread that owns the
connection; the rows are encoded before its transaction begins, so that it is held shortly."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
from msgspec import Struct

from perso_core.stores.batch import MOST_EVENTS, KeyChange
from perso_core.stores.record import event_record, profile_record

# An event of which more is told stays where it is. An id that was used so long ago that no rule
# sees that event gets a new place: others look there for what was added.
# To be formatted with what is kept.
KEPT_EVENT = (
    "INSERT INTO event (key, id, timestamp_ms, record) {}"
    " ON CONFLICT (key, id) DO UPDATE SET sequence = CASE timestamp_ms"
    " WHEN excluded.timestamp_ms THEN sequence ELSE (SELECT max(sequence) + 1 FROM event) END,"
    " timestamp_ms = excluded.timestamp_ms, record = excluded.record"
)
_KEPT_EVENT = KEPT_EVENT.format("VALUES (?, ?, ?, ?)")


class EncodedChange(Struct, frozen=True):
    """A key's change, encoded."""

    change: KeyChange
    profile: bytes | None
    events: list[tuple[str, str, int, bytes]]  # key, id, timestamp_ms, record


def encoded(change: KeyChange) -> EncodedChange:
    key = change.key
    return EncodedChange(
        change,
        profile_record(change.profile, change.first_visit_ms)
        if change.profile is not None
        else None,
        [(key, event.id, event.timestamp_ms, event_record(event)) for event in change.events],
    )


def swapped(connection: apsw.Connection, rows: list[EncodedChange]) -> list[EncodedChange]:
    """Compare-and-set of profile rows; those whose version was the one."""
    execute = connection.cursor().execute  # one for each costs a sixth more
    found: list[EncodedChange] = []
    for row in rows:
        change = row.change
        assert change.profile is not None, "a profile record comes from a profile"
        version = change.profile.version
        if not change.base_version:  # 0, or None: what was there was deleted just now
            execute(
                "INSERT INTO profile VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (change.key, version, row.profile),
            )
        else:
            execute(
                "UPDATE profile SET version = ?, record = ? WHERE key = ? AND version = ?",
                (version, row.profile, change.key, change.base_version),
            )
        if connection.changes() == 1:
            found.append(row)
    return found


def keep_events(connection: apsw.Connection, rows: Sequence[EncodedChange]) -> None:
    """Of changes with cuts one by one; of all others together."""
    last = []
    for row in rows:
        done = 0
        for arrived, kept in row.change.cuts:
            connection.executemany(_KEPT_EVENT, row.events[done:arrived])
            _sweep(connection, row.change, kept)
            done = arrived
        last += row.events[done:]
    if last:
        connection.executemany(_KEPT_EVENT, last)
    for row in rows:
        if row.change.sweep:
            _sweep(connection, row.change, MOST_EVENTS)


def _sweep(connection: apsw.Connection, change: KeyChange, kept: int) -> None:
    connection.execute(
        "DELETE FROM event WHERE key = ? AND (timestamp_ms < ? OR sequence IN"
        " (SELECT sequence FROM event WHERE key = ?"
        "  ORDER BY timestamp_ms DESC, sequence DESC LIMIT -1 OFFSET ?))",
        (change.key, change.events_from_ms, change.key, kept),
    )
