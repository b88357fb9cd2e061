"""Python's garbage collector, in a process that is a server and nothing else."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Python looks at the young after every 700 objects, which is in the midst of a few dozen requests:
# nearly all of it is in use still, and was a twelfth of a server's time. A full collection has as
# many objects to look at as by Python's own numbers (700, 10, 10).
THRESHOLDS = (5_000, 8, 1)


@contextmanager
def old_left_alone() -> Iterator[None]:
    """Until the block ends, what a full collection found alive is not looked at again, and what is
    young seldom while the requests that made it are under way.

    Profiles in memory are millions of objects in no cycle: counting references frees them, and to
    walk through them all stops every request. With 40,000 events in memory that took up to 0.48 s
    (`make bench`: 226 of 43,320 answers were late); now at most 0.035 s however many there are.
    Never freed is what was left alone and then became a cycle of garbage: 6 snapshots of 100
    audiences each left none, 500 connections 32 objects in all.
    """
    before = gc.get_threshold()
    # Python takes no exception from a callback: what a signal that comes meanwhile raises, to stop
    # the process as it starts, would be lost.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.callbacks.append(_freeze_the_old)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(_freeze_the_old)
        gc.unfreeze()


def _freeze_the_old(phase: str, collected: dict[str, Any]) -> None:
    if phase == "stop" and collected["generation"] == 2:
        gc.freeze()
