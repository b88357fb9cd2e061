"""Who gives way to whom.

As many may come for the first time as somebody cares to send, and one visitor may send more than a
person does. Such calls go on one after the other, whoever else calls meanwhile goes before the next
of them, and while others call they take a part of the process's time: the rest is for those, and
for the thread that writes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

# So many go on in one round where nobody else calls: each round costs a look at all connections.
TOGETHER = 8
# Nobody gives way for longer at once: a call has to be answered in its time (DESIGN.md, P4).
LONGEST_S = 0.1
# Others are there where one called so lately.
LATELY_S = 0.1
# A pause begins once so much was spent: event loops count in milliseconds.
SPENT_S = 0.001
# How long it is, in what was spent: so first visits take a fifth of the time, refusals a tenth.
AFTER_FIRST_VISITS, AFTER_REFUSALS = 4, 9


class Turns:
    """Of one kind of calls, on one event loop. pause: see AFTER_FIRST_VISITS. elapsed_s: a clock
    that nobody can set."""

    __slots__ = (
        "_began_s",
        "_elapsed_s",
        "_goes_on",
        "_others_until_s",
        "_pause",
        "_spent_s",
        "_waiting",
    )

    def __init__(self, pause: int, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._elapsed_s = elapsed_s
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._goes_on = False  # one of them, in this round of the loop
        self._others_until_s = self._began_s = self._spent_s = 0.0

    def another_calls(self) -> None:
        """Somebody who gives way to none of these."""
        self._others_until_s = self._elapsed_s() + LATELY_S

    async def turn(self) -> None:
        """Returns at once where no other of these goes on in this round of the loop, else in a
        later one: while others call, each lets one go on, in their order. After LONGEST_S in any
        case."""
        loop = asyncio.get_running_loop()
        if not self._goes_on:
            self._goes_on, self._began_s = True, self._elapsed_s()
            loop.call_soon(self._next, loop)
            return
        turn = loop.create_future()
        self._waiting.append((self._elapsed_s() + LONGEST_S, turn))
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = self._elapsed_s()
        self._spent_s += now_s - self._began_s
        if self._waiting and self._spent_s >= SPENT_S and now_s < self._others_until_s:
            pause_s, self._spent_s = self._pause * self._spent_s, 0.0
            loop.call_later(min(pause_s, LONGEST_S), self._go_on, loop)
        else:
            self._go_on(loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._began_s = now_s = self._elapsed_s()
        left = together = 1 if now_s < self._others_until_s else TOGETHER
        while self._waiting and (left > 0 or self._waiting[0][0] <= now_s):
            _, turn = self._waiting.popleft()
            if not turn.done():  # cancelled: its call is over
                turn.set_result(None)
                left -= 1
        self._goes_on = left < together
        if self._goes_on:
            loop.call_soon(self._next, loop)
        else:
            self._spent_s = 0.0
