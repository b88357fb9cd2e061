"""What the worker does with a problem where nobody else listens: the log has it, and is not filled
with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from perso_core.errors import StoreUnavailable, UnreadableRecord

# A disk that fails would be told of with every commit and 50 times a second with every look for
# news: the same words come once in so long, with how often they would have come.
SAME_EACH_S = 10.0

_log = logging.getLogger("perso.worker")


class Logged:
    """Call it with each problem. monotonic_s: seconds of a clock that is never set."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._text = ""
        self._told_s = 0.0
        self._untold = 0

    def __call__(self, problem: Exception) -> None:
        text, now_s = str(problem), self._monotonic_s()
        if text == self._text and now_s - self._told_s < SAME_EACH_S:
            self._untold += 1
            return
        more = f" And {self._untold:,} times more of the one before." if self._untold else ""
        self._text, self._told_s, self._untold = text, now_s, 0
        of_the_disk = isinstance(problem, (StoreUnavailable, UnreadableRecord))
        traceback = None if of_the_disk else problem
        _log.warning("%s%s", problem, more, exc_info=traceback)
