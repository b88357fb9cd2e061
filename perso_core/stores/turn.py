"""One process at a time changes what was saved before: reads, changes, saves."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from perso_core.stores.forking import leave_to_parent_at_fork
from perso_core.stores.owner import made_or_opened

FILE = "definitions.lock"
SWEEPING_FILE = "retention.lock"
_LOOK_AGAIN_S = 0.005


@asynccontextmanager
async def turn(data_dir: Path) -> AsyncIterator[None]:
    """Alone among the processes on a data directory, until the block ends.

    Without it, `perso apply` beside `perso key revoke` could bring the key back. The system lets
    go of it for a process that is killed. No thread waits: nothing could stop one, nor a process
    end before another one lets go.
    """
    descriptor = made_or_opened(data_dir / FILE)
    try:
        while not _is_mine(descriptor):  # noqa: ASYNC110 - another process has it
            await asyncio.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        _let_go(descriptor)


@contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Whether nobody else has the directory's lock, which this process has until the block ends.
    It leaves no file there. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield _is_mine(descriptor)
    finally:
        _let_go(descriptor)


def _is_mine(descriptor: int) -> bool:
    """Whether nobody else has the lock of this file, which is ours from now on. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(descriptor: int) -> None:
    """Also where a process was forked off meanwhile, which has the descriptor as well."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


class OnlyOne:
    """Which process of a data directory removes what is past its retention: the first to ask, as
    long as it runs. Its methods block for a system call. Raises OSError."""

    def __init__(self, data_dir: Path) -> None:
        self._descriptor = made_or_opened(data_dir / SWEEPING_FILE)
        self._mine = self._closed = False
        leave_to_parent_at_fork(self)

    def mine(self) -> bool:
        """Whether it is this one, from now on."""
        if not self._mine and not self._closed:
            self._mine = _is_mine(self._descriptor)
        return self._mine

    def leave_to_parent(self) -> None:
        """A child that has the descriptor would hold the lock for as long as it lives."""
        self.close()

    def close(self) -> None:
        """It is another one's from now on. A second call does nothing."""
        if not self._closed:
            self._mine, self._closed = False, True
            os.close(self._descriptor)
