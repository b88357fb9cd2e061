"""One timer for many who may take equally long: their time is up in the order in which it began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from itertools import takewhile
from typing import Protocol

# A timer counts in milliseconds, and may be so much early.
EARLY_S = 0.001
# A handful of settings, and what a site gives each of its pages: such as what is left of a budget.
MOST_ALARMS = 100


class Timed(Protocol):
    def expire(self) -> None:
        """Its time is up."""
        ...


class Alarm:
    """On one event loop, for those who have within_s each. elapsed_s: a clock that nobody can set.

    A timer for each cost 0.7 µs, and hardly anybody's time is ever up. Worse: a timer keeps a copy
    of its maker's context, which led back to who waited for it. Each request left a circle of nine
    objects to the garbage collector, which took 5 % of the event loop's time.
    """

    __slots__ = ("_context", "_elapsed_s", "_ends_s", "_set", "_within_s", "loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        within_s: float,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = loop
        self._within_s = within_s
        self._elapsed_s = elapsed_s
        self._ends_s: dict[Timed, float] = {}  # when, in the order of it
        self._set = False
        self._context = Context()  # nobody's: it may be set for as long as the process runs

    def add(self, timed: Timed) -> None:
        """From now on, unless it is removed before its time is up."""
        self._ends_s[timed] = self._elapsed_s() + self._within_s
        if not self._set:
            self._set = True
            self._ring_in(self._within_s)

    def remove(self, timed: Timed) -> None:
        """Of one whose time is up, or that was removed: nothing."""
        self._ends_s.pop(timed, None)

    def _ring(self) -> None:
        """Also where the one that it was set for has been removed."""
        until_s = self._elapsed_s() + EARLY_S
        try:
            # At once: to look for the first again and again, past all that were removed before it,
            # took 0.4 s with 40,000 of them.
            due = [*takewhile(lambda one: one[1] <= until_s, self._ends_s.items())]
            for timed, ends_s in due:
                if self._ends_s.get(timed) == ends_s:  # not removed meanwhile
                    self.remove(timed)
                    timed.expire()
        finally:  # else nobody's time would be up any more
            self._set = bool(self._ends_s)
            if self._set:
                self._ring_in(max(self._first_ends_s - self._elapsed_s(), 0.0))

    @property
    def _first_ends_s(self) -> float:
        return next(iter(self._ends_s.values()))

    def _ring_in(self, wait_s: float) -> None:
        self.loop.call_later(wait_s, self._ring, context=self._context)


def alarm_of(loop: asyncio.AbstractEventLoop, within_ms: int) -> Alarm:
    """The one for all who have as long on this loop, unless another loop had one meanwhile: then
    another, and that goes on with those it has."""
    alarm = _latest.get(within_ms)
    if alarm is None or alarm.loop is not loop:
        if len(_latest) >= MOST_ALARMS:
            _latest.clear()
        alarm = _latest[within_ms] = Alarm(loop, within_ms / 1_000)
    return alarm


_latest: dict[int, Alarm] = {}  # by how long they may take
