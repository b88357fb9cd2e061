"""Waiters: a crowd that hears at once keeps nobody else waiting, and everybody hears."""

from __future__ import annotations

import asyncio

import pytest

from perso_core.errors import StoreUnavailable
from perso_core.worker.waiters import TOGETHER, Waiters


class Waiting:
    """Who waits for the sequences 1 to `number`. heard: those who were told, in order."""

    def __init__(self, waiters: Waiters, number: int) -> None:
        self.heard: list[int] = []
        loop = asyncio.get_running_loop()
        self.futures = [waiters.wait(one, loop) for one in range(1, number + 1)]
        self.calls = [
            asyncio.create_task(self._call(one, future))
            for one, future in enumerate(self.futures, 1)
        ]

    async def _call(self, one: int, future: asyncio.Future[None]) -> None:
        await future
        self.heard.append(one)

    async def rounds(self, count: int) -> list[int]:
        for _ in range(count):
            await asyncio.sleep(0)
        return self.heard


async def test_of_a_crowd_a_few_hear_in_each_round_in_their_order() -> None:
    waiters = Waiters()
    waiting = Waiting(waiters, 10 * TOGETHER)
    await waiting.rounds(1)

    waiters.kept_in_turn(range(1, 10 * TOGETHER + 1))

    for told in range(1, 11):
        assert await waiting.rounds(1) == list(range(1, told * TOGETHER + 1))


async def test_who_is_no_crowd_hears_before_those_who_are_in_turn() -> None:
    waiters = Waiters()
    waiting = Waiting(waiters, 12)
    await waiting.rounds(1)
    waiters.kept_in_turn(range(1, 11))

    waiters.kept([11, 12])

    assert await waiting.rounds(1) == [1, 2, 11, 12]
    assert await waiting.rounds(10) == [1, 2, 11, 12, *range(3, 11)]


async def test_who_hears_of_a_second_commit_waits_for_those_of_the_first() -> None:
    waiters = Waiters()
    waiting = Waiting(waiters, 4 * TOGETHER)
    await waiting.rounds(1)

    for first in (1, 1 + 2 * TOGETHER):
        waiters.kept_in_turn(range(first, first + 2 * TOGETHER))

    for told in range(1, 5):
        assert await waiting.rounds(1) == list(range(1, told * TOGETHER + 1))


async def test_one_who_stopped_waiting_takes_nobodys_turn() -> None:
    waiters = Waiters()
    waiting = Waiting(waiters, 4)
    await waiting.rounds(1)
    waiting.calls[0].cancel()
    waiting.calls[1].cancel()
    await waiting.rounds(2)

    waiters.kept_in_turn([1, 2, 3, 4])

    assert await waiting.rounds(1) == [3, 4]


async def test_what_is_kept_is_not_lost_while_its_waiters_have_not_heard() -> None:
    waiters = Waiters()
    waiting = Waiting(waiters, 8)
    await waiting.rounds(1)
    waiters.kept_in_turn([1, 2, 3, 4, 5, 6])

    waiters.lost(lambda: StoreUnavailable("the disk is full.", fix="Make room."))

    assert await waiting.rounds(6) == [1, 2, 3, 4, 5, 6]
    for call in waiting.calls[6:]:
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await call
