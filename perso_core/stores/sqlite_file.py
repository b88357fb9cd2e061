"""Opening the SQLite file: its tables, its modes, its version, its errors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from perso_core.errors import StoreTooNew, StoreUnavailable

SCHEMA_VERSION = 1
# "PERS": says whose file this is, so that another application's database is left alone.
APPLICATION_ID = 0x50455253
# Another process's commit or checkpoint may hold the file this long before we give up.
BUSY_TIMEOUT_MS = 5_000
_BUSY_PAUSE_S = 0.005
_CACHE_KIB = 16_384
# Pages of 4 KiB. Four times SQLite's own: a fifth more commits, and the -wal file stays at 16 MiB.
_CHECKPOINT_PAGES = 4_000

# Rows are kept in the order of arrival, found by an index: clustering events by key instead
# (WITHOUT ROWID) halves what a commit of 64 events can do, 9,500 against 17,600 a second.
_TABLES = """
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
"""


# What is kept under a key: all that goes with a visitor who is forgotten.
TABLES_BY_KEY = ("profile", "event", "consent", "quarantine")

# Added since, under the same version: a newer Perso makes it where it is missing, and an older one,
# which does not know it, can still use the file.
_ADDED = """
CREATE TABLE IF NOT EXISTS erased (
    mark BLOB PRIMARY KEY, erased_ms INTEGER NOT NULL) WITHOUT ROWID;
"""


def create_file(path: Path) -> None:
    """Make the file, readable by its owner alone, and its directory where there is none.

    SQLite gives its -wal and -shm files the mode of the file. Raises StoreUnavailable.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}.", fix="Name a directory that this user may write to."
        ) from error


def writing_connection(path: Path) -> apsw.Connection:
    """A connection that commits durably, on a file whose tables are there.

    Raises StoreTooNew, StoreUnavailable.
    """
    connection = _connection(path)
    with unavailable(path):
        # The first change of a new file has a rollback journal, which is then deleted. Should that
        # come back after a power cut, SQLite would undo all that the write-ahead log holds: EXTRA
        # syncs the directory, so it cannot.
        connection.execute("PRAGMA synchronous = EXTRA")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        # A second process may be making the same file: the tables are made in one transaction.
        with transaction(connection):
            _make_tables(connection, path)
    return connection


def reading_connection(path: Path) -> apsw.Connection:
    """A connection that refuses to write, and waits for no writer.
    Raises StoreTooNew, StoreUnavailable."""
    connection = _connection(path)
    with unavailable(path):
        connection.execute("PRAGMA query_only = ON")
        if connection.pragma("application_id") != APPLICATION_ID:
            raise _another(path)
        _refuse_newer(connection, path)
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of it is on disk when this returns.

    After an exception the connection is closed, which undoes it: after a fault of the disk
    nothing of that connection's state is trusted.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.close(force=True)
        raise


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    """Says what SQLite said, as StoreUnavailable."""
    try:
        yield
    except apsw.Error as error:
        raise StoreUnavailable(
            f"{path.name}: {type(error).__name__}: {error}.", fix=_fix(error, path)
        ) from error


def _fix(error: apsw.Error, path: Path) -> str:
    match error:
        case apsw.FullError():
            return f"Make room on the disk that holds {path}."
        case apsw.BusyError() | apsw.LockedError():
            return f"Another process holds {path} for writing: wait for it, or end it."
        case apsw.NotADBError() | apsw.CorruptError():
            return f"Restore {path} from a backup; keep the damaged file for examination."
        case _:
            return f"Check the disk that holds {path}, and that this user may write to it."


def _connection(path: Path) -> apsw.Connection:
    with unavailable(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection


def _use_write_ahead_log(connection: apsw.Connection) -> None:
    # For this one step SQLite does not wait where two processes take it at once, so we do.
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_BUSY_PAUSE_S)


def _make_tables(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise _another(path)
        connection.execute(_TABLES)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
    _refuse_newer(connection, path)
    connection.execute(_ADDED)


def _another(path: Path) -> StoreUnavailable:
    return StoreUnavailable(f"{path} is another application's database.", fix="Name another file.")


def _refuse_newer(connection: apsw.Connection, path: Path) -> None:
    found = connection.pragma("user_version")
    if found > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} has schema {found}; this Perso knows {SCHEMA_VERSION}.",
            fix="Install the Perso that wrote it, or a newer one.",
        )
