"""A disk that SQLite believes in: it notes writes and syncs, and fails at the one we choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

NEVER = 1 << 60


class FaultyDisk:
    """calls: ("write" | "sync" | "truncate", file name) in order, since `begin`.

    Those numbered fails_from and more (the first is 1) fail until fails_until.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self, *, fails_from: int = NEVER, fails_until: int = NEVER) -> None:
        self.calls: list[tuple[str, str]] = []
        self._fails_from = fails_from
        self._fails_until = fails_until

    @property
    def failed(self) -> bool:
        return len(self.calls) >= self._fails_from

    def note(self, call: str, name: str) -> None:
        self.calls.append((call, name.rpartition("/")[2]))
        if self._fails_from <= len(self.calls) < self._fails_until:
            raise apsw.IOError(f"{call} failed by the test")


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, vfs: str, filename: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = (
            filename.filename() if isinstance(filename, apsw.URIFilename) else str(filename)
        )
        super().__init__(vfs, filename, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.note("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.note("sync", self._name)
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._disk.note("truncate", self._name)
        super().xTruncate(newsize)


class _Vfs(apsw.VFS):
    def __init__(self, disk: FaultyDisk, base: str) -> None:
        self._disk = disk
        self._under = base
        super().__init__("faulty", base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self._disk, self._under, name, flags)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """Every connection opened meanwhile is on this disk."""
    disk = FaultyDisk()
    usual = apsw.vfs_names()[0]
    vfs = _Vfs(disk, usual)
    try:
        yield disk
    finally:
        apsw.set_default_vfs(usual)
        vfs.unregister()
