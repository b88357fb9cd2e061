"""Who waits until something is on disk, and in which order they hear that it is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

# So many of a flood hear of it in one round of the event loop: what they go on to do keeps others'
# calls from being read, and a commit may have hundreds of them.
TOGETHER = 2


class Waiters:
    """On one event loop. Each waits for one sequence."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        self._in_turn: deque[asyncio.Future[None]] = deque()

    def wait(self, sequence: int, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Has a result once the sequence is kept, an exception once it is lost."""
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(sequence, []).append(future)
        return future

    def kept(self, sequences: Iterable[int]) -> None:
        """Who waits for one of these hears it."""
        for sequence in sequences:
            for future in self._waiting.pop(sequence, ()):
                if not future.done():  # cancelled: its request is gone
                    future.set_result(None)

    def kept_in_turn(self, sequences: Iterable[int]) -> None:
        """Who waits for one of these hears it in their order, with a look at all connections after
        TOGETHER of them."""
        under_way = bool(self._in_turn)
        for sequence in sequences:
            self._in_turn.extend(self._waiting.pop(sequence, ()))
        if not under_way:
            self._go_on()

    def _go_on(self) -> None:
        told = 0
        while self._in_turn and told < TOGETHER:
            future = self._in_turn.popleft()
            if not future.done():
                future.set_result(None)
                told += 1
        if self._in_turn:
            self._in_turn[0].get_loop().call_soon(self._go_on)

    def lost(self, why: Callable[[], Exception]) -> None:
        """Everybody who waits for what is not kept hears it, each by an exception of their own. Who
        waits for their turn does not: what they wait for is kept."""
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(why())
