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
from msgspec import Struct, structs

from perso_core.stores import sqlite_file
from tests.stores.watched_disk import Operation, Watcher, watched_disk

# A disk writes sectors whole; a longer write may stop after any of them.
SECTOR = 512
# Shared between processes in memory: no power cut leaves anything of it.
_NOT_ON_DISK = "-shm"


class Acknowledged(Struct, frozen=True):
    """The workload was told that this much is kept."""

    number: int


Happened = Operation | Acknowledged


class Record(Watcher):
    """Everything that happened, in order, but for reads."""

    def __init__(self) -> None:
        self.operations: list[Happened] = []

    def before(self, operation: Operation) -> None:
        if operation.kind != "read":
            self.operations.append(operation)

    def acknowledge(self, number: int) -> None:
        self.operations.append(Acknowledged(number))

    def acknowledged(self, cut: int) -> int:
        """How much was acknowledged before the cut."""
        told = [one.number for one in self.operations[:cut] if isinstance(one, Acknowledged)]
        return max(told, default=0)


@contextmanager
def recorded(*, synchronous: str = "FULL", checkpoint_pages: int = 12) -> Iterator[Record]:
    """Stores that are opened meanwhile are written down. synchronous: instead of FULL.
    checkpoint_pages: so few that the workload has many checkpoints."""
    record = Record()
    with watched_disk(record) as patched:
        plain = apsw.Connection

        class Connection(plain):  # type: ignore[misc, valid-type] # made just now
            def execute(self, statements: str, *more: Any, **options: Any) -> apsw.Cursor:
                if statements == "PRAGMA synchronous = FULL":
                    statements = f"PRAGMA synchronous = {synchronous}"
                cursor: apsw.Cursor = super().execute(statements, *more, **options)
                return cursor

        patched.setattr(apsw, "Connection", Connection)
        patched.setattr(sqlite_file, "_CHECKPOINT_PAGES", checkpoint_pages)
        # It would refuse to go on so.
        patched.setattr(sqlite_file, "_refuse_unsafe_modes", lambda connection, path: None)
        yield record


def after_cut(operations: Iterable[Happened], directory: Path, chance: Random) -> None:
    """Make the files as a disk may have left them. operations: those before the cut."""
    synced: dict[str, bytearray] = {}
    waiting: dict[str, list[Operation]] = {}
    for one in operations:
        if isinstance(one, Acknowledged):
            continue
        match one.kind:
            case "write" | "truncate":
                waiting.setdefault(one.file, []).append(one)
            case "sync":
                content = synced.setdefault(one.file, bytearray())
                for change in waiting.pop(one.file, ()):
                    _apply(content, change)
            case "delete":
                # Otherwise it may come back, with what it had.
                if one.synced or chance.random() < 0.5:
                    synced.pop(one.file, None)
                    waiting.pop(one.file, None)
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


def _apply(content: bytearray, change: Operation) -> None:
    if change.kind == "truncate":
        del content[change.at :]
        return
    if len(content) < change.at:
        content.extend(bytes(change.at - len(content)))
    content[change.at : change.at + len(change.content)] = change.content


def _torn(change: Operation, chance: Random) -> Operation:
    """One write in three stops after some of its sectors."""
    if change.kind == "truncate" or chance.random() < 2 / 3:
        return change
    sectors = len(change.content) // SECTOR
    return structs.replace(change, content=change.content[: chance.randint(0, sectors) * SECTOR])
