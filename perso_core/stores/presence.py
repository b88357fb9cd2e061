"""Which processes serve a data directory, which version of the definitions each has in force, and
how many of its answers failed.

A serving process holds one small file in `<data_dir>/servers` and a lock on it (flock). The system
takes the lock from a process that ends, however it ends: a file that can be locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, structs

from perso_core.errors import StoreUnavailable
from perso_core.stores.forking import leave_to_parent_at_fork
from perso_core.stores.owner import made, make_directory
from perso_core.stores.system_limits import fix_of

DIRECTORY = "servers"
_SUFFIX = ".lock"
_MAX_BYTES = 256  # a file has less


class Serving(Struct, frozen=True):
    """What a serving process says of itself. version: of the definitions in force; 0: none yet.
    failed: how many answers told of what failed here, since it began; failed_ms: when the last did,
    epoch milliseconds."""

    pid: int
    version: int
    failed: int = 0
    failed_ms: int = 0


class Presence:
    """This process among those that serve, from now on, with version 0.

    Its methods touch the disk and block shortly; any thread may call them. Raises StoreUnavailable.
    """

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / DIRECTORY
        with _writable(self._directory):
            make_directory(self._directory)
            self._path, self._descriptor = _locked_file(self._directory)
        self._closed = False
        # The descriptor's number may be another file's once it is closed.
        self._using = threading.Lock()
        self._said = Serving(os.getpid(), 0)
        leave_to_parent_at_fork(self)
        # A full disk has no room for what is in it: until then an empty file says the same.
        with suppress(StoreUnavailable):
            self.tell(0)

    def tell(self, version: int) -> None:
        """Say that a version is in force here. After close it does nothing.
        Raises StoreUnavailable: what was said before stands."""
        self._say(version=version)

    def keep_failed(self, failed: int, failed_ms: int) -> bool:
        """Say how many answers failed, and when the last did. Returns whether that is said now."""
        try:
            self._say(failed=failed, failed_ms=failed_ms)
        except StoreUnavailable:
            return False
        return True

    def _say(self, **more: int) -> None:
        with self._using, _writable(self._directory):
            if not self._closed:
                self._be_found()
                said = structs.replace(self._said, **more)
                os.pwrite(self._descriptor, _text(said), 0)
                self._said = said

    def _be_found(self) -> None:
        """In the directory that has this name now: it may have been replaced, or emptied. Raises
        OSError."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), os.fstat(self._descriptor)):
                return
        make_directory(self._directory)
        path, descriptor = _locked_file(self._directory)
        os.close(self._descriptor)
        self._path, self._descriptor = path, descriptor

    def leave_to_parent(self) -> None:
        """The lock is the parent's, and is held for as long as any process has the descriptor."""
        self._using = threading.Lock()
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)

    def close(self) -> None:
        """Serve no more. A second call does nothing."""
        with self._using:
            if not self._closed:
                self._closed = True
                with suppress(OSError):  # a disk that takes nothing: whoever looks removes it
                    self._path.unlink(missing_ok=True)
                os.close(self._descriptor)


def serving(data_dir: Path) -> list[Serving]:
    """What the processes say that serve a data directory now. Files of those that are gone are
    removed. Whoever begins to serve later reads the definitions later. Raises OSError."""
    said = [_said(path) for path in _files(data_dir / DIRECTORY)]
    return [one for one in said if one is not None]


def _files(directory: Path) -> list[Path]:
    """Raises OSError for a directory that may not be read: nobody knows who serves there."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [directory / name for name in names if name.endswith(_SUFFIX)]


def _said(path: Path) -> Serving | None:
    """None: its process is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _lock(descriptor, fcntl.LOCK_SH):
            path.unlink(missing_ok=True)
            return None
        return _serving(os.read(descriptor, _MAX_BYTES))
    finally:
        os.close(descriptor)


def _text(said: Serving) -> bytes:
    """Of the same length whatever it says, and all of it twice: whoever reads it while it is
    written over sees halves that differ. An older Perso reads two lines."""
    version = f"{said.pid} {said.version:019}\n" * 2
    failed = f"{said.failed:019} {said.failed_ms:019} " * 2
    return f"{version}{failed}".encode()


def _serving(text: bytes) -> Serving:
    """Raises nothing: what is not wholly written yet is a process with version 0."""
    lines = text.decode("ascii").split("\n")
    if len(lines) != 3 or lines[0] != lines[1]:
        return Serving(0, 0)
    pid, version = lines[0].split(" ")
    return Serving(int(pid), int(version), *_failed(lines[2]))


def _failed(text: str) -> tuple[int, int]:
    """How many, and when the last did; none where an older Perso wrote it, or somebody writes."""
    said = text.split()
    half = len(said) // 2
    if half != 2 or said[:half] != said[half:]:
        return 0, 0
    return int(said[0]), int(said[1])


def _locked_file(directory: Path) -> tuple[Path, int]:
    """A new file, and the descriptor that holds its lock. Raises OSError."""
    while True:
        path = directory / f"{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = made(path, os.O_WRONLY)
        # A reader that came before the lock took the file for a dead process's: once more.
        if _lock(descriptor, fcntl.LOCK_EX) and path.exists():
            return path, descriptor
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    """Lock the file, unless somebody holds it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _writable(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"{directory}: {error.strerror}.",
            fix=fix_of(error, "Make room on its disk, and let this user write there."),
        ) from error
