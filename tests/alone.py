"""Whose turn it is on this machine, where the suite runs in several processes.

A test marked `alone` puts a server under more load than one core bears, or looks at how late an
answer is: meanwhile no other test runs.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def turn(directory: Path, *, alone: bool) -> Iterator[None]:
    """Waits until nobody here is alone; where alone is asked for, until nobody is here.

    directory: one for all processes.
    """
    with ExitStack() as room:
        # Whoever waits to be alone holds the door: those who come later do not slip in before.
        with _held(directory / "door", fcntl.LOCK_EX):
            how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            room.enter_context(_held(directory / "room", how))
        yield


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, how)
        yield
