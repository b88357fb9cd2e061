"""The clock by which entries are dated."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]

# So far the calendar may be from the clock that nobody can set before it is the one that is wrong.
APART_MS = 60 * 60 * 1000


def system_clock_ms() -> int:
    """Epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000
