"""One timer for many deadlines: each is told when its time is up, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

import pytest

from perso_core.edge import alarm
from perso_core.edge.alarm import Alarm, alarm_of
from perso_core.edge.unstored import Deadline, finished
from tests.worker.stack import Clock


class Loop:
    """One timer at a time, which only a clock's hand ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, wait_s: float, then: Callable[[], None], **_: object) -> None:
        assert wait_s >= 0
        self.timers.append((self._clock.s + wait_s, then))

    def go_on_until(self, now_s: float) -> None:
        while self.timers and min(self.timers)[0] <= now_s:
            due = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove(due)
            self._clock.s = max(self._clock.s, due[0])
            due[1]()
        self._clock.s = now_s


class Waiting:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.over_s: float | None = None

    def expire(self) -> None:
        assert self.over_s is None, "told twice"
        self.over_s = self._clock.s


class Ringing:
    """An alarm for those who have 0.25 s, and a clock that stands at 100 s."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.alarm = Alarm(cast(Any, self.loop), 0.25, self.clock)

    def begin(self, at_s: float) -> Waiting:
        self.loop.go_on_until(at_s)
        waiting = Waiting(self.clock)
        self.alarm.add(waiting)
        return waiting


def test_each_is_told_when_its_own_time_is_up() -> None:
    ringing = Ringing()
    begun = [ringing.begin(at_s) for at_s in (100.0, 100.125, 100.25, 100.375)]

    ringing.loop.go_on_until(101)

    assert [one.over_s for one in begun] == [100.25, 100.375, 100.5, 100.625]
    assert not ringing.loop.timers


def test_who_is_through_in_time_is_not_told_and_holds_up_nobody() -> None:
    ringing = Ringing()
    first, second, third = (ringing.begin(at_s) for at_s in (100.0, 100.125, 100.1875))
    ringing.alarm.remove(first)
    ringing.alarm.remove(second)

    ringing.loop.go_on_until(101)

    assert (first.over_s, second.over_s, third.over_s) == (None, None, 100.4375)


def test_of_many_whose_time_is_up_each_costs_the_same() -> None:
    ringing = Ringing()
    begun = [ringing.begin(100.0) for _ in range(100_000)]
    began_s = time.process_time()

    ringing.loop.go_on_until(101)

    assert time.process_time() - began_s < 1
    assert {one.over_s for one in begun} == {100.25}


def test_who_is_removed_as_another_is_told_is_not_told() -> None:
    ringing = Ringing()
    first, second = ringing.begin(100), ringing.begin(100)
    first.expire = lambda: ringing.alarm.remove(second)  # type: ignore[method-assign]

    ringing.loop.go_on_until(101)

    assert second.over_s is None


def test_who_begins_anew_has_the_whole_time_again() -> None:
    ringing = Ringing()
    one, other = ringing.begin(100), ringing.begin(100.125)
    ringing.loop.go_on_until(100.1875)
    ringing.alarm.remove(one)
    ringing.alarm.add(one)

    ringing.loop.go_on_until(101)

    assert (one.over_s, other.over_s) == (100.4375, 100.375)


def test_many_have_one_timer_and_none_once_all_are_through() -> None:
    ringing = Ringing()
    for number in range(40):
        ringing.alarm.remove(ringing.begin(100 + number / 64))
        assert len(ringing.loop.timers) == 1

    ringing.loop.go_on_until(101)

    assert not ringing.loop.timers
    assert ringing.begin(101)
    assert len(ringing.loop.timers) == 1


def test_where_one_cannot_be_told_the_others_are() -> None:
    class Broken(Waiting):
        def expire(self) -> None:
            raise ValueError("broken")

    ringing = Ringing()
    ringing.alarm.add(Broken(ringing.clock))
    others = [ringing.begin(at_s) for at_s in (100.0, 100.125)]

    with pytest.raises(ValueError, match="broken"):
        ringing.loop.go_on_until(101)
    ringing.loop.go_on_until(101)

    assert [one.over_s for one in others] == [100.25, 100.375]


def test_a_timer_that_is_a_moment_early_is_not_set_for_that_moment() -> None:
    ringing = Ringing()
    one = ringing.begin(100)
    ((_, ring),) = ringing.loop.timers
    ringing.clock.s = 100.2495

    ring()

    assert one.over_s == 100.2495


async def test_whoever_runs_another_loop_has_another_alarm() -> None:
    here = asyncio.get_running_loop()
    mine = alarm_of(here, 250)

    there = asyncio.new_event_loop()
    try:
        assert alarm_of(there, 250).loop is there
    finally:
        there.close()

    assert alarm_of(here, 250).loop is mine.loop is here
    assert alarm_of(here, 250) is alarm_of(here, 250)
    assert alarm_of(here, 250) is not alarm_of(here, 251)


async def test_however_many_lengths_there_are_no_more_than_a_hundred_alarms_are_kept() -> None:
    """A page may be given what is left of its own budget: each length had left its alarm."""
    waiting = asyncio.create_task(_until_time_is_up(20))
    await asyncio.sleep(0)
    for within_ms in range(1_000, 2_000):
        with Deadline(within_ms):
            pass

    assert len(alarm._latest) <= 100
    assert await waiting == "time was up"


async def _until_time_is_up(within_ms: int) -> str:
    try:
        with Deadline(within_ms):
            await asyncio.Event().wait()
    except TimeoutError:
        return "time was up"
    return "nobody ended it"


async def test_a_call_that_ends_in_time_leaves_nothing_to_the_garbage_collector() -> None:
    async def call() -> None:
        with Deadline(3_600_000):
            assert await finished(asyncio.sleep(0))

    await asyncio.create_task(call())
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await asyncio.create_task(call())
        assert not gc.collect()
    finally:
        gc.enable()


async def test_of_the_call_by_which_the_alarm_was_set_nothing_stays_until_it_rings() -> None:
    class Visitor:
        pass

    asked_for: ContextVar[Visitor] = ContextVar("asked_for")

    async def call() -> weakref.ref[Visitor]:
        visitor = Visitor()
        asked_for.set(visitor)
        with Deadline(3_600_000):
            await asyncio.sleep(0)
        return weakref.ref(visitor)

    visitor = await asyncio.create_task(call())
    await asyncio.sleep(0)  # until then the loop has the task

    assert visitor() is None


@pytest.mark.parametrize("pauses", [False, True])
async def test_of_calls_under_way_together_those_end_whose_time_is_up(pauses: bool) -> None:
    async def call(within_ms: int) -> str:
        deadline = Deadline(within_ms)
        try:
            with deadline:
                if pauses:
                    deadline.pause()
                    deadline.begin()
                await asyncio.Event().wait()
        except TimeoutError:
            return "time was up"
        return "nobody ended it"

    patient = asyncio.create_task(call(3_600_000))

    assert await asyncio.gather(*(call(1) for _ in range(5))) == ["time was up"] * 5
    assert not patient.done()
    patient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await patient
