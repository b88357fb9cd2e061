"""How Python's lock goes round, in a process that is a server and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Python lets a thread ask for its lock after 5 ms. Meanwhile the event loop's decides some thirty
# requests, and the one that writes, which needs the lock for a moment only, keeps those waiting
# whose events are on disk: a seventh of what a process answers.
WAITS_S = 0.000_2


@contextmanager
def in_short_turns() -> Iterator[None]:
    """Until the block ends a thread that wants Python's lock is given it within WAITS_S."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(WAITS_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
