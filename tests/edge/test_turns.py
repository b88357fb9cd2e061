"""However many come for the first time, whoever is known does not wait behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from perso_core.edge.abuse import MANY_CALLS, Limits
from perso_core.edge.heavy_senders import MOST_WAITING
from perso_core.edge.limits import Rate
from perso_core.edge.turns import (
    AFTER_EXCESS,
    AFTER_FIRST_VISITS,
    AFTER_MANY,
    AFTER_REFUSALS,
    LATELY_S,
    LONGEST_S,
    MANY,
    REFUSED_AFTER_S,
    SPENT_S,
    TOGETHER,
    Turns,
)
from perso_core.edge.unstored import Deadline, not_counted
from perso_core.errors import StoreUnavailable
from tests.edge.running import Browser, ordinary, page_view, running_edge
from tests.edge.servers import batch, server_call, server_edge, telling

CONSENTING = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]}


class Alarms(list[tuple[float, Callable[[], None]]]):
    """Instead of a loop's call_later: what is to be called, and after how many seconds."""

    def __call__(
        self, delay_s: float, then: Callable[..., None], *of: object, **_: object
    ) -> Alarm:
        self.append((delay_s, partial(then, *of)))
        return Alarm()


class Alarm:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
async def pauses(monkeypatch: pytest.MonkeyPatch) -> Alarms:
    """Those that no clock ends."""
    alarms = Alarms()
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", alarms)
    return alarms


class Callers:
    """Some who come for the first time together. taken: what each does in its turn. went: those
    whose turn it was, in order."""

    def __init__(
        self, first_visits: Turns, number: int, taken: Callable[[], None] = lambda: None
    ) -> None:
        self._first_visits, self._taken = first_visits, taken
        self.went: list[int] = []
        self.calls = [asyncio.create_task(self._call(one)) for one in range(number)]

    async def _call(self, one: int) -> None:
        await self._first_visits.turn()
        self.went.append(one)
        self._taken()

    async def rounds(self, count: int) -> list[int]:
        """Who has gone on after so many more rounds of the event loop."""
        for _ in range(count):
            await asyncio.sleep(0)
        return self.went


async def test_while_others_call_one_first_visit_goes_on_in_each_round_in_their_order() -> None:
    first_visits = Turns(AFTER_FIRST_VISITS, lambda: 0.0)
    first_visits.another_calls()
    came = Callers(first_visits, 5)

    for last in (0, 1, 2, 3, 4):
        went = list(came.went)
        while came.went == went:
            await came.rounds(1)
        assert came.went == [*went, last]


async def test_a_first_visit_alone_waits_for_nobody() -> None:
    first_visits = Turns(AFTER_FIRST_VISITS)
    for _ in range(3):
        assert await Callers(first_visits, 1).rounds(1) == [0]
        await asyncio.sleep(0)


async def test_who_has_waited_long_enough_goes_on_together_with_others() -> None:
    now_s = 0.0
    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s)
    first_visits.another_calls()
    came = Callers(first_visits, 100)
    await came.rounds(5)
    assert len(came.went) < 10

    now_s = LONGEST_S

    assert await came.rounds(2) == list(range(100))


async def test_while_others_call_first_visits_take_a_seventh_of_the_time(pauses: Alarms) -> None:
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S / 2

    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s)
    first_visits.another_calls()
    came = Callers(first_visits, 6, taken)

    assert await came.rounds(20) == [0, 1]
    ((pause_s, go_on),) = pauses
    assert pause_s == 6 * SPENT_S
    go_on()
    assert await came.rounds(20) == [0, 1, 2, 3]


async def test_where_many_first_visits_wait_their_pauses_are_shorter(pauses: Alarms) -> None:
    """Else they would have waited as long as they may, and gone on together."""
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S

    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s, pause_of_many=AFTER_MANY)
    first_visits.another_calls()
    came = Callers(first_visits, MANY + 2, taken)

    assert await came.rounds(20) == [0]
    ((pause_s, go_on),) = pauses
    assert pause_s == AFTER_MANY * SPENT_S
    go_on()
    assert await came.rounds(20) == [0, 1]
    assert pauses[-1][0] == AFTER_FIRST_VISITS * SPENT_S


async def test_a_refusal_stays_away_before_its_turn_while_others_call(pauses: Alarms) -> None:
    refusals = Turns(AFTER_REFUSALS, lambda: 0.0, after_s=REFUSED_AFTER_S)
    assert await Callers(refusals, 1).rounds(1) == [0], "nobody else is there"

    refusals.another_calls()
    came = Callers(refusals, 2)

    assert await came.rounds(20) == []
    assert [delay_s for delay_s, _ in pauses] == [REFUSED_AFTER_S] * 2
    for _, come_back in pauses:
        come_back()
    assert await came.rounds(20) == [0, 1]


async def test_what_others_do_meanwhile_is_not_what_these_spend(pauses: Alarms) -> None:
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S / 10

    async def others() -> None:
        nonlocal now_s
        for _ in range(20):
            now_s += SPENT_S
            await asyncio.sleep(0)

    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s, longest_s=100)
    first_visits.another_calls()
    came = Callers(first_visits, 6, taken)
    async with asyncio.TaskGroup() as at_once:
        at_once.create_task(others())
    await came.rounds(20)

    assert came.went == [0, 1, 2, 3, 4, 5]
    assert pauses == []


async def test_where_nobody_else_calls_first_visits_take_all_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", None)
    now_s = 0.0
    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s)
    first_visits.another_calls()
    now_s += LATELY_S
    came = Callers(first_visits, 1 + 2 * TOGETHER)
    rounds: list[int] = []
    for _ in range(12):
        now_s += SPENT_S
        rounds.append(len(await came.rounds(1)))

    assert sorted(set(rounds)) == [1, 1 + TOGETHER, 1 + 2 * TOGETHER]
    assert came.went == sorted(came.went)


async def test_what_was_spent_while_nobody_called_makes_no_pause_longer(pauses: Alarms) -> None:
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S / 10

    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s, longest_s=100)
    came = Callers(first_visits, 20 * TOGETHER, taken)
    await came.rounds(12)
    assert now_s > 3 * SPENT_S, "so long they went on, and some still wait"
    first_visits.another_calls()

    await came.rounds(20)

    assert len(came.went) < 20 * TOGETHER
    ((pause_s, _),) = pauses
    assert pause_s < 2 * 6 * SPENT_S


@pytest.mark.usefixtures("pauses")
async def test_while_others_wait_for_the_disk_no_first_visit_goes_on() -> None:
    first_visits = Turns(AFTER_FIRST_VISITS)
    first_visits.another_waits_for_disk()
    first_visits.another_waits_for_disk()
    came = Callers(first_visits, 3)
    assert await came.rounds(20) == []

    first_visits.another_waits_no_more()
    assert await came.rounds(20) == []
    first_visits.another_waits_no_more()

    assert await came.rounds(20) == [0, 1, 2]


@pytest.mark.usefixtures("pauses")
async def test_first_visits_that_go_on_stop_for_who_waits_for_the_disk() -> None:
    first_visits = Turns(AFTER_FIRST_VISITS, lambda: 0.0)
    first_visits.another_calls()
    came = Callers(first_visits, 5)
    while not came.went:
        await came.rounds(1)

    first_visits.another_waits_for_disk()
    went = list(await came.rounds(1))
    assert await came.rounds(20) == went
    first_visits.another_waits_no_more()

    assert await came.rounds(20) == [0, 1, 2, 3, 4]


async def test_where_others_wait_for_the_disk_without_end_first_visits_have_their_part(
    pauses: Alarms,
) -> None:
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S / 2

    first_visits = Turns(AFTER_FIRST_VISITS, lambda: now_s)
    first_visits.another_calls()
    first_visits.another_waits_for_disk()
    came = Callers(first_visits, 3, taken)
    assert await came.rounds(20) == []
    held_s, go_on = pauses.pop()
    assert held_s == 6 * SPENT_S

    go_on()
    assert await came.rounds(20) == [0, 1], "with nobody to wait for in between"
    pause_s, go_on = pauses.pop()
    assert pause_s == 6 * SPENT_S
    go_on()
    assert await came.rounds(20) == [0, 1], "held anew, for whoever waits by now"
    held_s, go_on = pauses.pop()
    go_on()
    assert await came.rounds(20) == [0, 1, 2]
    assert not pauses


async def test_no_pause_is_longer_than_the_first_of_those_who_wait_may_wait(
    pauses: Alarms,
) -> None:
    now_s = 0.0

    def taken() -> None:
        nonlocal now_s
        now_s += SPENT_S
        first_visits.another_waits_for_disk()

    first_visits = Turns(AFTER_EXCESS, lambda: now_s)
    first_visits.another_calls()
    first_visits.another_waits_for_disk()
    came = Callers(first_visits, 2, taken)
    await came.rounds(10)
    pauses.clear()
    now_s += LONGEST_S - 3 * SPENT_S
    first_visits.another_waits_no_more()
    first_visits.another_calls()
    assert await came.rounds(10) == [0]

    ((pause_s, go_on),) = pauses

    assert pause_s == pytest.approx(2 * SPENT_S)
    now_s += pause_s
    go_on()
    assert await came.rounds(3) == [0]
    (_, (held_s, go_on)) = pauses
    assert held_s == 0
    go_on()
    assert await came.rounds(1) == [0, 1]


async def test_a_call_that_is_over_keeps_nobody_waiting() -> None:
    came = Callers(Turns(AFTER_FIRST_VISITS), 5)
    await came.rounds(1)
    for one in (1, 2, 4):
        came.calls[one].cancel()

    assert await came.rounds(5) == [0, 3]
    await asyncio.wait(came.calls)


class Held(Turns):
    """Lets nobody go on before `opened`. asked: how often somebody had to wait for a turn."""

    def __init__(self) -> None:
        super().__init__(AFTER_FIRST_VISITS)
        self.asked = 0
        self.opened = asyncio.Event()

    async def turn(self) -> None:
        self.asked += 1
        await self.opened.wait()


async def test_who_is_known_is_answered_while_first_visits_wait() -> None:
    held = Held()
    held.opened.set()
    async with running_edge(
        ordinary(), services=lambda edge: edge.services(first_visits=held)
    ) as edge:
        known = Browser(edge)
        await known.send()
        assert held.asked == 2, "before it is decided, and before it is answered"
        held.opened.clear()

        stranger = asyncio.create_task(Browser(edge).send())
        assert (await known.send()).status == 200
        assert (await known.send("collect")).status == 204
        assert not stranger.done()

        held.opened.set()
        assert (await stranger).status == 200
        assert held.asked == 4


class Counted(Turns):
    """called: how often somebody did to whom these give way. stood_still: how often one of them
    waited for the disk. waits: how many do now."""

    def __init__(self) -> None:
        super().__init__(AFTER_FIRST_VISITS)
        self.stood_still = self.waits = self.called = 0

    def another_calls(self) -> None:
        self.called += 1
        super().another_calls()

    def another_waits_for_disk(self) -> None:
        self.stood_still += 1
        self.waits += 1
        super().another_waits_for_disk()

    def another_waits_no_more(self) -> None:
        self.waits -= 1
        super().another_waits_no_more()


async def test_nobody_gives_way_while_a_first_visit_waits_for_the_disk() -> None:
    first_visits, excess = Counted(), Counted()
    async with running_edge(
        ordinary(),
        services=lambda edge: edge.services(first_visits=first_visits, excess=excess),
    ) as edge:
        await Browser(edge).send()

    assert (first_visits.stood_still, excess.stood_still) == (0, 0)


async def test_nobody_gives_way_to_one_who_calls_more_often_than_a_person() -> None:
    first_visits, excess = Counted(), Counted()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))
    async with running_edge(
        ordinary(),
        services=lambda edge: edge.services(
            limits=limits, first_visits=first_visits, excess=excess
        ),
    ) as edge:
        browser = Browser(edge)
        for _ in range(1 + MANY_CALLS + 10):
            await browser.send()

    assert (first_visits.stood_still, excess.stood_still) == (MANY_CALLS, MANY_CALLS)
    assert (first_visits.waits, excess.waits) == (0, 0)


async def test_others_give_way_to_a_server_that_waits_for_an_answer_and_not_to_its_batches() -> (
    None
):
    first_visits, excess = Counted(), Counted()
    async with server_edge(first_visits=first_visits, excess=excess) as edge:
        shown = telling("view", CRMID="anna")
        assert (await server_call(edge, shown)).status == 200
        assert (first_visits.stood_still, excess.stood_still) == (1, 1)

        assert (await server_call(edge, batch(shown), "collect")).status == 202

    assert (first_visits.stood_still, excess.stood_still) == (1, 1)
    assert (first_visits.called, excess.called) == (1, 1)
    assert (first_visits.waits, excess.waits) == (0, 0)


@pytest.mark.parametrize(("failing", "status"), [(False, 200), (True, 207)])
async def test_first_visits_stand_still_until_who_is_known_is_stored_or_is_not(
    failing: bool, status: int
) -> None:
    first_visits = Counted()
    committed, asked = asyncio.Event(), asyncio.Event()

    async def durable(_: int) -> None:
        asked.set()
        await committed.wait()
        if failing and first_visits.stood_still:
            raise StoreUnavailable("the disk is full.", fix="Make room.")

    async with running_edge(
        ordinary(),
        services=lambda edge: edge.services(
            durable=durable, first_visits=first_visits, answer_within_ms=60_000
        ),
    ) as edge:
        known = Browser(edge)
        committed.set()
        await known.send()
        committed.clear()
        asked.clear()
        call = asyncio.create_task(known.send())
        await asked.wait()
        assert first_visits.waits == 1

        committed.set()

        assert (await call).status == status
        assert first_visits.waits == 0


@pytest.mark.parametrize(
    ("action", "body", "turns"),
    [
        ("interact", None, 2),
        ("collect", None, 2),
        ("identity/acquire", {}, 1),
        ("privacy/set-consent", CONSENTING, 2),
    ],
)
async def test_whatever_a_stranger_asks_gives_way(action: str, body: Any, turns: int) -> None:
    held = Held()
    held.opened.set()
    async with running_edge(
        ordinary(), services=lambda edge: edge.services(first_visits=held)
    ) as edge:
        assert (await edge.call(action, body)).status in (200, 204)
        assert held.asked == turns


async def test_whoever_calls_more_often_than_a_person_gives_way() -> None:
    held = Held()
    held.opened.set()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))

    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, excess=held)
    ) as edge:
        browser = Browser(edge)
        for _ in range(1 + MANY_CALLS):
            await browser.send()
        assert held.asked == 0

        await browser.send()
        assert held.asked == 1
        edge.now_ms += 60_000
        await browser.send()
        assert held.asked == 1


async def test_whoever_sends_more_events_than_a_person_in_a_few_calls_gives_way() -> None:
    held = Held()
    held.opened.set()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))
    batch = {"events": page_view()["events"] * MANY_CALLS}

    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, excess=held)
    ) as edge:
        browser = Browser(edge)
        await browser.send()
        await browser.send(body=batch)
        assert held.asked == 0
        await browser.send(body=batch)
        assert held.asked == 1


async def test_whoever_is_refused_hears_of_it_after_others_are_answered() -> None:
    held = Held()
    limits = Limits(visitor=Rate(per_s=1, burst=1))

    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, refusals=held)
    ) as edge:
        flooder, other = Browser(edge), Browser(edge)
        await flooder.send()
        await other.send()
        await flooder.send()

        refused = [asyncio.create_task(flooder.send()) for _ in range(2)]
        assert (await other.send()).status == 200
        assert not any(one.done() for one in refused)

        held.opened.set()
        assert [(await one).status for one in refused] == [429, 429]
        assert held.asked == 2


async def test_of_a_visitor_who_sends_more_than_a_person_only_so_many_calls_wait() -> None:
    held = Held()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))

    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, excess=held)
    ) as edge:
        flooder, other = Browser(edge), Browser(edge)
        await other.send()
        for _ in range(1 + MANY_CALLS):
            await flooder.send()

        async with asyncio.TaskGroup() as at_once:
            calls = [at_once.create_task(flooder.send()) for _ in range(MOST_WAITING + 2)]
            told = asyncio.as_completed(calls)
            assert [(await next(told)).status for _ in range(2)] == [429, 429]
            assert held.asked == MOST_WAITING
            assert (await other.send()).status == 200
            held.opened.set()

        assert sorted(call.result().status for call in calls) == [200] * MOST_WAITING + [429] * 2
        assert (await flooder.send()).status == 200, "room again"


async def test_of_a_visitor_s_batches_as_few_wait_as_bring_no_more_events() -> None:
    held = Held()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))
    batch = {"events": page_view()["events"] * (MOST_WAITING // 2)}

    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, excess=held)
    ) as edge:
        flooder = Browser(edge)
        for _ in range(1 + MANY_CALLS):
            await flooder.send()

        async with asyncio.TaskGroup() as at_once:
            calls = [at_once.create_task(flooder.send(body=batch)) for _ in range(3)]
            assert (await next(asyncio.as_completed(calls))).status == 429
            assert held.asked == 2
            held.opened.set()

        assert sorted(call.result().status for call in calls) == [200, 200, 429]
        more = {"events": batch["events"] * 3}
        assert (await flooder.send(body=more)).status == 200, "alone, where none of theirs waits"


async def test_a_turn_is_waited_for_outside_of_the_time_that_an_answer_may_take(
    pauses: Alarms,
) -> None:
    deadline = Deadline(0)  # its time is up whenever the clock is looked at

    async def turn() -> None:
        ((_, look),) = pauses
        look()
        assert not deadline.expired

    async def call() -> None:
        with deadline:
            await not_counted(turn())
            assert len(pauses) == 2, "the whole time, from now on"
            pauses[1][1]()
            assert deadline.expired
            await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await asyncio.create_task(call())
