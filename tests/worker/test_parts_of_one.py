"""An event of which the rules take long is decided in parts, as if it were at one go."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction, NeedProfile
from perso_core.engine.journal import (
    AttributesPatched,
    ConsentChosen,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from perso_core.errors import StoreUnavailable
from perso_core.rules import ahead as ahead_module
from perso_core.rules.ahead import Ahead, NotYet
from perso_core.stores.memory import MemoryStore
from perso_core.worker import parts
from tests.building import HOUR_MS, MINUTE_MS, NOON_MS, definitions, event, snapshot
from tests.rules import making_stories as stories
from tests.soaking import times
from tests.worker.stack import ANNA, BERT, Stack, WatchedStore, running, settled
from tests.worker.test_parts import made_change, made_rules, until

STORIES, REQUESTS = times(60, 1_500), times(12, 40)
WINDOW_MS = 5 * HOUR_MS
VIEW = "view"
# Each is run over all events for each view.
RUN = {f"s{n}": f'xEvent[eventType = "{VIEW}"].sum(price) > {n}' for n in range(120)}


@pytest.fixture(autouse=True, scope="module")
def others_have_one_round() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "OTHERS_AT_MOST_S", 0)
        yield


# More than to look at one event takes, and less than at five.
A_FEW_STEPS = 30


def view(name: str, *, at_ms: int = NOON_MS) -> EventArrived:
    return EventArrived(event=event(VIEW, event_id=name, at_ms=at_ms, price=1))


def without_price() -> EventArrived:
    """What a page's script reports of view("p"), whose server adds the rest."""
    return EventArrived(event=event(VIEW, event_id="p", at_ms=NOON_MS - 10))


async def reported_long_ago(stack: Stack) -> None:
    """So many came since that it is not whole in memory."""
    await durably(stack, of(without_price()))
    for number in range(20):
        await durably(stack, of(other(f"since{number}")))


def other(name: str) -> EventArrived:
    """For which no rule is run."""
    return EventArrived(event=event("other", event_id=name))


def of(*changes: Any, key: str = ANNA) -> Interaction:
    return Interaction(profile_key=key, datastream_id="demo", changes=changes)


@asynccontextmanager
async def slowly(store: WatchedStore | None = None, **more: Any) -> AsyncIterator[Stack]:
    """A stack in whose memory Anna is, with four events, and Bert, with one that no rule is run
    for, and by whose clock each rule takes longer than a part."""
    in_force = snapshot(RUN | {"gold": 'loyalty.tier = "gold"'})
    more = {"in_force": in_force, "elapsed_s": itertools.count(0, 1).__next__} | more
    async with running(store, **more) as stack:
        await stack.admission.decided(of(other("b"), key=BERT))
        for number in range(4):
            answer = await stack.admission.decided(of(view(f"e{number}", at_ms=NOON_MS - 10)))
        await stack.drain.durable(answer.sequence)
        yield stack


def audiences(answer: Answer) -> set[str]:
    return {one for found in answer.lookups[-1].destinations for one in found.audiences}


async def seen(stack: Stack) -> set[str]:
    return audiences(await stack.admission.decided(of()))


async def durably(stack: Stack, interaction: Interaction) -> Answer:
    answer = await stack.admission.decided(interaction)
    await stack.drain.durable(answer.sequence)
    return answer


FOUR, FIVE = {f"s{n}" for n in range(4)}, {f"s{n}" for n in range(5)}

# ---- others -----------------------------------------------------------------------------


async def test_the_loop_turns_for_each_rule_that_takes_long() -> None:
    async with slowly() as stack:
        turns = 0
        one = asyncio.ensure_future(stack.admission.decided(of(view("n"))))
        while not one.done():
            turns += 1
            await asyncio.sleep(0)

        assert audiences(await one) == FIVE
        assert turns > len(RUN) // 3


async def test_another_visitor_is_answered_while_one_event_is_decided() -> None:
    answered: list[str] = []
    async with slowly() as stack:

        async def asks(who: str, interaction: Interaction) -> None:
            await durably(stack, interaction)
            answered.append(who)

        one = asyncio.create_task(asks("anna", of(view("n"))))
        await asyncio.sleep(0)
        await asks("bert", of(other("c"), key=BERT))
        await one

    assert answered == ["bert", "anna"]


async def test_what_does_not_take_long_is_decided_at_once() -> None:
    async with slowly(elapsed_s=lambda: 0.0) as stack:
        assert isinstance(stack.admission.decide(of(view("n"))), Answer)


async def test_others_are_answered_while_one_rule_is_too_long_for_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_go_on = threading.Event()

    class Held(ThreadPoolExecutor):
        def submit(self, work: Any, /, *args: Any, **more: Any) -> Any:
            return super().submit(lambda: may_go_on.wait(60) and work(*args, **more))

    monkeypatch.setattr(parts, "ThreadPoolExecutor", Held)
    async with slowly() as stack:
        monkeypatch.setattr(ahead_module, "PART_STEPS", A_FEW_STEPS)
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await settled()

        await durably(stack, of(other("c"), key=BERT))
        assert not one.done()
        assert await seen(stack) == FOUR
        may_go_on.set()

        assert audiences(await one) == FIVE


async def test_a_visitor_with_few_events_does_not_wait_for_all_rules_of_one_with_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "MOST_AT_LENGTH", 1)
    done: list[str] = []
    async with slowly() as stack:

        async def asks(who: str, interaction: Interaction) -> None:
            await durably(stack, interaction)
            done.append(who)

        many = [view(f"n{number}") for number in range(10)]
        both = [asks("anna", of(*many)), asks("bert", of(view("c"), key=BERT))]
        await asyncio.gather(*both)

    assert done == ["bert", "anna"]


async def test_who_waits_for_a_turn_has_no_profile_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of thousands of events it is 10 to 30 MB, and hundreds may wait."""
    begun: list[Ahead] = []

    def noted() -> Ahead:
        begun.append(Ahead())
        return begun[-1]

    monkeypatch.setattr(parts, "Ahead", noted)
    many = [f"ECID:{number:038}" for number in range(10)]
    async with slowly() as stack:
        for key in many:
            await durably(stack, of(other("b"), key=key))
        tasks = [asyncio.ensure_future(stack.admission.decided(of(view("n"), key=k))) for k in many]
        most = 0
        while not all(task.done() for task in tasks):
            most = max(most, sum(one.unpacked for one in begun))
            await asyncio.sleep(0)

        assert {len(audiences(await task)) for task in tasks} == {1}
        assert 0 < most <= parts.MOST_AT_LENGTH


async def test_a_profile_is_taken_into_memory_in_parts() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as before:
        await durably(before, of(view("n")))
    async with running(
        store, in_force=snapshot(RUN), elapsed_s=itertools.count(0, 1).__next__
    ) as stack:
        turns = 0
        one = asyncio.ensure_future(stack.admission.decided(of()))
        while not one.done():
            turns += 1
            await asyncio.sleep(0)

        assert audiences(await one) == FIVE
        assert turns > len(RUN) // 3


async def test_one_of_those_who_ask_takes_it_into_memory_for_all() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as before:
        await durably(before, of(view("n")))
    async with running(
        store, in_force=snapshot(RUN), elapsed_s=itertools.count(0, 1).__next__
    ) as stack:
        tabs = [asyncio.create_task(stack.admission.decided(of())) for _ in range(3)]
        most = 0
        while not all(one.done() for one in tabs):
            most = max(most, stack.admission.parts.having_turns)
            await asyncio.sleep(0)

        assert [audiences(await one) for one in tabs] == [FIVE, FIVE, FIVE]
        assert most == 1


async def test_one_that_others_write_again_and_again_is_taken_into_memory_all_the_same() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as before:
        await durably(before, of(view("n")))
    async with running(
        store, in_force=snapshot(RUN), elapsed_s=itertools.count(0, 1).__next__
    ) as stack:
        one = asyncio.create_task(stack.admission.decided(of()))
        async with asyncio.timeout(30):
            while not one.done():
                stack.admission.heard(ANNA)
                for _ in range(10):
                    await asyncio.sleep(0)

        assert audiences(await one) == FIVE


async def test_one_that_others_wrote_while_it_was_taken_into_memory_is_read_again() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as before:
        await durably(before, of(view("n")))
    async with running(
        store, in_force=snapshot(RUN), elapsed_s=itertools.count(0, 1).__next__
    ) as stack:
        one = asyncio.create_task(stack.admission.decided(of()))
        await until(lambda: stack.admission.parts.having_turns > 0)
        loads = len(store.loads)
        stack.admission.heard(ANNA)

        assert audiences(await one) == FIVE
        assert len(store.loads) == loads + 1


# ---- the same visitor -------------------------------------------------------------------


async def test_nobody_sees_a_profile_of_which_half_the_rules_were_run() -> None:
    async with slowly() as stack:
        sights = []
        one = asyncio.ensure_future(stack.admission.decided(of(view("n"))))
        while not one.done():
            sights.append(await seen(stack))
            await asyncio.sleep(0)
        await stack.drain.durable((await one).sequence)

        assert sights[0] == FOUR
        assert all(sight in (FOUR, FIVE) for sight in sights)
        assert await seen(stack) == FIVE


async def test_what_comes_next_of_the_same_visitor_waits_its_turn() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        store.batches.clear()
        one = asyncio.create_task(durably(stack, of(view("n"))))
        await asyncio.sleep(0)
        gold = of(AttributesPatched({"loyalty": {"tier": "gold"}}))
        answers = await asyncio.gather(durably(stack, gold), durably(stack, of(view("m"))), one)

        kept = [entry for batch in store.batches for entry in batch]
        assert [type(entry.change).__name__ for entry in kept] == [
            "EventArrived",
            "AttributesPatched",
            "EventArrived",
        ]
        assert [entry.event.id for entry in kept if entry.event] == ["n", "m"]
        assert audiences(answers[1]) == FIVE | {"s5", "gold"}


async def test_a_refusal_waits_for_no_rule_and_bars_the_event() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)

        refusal = stack.admission.decide(of(ConsentChosen("out")))
        assert isinstance(refusal, Answer)
        await stack.drain.durable(refusal.sequence)
        answer = await one

        assert not answer.permitted
        assert (await stack.store.load(ANNA)).profile is None


async def test_an_erasure_comes_after_the_event_that_was_begun() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(durably(stack, of(view("n"))))
        await asyncio.sleep(0)

        await durably(stack, of(Forgotten()))
        await one

        assert (await stack.store.load(ANNA)).profile is None


async def test_who_has_the_profile_unchanged_is_not_waited_for_by_who_only_asks() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)

        with stack.admission.unchanged(ANNA):
            for _ in range(5):
                assert await seen(stack) == FOUR
            await stack.admission.decided_at_once(of(view("m")))
            await settled()
            assert not one.done()

        assert audiences(await one) == FIVE | {"s5"}


async def test_a_profile_that_changes_again_and_again_is_decided_at_one_go() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        for number in itertools.count():
            await asyncio.sleep(0)
            if one.done():
                break
            points = AttributesPatched({"points": number})
            await stack.admission.decided_at_once(of(points))

        assert audiences(await one) == FIVE


async def test_an_event_that_is_told_more_of_is_decided_though_its_rules_take_long() -> None:
    """What is stored of it is read once, and not again for each part."""
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        await reported_long_ago(stack)

        async with asyncio.timeout(30):
            answer = await durably(stack, of(view("p", at_ms=NOON_MS - 10)))

        assert audiences(answer) == FIVE
        assert len(store.looks) <= 2, "by what needs a load, and by what is decided in parts"
        kept = (await stack.store.load(ANNA)).profile
        assert kept is not None
        assert [one.xdm.get("price") for one in kept.events if one.id == "p"] == [1]


async def test_nor_does_it_go_on_for_ever_where_others_write_the_profile_again_and_again() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        await reported_long_ago(stack)
        one = asyncio.create_task(durably(stack, of(view("p", at_ms=NOON_MS - 10))))
        async with asyncio.timeout(30):
            for number in itertools.count():
                await asyncio.sleep(0)
                if one.done():
                    break
                points = of(AttributesPatched({"points": number}))
                changed = await stack.admission.decided_at_once(points)
                await stack.drain.durable(changed.sequence)

        assert audiences(await one) == FIVE


@pytest.mark.parametrize("known", [True, False])
async def test_an_event_with_a_signal_that_is_known_waits_its_turn(known: bool) -> None:
    """A browser sends it with each: none of them would wait, and each begin the others anew."""
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        if known:
            await durably(stack, of(PrivacySignalled()))
        store.batches.clear()

        names = [f"n{number}" for number in range(6)]
        visits = [of(PrivacySignalled(), view(name)) for name in names]
        said = [asyncio.create_task(durably(stack, visit)) for visit in visits]
        most = 0
        while not all(one.done() for one in said):
            most = max(most, len(stack.admission.parts.under_way.get(ANNA, ())))
            await asyncio.sleep(0)

        kept = [entry.event.id for batch in store.batches for entry in batch if entry.event]
        assert kept == names
        assert [len(audiences(await one)) for one in said] == [5, 6, 7, 8, 9, 10]
        assert most == 1


async def test_one_with_a_signal_that_is_new_waits_for_nobody() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)

        news = await stack.admission.decided(of(PrivacySignalled(), other("m")))

        assert not one.done()
        assert news.consent is not None
        await one


async def test_nobody_comes_between_a_signal_and_the_event_that_it_came_with() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        store.batches.clear()
        one = asyncio.create_task(durably(stack, of(PrivacySignalled(), view("n"))))
        await asyncio.sleep(0)
        assert stack.admission.parts.is_deciding(ANNA)
        await asyncio.gather(durably(stack, of(view("m"))), one)

        kept = [entry.event.id for batch in store.batches for entry in batch if entry.event]
        assert kept == ["n", "m"]


async def test_a_caller_who_is_gone_leaves_the_event_to_be_decided() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)
        one.cancel()
        await stack.admission.parts.over(ANNA)

        answer = await durably(stack, of(view("n")))

        assert audiences(answer) == FIVE
        assert len(await stack.event_ids()) == 5


async def test_one_who_waits_for_it_and_is_gone_leaves_an_event_to_be_decided_as_well() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)
        next_one = asyncio.create_task(stack.admission.decided(of(view("m"))))
        await asyncio.sleep(0)
        next_one.cancel()
        await one
        await until(lambda: not stack.admission.parts.working)

        assert await seen(stack) == FIVE | {"s5"}


async def test_a_process_that_stops_tells_that_it_is_not_stored() -> None:
    async with slowly() as stack:
        one = asyncio.create_task(stack.admission.decided(of(view("n"))))
        await asyncio.sleep(0)
        await stack.admission.parts.close()

        with pytest.raises(StoreUnavailable):
            await one
        assert not stack.engine.waiting


# ---- the law ----------------------------------------------------------------------------


@pytest.mark.parametrize("part_steps", [0, 40, 10**6])
@settings(max_examples=STORIES, deadline=None)
@given(stories.randoms)
def test_what_is_decided_in_parts_equals_what_is_decided_at_one_go(
    part_steps: int, chance: Random
) -> None:
    """Each rule a part of its own. Events in and out of order, second reports, claims, attributes,
    consent, caps, time; others who ask for her between two parts, and commits."""
    in_force = compile_snapshot(definitions(made_rules(chance)), event_window_ms=WINDOW_MS)
    whole, parted = (Engine(in_force, caps=Caps(events=12)) for _ in range(2))
    now_ms = stories.START_MS
    sent: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead_module, "PART_STEPS", part_steps)
        for _ in range(REQUESTS):
            now_ms += chance.choice((1_000, MINUTE_MS, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS))
            changes = [made_change(chance, now_ms, sent) for _ in range(chance.choice((1, 1, 4)))]
            asked = structs.replace(of(*changes), new=True, visits=True)
            if chance.random() < 0.1:
                again = _again(in_force)
                whole.swap(again)
                parted.swap(again)

            # So that who asks between two parts sees what was there before.
            for engine in (whole, parted):
                engine.lookup(ANNA, "demo", now_ms=now_ms)
            at_one_go = whole.decide(asked, now_ms=now_ms)
            in_parts = _in_parts(parted, asked, now_ms, chance)

            assert in_parts == at_one_go
            assert parted.pending(100) == whole.pending(100)
            if chance.random() < 0.3:
                for engine in (whole, parted):
                    engine.kept([entry.sequence for entry in engine.pending(100)])
        assert parted.profile(ANNA, now_ms=now_ms) == whole.profile(ANNA, now_ms=now_ms)


def _again(in_force: Snapshot) -> Snapshot:
    """The same definitions, put in force once more."""
    return structs.replace(in_force)


def _in_parts(
    engine: Engine, asked: Interaction, now_ms: int, chance: Random
) -> Answer | NeedProfile:
    """Asked again after each part, as worker/parts.py does."""
    ahead, answers = Ahead(), list[Answer]()
    rest, begun = asked, False
    while True:
        new = itertools.count()
        ahead.part(lambda new=new: next(new) > 0)  # type: ignore[misc]  # bound anew each time
        try:
            answer = engine.decide(
                rest, now_ms=now_ms, enough=lambda: False, begun=begun, ahead=ahead
            )
        except NotYet:
            if ahead.aside is not None:
                ahead.found(ahead.aside())
            if chance.random() < 0.2:
                engine.lookup(ANNA, "demo", now_ms=now_ms)
            if chance.random() < 0.1:
                ahead.rest()
            continue
        if isinstance(answer, NeedProfile):
            assert not begun, "what it needs is looked for before the first"
            return answer
        answers.append(answer)
        done = sum(len(one.lookups) for one in answers)
        if done >= len(asked.changes):
            break
        rest, begun = structs.replace(asked, changes=asked.changes[done:], new=False), True
    lookups = tuple(found for one in answers for found in one.lookups)
    return structs.replace(answers[-1], lookups=lookups)
