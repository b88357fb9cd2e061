"""A copy of a store that is in use, and a store put back from a copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from perso_core.errors import StoreTooNew, StoreUnavailable
from perso_core.stores.batch import aging_mark, erasure_mark
from perso_core.stores.incarnation import mark_copied
from perso_core.stores.owner import made
from perso_core.stores.same_file import opened_on
from perso_core.stores.sqlite_erased import has_what_moved, moved_mark
from perso_core.stores.sqlite_file import (
    RESTORING,
    TABLES_BY_KEY,
    TABLES_OF_WHAT_HAPPENED,
    has_log,
    reading_connection,
    sync,
    transaction,
    unavailable,
    writing_connection,
)
from perso_core.stores.sqlite_refusals import keep_refusals
from perso_core.stores.turn import locked

# Pages of 4 KiB that are copied before writers get their turn and progress is told.
_PAGES = 2_048
# Whatever database they were of, SQLite would take them for this one's.
_BESIDE = ("-journal", "-wal", "-shm")
# To have a database's log in it, and nobody who writes.
_ATTEMPTS = 3

# Told how many of how many pages are copied.
Progress = Callable[[int, int], None]


def copy_store(source: Path, target: Path, progress: Progress) -> None:
    """Copy a store, as of one moment, to a file that is not there yet; on disk when this returns.
    Servers go on meanwhile. Raises StoreUnavailable, StoreTooNew."""
    reading = reading_connection(source)
    with unavailable(target):
        os.close(made(target, os.O_RDWR))
        writing = apsw.Connection(str(target))
        try:
            # In one transaction: else each write of another process has it begin anew, for ever.
            reading.execute("BEGIN; SELECT 1 FROM sqlite_schema")
            with writing.backup("main", reading, "main") as copying:
                while not copying.done:
                    copying.step(_PAGES)
                    progress(copying.page_count - copying.remaining, copying.page_count)
            # One file: whoever copies it on needs no -wal beside it.
            writing.execute("PRAGMA journal_mode = DELETE")
            mark_copied(writing)
        finally:
            writing.close()
            reading.close()
    sync(target)


def check_store(path: Path) -> None:
    """Raises StoreUnavailable for what is no whole store of Perso's, StoreTooNew."""
    with closing(reading_connection(path)) as connection, unavailable(path):
        found = connection.execute("PRAGMA integrity_check(1)").get
    if found != "ok":
        raise StoreUnavailable(f"{path} is damaged: {found}.", fix="Use another backup.")


def put_back(backup: Path, database: Path, progress: Progress) -> int | None:
    """Put a checked backup in the place of a database that nobody uses. Whoever was erased since
    the backup was made stays erased, as far as it is known (ERASED_KNOWN_MS), and what visitors
    refused since stays refused. On disk when this returns.

    Returns how many keys were erased again; None: the database is too damaged to say whose,
    or who refused. Raises StoreUnavailable, StoreTooNew: then the database is as it was.
    """
    fresh = database.with_suffix(RESTORING)
    with _alone(database.parent):
        _remove(fresh)
        if database.exists():
            _erased_in(database)  # refuses a newer Perso's before anything is copied
        try:
            copy_store(backup, fresh, progress)
            with _unwritten(database):
                again = _said_since(database, fresh)
                for suffix in _BESIDE:
                    database.with_name(database.name + suffix).unlink(missing_ok=True)
                os.replace(fresh, database)
        except BaseException:  # of a disk that is full it would keep what is left
            _remove(fresh)
            raise
        sync(database.parent)
        return again


def _said_since(database: Path, fresh: Path) -> int | None:
    """Have the copy say what was erased and refused since it was made. As put_back."""
    if not database.exists():
        return _erase(fresh, Erasures())
    erased = _erased_in(database)
    if erased is None:
        return None
    again = _erase(fresh, erased)
    return again if keep_refusals(database, fresh) else None


@contextmanager
def _unwritten(database: Path) -> Iterator[None]:
    """Nobody writes to a database, as a command would that erases somebody, and its log is in it:
    of one that a cut leaves here without its -wal nothing must be missing. Who waits meanwhile
    finds it replaced. Where it is too damaged, or not there, all goes on. Raises StoreUnavailable
    where somebody writes for too long."""
    try:
        connection, same = opened_on(database, writing_connection)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, apsw.BusyError):
            raise
        yield
        return
    try:
        with unavailable(database):
            _hold(connection, database)
        yield
    finally:
        same.close(connection)


def _hold(connection: apsw.Connection, database: Path) -> None:
    try:
        for _ in range(_ATTEMPTS):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            if not has_log(database):
                return
            connection.execute("ROLLBACK")  # somebody wrote in between, or reads for long
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        raise
    except apsw.Error:
        return  # it is too damaged


def remove_unfinished(database: Path) -> None:
    """What a restore that was killed left beside a database: no erasure reaches that copy of
    everybody. The one of a restore that is under way stays."""
    fresh = database.with_suffix(RESTORING)
    with suppress(StoreUnavailable, OSError):
        if fresh.exists():
            with _alone(database.parent):
                _remove(fresh)


def _remove(fresh: Path) -> None:
    for suffix in ("", *_BESIDE):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One restore into a directory at a time. Raises StoreUnavailable."""
    with locked(directory) as mine:
        if not mine:
            raise StoreUnavailable(
                f"another restore into {directory} is under way.", fix="Wait for it, or end it."
            )
        yield


class Erasures(Struct, frozen=True):
    """profiles: mark -> when its profile was erased. events: marks of events that may be sent again
    (sqlite_erased.py), as they are stored."""

    profiles: Mapping[bytes, int] = {}
    events: Sequence[tuple[bytes, bytes, int]] = ()

    def since(self, earlier: Erasures) -> frozenset[bytes]:
        """Marks of whom it was known later alone, whatever the clock did in between."""
        known = earlier.profiles
        return frozenset(
            mark for mark, erased_ms in self.profiles.items() if known.get(mark) != erased_ms
        )


def _erased_in(database: Path) -> Erasures | None:
    """None: it cannot be read any more."""
    try:
        with closing(reading_connection(database)) as reading, unavailable(database):
            return _erasures(reading)
    except StoreTooNew:
        raise
    except StoreUnavailable:
        return None


def _erasures(connection: apsw.Connection) -> Erasures:
    def rows(table: str) -> list[Any]:
        # Files of an earlier Perso lack the one or the other.
        there = connection.table_exists(None, table)
        return connection.execute(f"SELECT * FROM {table}").fetchall() if there else []

    return Erasures(dict(rows("erased")), rows("erased_event"))


def _erase(fresh: Path, erased: Erasures) -> int:
    """Returns how many of the keys had anything. O(keys) where anybody was erased."""
    with closing(writing_connection(fresh)) as connection, unavailable(fresh):
        gone, emptied = _barred(connection, erased)
        with transaction(connection):
            for table in TABLES_BY_KEY:
                _delete(connection, f"{table} WHERE key", gone)
            _delete(connection, "first_visit WHERE key", gone)
            _delete(connection, "link WHERE canonical", gone)
            for table in TABLES_OF_WHAT_HAPPENED:
                _delete(connection, f"{table} WHERE key", emptied)
            connection.executemany("REPLACE INTO erased VALUES (?, ?)", erased.profiles.items())
            connection.executemany("REPLACE INTO erased_event VALUES (?, ?, ?)", erased.events)
        connection.execute("PRAGMA journal_mode = DELETE")
    return len({*gone, *emptied})


def _barred(connection: apsw.Connection, erased: Erasures) -> tuple[list[str], list[str]]:
    """The keys in a backup of whom was erased since, and of devices that have what became theirs:
    what is chosen on these stays. Who was erased before, and came back, is in it by right."""
    marks = erased.since(_erasures(connection))
    if not marks:
        return [], []
    tables = " UNION ".join(f"SELECT key FROM {table}" for table in TABLES_BY_KEY)
    keys = [str(key) for (key,) in connection.execute(tables)]
    moved = {key: ms for key in keys if (ms := _moved_ms(key, erased, marks)) is not None}
    gone = [key for key in keys if marks & {erasure_mark(key), aging_mark(key)}]
    return gone, [key for key, ms in moved.items() if has_what_moved(connection, key, ms)]


def _delete(connection: apsw.Connection, whose: str, keys: Sequence[str]) -> None:
    """whose: a table, and its column that holds the key."""
    told = msgspec.json.encode(keys).decode()
    connection.execute(f"DELETE FROM {whose} IN (SELECT value FROM json_each(?))", (told,))


def _moved_ms(key: str, erased: Erasures, marks: frozenset[bytes]) -> int | None:
    """When what a device had became somebody's who was erased since; None: nothing did."""
    mark = moved_mark(key)
    return erased.profiles[mark] if mark in marks else None
