"""Who gives way to whom.

As many may come for the first time as somebody cares to send, and one visitor may send more than a
person does. Such calls go on one after the other, whoever else calls meanwhile goes before the next
of them, none of them goes on while another's call waits for the disk, and while others call they
take a part of the process's time: the rest is for those, and for the thread that writes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

# So many go on in one round where nobody else calls: each round costs a look at all connections.
TOGETHER = 8
# Nobody gives way for longer at once: a call has to be answered in its time (DESIGN.md, P4). To who
# sends more than a person does that is not promised: they are asked to wait for a second or more
# once it is too much, and wait for so long before (docs/decisions/0022).
LONGEST_S, LONGEST_EXCESS_S = 0.1, 0.4
# A refusal is not told before: of a flood that waits for its answers less comes by that.
REFUSED_AFTER_S = 0.3
# Others are there where one called so lately.
LATELY_S = 0.1
# A pause begins once so much was spent: then many others' calls have no turn in theirs.
SPENT_S = 0.003
# How long it is, in what was spent after the turns: so what first visits do then takes a seventh of
# the time, a single visitor's excess a fortieth, and to refuse what is too much a seventh. A share
# below what comes helps as long as those wait for their answers before more come; else everybody
# waits as long as they may, and goes on then, whoever else calls.
AFTER_FIRST_VISITS, AFTER_EXCESS, AFTER_REFUSALS = 6, 39, 6
# Where more first visits wait than this their pauses are shorter: so many come whatever they are
# made to wait, and would have waited as long as they may and gone on together.
MANY, AFTER_MANY = 64, 2


class Turns:
    """Of one kind of calls, on one event loop. pause: see AFTER_FIRST_VISITS. pause_of_many: where
    more than MANY wait; None: the same. elapsed_s: a clock that nobody can set. longest_s: how long
    one of them may wait. after_s: how long each stays away before, while others call."""

    __slots__ = (
        "_after_s",
        "_at_disk",
        "_began_s",
        "_begins",
        "_elapsed_s",
        "_goes_on",
        "_held",
        "_held_enough",
        "_longest_s",
        "_others_until_s",
        "_pause",
        "_pause_of_many",
        "_spent_s",
        "_waiting",
    )

    def __init__(
        self,
        pause: int,
        elapsed_s: Callable[[], float] = time.monotonic,
        *,
        pause_of_many: int | None = None,
        longest_s: float = LONGEST_S,
        after_s: float = 0,
    ) -> None:
        self._pause = pause
        self._pause_of_many = pause if pause_of_many is None else pause_of_many
        self._longest_s = longest_s
        self._after_s = after_s
        self._elapsed_s = elapsed_s
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._goes_on = (
            False  # one of them: in this round of the loop, after a pause, once not held
        )
        self._others_until_s = self._began_s = self._spent_s = 0.0
        self._begins = False  # nobody who may go on in this round has yet
        self._at_disk = 0  # others whose calls wait for the disk
        self._held: asyncio.TimerHandle | None = None  # until those are through
        self._held_enough = False  # until the next pause nobody who waits for the disk holds them

    def another_calls(self) -> None:
        """Somebody who gives way to none of these."""
        self._others_until_s = self._elapsed_s() + LATELY_S

    def another_waits_for_disk(self) -> None:
        """One of them does: until none of them waits any more, at most for as long as the shortest
        pause where no more than MANY wait, none of these goes on. So the thread that writes has
        Python's lock when it asks for it, and the loop is free when it is done."""
        self._at_disk += 1

    def another_waits_no_more(self) -> None:
        """Its change is stored, or is not going to be."""
        self._at_disk -= 1
        if not self._at_disk and self._held is not None:
            self._held.cancel()
            self._held = None
            loop = asyncio.get_running_loop()
            loop.call_soon(self._go_on, loop)

    @property
    def stays_away_s(self) -> float:
        """How long one of these would stay away now, before its turn."""
        return self._after_s if self._elapsed_s() < self._others_until_s else 0.0

    async def turn(self) -> None:
        """Returns at once where no other of these goes on in this round of the loop and nobody
        else calls or waits for the disk, else in a later one: while others call, after after_s, and
        each lets one go on, in their order. Within longest_s more in any case."""
        loop = asyncio.get_running_loop()
        if stays_away_s := self.stays_away_s:
            await asyncio.sleep(stays_away_s)
        now_s = self._elapsed_s()
        if not self._goes_on:
            self._goes_on = self._begins = True
            if not self._at_disk and now_s >= self._others_until_s:
                loop.call_soon(self._next, loop)
                return
            loop.call_soon(self._go_on_where_not_held, loop)
        turn = loop.create_future()
        self._waiting.append((now_s + self._longest_s, turn))
        await turn
        if self._begins:
            # What others did in this round of the loop, before, is not these calls'.
            self._begins, self._began_s = False, self._elapsed_s()

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = self._elapsed_s()
        if now_s >= self._others_until_s:
            self._spent_s = 0.0
        elif not self._begins:  # else whoever it was is over, or came while nobody else called
            self._spent_s += now_s - self._began_s
        if self._waiting and self._spent_s >= SPENT_S:
            pause = self._pause if len(self._waiting) <= MANY else self._pause_of_many
            pause_s, self._spent_s = pause * self._spent_s, 0.0
            self._held_enough = False
            loop.call_later(self._at_most(pause_s), self._go_on_where_not_held, loop)
        else:
            self._go_on_where_not_held(loop)

    def _go_on_where_not_held(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and self._at_disk and not self._held_enough:
            within_s = self._at_most(self._pause * SPENT_S)
            self._held = loop.call_later(within_s, self._go_on_all_the_same, loop)
        else:
            self._go_on(loop)

    def _at_most(self, wait_s: float) -> float:
        """It, or what is left to the first of them."""
        return max(min(wait_s, self._waiting[0][0] - self._elapsed_s()), 0.0)

    def _go_on_all_the_same(self, loop: asyncio.AbstractEventLoop) -> None:
        """Others wait for the disk one after the other: now it is these calls' part of the time."""
        self._held, self._held_enough = None, True
        self._go_on(loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = self._elapsed_s()
        left = together = 1 if now_s < self._others_until_s else TOGETHER
        while self._waiting and (left > 0 or self._waiting[0][0] <= now_s):
            _, turn = self._waiting.popleft()
            if not turn.done():  # cancelled: its call is over
                turn.set_result(None)
                left -= 1
        self._goes_on = self._begins = left < together
        if self._goes_on:
            loop.call_soon(self._next, loop)
        else:
            self._spent_s, self._held_enough = 0.0, False
