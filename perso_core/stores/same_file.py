"""Whether a store's files are still those that were opened: what is written to one that was removed
or replaced, nobody ever reads again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from weakref import WeakKeyDictionary

import apsw

from perso_core.errors import StoreUnavailable

# SQLite takes a file of one byte for an empty one, and begins a store there.
EMPTY_BYTES = 1
# No file system tells the time of a change less exactly than this.
_SETTLED_NS = 3 * 10**9

# Connections of this process, each with its files. _opening is held while one is opened, also while
# that waits for others' locks.
_open: WeakKeyDictionary[apsw.Connection, SameFile] = WeakKeyDictionary()
_opening = threading.Lock()


def refuse_emptied(path: Path) -> None:
    """Before it is opened once more. Raises StoreUnavailable for a file without a byte: a new store
    there would forget whom this process knows, and who refused to be kept."""
    emptied = False
    with suppress(OSError):  # of one that is not there, or may not be looked at, opening it says so
        emptied = path.stat().st_size <= EMPTY_BYTES
    if emptied:
        raise StoreUnavailable(
            f"{path} was emptied while it was open.",
            fix="Stop the servers, `perso restore` a backup.",
        )


def opened_on(
    path: Path, opening: Callable[[Path], apsw.Connection]
) -> tuple[apsw.Connection, SameFile]:
    """A connection, and the files that it is to. Where the database is replaced while it is opened,
    which may wait for others' locks, it is opened once more: what is there by then would be taken
    for what it writes to. Raises StoreUnavailable where others still have what was replaced."""
    with _opening:
        while True:
            _let_go_of_replaced(path)
            before = _found(os.fspath(path))
            connection = opening(path)
            same = SameFile(path)
            if same.database == before:
                _open[connection] = same
                return connection, same
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # see SameFile.close
            connection.close(force=True)


def _let_go_of_replaced(path: Path) -> None:
    """Close this process's other connections to files that were replaced, whichever thread has
    them: while one is open SQLite gives its index of the log to each further one, and whoever has
    that writes over what others write by the index in its place. Also where it was opened under
    another name, as through a link."""
    there = _found(os.fspath(path))
    for connection, same in list(_open.items()):
        if (same.path == path or same.database == there) and same.replaced_by_now():
            try:
                same.close(connection)
            except apsw.ThreadingViolationError:  # in use just now, and let go of once that is over
                raise same.refusal() from None


class SameFile:
    """The database, its write-ahead log and the index of that, as they are while a connection to
    them is opened. By the index (-shm) processes keep out of each other's way: whoever opens the
    store after it was removed makes another one, and writes where those do who have the old one.

    A connection to files that were replaced may be closed: SQLite sees it, and leaves the log of
    those in their place alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._paths = (os.fspath(path), f"{path}-wal", f"{path}-shm")
        self._opened = self._now()
        self._unchanged: tuple[int, int, int] | None = None  # the directory, when all was there

    @property
    def database(self) -> tuple[int, int] | None:
        """Device and number of the database; None: it was not there."""
        return self._opened[0]

    @property
    def replaced(self) -> bool:
        """Where nothing came into the directory or went since the last look this costs one look at
        it: each lets go of Python's lock, and takes it again."""
        directory = self._directory()
        if directory is not None and directory == self._unchanged:
            return False
        found = self._any_replaced()
        self._unchanged = None if found else directory
        return found

    def _any_replaced(self) -> bool:
        """A log may come where there was none, as where a store that was put back has no writer
        yet; from then on it is looked for. A log has an index: where none lies there, what this
        process has is one that was removed, which its connections share until all of them are
        closed."""
        now = self._now()
        self._opened = self._opened_or_come(now)
        return _differ(self._opened, now)

    def replaced_by_now(self) -> bool:
        """As replaced, for whoever has another connection: what has come is not looked for
        because of that."""
        now = self._now()
        return _differ(self._opened_or_come(now), now)

    def _opened_or_come(self, now: list[tuple[int, int] | None]) -> list[tuple[int, int] | None]:
        if self._opened[0] != now[0]:
            return self._opened
        return [before or found for before, found in zip(self._opened, now, strict=True)]

    def check(self) -> None:
        """Raises StoreUnavailable."""
        if self.replaced:
            raise self.refusal()

    def close(self, connection: apsw.Connection) -> None:
        """Close a connection to them. SQLite's last one puts the log into the database by the index
        that it has, and removes it: what others wrote by another index would be gone."""
        with suppress(apsw.ConnectionClosedError):
            if self.replaced:
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close(force=True)

    def refusal(self) -> StoreUnavailable:
        """What is to be said of files that were replaced."""
        return StoreUnavailable(
            f"{self.path} or its -wal or -shm file was removed or replaced while it was open.",
            fix="Put it back, or `perso restore` a backup; stop the servers before you do.",
        )

    def _directory(self) -> tuple[int, int, int] | None:
        """Device, number and last change of the directory; None: it is not there, or changed so
        lately that it might once more without showing."""
        try:
            told = os.stat(self.path.parent)
        except OSError:
            return None
        settled = time.time_ns() - told.st_ctime_ns > _SETTLED_NS
        return (told.st_dev, told.st_ino, told.st_ctime_ns) if settled else None

    def _now(self) -> list[tuple[int, int] | None]:
        return [_found(path) for path in self._paths]


def _in_child() -> None:
    """After a fork: what is open is the parent's, and nobody is there to let go of the lock."""
    global _open, _opening
    _open, _opening = WeakKeyDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _differ(opened: list[tuple[int, int] | None], now: list[tuple[int, int] | None]) -> bool:
    _, log, index = now
    return now != opened or (log is not None and index is None)


def _found(path: str) -> tuple[int, int] | None:
    """Device and number of a file; None: it is not there."""
    try:
        told = os.stat(path)
    except OSError:
        return None
    return told.st_dev, told.st_ino
