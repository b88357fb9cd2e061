"""A process that is killed (SIGKILL) at an operation of its disk, before it or after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from tests.stores.watched_disk import Operation, Watcher, watched_disk

# What a worker tells of each act that it was told is kept, one line each.
Acknowledge = Callable[[str], None]
Work = Callable[[Path, Acknowledge], None]


class Point(Struct, frozen=True):
    """kind, file: of the operation. nth: of its like, from 1 on. before: else after it."""

    kind: str
    file: str
    nth: int
    before: bool


class _Killer(Watcher):
    """point None: nobody is killed. seen: how many there were of each like."""

    def __init__(self, point: Point | None) -> None:
        self._point = point
        self.seen: dict[tuple[str, str], int] = {}

    def before(self, operation: Operation) -> None:
        like = (operation.kind, operation.file)
        self.seen[like] = self.seen.get(like, 0) + 1
        self._kill(operation, before=True)

    def after(self, operation: Operation) -> None:
        self._kill(operation, before=False)

    def _kill(self, operation: Operation, *, before: bool) -> None:
        nth = self.seen[operation.kind, operation.file]
        if Point(operation.kind, operation.file, nth, before) == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def operations_of(work: Work, directory: Path) -> dict[tuple[str, str], int]:
    """How many operations of each kind on each file the whole work has."""
    killer = _Killer(None)
    with watched_disk(killer):
        work(directory, lambda act: None)
    return killer.seen


def killed_at(point: Point, work: Work, directory: Path) -> list[str] | None:
    """What the work acknowledged, in a process of its own, before it was killed at the point. None:
    it was not reached."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        status = 1
        try:
            with watched_disk(_Killer(point)):
                work(directory, lambda act: _tell(writing, act))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as told:
        acknowledged = told.read().split()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL), f"the work failed, status {status}"
    return acknowledged if status else None


def _tell(pipe: int, act: str) -> None:
    os.write(pipe, f"{act}\n".encode("ascii"))
