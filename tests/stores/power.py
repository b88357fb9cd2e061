"""A disk that loses power: what was written and not synced is lost, kept or torn, as it likes.

A VFS of SQLite's writes down every operation of a workload. From that record every state is made
that the files may be in after a cut at some place, and the store is opened on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from msgspec import Struct, field

from perso_core.stores import sqlite_file

# A disk writes sectors whole; a longer write may stop after any of them.
SECTOR = 512
# Shared between processes in memory: no power cut leaves anything of it.
_NOT_ON_DISK = "-shm"


class Write(Struct, frozen=True):
    name: str
    offset: int
    data: bytes


class Truncate(Struct, frozen=True):
    name: str
    size: int


class Sync(Struct, frozen=True):
    name: str


class Delete(Struct, frozen=True):
    """synced: the directory was synced after it, so the file does not come back."""

    name: str
    synced: bool


class Acknowledged(Struct, frozen=True):
    """The workload was told that this much is kept."""

    number: int


Operation = Write | Truncate | Sync | Delete | Acknowledged


class Record(Struct):
    """Everything that happened, in order."""

    operations: list[Operation] = field(default_factory=list)

    def acknowledge(self, number: int) -> None:
        self.operations.append(Acknowledged(number))

    def acknowledged(self, cut: int) -> int:
        """How much was acknowledged before the cut."""
        told = [one.number for one in self.operations[:cut] if isinstance(one, Acknowledged)]
        return max(told, default=0)


class _File(apsw.VFSFile):
    def __init__(self, record: Record, name: Any, flags: list[int]) -> None:
        self._record = record
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._record.operations.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._record.operations.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._record.operations.append(Sync(self._name))
        super().xSync(flags)


class _Recorder(apsw.VFS):
    def __init__(self, name: str, record: Record) -> None:
        self._record = record
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self._record, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._record.operations.append(Delete(Path(filename).name, bool(syncdir)))
        super().xDelete(filename, syncdir)


@contextmanager
def recorded(*, synchronous: str = "FULL", checkpoint_pages: int = 12) -> Iterator[Record]:
    """Stores that are opened meanwhile are written down. synchronous: instead of FULL.
    checkpoint_pages: so few that the workload has many checkpoints."""
    record = Record()
    vfs = _Recorder("recorder", record)

    class Connection(apsw.Connection):
        def __init__(self, filename: str, flags: int) -> None:
            super().__init__(filename, flags=flags, vfs="recorder")

        def execute(self, statements: str, *more: Any, **options: Any) -> apsw.Cursor:
            if statements == "PRAGMA synchronous = FULL":
                statements = f"PRAGMA synchronous = {synchronous}"
            return super().execute(statements, *more, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(apsw, "Connection", Connection)
        patched.setattr(sqlite_file, "_CHECKPOINT_PAGES", checkpoint_pages)
        # It would refuse to go on so.
        patched.setattr(sqlite_file, "_refuse_unsafe_modes", lambda connection, path: None)
        yield record
    vfs.unregister()


def after_cut(operations: Iterable[Operation], directory: Path, chance: Random) -> None:
    """Make the files as a disk may have left them. operations: those before the cut."""
    synced: dict[str, bytearray] = {}
    waiting: dict[str, list[Write | Truncate]] = {}
    for one in operations:
        match one:
            case Write() | Truncate():
                waiting.setdefault(one.name, []).append(one)
            case Sync():
                content = synced.setdefault(one.name, bytearray())
                for change in waiting.pop(one.name, ()):
                    _apply(content, change)
            case Delete():
                # Otherwise it may come back, with what it had.
                if one.synced or chance.random() < 0.5:
                    synced.pop(one.name, None)
                    waiting.pop(one.name, None)
            case Acknowledged():
                pass
    for name, changes in waiting.items():
        kept = [change for change in changes if chance.random() < 0.5]
        if not kept and name not in synced:
            continue
        content = synced.setdefault(name, bytearray())
        for change in kept:
            _apply(content, _torn(change, chance))
    for name, content in synced.items():
        if not name.endswith(_NOT_ON_DISK):
            (directory / name).write_bytes(content)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        return
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.offset + len(change.data)] = change.data


def _torn(change: Write | Truncate, chance: Random) -> Write | Truncate:
    """One write in three stops after some of its sectors."""
    if isinstance(change, Truncate) or chance.random() < 2 / 3:
        return change
    sectors = len(change.data) // SECTOR
    return Write(change.name, change.offset, change.data[: chance.randint(0, sectors) * SECTOR])
