"""Whether this process knows what others revoked (DESIGN.md, P6)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from perso_core.errors import StoreUnavailable
from perso_core.stores.forking import leave_to_parent_at_fork, opened_before_fork

# A process that heard nothing for so long answers nothing: what it holds may have been revoked.
DEAF_AFTER_S = 60.0
# Nobody looked at the clock for so long: the process stood still.
STOOD_STILL_S = 1.0
LOOKS_EACH_S = STOOD_STILL_S / 4
_NEVER_S = float("-inf")

_log = logging.getLogger("perso.worker")


class Hearing:
    """monotonic_s: seconds of a clock that is never set. At first nothing was missed yet."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._caught_up_s = self._looked_s = self._asked_s = self._knows_of_s = monotonic_s()
        self._went_on_s = _NEVER_S
        self._listens = False
        self._again = asyncio.Event()  # set, and another one made, each time all is taken over
        self._forked = self._told = False
        leave_to_parent_at_fork(self)

    async def look(self) -> None:
        """Look at the clock for ever, while somebody asks what others wrote."""
        self._listens = True
        try:
            while True:
                self._look()
                await asyncio.sleep(LOOKS_EACH_S)
        finally:
            self._listens = False

    def asks(self) -> None:
        """It is about to be asked what others wrote so far."""
        self._asked_s = self._monotonic_s()

    async def catch_up(self, within_s: float) -> None:
        """Where the process stood still, returns once it is taken over what others wrote meanwhile,
        or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.behind:
                    await self._again.wait()

    def caught_up(self) -> None:
        """All that others wrote so far is taken over."""
        self._knows_of_s = self._asked_s
        self._again.set()
        self._again = asyncio.Event()
        self._caught_up_s = _NEVER_S if self._forked else self._monotonic_s()

    def leave_to_parent(self) -> None:
        """We are in a child of the process that hears: nobody tells it anything."""
        self._forked, self._caught_up_s = True, _NEVER_S

    def refusal(self) -> StoreUnavailable:
        """Why nothing is answered. The log says it of a process that will never hear, once."""
        if self.behind:
            return StoreUnavailable(
                "the process stood still, and has not heard yet what others revoked meanwhile.",
                fix="Ask again. Where it lasts, the log says what keeps it from reading the store.",
            )
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
    def forked(self) -> bool:
        """Whether this is a child of the process that hears."""
        return self._forked

    @property
    def unsure(self) -> bool:
        """Whether others may have revoked something of which this process did not hear in time:
        catch up, and answer nothing where it is deaf then."""
        # Asked for each request: without a call of _missed.
        now_s = self._look()
        return now_s - self._caught_up_s > DEAF_AFTER_S or self._went_on_s > self._knows_of_s

    @property
    def behind(self) -> bool:
        """Whether others are heard, and were not yet since the process stood still."""
        return self._listens and not self._forked and self._missed

    @property
    def _missed(self) -> bool:
        """Whether what is taken over was asked before the process stood still."""
        return self._went_on_s > self._knows_of_s

    def _look(self) -> float:
        """The time. Whoever looks first after the process stood still sees that it did."""
        now_s = self._monotonic_s()
        if now_s - self._looked_s > STOOD_STILL_S:
            self._went_on_s = now_s
        self._looked_s = now_s
        return now_s

    @property
    def deaf(self) -> bool:
        """Whether it is too long ago that all was taken over."""
        return self._monotonic_s() - self._caught_up_s > DEAF_AFTER_S
