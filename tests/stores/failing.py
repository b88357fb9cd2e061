"""A disk that fails: once at some operation, or from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from tests.stores.watched_disk import Operation, Watcher, watched_disk


class Fault(Watcher):
    """at: the operation that fails, from 1 on; 0: none. lasting: so do all after it. error: how.
    operations: how many there were. hits: how many failed."""

    def __init__(
        self, at: int = 0, lasting: bool = False, error: type[apsw.Error] = apsw.IOError
    ) -> None:
        self.at = at
        self._lasting = lasting
        self._error = error
        self.operations = 0
        self.hits = 0

    def before(self, operation: Operation) -> None:
        if operation.kind == "delete":
            return
        self.operations += 1
        if self.operations == self.at or (self._lasting and 0 < self.at < self.operations):
            self.hits += 1
            raise self._error("the disk fails, as the test wants it")


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """Stores that are opened meanwhile stand on such a disk."""
    with watched_disk(fault):
        yield
