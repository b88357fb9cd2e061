"""The clock that retention goes by: how long the machine has been running, which nobody can set.

A calendar that is set a year ahead must not make every profile a year old. So the time that passes
is the machine's own (also over restarts of Perso, and while it sleeps); time for which it was off
is made up for afterwards, a quarter faster than time goes, 30 days at most.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from msgspec import structs

from perso_core.stores.protocol import ClockMark

MAX_OWED_MS = 30 * 24 * 60 * 60 * 1000
# One in so many milliseconds is made up for.
OWED_SHARE = 4
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def resumed(mark: ClockMark | None, *, boot: str, running_ms: int, wall_ms: int) -> ClockMark:
    """The mark from which this process counts. mark: what was noted last; None: nothing ever.
    wall_ms: what the calendar says, which is believed at first, and for no more than what a machine
    that was off has slept."""
    if mark is None:
        return ClockMark(boot, running_ms, wall_ms)
    if mark.boot == boot:
        return mark
    owed_ms = min(max(wall_ms - mark.clock_ms, 0), MAX_OWED_MS)
    return ClockMark(boot, running_ms, mark.clock_ms, owed_ms)


def advanced(mark: ClockMark, running_ms: int) -> ClockMark:
    """The mark as of now."""
    passed_ms = max(running_ms - mark.running_ms, 0)
    made_up_ms = min(mark.owed_ms, passed_ms // OWED_SHARE)
    return structs.replace(
        mark,
        running_ms=mark.running_ms + passed_ms,
        clock_ms=mark.clock_ms + passed_ms + made_up_ms,
        owed_ms=mark.owed_ms - made_up_ms,
    )


def machine_running_ms() -> int:
    """Milliseconds since the machine started, those included in which it slept."""
    # Where there is no such clock the one that stands still in sleep: nothing gets old too early.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


def machine_boot() -> str:
    """Names this run of the machine."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return secrets.token_hex(16)  # then each start of Perso is as one of the machine


class RetentionClock:
    """Counts on from a mark. running_ms: of the machine."""

    def __init__(self, mark: ClockMark, running_ms: Callable[[], int] = machine_running_ms) -> None:
        self._mark = mark
        self._running_ms = running_ms

    def mark(self) -> ClockMark:
        """What it shows, to be noted."""
        return advanced(self._mark, self._running_ms())

    def now_ms(self) -> int:
        return self.mark().clock_ms
