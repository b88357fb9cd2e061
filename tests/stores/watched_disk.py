"""A disk whose every operation is told beforehand and afterwards: a VFS of SQLite's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import apsw
import pytest
from msgspec import Struct

NAME = "watched"


class Operation(Struct, frozen=True, kw_only=True):
    """file: its name without the directory. at: the offset of a write, the size after a
    truncation. synced: of a deletion, whether the directory is synced after it."""

    kind: Literal["read", "write", "truncate", "sync", "delete"]
    file: str
    at: int = 0
    content: bytes = b""
    synced: bool = False


class Watcher:
    """Hears of each operation. What before raises, the operation fails with."""

    def before(self, operation: Operation) -> None: ...

    def after(self, operation: Operation) -> None: ...


class _File(apsw.VFSFile):
    def __init__(self, watcher: Watcher, name: Any, flags: list[int]) -> None:
        self._watcher = watcher
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path else ""
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        read = Operation(kind="read", file=self._name, at=offset)
        self._watcher.before(read)
        content = super().xRead(amount, offset)
        self._watcher.after(read)
        return content

    def xWrite(self, data: bytes, offset: int) -> None:
        write = Operation(kind="write", file=self._name, at=offset, content=bytes(data))
        self._watcher.before(write)
        super().xWrite(data, offset)
        self._watcher.after(write)

    def xTruncate(self, newsize: int) -> None:
        truncation = Operation(kind="truncate", file=self._name, at=newsize)
        self._watcher.before(truncation)
        super().xTruncate(newsize)
        self._watcher.after(truncation)

    def xSync(self, flags: int) -> None:
        sync = Operation(kind="sync", file=self._name)
        self._watcher.before(sync)
        super().xSync(flags)
        self._watcher.after(sync)


class _Disk(apsw.VFS):
    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self._watcher, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        deletion = Operation(kind="delete", file=Path(filename).name, synced=bool(syncdir))
        self._watcher.before(deletion)
        super().xDelete(filename, syncdir)
        self._watcher.after(deletion)


@contextmanager
def watched_disk(watcher: Watcher) -> Iterator[pytest.MonkeyPatch]:
    """Stores that are opened meanwhile stand on such a disk. Told is what else is patched for as
    long."""
    vfs = _Disk(watcher)

    class Connection(apsw.Connection):
        def __init__(self, filename: str, flags: int = 6) -> None:  # 6: read, write, create
            super().__init__(filename, flags=flags, vfs=NAME)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(apsw, "Connection", Connection)
        yield patched
    vfs.unregister()
