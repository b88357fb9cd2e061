"""A worker on a core of its own, where there are as many workers as cores (docs/operating.md).

Its loop and the thread that writes take turns; on different cores each turn wakes the other core.
With another number of workers the system spreads them better.
"""

from __future__ import annotations

import os
import sys


def stay_on_own_core(number: int, workers: int) -> None:
    """Keep all threads of this process on the core of the worker of this number, from 0. Nothing,
    where there are not as many cores, or the system does not do it."""
    if sys.platform != "linux":
        return
    cores = sorted(os.sched_getaffinity(0))
    if not len(cores) == workers > 1:
        return
    mine = cores[number : number + 1]
    try:
        # What a thread starts from then on stays with it: the first one is this one.
        os.sched_setaffinity(0, mine)
        for thread in os.listdir("/proc/self/task"):
            _keep(int(thread), mine)
    except OSError:  # a container may forbid it
        return


def _keep(thread: int, cores: list[int]) -> None:
    try:
        os.sched_setaffinity(thread, cores)
    except ProcessLookupError:  # it has ended
        return
