"""A disk that SQLite believes in: it notes writes and syncs, and fails at the one we choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from tests.stores.watched_disk import Operation, Watcher, watched_disk

NEVER = 1 << 60


class FaultyDisk(Watcher):
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

    def before(self, operation: Operation) -> None:
        if operation.kind in ("read", "delete"):
            return
        self.calls.append((operation.kind, operation.file))
        if self._fails_from <= len(self.calls) < self._fails_until:
            raise apsw.IOError(f"{operation.kind} failed by the test")


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """Every store opened meanwhile is on this disk."""
    disk = FaultyDisk()
    with watched_disk(disk):
        yield disk
