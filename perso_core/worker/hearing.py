"""Whether this process knows what others revoked (DESIGN.md, P6)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from perso_core.errors import StoreUnavailable
from perso_core.stores.forking import leave_to_parent_at_fork, opened_before_fork

# A process that heard nothing for so long answers nothing: what it holds may have been revoked.
DEAF_AFTER_S = 60.0
_NEVER_S = float("-inf")

_log = logging.getLogger("perso.worker")


class Hearing:
    """monotonic_s: seconds of a clock that is never set. At first nothing was missed yet."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._caught_up_s = monotonic_s()
        self._forked = self._told = False
        leave_to_parent_at_fork(self)

    def caught_up(self) -> None:
        """All that others wrote so far is taken over."""
        self._caught_up_s = _NEVER_S if self._forked else self._monotonic_s()

    def leave_to_parent(self) -> None:
        """We are in a child of the process that hears: nobody tells it anything."""
        self._forked, self._caught_up_s = True, _NEVER_S

    def refusal(self) -> StoreUnavailable:
        """Why nothing is answered. The log says it of a process that will never hear, once."""
        if not self._forked:
            return StoreUnavailable(
                f"for {DEAF_AFTER_S:.0f} s nothing was heard of what other processes revoked.",
                fix="Find what keeps this process from reading the store; its log says so.",
            )
        refused = opened_before_fork()
        if not self._told:
            self._told = True
            _log.error("%s", refused)
        return refused

    @property
    def deaf(self) -> bool:
        """Whether it is too long ago that all was taken over."""
        return self._monotonic_s() - self._caught_up_s > DEAF_AFTER_S
