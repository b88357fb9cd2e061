"""Opening the SQLite file: its tables, its modes, its version, its errors."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from perso_core.errors import DamagedStore, StoreUnavailable, UnsafeStore
from perso_core.stores import incarnation
from perso_core.stores.migrations import behind, refuse_foreign, refuse_newer, take_next
from perso_core.stores.owner import made
from perso_core.stores.system_limits import MORE_FILES, fix_of, no_more_files

# Another process's commit or checkpoint may hold the file this long before we give up.
BUSY_TIMEOUT_MS = 5_000
_BUSY_PAUSE_S = 0.005
_LOCK_PAUSE_S = 0.000_5
_LEAST_ROOM_BYTES = 65_536
_CACHE_KIB = 16_384
# Pages of 4 KiB. Four times SQLite's own: a fifth more commits, and the -wal file stays at 16 MiB.
_CHECKPOINT_PAGES = 4_000
# No load leaves so much: somebody reads what was there before it, and SQLite has to keep that.
LARGE_LOG_BYTES = 256_000_000
_INCREMENTAL = 2  # as SQLite tells auto_vacuum

# A file whose name ends so is to take a database's place; the next start removes one that did not.
RESTORING = ".restoring"
RESTORE = "Stop the servers, keep the damaged file for examination, `perso restore` a backup."
_DAMAGE = (apsw.NotADBError, apsw.CorruptError)
_making = threading.Lock()
_log = logging.getLogger("perso.stores")

# What is kept under a key: all that goes with a visitor who is forgotten.
TABLES_BY_KEY = ("profile", "event", "consent", "quarantine", "link", "imported")
# Of these, all but what was chosen under the key, and whose it is.
TABLES_OF_WHAT_HAPPENED = tuple(one for one in TABLES_BY_KEY if one not in ("consent", "link"))


def create_file(path: Path) -> bool:
    """Make the file, readable by its owner alone, and its directory where there is none. Returns
    whether it was made now.

    A file that is there is not opened: whoever closes a descriptor of a file lets go of all the
    locks that this process has on it, also those of a store that is open here; another process
    could then take itself for the last one, and delete the log. SQLite gives its -wal and -shm
    files the mode of the file. Raises StoreUnavailable.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody else here has a store on it before the new file is closed.
        with _making, suppress(FileExistsError):
            os.close(made(path, os.O_RDWR))
            return True
        return False
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}.",
            fix=fix_of(error, "Name a directory that this user may write to."),
        ) from error


def writing_connection(path: Path) -> apsw.Connection:
    """A connection that commits durably, on a file whose tables are there.

    Raises StoreTooNew, StoreUnavailable.
    """
    connection = _connection(path)
    with unavailable(path):
        # Only a file that is made now takes it: then what is removed makes the file smaller. Said
        # of one that has it already it is written again, for which a full disk has no room.
        if connection.pragma("auto_vacuum") != _INCREMENTAL:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # The first change of a new file has a rollback journal, which is then deleted. Should that
        # come back after a power cut, SQLite would undo all that the write-ahead log holds: EXTRA
        # syncs the directory, so it cannot.
        connection.execute("PRAGMA synchronous = EXTRA")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        # What is removed or replaced is written over with zeros: else it would lie in the file
        # until something else needs its place. Costs a fifth more to write where profiles are
        # removed, and nothing that can be measured where one is written.
        connection.execute("PRAGMA secure_delete = ON")
        _refuse_unsafe_modes(connection, path)
        _migrate(connection, path)
        if incarnation.unnamed(connection, path):
            with transaction(connection):
                incarnation.name(connection, path)
    return connection


def empty_log(connection: apsw.Connection, path: Path) -> None:
    """Put what the -wal file holds into the database and cut it off: until it is written over, it
    holds what was removed since. Where somebody reads or writes just now, it stays for this time;
    the log says so where it is large by then.
    """
    connection.set_busy_handler(None)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.set_busy_handler(_Patience())
    with suppress(FileNotFoundError):
        size = path.with_name(f"{path.name}-wal").stat().st_size
        if size > LARGE_LOG_BYTES:
            _log.warning(
                "The log beside %s has %s MB, holds what was erased, and grows: a program has been"
                " reading the database in one transaction. Find it (fuser -v) and end it.",
                path.name,
                f"{size // 1_000_000:,}",
            )


def reading_connection(path: Path, *, empty: bool = False) -> apsw.Connection:
    """A connection that refuses to write, and waits for no writer. The file may lack steps that
    this Perso knows. empty: also where it has none yet. Raises StoreTooNew, StoreUnavailable."""
    with_log = has_log(path)
    connection = _connection(path)
    with unavailable(path):
        if with_log:
            # Closed as the last one it would put the log into the file, damaged as that may be, and
            # remove it: the next start would take a crash for a clean end.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA query_only = ON")
        refuse_foreign(connection, path, empty=empty)
        refuse_newer(connection, path)
    return connection


def has_log(path: Path) -> bool:
    """Whether a log with something in it lies beside a database: somebody has it open, or ended
    without closing it."""
    with suppress(OSError):  # it goes as the last one closes
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    return False


def sync(path: Path) -> None:
    """Of a file or a directory: it is on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bring_up_to_date(path: Path, *, named: bool = False) -> None:
    """Have the file take the steps that it lacks; named: and be an incarnation of its own. Where it
    lacks nothing nothing is written. Raises StoreTooNew, StoreUnavailable."""
    with closing(reading_connection(path)) as connection, unavailable(path):
        lacks = behind(connection) or (named and incarnation.unnamed(connection, path))
    if lacks:
        with unavailable(path):
            writing_connection(path).close()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of it is on disk when this returns. After an exception none of it is."""
    with closed_by_failure(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")


@contextmanager
def closed_by_failure(connection: apsw.Connection) -> Iterator[None]:
    """After an exception the connection is closed, which undoes what it was doing: after a fault of
    the disk nothing of its state is trusted, nor is the log put into the database by it (see
    SameFile.close)."""
    try:
        yield
    except BaseException:
        with suppress(apsw.ConnectionClosedError):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close(force=True)
        raise


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    """Says what SQLite said, as StoreUnavailable."""
    try:
        yield
    except apsw.Error as error:
        kind = DamagedStore if isinstance(error, _DAMAGE) else StoreUnavailable
        # So it says where the fault is not its own, such as of a copy for which there is no room.
        why = "" if str(error) == "not an error" else f": {error}"
        said = f"{path.name}: {type(error).__name__}{why}."
        raise kind(said, fix=_fix(error, path)) from error
    except UnicodeDecodeError as error:
        # SQLite hands out as text whatever lies there. Not the text: it may name somebody.
        said = f"{path.name}: {error.reason} in what has to be text."
        raise DamagedStore(said, fix=RESTORE) from None


def _fix(error: apsw.Error, path: Path) -> str:
    match error:
        case _ if isinstance(error, apsw.FullError) or _no_room(path):
            return f"Make room on the disk that holds {path}."
        case apsw.BusyError() | apsw.LockedError():
            return f"Another process holds {path} for writing: wait for it, or end it."
        case _ if isinstance(error, _DAMAGE):
            return RESTORE
        case apsw.ConnectionClosedError():
            return "Its files were removed or replaced, and it is opened anew: ask again."
        case apsw.CantOpenError() if no_more_files():
            return MORE_FILES
        case _:
            return f"Check the disk that holds {path}, and that this user may write to it."


def _no_room(path: Path) -> bool:
    """SQLite says of a full disk "I/O error" where it shares memory through a file."""
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < _LEAST_ROOM_BYTES
    return False


def _connection(path: Path) -> apsw.Connection:
    with unavailable(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_handler(_Patience())
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection


class _Patience:
    """Waits for a lock that another process holds, as long as BUSY_TIMEOUT_MS. SQLite's own waiting
    sleeps up to a tenth of a second at a time, in which others commit fifty times."""

    def __init__(self) -> None:
        self._give_up = 0.0

    def __call__(self, attempts: int) -> bool:
        if not attempts:
            self._give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
        time.sleep(_LOCK_PAUSE_S)
        return time.monotonic() < self._give_up


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


def _refuse_unsafe_modes(connection: apsw.Connection, path: Path) -> None:
    """SQLite says what it could not do by what it then does."""
    for name, wanted in (("journal_mode", "wal"), ("synchronous", 2), ("locking_mode", "normal")):
        found = connection.pragma(name)
        if found != wanted:
            raise UnsafeStore(
                f"{path}: {name} is {found}, and has to be {wanted}.",
                fix="Choose a data_dir on a local disk, and an apsw that brings its own SQLite.",
            )


def _migrate(connection: apsw.Connection, path: Path) -> None:
    """Take the steps that the file lacks. A second process may be at it, too: each looks anew once
    it has the lock. Where it lacks none nothing is locked, as somebody may hold it for long, but
    beside a restore: once that is over the file is another one, which is opened instead."""
    refuse_foreign(connection, path)
    refuse_newer(connection, path)
    lacks = behind(connection) or path.with_suffix(RESTORING).exists()
    while lacks:
        with transaction(connection):
            lacks = take_next(connection, path)
