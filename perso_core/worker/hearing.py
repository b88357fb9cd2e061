"""Whether this process knows what others revoked (DESIGN.md, P6)."""

from __future__ import annotations

import time
from collections.abc import Callable

# A process that heard nothing for so long answers nothing: what it holds may have been revoked.
DEAF_AFTER_S = 60.0


class Hearing:
    """monotonic_s: seconds of a clock that is never set. At first nothing was missed yet."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._caught_up_s = monotonic_s()

    def caught_up(self) -> None:
        """All that others wrote so far is taken over."""
        self._caught_up_s = self._monotonic_s()

    @property
    def deaf(self) -> bool:
        """Whether it is too long ago that all was taken over."""
        return self._monotonic_s() - self._caught_up_s > DEAF_AFTER_S
