"""A batch of events that come to profiles which are there, as one statement.

After each call of SQLite a thread takes Python's lock again, and waits until the event loop's lets
go of it. In one call a batch is looked at, kept and on disk while that decides the next one. What
it takes to know, such as whether another process was faster, is asked in the statement: unless all
of the batch is to be kept just so, nothing is, and each key is to be looked at by itself.

Called by the thread that owns the connection.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from perso_core.stores.batch import KEPT_NOTICES, KeyChange, erasure_mark
from perso_core.stores.migrations import newest
from perso_core.stores.sqlite_changes import KEPT_EVENT, EncodedChange
from perso_core.stores.sqlite_erased import marks_of

# Of this origin nothing is announced.
UNTOLD = 0
_NEVER_MS = -(2**63)
_MARK_BYTES = len(erasure_mark(""))
# As in EncodedChange.events, of a row that brings a profile alone, or a sweep.
_NO_EVENT = ("", "", 0, b"")

_EVENT = KEPT_EVENT.format(
    "SELECT NEW.key, NEW.id, NEW.timestamp_ms, NEW.event WHERE length(NEW.event)"
)

# A row on its way is one blob (_row): numbers of so many digits; key, id and profile, of which the
# last three numbers are the lengths; the event.
_NUMBERS, _DIGITS = 7, 20  # as many as -2**63 has
_HEAD = (b"%%0%dd" % _DIGITS) * _NUMBERS
_HEAD_BYTES = _NUMBERS * _DIGITS


def _number(place: int) -> str:
    return f"CAST(substr(value, {place * _DIGITS + 1}, {_DIGITS}) AS INTEGER)"


_BASE, _VERSION, _TIMESTAMP_MS, _SWEPT_MS, _KEY, _ID, _PROFILE = map(_number, range(_NUMBERS))
_BODY = _HEAD_BYTES + 1
# ?1: the rows; ?2: the earliest date in them; ?3: their origin; ?4: the marks of their events.
_APPEND = f"""
INSERT INTO appending SELECT
    CAST(substr(value, {_BODY}, {_KEY}) AS TEXT), {_BASE}, {_VERSION},
    substr(value, {_BODY} + {_KEY} + {_ID}, {_PROFILE}),
    CAST(substr(value, {_BODY} + {_KEY}, {_ID}) AS TEXT), {_TIMESTAMP_MS},
    substr(value, {_BODY} + {_KEY} + {_ID} + {_PROFILE}), {_SWEPT_MS}, ?3
FROM carray(?1)
WHERE (SELECT user_version FROM pragma_user_version) <= {newest()}
    AND NOT EXISTS (SELECT 1 FROM erased WHERE erased_ms > ?2)
    AND NOT EXISTS (SELECT 1 FROM """
# Where there are no marks of erased events, and where there are.
_NOBODY_ERASED = f"{_APPEND} erased_event)"
# CROSS: each is searched for, also where statistics that are old promise next to no marks.
_NONE_ERASED = f"""{_APPEND} carray(?4) AS told CROSS JOIN erased_event
        ON of = substr(told.value, 1, {_MARK_BYTES})
        AND mark = substr(told.value, {_MARK_BYTES + 1}))"""


def prepare(connection: apsw.Connection) -> None:
    """Before the first `append` on a connection."""
    # What a statement puts aside goes to no file beside: where there is no room for one, or it may
    # not be made, what the database has room for is kept all the same. Not of a connection that
    # rewrites the whole store: all of it would be put aside.
    connection.execute("PRAGMA temp_store = MEMORY")
    # What a row of the view does. version 0: it brings no profile, as the last one of a key does.
    # event empty: there is none. swept_ms: older events go; _NEVER_MS: none.
    connection.execute(f"""
CREATE TEMP VIEW appending (key, base, version, profile, id, timestamp_ms, event, swept_ms, origin)
AS SELECT '', 0, 0, x'', '', 0, x'', 0, 0;
CREATE TEMP TRIGGER appended INSTEAD OF INSERT ON appending
BEGIN
    UPDATE profile SET version = NEW.version, record = NEW.profile
    WHERE NEW.version AND key = NEW.key AND version = NEW.base;
    SELECT RAISE(ROLLBACK, 'another version') WHERE NEW.version AND changes() <> 1;
    {_EVENT};
    DELETE FROM event
    WHERE NEW.swept_ms > {_NEVER_MS} AND key = NEW.key AND timestamp_ms < NEW.swept_ms;
    INSERT INTO notice (origin, key)
    SELECT NEW.origin, NEW.key WHERE NEW.version AND NEW.origin <> {UNTOLD};
    DELETE FROM notice WHERE NEW.version AND NEW.origin <> {UNTOLD}
    AND sequence <= (SELECT max(sequence) FROM notice) - {KEPT_NOTICES};
END;
""")


def append(
    connection: apsw.Connection,
    changes: Sequence[EncodedChange],
    *,
    origin: int,
    any_marks: bool,
) -> bool:
    """Keep changes that do no more than add events to profiles that are there, each of another key;
    whether they were: all of them, or none. origin: see Writer; UNTOLD: nobody is told. any_marks:
    whether there are marks of erased events, as far as is known.

    Raises apsw.Error: none were, and the connection is not to be trusted.
    """
    assert all(one.change.appends for one in changes), "of anything else more is to be asked"
    if not hasattr(apsw, "carray"):  # built without it
        return False
    dated_ms = min(one.change.dated_ms for one in changes)
    # Old events go once all that is new has its place: else some of it would have theirs.
    swept = [_sweep(one.change) for one in changes if one.change.sweep]
    rows = apsw.carray((*(row for one in changes for row in _rows(one)), *swept))
    before = connection.total_changes()
    try:
        if any_marks:
            marks = apsw.carray(tuple(mark for one in changes for mark in _marks(one)))
            connection.execute(_NONE_ERASED, (rows, dated_ms, origin, marks))
        else:
            connection.execute(_NOBODY_ERASED, (rows, dated_ms, origin))
    except apsw.ConstraintError:  # another version
        return False
    return connection.total_changes() != before


def _rows(encoded: EncodedChange) -> list[bytes]:
    change, events = encoded.change, encoded.events
    profile = change.profile
    assert profile is not None, "events come to one"
    key, state = change.key.encode(), encoded.profile or b""
    *earlier, last = events or [_NO_EVENT]
    rows = [_row(key, event) for event in earlier]
    rows.append(_row(key, last, change.base_version or 0, profile.version, state))
    return rows


def _sweep(change: KeyChange) -> bytes:
    return _row(change.key.encode(), _NO_EVENT, swept_ms=change.events_from_ms)


def _row(
    key: bytes,
    event: tuple[str, str, int, bytes],
    base: int = 0,
    version: int = 0,
    profile: bytes = b"",
    swept_ms: int = _NEVER_MS,
) -> bytes:
    _, event_id, timestamp_ms, record = event
    id = event_id.encode()
    numbers = (base, version, timestamp_ms, swept_ms, len(key), len(id), len(profile))
    return b"".join((_HEAD % numbers, key, id, profile, record))


def _marks(encoded: EncodedChange) -> list[bytes]:
    _, keys, events = encoded.change.told
    return [of + mark for of, mark in marks_of(keys, events)] or [b""]
