"""What is past its retention, in the SQLite file: found and removed in steps that writers hardly
notice. Called by the threads that own the connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import apsw
import msgspec
from msgspec import Struct

from perso_core.decision.identity import identity_of
from perso_core.decision.retention import Retention, expires_ms, outlives, returned
from perso_core.engine.journal import Expired
from perso_core.errors import UnreadableRecord
from perso_core.stores.batch import AHEAD_MS, NOBODY
from perso_core.stores.record import (
    consent_and_visit_from,
    consent_from_record,
    profile_and_visit_from,
    profile_from,
    profile_record,
)
from perso_core.stores.sqlite_imports import announce

# Free pages (4 KiB) that stay for the next writes: giving each back and taking it again costs more.
KEPT_FREE_PAGES = 1_000
# Pages given back in one step.
SHRUNK_PAGES = 128
_INCREMENTAL = 2


class Aged(Struct, frozen=True):
    """What one look at some profiles found. profiles: (key, version) of those past their retention.
    old_events: keys that have events which no rule can see. after: where the next look begins; 0:
    that was the last of them."""

    profiles: list[tuple[str, int]]
    old_events: list[str]
    after: int


def aged(
    connection: apsw.Connection,
    retention: Retention,
    *,
    now_ms: int,
    events_from_ms: int,
    after: int,
    at_most: int,
) -> Aged:
    """Looks at the next at_most profiles in the order in which they began. Reads alone."""
    rows = cast(
        list[tuple[int, str, int, bytes]],
        connection.execute(
            "SELECT rowid, key, version, record FROM profile WHERE rowid > ? ORDER BY rowid"
            " LIMIT ?",
            (after, at_most),
        ).fetchall(),
    )
    expired: list[tuple[str, int]] = []
    old_events: list[str] = []
    for _, key, version, record in rows:
        if type(key) is not str:
            continue  # nobody loads it, and `perso doctor` tells
        try:
            profile = profile_from(key, version, record, ())
        except UnreadableRecord:
            continue  # who loads it puts it into quarantine
        if now_ms >= expires_ms(profile, 0, retention):
            expired.append((key, version))
        elif _has_events_before(connection, key, events_from_ms):
            old_events.append(key)
    return Aged(expired, old_events, rows[-1][0] if len(rows) == at_most else 0)


def _has_events_before(connection: apsw.Connection, key: str, from_ms: int) -> bool:
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM event WHERE key = ? AND timestamp_ms < ?)", (key, from_ms)
    ).get
    return bool(found)


def expire(connection: apsw.Connection, key: str, state: Expired) -> bool:
    """Remove what is past its retention. False: it is in another state than that, and stays."""
    found: int | None = connection.execute("SELECT version FROM profile WHERE key = ?", (key,)).get
    if found is None and state.version:
        return True  # somebody removed it before
    if (found or 0) != state.version:
        return False
    if state.first_visit_ms and not first_visit_ms(connection, key):
        return False
    _remove(connection, key, first_visit=bool(state.first_visit_ms))
    return True


def remove_first_visits(
    connection: apsw.Connection, *, before_ms: int, now_ms: int, at_most: int
) -> int:
    """Remove, of the at_most devices that came first, those that came before an instant and never
    again. Returns how many were due; fewer than at_most: none is left."""
    rows = cast(
        list[tuple[int, str, int]],
        connection.execute(
            "SELECT sequence, key, begun_ms FROM first_visit ORDER BY sequence LIMIT ?", (at_most,)
        ).fetchall(),
    )
    due = [
        (sequence, key)
        for sequence, key, begun_ms in rows
        if not _is_ahead(begun_ms, now_ms) and begun_ms <= before_ms
    ]
    for _, key in due:
        if first_visit_ms(connection, key):
            _remove(connection, key, first_visit=True)
    connection.executemany(
        "DELETE FROM first_visit WHERE sequence = ?", [(sequence,) for sequence, _ in due]
    )
    # They begin now: others wait behind them.
    ahead = [(now_ms, sequence) for sequence, _, begun_ms in rows if _is_ahead(begun_ms, now_ms)]
    connection.executemany("UPDATE first_visit SET begun_ms = ? WHERE sequence = ?", ahead)
    return len(due)


def _is_ahead(instant_ms: object, now_ms: int) -> bool:
    """Whether it is of a clock that was ahead, or damaged: no instant at all."""
    return type(instant_ms) is not int or instant_ms > now_ms + AHEAD_MS


def sweep_set_aside(
    connection: apsw.Connection, retention: Retention, *, now_ms: int, after: int, at_most: int
) -> int:
    """Of the next at_most records that cannot be read, remove those whose time is over. One that
    nobody dated was set aside now, as was one of a clock that was ahead. See Retaining."""
    rows = cast(
        list[tuple[int, str, int]],
        connection.execute(
            "SELECT sequence, key, since_ms FROM quarantine WHERE sequence > ? ORDER BY sequence"
            " LIMIT ?",
            (after, at_most),
        ).fetchall(),
    )
    for sequence, key, since_ms in rows:
        if not since_ms or _is_ahead(since_ms, now_ms):
            connection.execute(
                "UPDATE quarantine SET since_ms = ? WHERE sequence = ?", (now_ms, sequence)
            )
        elif now_ms >= since_ms + retention.set_aside_ms(str(key)):  # a damaged one may be no text
            connection.execute("DELETE FROM quarantine WHERE sequence = ?", (sequence,))
    return rows[-1][0] if len(rows) == at_most else 0


def note_first_visit(connection: apsw.Connection, key: str, begun_ms: int) -> None:
    """A device came by a request that no cookie proved: look at it when it is due. Appends a row,
    and no index: with one by key a commit of new devices took twice as long, so it costs 4 % more
    CPU. Whether the device returned is in its record, which is written then anyway."""
    connection.execute("INSERT INTO first_visit (key, begun_ms) VALUES (?, ?)", (key, begun_ms))


def last_noted(connection: apsw.Connection) -> int:
    """The place of the newest device in the queue of first visits; 0: there is none."""
    newest: int = connection.execute("SELECT coalesce(max(sequence), 0) FROM first_visit").get
    return newest


def forget_first_visits(connection: apsw.Connection, keys: Sequence[str], *, through: int) -> None:
    """Who is erased is named by no queue, either; up to a place, as they may come anew. Only
    devices stand in it. Looks through all of it: 37 ms of a million, however many keys."""
    devices = [key for key in keys if identity_of(key).namespace == "ECID"]
    if devices:
        connection.execute(
            "DELETE FROM first_visit WHERE sequence <= ?"
            " AND key IN (SELECT value FROM json_each(?))",
            (through, msgspec.json.encode(devices).decode()),
        )


def note_return(connection: apsw.Connection, key: str, visit_ms: int) -> None:
    """Somebody said something of consent who knew no profile, of a device whose first visit was
    kept meanwhile. visit_ms: of what was said. Writes the profile anew where that is a return, so
    that nothing which was decided before makes it a first visit again."""
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT version, record FROM profile WHERE key = ?", (key,)
    ).get
    if row is None:
        return
    try:
        profile, begun_ms = profile_and_visit_from(key, *row, ())
    except UnreadableRecord:
        return  # whoever loads it puts it into quarantine
    if begun_ms and returned(begun_ms, visit_ms):
        connection.execute(
            "UPDATE profile SET version = version + 1, record = ? WHERE key = ?",
            (profile_record(profile), key),
        )


def first_visit_ms(connection: apsw.Connection, key: str) -> int:
    """When the device came, of which no more than that is kept; 0: it returned, or is gone."""
    profile: bytes | None = connection.execute(
        "SELECT record FROM profile WHERE key = ?", (key,)
    ).get
    try:
        if profile is not None:
            return profile_and_visit_from(key, 0, profile, ())[1]
        consent = _consent(connection, key)
        return consent_and_visit_from(consent)[1] if consent is not None else 0
    except UnreadableRecord:
        return 0  # whoever loads it puts it into quarantine


def shrink(connection: apsw.Connection) -> bool:
    """Give some free pages back to the file system. False: there is nothing worth it, or the file
    was made by an earlier Perso and never compacted."""
    if connection.pragma("auto_vacuum") != _INCREMENTAL:
        return False
    free: int = connection.pragma("freelist_count")
    if free <= KEPT_FREE_PAGES:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({min(SHRUNK_PAGES, free)})").fetchall()
    return free > KEPT_FREE_PAGES + SHRUNK_PAGES


def _consent(connection: apsw.Connection, key: str) -> bytes | None:
    found: bytes | None = connection.execute("SELECT record FROM consent WHERE key = ?", (key,)).get
    return found


def _remove(connection: apsw.Connection, key: str, *, first_visit: bool) -> None:
    for table in ("profile", "event", "quarantine"):
        connection.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    # No identity leads to a profile that is gone. Each process hears of it, this one as well.
    unlinked = connection.execute("DELETE FROM link WHERE canonical = ? RETURNING key", (key,))
    connection.executemany(
        "INSERT INTO notice (origin, key) VALUES (?, ?)",
        [(NOBODY, row[0]) for row in unlinked.fetchall()],
    )
    # What was imported stays; processes that have the profile in memory read it as it is now.
    if connection.execute("SELECT EXISTS (SELECT 1 FROM imported WHERE key = ?)", (key,)).get:
        announce(connection, [key])
    record = _consent(connection, key)
    if record is None:
        return
    try:
        stays = outlives(consent_from_record(record), first_visit=first_visit)
    except UnreadableRecord:
        stays = True  # it might be a refusal
    if not stays:
        connection.execute("DELETE FROM consent WHERE key = ?", (key,))
