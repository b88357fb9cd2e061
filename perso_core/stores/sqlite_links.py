"""One profile becomes part of another one, in the transaction of whoever writes."""

from __future__ import annotations

from typing import Any, cast

import apsw
from msgspec import Struct

from perso_core.decision.event import Event
from perso_core.decision.profile import with_dropped
from perso_core.decision.union import event_of_both
from perso_core.errors import UnreadableRecord
from perso_core.stores.links import NOT_JOINED, Joined, Joining
from perso_core.stores.record import (
    event_from_record,
    event_record,
    profile_and_visit_from,
    profile_record,
)


class Encoded(Struct, frozen=True):
    """The records that a joining writes: the source's and the target's profile."""

    source: bytes = b""
    target: bytes = b""


def encoded(joining: Joining) -> Encoded:
    """Made before the transaction begins, so that it is held shortly."""
    united = joining.united
    if united is None:
        return Encoded()
    return Encoded(profile_record(united.rest), profile_record(united.profile))


def join(
    connection: apsw.Connection, joining: Joining, records: Encoded, *, max_events: int
) -> Joined:
    """See Store.join; consent and erasure have been looked at."""
    if led_to(connection, joining.target):
        return NOT_JOINED
    if joining.led and led_to(connection, joining.source) != joining.target:
        return NOT_JOINED
    if joining.united is not None:
        for key, version in (
            (joining.source, joining.source_version),
            (joining.target, joining.target_version),
        ):
            if _version(connection, key) != version:
                return NOT_JOINED
    if joining.united is not None or joining.linked:
        _move_imported(connection, joining)
    moved, dropped = _link(connection, joining) if joining.linked else ([], [])
    gone = 0
    if joining.united is not None:
        gone = _move(connection, joining, records, max_events, dropped=len(dropped))
    elif dropped:
        _count_dropped(connection, joining.target, len(dropped))
    connection.executemany(
        "INSERT INTO profile (key, version, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(one.key, one.version, profile_record(one)) for one in joining.begun_anew(dropped)],
    )
    return Joined(True, (*moved, *dropped), len(dropped), gone)


def led_to(connection: apsw.Connection, key: str) -> str | None:
    """The key of the profile that the identity is part of; None: of none."""
    canonical: str | None = connection.execute(
        "SELECT canonical FROM link WHERE key = ?", (key,)
    ).get
    return canonical


def _version(connection: apsw.Connection, key: str) -> int:
    return connection.execute("SELECT version FROM profile WHERE key = ?", (key,)).get or 0


def _move(
    connection: apsw.Connection,
    joining: Joining,
    records: Encoded,
    max_events: int,
    *,
    dropped: int,
) -> int:
    """dropped: identities of the target that made room. Returns how many events did."""
    united = joining.united
    assert united is not None, "there is something to move"
    gone = _move_events(connection, joining, max_events)
    counted = with_dropped(united.profile, events=gone, identities=dropped)
    # Encoded once more only where it has to be: others wait for this transaction.
    target = records.target if counted is united.profile else profile_record(counted)
    # Of an identity that leads elsewhere from now on the link is all that stays.
    rows = [(joining.target, united.profile.version, target)]
    if joining.linked:
        connection.execute("DELETE FROM profile WHERE key = ?", (joining.source,))
    else:
        rows.append((joining.source, united.rest.version, records.source))
    connection.executemany(
        "INSERT INTO profile (key, version, record) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET version = excluded.version, record = excluded.record",
        rows,
    )
    return gone


def _count_dropped(connection: apsw.Connection, key: str, dropped: int) -> None:
    """In a profile that nothing else is moved into."""
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT version, record FROM profile WHERE key = ?", (key,)
    ).get
    if row is None:
        return
    try:
        profile, visit_ms = profile_and_visit_from(key, *row, ())
    except UnreadableRecord:
        return  # whoever loads it puts it into quarantine
    connection.execute(
        "UPDATE profile SET version = version + 1, record = ? WHERE key = ?",
        (profile_record(with_dropped(profile, identities=dropped), visit_ms), key),
    )


def _move_events(connection: apsw.Connection, joining: Joining, max_events: int) -> int:
    """Returns how many made room for younger ones."""
    both = (joining.source, joining.target)
    whole = _known_to_both(connection, *both)
    # Of an event that both have the row that came first stays.
    connection.execute(
        "DELETE FROM event WHERE sequence IN (SELECT max(sequence) FROM event"
        " WHERE key IN (?, ?) GROUP BY id HAVING count(*) = 2)",
        both,
    )
    connection.execute("UPDATE event SET key = ? WHERE key = ?", (joining.target, joining.source))
    connection.executemany(
        "UPDATE event SET record = ?, timestamp_ms = ? WHERE key = ? AND id = ?",
        [(event_record(one), one.timestamp_ms, joining.target, one.id) for one in whole],
    )
    connection.execute(
        "DELETE FROM event WHERE sequence IN (SELECT sequence FROM event WHERE key = ?"
        " ORDER BY timestamp_ms DESC, sequence DESC LIMIT -1 OFFSET ?)",
        (joining.target, max_events),
    )
    return connection.changes()


def _move_imported(connection: apsw.Connection, joining: Joining) -> None:
    """As decision/membership.imported_of_both; also what came since that was decided."""
    connection.execute(
        "INSERT INTO imported SELECT ?, audience_id, since_ms, until_ms FROM imported WHERE key = ?"
        " ON CONFLICT DO UPDATE SET since_ms = min(since_ms, excluded.since_ms),"
        " until_ms = max(until_ms, excluded.until_ms)",
        (joining.target, joining.source),
    )
    connection.execute(
        "INSERT INTO imported_earlier SELECT ?, audience_id, since_ms, until_ms"
        " FROM imported_earlier WHERE key = ? ON CONFLICT DO UPDATE"
        " SET since_ms = excluded.since_ms, until_ms = excluded.until_ms"
        " WHERE (excluded.until_ms, excluded.since_ms) > (until_ms, since_ms)",
        (joining.target, joining.source),
    )
    connection.execute("DELETE FROM imported WHERE key = ?", (joining.source,))


def _known_to_both(connection: apsw.Connection, source: str, target: str) -> list[Event]:
    """The events that both reported, each as one. Of two records that cannot be read neither is
    here: the row that stays is set aside when it is next read."""
    rows = connection.execute(
        "SELECT one.record, other.record FROM event AS one"
        " JOIN event AS other ON other.key = ? AND other.id = one.id WHERE one.key = ?",
        (target, source),
    ).fetchall()
    whole = []
    for pair in cast(list[tuple[bytes, bytes]], rows):
        readable = [event for record in pair if (event := _event(record)) is not None]
        if readable:
            whole.append(event_of_both(readable[0], readable[-1]))
    return whole


def _event(record: bytes) -> Event | None:
    try:
        return event_from_record(record)
    except UnreadableRecord:
        return None


def _link(connection: apsw.Connection, joining: Joining) -> tuple[list[str], list[str]]:
    """Keys of the other identities that came along, and of those that made room."""
    moved = connection.execute(
        "UPDATE link SET canonical = ? WHERE canonical = ? RETURNING key",
        (joining.target, joining.source),
    ).fetchall()
    connection.execute(
        "REPLACE INTO link VALUES (?, ?, ?)",
        (joining.source, joining.target, joining.decided_ms),
    )
    if joining.united is None:
        # Whoever writes what it left, and has not heard of this, is to decide that again.
        connection.execute(
            "UPDATE profile SET version = version + 1 WHERE key = ?", (joining.source,)
        )
    dropped = connection.execute(
        "DELETE FROM link WHERE key IN (SELECT key FROM link WHERE canonical = ?"
        " ORDER BY linked_ms DESC, key DESC LIMIT -1 OFFSET ?) RETURNING key",
        (joining.target, joining.max_identities - 1),
    ).fetchall()
    return _keys(moved), _keys(dropped)


def _keys(rows: list[Any]) -> list[str]:
    return [row[0] for row in cast(list[tuple[str]], rows)]
