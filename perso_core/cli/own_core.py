"""A worker on a core of its own, where there are as many workers as cores (docs/operating.md).

Its loop and the thread that writes take turns; on different cores each turn wakes the other core.
Two workers on two cores serve 3 to 10 of 100 more so (docs/decisions/0018). With another number of
workers the system spreads them better.
"""

from __future__ import annotations

import os
import sys

# The variable in which a supervisor tells a worker its number, from 0. No setting: those have
# names of their own.
NUMBER = "_PERSO_WORKER_NUMBER"


def stay_on_own_core(number: str, workers: int) -> None:
    """Keep all threads of this process on the core of the worker of this number. "": nobody told
    one. Nothing, where there are not as many cores, or the system does not do it."""
    if sys.platform != "linux" or not number.isdecimal():
        return
    try:
        cores = sorted(os.sched_getaffinity(0))
        threads = [int(one) for one in os.listdir("/proc/self/task")]
        if not len(cores) == workers > int(number) or workers == 1:
            return
        # What a thread starts from then on stays with it: the first one is this one.
        for thread in (0, *threads):
            _keep(thread, cores[int(number)])
    except OSError:  # a container may forbid it
        return


def _keep(thread: int, core: int) -> None:
    try:
        os.sched_setaffinity(thread, {core})
    except ProcessLookupError:  # it has ended
        return
