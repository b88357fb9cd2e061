"""Imported memberships in the SQLite file: kept in bulk, beside the profiles' own records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import apsw
import msgspec

from perso_core.decision.consent import refused
from perso_core.decision.retention import erased_from_ms
from perso_core.errors import UnreadableRecord
from perso_core.stores.batch import aging_mark, erasure_mark
from perso_core.stores.imports import (
    Batch,
    Progress,
    Row,
    last_of_each,
    progress_from,
    progress_record,
    with_withheld,
)
from perso_core.stores.record import consent_from_record, profile_from

# Announcements kept for those who poll; who sleeps through more reads every profile again.
KEPT_ANNOUNCEMENTS = 200
# Files that are remembered, the ones imported last.
KEPT_FILES = 1_000

# Audience id, since when, until when. Of a damaged row the instants may be anything.
ImportedRow = tuple[str, int, int]

# Rows come as one JSON text: SQLite takes it apart outside Python's lock, so that other threads go
# on. ?1: [[key, audience id, until], …]. Since when stays what it is for whoever is in still,
# unless a clock that was ahead dated it.
_KEEP = """
INSERT INTO imported
SELECT value ->> 0, value ->> 1, ?2, value ->> 2 FROM json_each(?1) WHERE value ->> 2 > ?2
ON CONFLICT DO UPDATE SET
    since_ms = iif(until_ms > excluded.since_ms AND typeof(since_ms) = 'integer',
        min(since_ms, excluded.since_ms), excluded.since_ms),
    until_ms = excluded.until_ms
"""
# What ended stays, so that its end is an exit at its instant.
_END = """
UPDATE imported SET until_ms = ?4 WHERE key = ?1 AND audience_id = ?2 AND until_ms > ?4
"""
# A damaged row may hold what is no instant.
_UNREADABLE = "(typeof(since_ms) <> 'integer' OR typeof(until_ms) <> 'integer')"
_SET_ASIDE = f"""
INSERT INTO quarantine (kind, key, record, reason)
SELECT 'imported membership', key,
    CAST(audience_id || ' ' || quote(since_ms) || ' ' || quote(until_ms) AS BLOB), ?
FROM imported WHERE key = ? AND {_UNREADABLE}
"""
NO_INSTANT = "what has to be an instant is none."


def keep(connection: apsw.Connection, batch: Batch, *, at_ms: int) -> frozenset[str]:
    """Keep a batch, in the caller's transaction. at_ms: what the clock of erasures shows in it.
    Returns the keys that were passed over, of visitors who refused or were erased meanwhile."""
    keys = list(dict.fromkeys(row[0] for row in batch.rows))
    links = leading(connection, keys)
    every = [*keys, *links.values()]
    barred = withheld_of(connection, every, since_ms=batch.began_ms, now_ms=at_ms)
    withheld = frozenset(
        key for key in keys if barred and (key in barred or links.get(key) in barred)
    )
    rows: Sequence[Row] = batch.rows
    if withheld or links:
        rows = [(links.get(row[0], row[0]), *row[1:]) for row in rows if row[0] not in withheld]
    now_ms = batch.now_ms
    rows = last_of_each(rows, now_ms)
    connection.execute(_KEEP, (msgspec.json.encode(rows).decode(), now_ms))
    ending = [(*row, now_ms) for row in rows if row[2] <= now_ms]
    connection.executemany(_END, ending)
    if rows:
        told = list(dict.fromkeys(row[0] for row in rows)) if batch.tell else None
        announce(connection, told)
    if batch.progress is not None:
        keep_progress(connection, batch.name, with_withheld(batch.progress, batch, withheld))
    return withheld


def leading(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, str]:
    """Of identities that are part of another one's profile: the key of that."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM link)").get:
        return {}
    rows = connection.execute(
        "SELECT key, canonical FROM link WHERE key IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(keys).decode(),),
    ).fetchall()
    return dict(cast(list[tuple[str, str]], rows))


def withheld_of(
    connection: apsw.Connection, keys: Sequence[str], *, since_ms: int, now_ms: int
) -> frozenset[str]:
    """Of these keys those whose visitors refused to be kept, or were erased since then (see
    retention.erased_from_ms)."""
    found = {key for key, record in _consents(connection, keys) if _refuses(record)}
    from_ms = erased_from_ms(since_ms, now_ms=now_ms)
    marks = connection.execute(
        "SELECT mark FROM erased WHERE erased_ms BETWEEN ? AND ?", (from_ms, now_ms)
    )
    erased = {bytes(row[0]) for row in cast(list[tuple[bytes]], marks.fetchall())}
    if erased:
        found.update(key for key in keys if erased & {erasure_mark(key), aging_mark(key)})
    return frozenset(found)


def _consents(connection: apsw.Connection, keys: Sequence[str]) -> list[tuple[str, bytes]]:
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM consent)").get:
        return []
    rows = connection.execute(
        "SELECT key, record FROM consent WHERE key IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(keys).decode(),),
    ).fetchall()
    return cast(list[tuple[str, bytes]], rows)


def _refuses(record: bytes) -> bool:
    try:
        return refused(consent_from_record(record))
    except UnreadableRecord:
        return True  # it might be a refusal


def seen_on(connection: apsw.Connection, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
    """Of these keys those with a profile of which the datastream reported an event."""
    rows = connection.execute(
        "SELECT key, version, record FROM profile WHERE key IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(keys).decode(),),
    ).fetchall()
    found = set()
    for key, version, record in cast(list[tuple[str, int, bytes]], rows):
        with suppress(UnreadableRecord):
            if datastream_id in profile_from(key, version, record, ()).datastreams:
                found.add(key)
    return frozenset(found)


def announce(connection: apsw.Connection, keys: Sequence[str] | None) -> None:
    """Tell every process, this one too, whose imported memberships changed; None: anybody's."""
    told = msgspec.json.encode(keys).decode() if keys is not None else None
    connection.execute("INSERT INTO imported_notice (keys) VALUES (?)", (told,))
    connection.execute(
        "DELETE FROM imported_notice WHERE sequence <="
        " (SELECT max(sequence) FROM imported_notice) - ?",
        (KEPT_ANNOUNCEMENTS,),
    )


def forget_announcements(connection: apsw.Connection, through: int) -> None:
    """Those up to a number, once everybody heard them: they name people. Who did not, and comes
    later, finds by the last one that others are missing."""
    connection.execute(
        "DELETE FROM imported_notice WHERE sequence <= ?"
        " AND sequence < (SELECT max(sequence) FROM imported_notice)",
        (through,),
    )
    connection.execute("UPDATE imported_notice SET keys = NULL WHERE sequence <= ?", (through,))


def announced(connection: apsw.Connection, heard: int) -> tuple[int, frozenset[str], bool]:
    """What was announced after `heard`: the last number, the keys, and whether it may be more."""
    rows = connection.execute(
        "SELECT sequence, keys FROM imported_notice WHERE sequence > ? ORDER BY sequence", (heard,)
    ).fetchall()
    found = cast(list[tuple[int, str | None]], rows)
    keys: set[str] = set()
    any_key = bool(found) and found[0][0] > heard + 1
    for _, told in found:
        if told is None:
            any_key = True
        else:
            keys.update(msgspec.json.decode(told, type=list[str]))
    return (found[-1][0] if found else heard), frozenset(keys), any_key


def last_announced(connection: apsw.Connection) -> int:
    last: int = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'imported_notice'"
    ).get
    return last


def imported_of(connection: apsw.Connection, key: str) -> list[ImportedRow]:
    rows = connection.execute(
        "SELECT audience_id, since_ms, until_ms FROM imported WHERE key = ?", (key,)
    ).fetchall()
    return cast(list[ImportedRow], rows)


def earlier_of(connection: apsw.Connection, key: str) -> list[ImportedRow]:
    """When it was in those audiences before, if it was."""
    rows = connection.execute(
        "SELECT audience_id, since_ms, until_ms FROM imported_earlier WHERE key = ?", (key,)
    ).fetchall()
    return cast(list[ImportedRow], rows)


def set_aside(connection: apsw.Connection, key: str) -> None:
    """Move what was imported of a profile, and cannot be read, out of the way."""
    connection.execute(_SET_ASIDE, (NO_INSTANT, key))
    connection.execute(f"DELETE FROM imported WHERE key = ? AND {_UNREADABLE}", (key,))


def counted(connection: apsw.Connection) -> tuple[int, int]:
    """How many imported memberships there are, and how many of them cannot be read. O(rows)."""
    if not connection.table_exists(None, "imported"):
        return 0, 0
    counts = connection.execute(f"SELECT count(*), total({_UNREADABLE}) FROM imported").get
    rows, unreadable = cast(tuple[int, float], counts)
    return rows, int(unreadable)


def progress_of(connection: apsw.Connection, name: bytes) -> Progress | None:
    """How far the file is; None: it is not known. Raises UnreadableRecord."""
    record: bytes | None = connection.execute(
        "SELECT record FROM imported_file WHERE name = ?", (name,)
    ).get
    return None if record is None else progress_from(record)


def keep_progress(connection: apsw.Connection, name: bytes, progress: Progress) -> None:
    """The file is the one imported last."""
    connection.execute(
        "REPLACE INTO imported_file (name, record) VALUES (?, ?)",
        (name, progress_record(progress)),
    )
    connection.execute(
        "DELETE FROM imported_file WHERE sequence <= (SELECT max(sequence) FROM imported_file) - ?",
        (KEPT_FILES,),
    )


def has_ended(connection: apsw.Connection, ended_ms: int) -> bool:
    """Whether sweep would find anything. O(rows), 0.1 s for a million."""
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM imported WHERE until_ms < ?)", (ended_ms,)
    ).get
    return found == 1


def sweep(
    connection: apsw.Connection, after: tuple[str, str], *, ended_ms: int, limit: int
) -> tuple[str, str] | None:
    """Of the next `limit` rows after one (key, audience) remove those that ended before ended_ms,
    and set aside those that do not tell. Returns the last row that was looked at; None: there are
    no more."""
    rows = connection.execute(
        f"SELECT key, audience_id, until_ms, {_UNREADABLE} FROM imported"
        " WHERE (key, audience_id) > (?, ?) ORDER BY key, audience_id LIMIT ?",
        (*after, limit),
    ).fetchall()
    found = cast(list[tuple[str, str, int, int]], rows)
    for key in {key for key, _, _, unreadable in found if unreadable}:
        set_aside(connection, key)
    gone = [
        (key, audience_id)
        for key, audience_id, until_ms, unreadable in found
        if not unreadable and until_ms < ended_ms
    ]
    if gone:
        connection.executemany("DELETE FROM imported WHERE key = ? AND audience_id = ?", gone)
    return found[-1][:2] if len(found) == limit else None
