"""The steps by which a store's tables came about, by number. A file is at the step it took last.

Whoever opens a file for writing takes the steps it lacks, each in one transaction of its own: a
crash leaves a file before a step or after it. Processes of an older and a newer Perso may use one
file side by side, as while workers are restarted one by one, if each later step lets them.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import cast

import apsw
from msgspec import Struct

from perso_core.errors import StoreTooNew, StoreUnavailable

# "PERS": says whose file this is, so that another application's database is left alone.
APPLICATION_ID = 0x50455253


class Step(Struct, frozen=True, kw_only=True):
    """One change of the tables, as SQL.

    oldest: the step that a Perso has to know at least to use a file that has taken this one. A
    step that only adds may leave it as it was, where an older Perso that knows nothing of what is
    added breaks no promise: it erases nothing from a table that it does not know, so a table with
    a visitor's rows needs `oldest` raised, or a trigger that removes them with what it does know.
    undone: the SQL that takes it back, for whoever has to go back to an older Perso; of the first
    step there is none.
    """

    number: int
    oldest: int
    made: str
    undone: str


STEPS: tuple[Step, ...] = (
    # Rows are kept in the order of arrival, found by an index: clustering events by key instead
    # (WITHOUT ROWID) halves what a commit of 64 events can do, 9,500 against 17,600 a second.
    Step(
        number=1,
        oldest=1,
        made="""
CREATE TABLE profile (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY, key TEXT NOT NULL, id TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL, record BLOB NOT NULL, UNIQUE (key, id));
CREATE TABLE consent (key TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE definitions (version INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE notice (sequence INTEGER PRIMARY KEY AUTOINCREMENT, origin INTEGER NOT NULL, key TEXT);
CREATE TABLE quarantine (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL,
    record BLOB NOT NULL, reason TEXT NOT NULL);
CREATE INDEX quarantine_by_key ON quarantine (key);
""",
        undone="",
    ),
    # Marks of the erased. Who does not know them may bring back what is being decided while
    # somebody is erased, as before there were marks. Files exist in which step 1 made the table.
    Step(
        number=2,
        oldest=1,
        made="""
CREATE TABLE IF NOT EXISTS erased (
    mark BLOB PRIMARY KEY, erased_ms INTEGER NOT NULL) WITHOUT ROWID;
""",
        undone="DROP TABLE erased;",
    ),
    # Identities that are part of another one's profile. A worker that does not know them keeps what
    # it hears of one under its own key, from where its next call takes it along; it erases nobody,
    # which is done by commands, and they are new.
    Step(
        number=3,
        oldest=1,
        made="""
CREATE TABLE link (
    key TEXT PRIMARY KEY, canonical TEXT NOT NULL, linked_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX link_by_canonical ON link (canonical, linked_ms, key);
""",
        undone="DROP TABLE link;",
    ),
    # Whom to look at whether they returned, and the clock that says when. Who does not know them
    # forgets nobody, and writes records that say of everybody that they returned. A key of somebody
    # it erases stays in the queue until a newer one looks.
    Step(
        number=4,
        oldest=3,
        made="""
CREATE TABLE first_visit (
    sequence INTEGER PRIMARY KEY, key TEXT NOT NULL, begun_ms INTEGER NOT NULL);
CREATE TABLE retention_clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, running_ms INTEGER NOT NULL,
    clock_ms INTEGER NOT NULL, owed_ms INTEGER NOT NULL);
""",
        undone="DROP TABLE first_visit; DROP TABLE retention_clock;",
    ),
    # What was imported of a visitor: whoever does not know it would leave it when he is erased.
    Step(
        number=5,
        oldest=5,
        made="""
CREATE TABLE imported (
    key TEXT NOT NULL, audience_id TEXT NOT NULL, since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (key, audience_id)) WITHOUT ROWID;
CREATE TABLE imported_notice (sequence INTEGER PRIMARY KEY AUTOINCREMENT, keys TEXT);
CREATE TABLE imported_file (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, record BLOB NOT NULL);
CREATE INDEX erased_by_time ON erased (erased_ms);
""",
        undone="""
DROP TABLE imported; DROP TABLE imported_notice; DROP TABLE imported_file;
DROP INDEX erased_by_time;
""",
    ),
    # Which incarnation of the store it is. Who does not know it tells browsers none; tokens of that
    # kind are read as well.
    Step(
        number=6,
        oldest=5,
        made="""
CREATE TABLE incarnation (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, inode INTEGER NOT NULL);
""",
        undone="DROP TABLE incarnation;",
    ),
    # Marks of erased events. Who does not know them takes such an event, sent again, for a new one,
    # as before there were marks.
    Step(
        number=7,
        oldest=5,
        made="""
CREATE TABLE erased_event (
    of BLOB NOT NULL, mark BLOB NOT NULL, erased_ms INTEGER NOT NULL,
    PRIMARY KEY (of, mark)) WITHOUT ROWID;
CREATE INDEX erased_event_by_time ON erased_event (erased_ms);
""",
        undone="DROP TABLE erased_event;",
    ),
    # Since when a record that cannot be read is set aside. Who does not know it keeps it for ever,
    # and sets records aside with 0: as of when somebody who does know looks at it.
    Step(
        number=8,
        oldest=5,
        made="ALTER TABLE quarantine ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;",
        undone="ALTER TABLE quarantine DROP COLUMN since_ms;",
    ),
    # When somebody was in an external audience before, of whom it was imported again once that was
    # over. Triggers keep it, and remove it with the rest: so does who does not know it. Not columns
    # of `imported`: who does not know those cannot insert any more.
    Step(
        number=9,
        oldest=5,
        made="""
CREATE TABLE imported_earlier (
    key TEXT NOT NULL, audience_id TEXT NOT NULL, since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (key, audience_id)) WITHOUT ROWID;
CREATE TRIGGER imported_again AFTER UPDATE OF since_ms ON imported
WHEN typeof(old.since_ms) = 'integer' AND typeof(old.until_ms) = 'integer'
    AND typeof(new.since_ms) = 'integer'
    AND old.since_ms < old.until_ms AND old.until_ms <= new.since_ms
BEGIN
    -- No REPLACE: how whoever fires it takes conflicts has the say in here.
    DELETE FROM imported_earlier WHERE key = old.key AND audience_id = old.audience_id;
    INSERT INTO imported_earlier
    VALUES (old.key, old.audience_id, old.since_ms, old.until_ms);
END;
CREATE TRIGGER imported_removed AFTER DELETE ON imported
BEGIN
    DELETE FROM imported_earlier WHERE key = old.key AND audience_id = old.audience_id;
END;
""",
        undone="""
DROP TRIGGER imported_again; DROP TRIGGER imported_removed; DROP TABLE imported_earlier;
""",
    ),
)

# What was taken, and who may use the file since. It is there before any step is.
_TAKEN = """
CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, oldest INTEGER NOT NULL);
"""


def newest() -> int:
    """The step that a file of this Perso is at."""
    return STEPS[-1].number


def behind(connection: apsw.Connection) -> bool:
    """Whether the file lacks steps."""
    return at(connection) < newest()


def at(connection: apsw.Connection) -> int:
    """The step that the file took last; 0: it is empty."""
    number: int = connection.pragma("user_version")
    return number


def tables_at(number: int) -> frozenset[str]:
    """Names of the tables that a file at this step has at least."""
    with closing(apsw.Connection(":memory:")) as connection:
        for step in STEPS:
            if step.number <= number:
                connection.execute(step.made)
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return frozenset(str(row[0]) for row in cast(list[tuple[str]], rows))


def take_next(connection: apsw.Connection, path: Path) -> bool:
    """Take the next step, within a transaction that writes. False: there is none.
    Raises StoreTooNew, StoreUnavailable."""
    refuse_foreign(connection, path)
    refuse_newer(connection, path)
    step = next((one for one in STEPS if one.number > at(connection)), None)
    if step is None:
        return False
    connection.execute(_TAKEN + step.made)
    connection.execute("REPLACE INTO migration VALUES (?, ?)", (step.number, step.oldest))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", step.number)
    return True


def refuse_foreign(connection: apsw.Connection, path: Path, *, empty: bool = True) -> None:
    """Raises StoreUnavailable for another application's database, and for an empty file where that
    is none, either."""
    if connection.pragma("application_id") == APPLICATION_ID:
        return
    if not connection.execute("SELECT count(*) FROM sqlite_schema").get:
        if empty:
            return
        raise StoreUnavailable(
            f"{path} is empty: nothing was ever kept there, or it was truncated.",
            fix="Name another file, or `perso restore` a backup.",
        )
    raise StoreUnavailable(f"{path} is another application's database.", fix="Name another file.")


def refuse_newer(connection: apsw.Connection, path: Path) -> None:
    """Raises StoreTooNew where the file took a step that this Perso must not pass over. Cheap
    where there is none: another process may take one at any time."""
    found = at(connection)
    if found <= newest():
        return
    needed = _needed(connection, found)
    if needed > newest():
        raise StoreTooNew(
            f"{path} is at step {found}, which asks for step {needed}; this Perso knows"
            f" {newest()}.",
            fix="Install the Perso that wrote it, or a newer one.",
        )


def _needed(connection: apsw.Connection, found: int) -> int:
    """The step to know for a file at this one. Of a step that it does not tell of: that step."""
    if not connection.table_exists(None, "migration"):
        return found
    told: tuple[int | None, int] = connection.execute(
        "SELECT max(number), max(oldest) FROM migration"
    ).get
    return told[1] if told[0] == found else found
