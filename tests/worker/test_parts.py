"""A request of many events that takes long is decided in parts, and is one all the same."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from perso_core.decision.caps import Caps
from perso_core.decision.consent import Choice
from perso_core.decision.event import Event, event_from
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import OPERATOR, Answer, Interaction, NeedProfile
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from perso_core.errors import Overloaded, RecordTooLarge, StoreUnavailable
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker import parts
from tests.building import HOUR_MS, NOON_MS, definitions, event, snapshot
from tests.rules import making_stories as stories
from tests.soaking import times
from tests.worker.stack import ANNA, BERT, Stack, WatchedStore, broken, running, settled

STORIES, REQUESTS = times(30, 600), times(12, 40)
WINDOW_MS = 5 * HOUR_MS
SECOND_MS = 1_000
ADDED = "commerce.productListAdds"


@pytest.fixture(autouse=True, scope="module")
def others_have_one_round() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "OTHERS_AT_MOST_S", 0)
        yield


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What the event loop complains of."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: found.append(what))
    return found


def slow() -> Callable[[], float]:
    """A clock by which each change takes longer than a part."""
    return itertools.count(0, 1).__next__


def of(*changes: Change, key: str = ANNA, **more: Any) -> Interaction:
    return Interaction(profile_key=key, datastream_id="demo", changes=changes, **more)


def events(count: int, *, event_type: str = ADDED, name: str = "e") -> tuple[EventArrived, ...]:
    return tuple(
        EventArrived(event=event(event_type, event_id=f"{name}{number}"), datastream_id="demo")
        for number in range(count)
    )


def names(count: int, name: str = "e") -> set[str]:
    return {f"{name}{number}" for number in range(count)}


@asynccontextmanager
async def slowly(store: WatchedStore | None = None, **more: Any) -> AsyncIterator[Stack]:
    """A stack in whose memory Anna is."""
    async with running(store, elapsed_s=slow(), **more) as stack:
        await stack.admission.decided(of())
        yield stack


async def stored(stack: Stack) -> Profile:
    profile = (await stack.store.load(ANNA)).profile
    assert profile is not None
    return profile


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  round by round
            await asyncio.sleep(0)


async def until_one_is_decided(stack: Stack) -> None:
    await until(lambda: bool(stack.admission.parts.under_way))


# ---- others -----------------------------------------------------------------------------


async def test_another_visitor_is_answered_while_many_events_are_decided() -> None:
    answered: list[str] = []
    async with slowly() as stack:
        await stack.admission.decided(of(key=BERT))

        async def asks(who: str, interaction: Interaction) -> None:
            answer = await stack.admission.decided(interaction)
            await stack.drain.durable(answer.sequence)
            answered.append(who)

        many = asyncio.create_task(asks("anna", of(*events(100))))
        await until_one_is_decided(stack)
        await asks("bert", of(*events(1), key=BERT))
        await many

    assert answered == ["bert", "anna"]


async def test_what_does_not_take_long_is_decided_at_once() -> None:
    async with running(elapsed_s=lambda: 0.0) as stack:
        await stack.admission.decided(of())

        answer = stack.admission.decide(of(*events(100)))

        assert isinstance(answer, Answer)
        assert len(answer.lookups) == 100


async def test_one_event_is_decided_at_once_where_no_rule_is_run_over_all_events() -> None:
    async with slowly() as stack:
        assert isinstance(stack.admission.decide(of(*events(1))), Answer)


async def test_the_parts_of_several_requests_take_turns() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        await stack.admission.decided(of(key=BERT))
        asked = [of(*events(20)), of(*events(20), key=BERT)]

        answers = await asyncio.gather(*(stack.admission.decided(one) for one in asked))
        for answer in answers:
            await stack.drain.durable(answer.sequence)

    decided = [entry.key for batch in store.batches for entry in batch]
    assert max(len([*run]) for _, run in itertools.groupby(decided)) <= 2


# ---- all of it, or nothing --------------------------------------------------------------


async def test_more_than_has_room_is_refused_before_the_first_is_decided() -> None:
    async with slowly(engine={"journal_limit": 10}) as stack:
        with pytest.raises(Overloaded):
            stack.admission.decide(of(*events(11)))

        assert stack.engine.waiting == 0
        assert stack.engine.room == 10


async def test_what_makes_a_profile_too_large_is_refused_before_the_first_is_decided() -> None:
    async with slowly(engine={"caps": Caps(record_bytes=100)}) as stack:
        with pytest.raises(RecordTooLarge):
            stack.admission.decide(of(*events(3), AttributesPatched({"much": "x" * 100})))

        assert stack.engine.waiting == 0


async def test_what_was_begun_waits_where_others_fill_the_journal_meanwhile() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store, engine={"journal_limit": 10}) as stack:
        await stack.admission.decided(of(key=BERT))
        store.gate.clear()
        many = asyncio.create_task(stack.admission.decided(of(*events(8))))
        await until_one_is_decided(stack)
        stack.admission.decide(of(*events(1, name="b"), key=BERT))
        while stack.engine.room:
            stack.admission.decide(of(*events(1, name=f"{stack.engine.room}"), key=BERT))

        await settled()
        assert not many.done()
        assert stack.engine.waiting == 10
        store.gate.set()
        await stack.drain.durable((await many).sequence)

        assert await stack.event_ids() == names(8)


async def test_a_caller_who_is_gone_leaves_nothing_half_done(
    complaints: list[dict[str, Any]],
) -> None:
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)
        many.cancel()
        with suppress(asyncio.CancelledError):
            await many
        await stack.admission.parts.over(ANNA)
        await until(lambda: not stack.engine.waiting)
        assert await stack.event_ids() == names(20)

        answer = await stack.admission.decided(of(*events(20)))
        await stack.drain.durable(answer.sequence)

        assert await stack.event_ids() == names(20)
        assert (await stored(stack)).version == NOON_MS + 19  # each once
    assert complaints == []


async def test_where_much_is_under_way_a_call_that_is_over_goes_on_once_it_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "MOST_GOING_ON", 0)
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)
        many.cancel()
        await stack.admission.parts.over(ANNA)
        assert stack.engine.seen(ANNA).version < NOON_MS + 19

        answer = await stack.admission.decided(of(*events(20)))
        await stack.drain.durable(answer.sequence)

        assert len(answer.lookups) == 20
        assert (await stored(stack)).version == NOON_MS + 19


async def test_who_asks_again_meanwhile_brings_no_event_twice() -> None:
    async with slowly() as stack:
        answers = await asyncio.gather(
            *(stack.admission.decided(of(*events(20))) for _ in range(3))
        )
        for answer in answers:
            await stack.drain.durable(answer.sequence)

        assert {len(answer.lookups) for answer in answers} == {20}
        assert (await stored(stack)).version == NOON_MS + 19


async def test_a_part_that_was_not_stored_is_told_though_a_later_one_would_be() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        store.gate.clear()
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until(lambda: bool(store.batches))
        store.failing = broken()
        store.gate.set()
        await until(lambda: stack.drain.failures > 0)
        store.failing = None

        with pytest.raises(StoreUnavailable, match="was not stored"):
            await many
        answer = await stack.admission.decided(of(*events(20)))
        await stack.drain.durable(answer.sequence)

        assert await stack.event_ids() == names(20)


async def test_what_is_under_way_as_the_process_stops_is_told_to_be_not_stored(
    complaints: list[dict[str, Any]],
) -> None:
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        gone = asyncio.create_task(stack.admission.decided(of(*events(20, name="g"))))
        await until_one_is_decided(stack)
        gone.cancel()

        await stack.admission.parts.close()

        with pytest.raises(StoreUnavailable, match="stops"):
            await many
        await settled()
        gc.collect()
    assert complaints == []


# ---- what comes in between --------------------------------------------------------------


async def test_in_between_the_visitor_is_seen_with_what_is_stored_of_it() -> None:
    seen: list[int] = []
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        while not many.done():
            found = stack.engine.profile(ANNA, now_ms=NOON_MS)
            assert not isinstance(found, NeedProfile)
            seen.append(len(found.events) if found else 0)
            await asyncio.sleep(0)

    assert seen == sorted(seen)
    assert len({*seen}) > 5


async def test_an_erasure_leaves_nothing_of_what_is_under_way() -> None:
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)
        forget = Interaction(profile_key=ANNA, datastream_id=OPERATOR, changes=(Forgotten(),))

        answer = await stack.admission.decided(forget)

        assert many.done()
        await stack.drain.durable(answer.sequence)
        assert (await stack.store.load(ANNA)).profile is None


async def test_a_refusal_does_not_wait_and_nothing_is_kept_after_it() -> None:
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)

        said = stack.admission.decide(of(ConsentChosen("out")))

        assert isinstance(said, Answer)
        assert not many.done()
        answer = await many
        assert not answer.permitted
        await stack.drain.durable(max(answer.sequence, said.sequence))
        assert (await stack.store.load(ANNA)).profile is None


async def test_whoever_has_the_profile_unchanged_is_waited_for_between_two_parts() -> None:
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)

        with stack.admission.unchanged(ANNA):
            await settled()
            assert len((await stored(stack)).events) == 1
        answer = await many
        await stack.drain.durable(answer.sequence)

        assert await stack.event_ids() == names(20)


async def test_definitions_that_come_in_between_are_in_force_from_then_on() -> None:
    counted = f'xEvent[eventType.equals("{ADDED}", false)].count() >= 20'
    async with slowly() as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)

        stack.engine.swap(snapshot({"twenty": counted}))
        answer = await many

        found = [one.destinations[0].audiences for one in answer.lookups]
        assert found == [("basket",), *[()] * 18, ("twenty",)]


async def test_a_visitor_who_left_memory_in_between_is_read_again() -> None:
    store = WatchedStore(MemoryStore())
    async with slowly(store) as stack:
        many = asyncio.create_task(stack.admission.decided(of(*events(20))))
        await until_one_is_decided(stack)
        while not many.done():
            if not stack.engine.waiting:
                stack.engine.following.unreadable(ANNA)  # forgets it
            await asyncio.sleep(0)
        await stack.drain.durable((await many).sequence)

        assert store.loads.count(ANNA) > 1
        assert await stack.event_ids() == names(20)


async def test_another_process_that_writes_in_between_loses_nothing_and_is_in_the_answer() -> None:
    counted = f'xEvent[eventType.equals("{ADDED}", false)].count() >= 21'
    in_force = snapshot({"all": counted})
    database = MemoryDatabase()
    async with (
        slowly(WatchedStore(MemoryStore(database)), in_force=in_force) as ours,
        running(MemoryStore(database), in_force=in_force) as theirs,
    ):
        await ours.begin_visit(event_id="first")
        many = asyncio.create_task(ours.admission.decided(of(*events(20))))
        for number in range(5):
            await theirs.admission.take_over(ANNA)
            await theirs.begin_visit(event_id=f"theirs{number}")
        answer = await many
        await ours.drain.durable(answer.sequence)

        assert await ours.event_ids() == names(20) | names(5, "theirs") | {"first"}


async def test_a_part_that_was_decided_again_is_told_as_it_is_by_now() -> None:
    added = f'xEvent.exists(eventType.equals("{ADDED}", false))'
    looked = 'xEvent.exists(eventType.equals("web.webpagedetails.pageViews", false))'
    store = WatchedStore(MemoryStore())
    async with slowly(store, in_force=snapshot({"added": added, "looked": looked})) as stack:
        await stack.begin_visit(event_id="first")
        many = asyncio.create_task(stack.admission.decided(of(*events(3))))
        await until_one_is_decided(stack)
        stack.engine.following.decided_again.note(stack.engine.pending(1)[0].sequence)

        answer = await many

        assert answer.lookups[0] is answer.lookups[-1]


# ---- the law ----------------------------------------------------------------------------


@settings(max_examples=STORIES, deadline=None)
@given(stories.randoms)
def test_what_is_decided_in_parts_equals_what_is_decided_at_once(chance: Random) -> None:
    """Events in and out of order, second reports, claims, attributes, consent, caps, time, and
    others who come, so that she is parked, or goes, between two parts."""
    in_force = compile_snapshot(definitions(made_rules(chance)), event_window_ms=WINDOW_MS)
    now_ms = stories.START_MS
    asked: list[tuple[int, Interaction]] = []
    sent: list[Event] = []
    for _ in range(REQUESTS):
        now_ms += chance.choice((SECOND_MS, 60_000, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS))
        changes = [made_change(chance, now_ms, sent) for _ in range(chance.choice((1, 2, 5, 12)))]
        if chance.random() < 0.1:
            choices: tuple[Choice, ...] = ("in", "in", "out")
            changes.insert(0, ConsentChosen(chance.choice(choices)))
        asked.append((now_ms, of(*changes, visits=True, counts_dropped=True)))

    whole = asyncio.run(_told(in_force, asked, elapsed_s=lambda: 0.0, others=False))
    in_parts = asyncio.run(
        _told(in_force, asked, elapsed_s=_now_and_then(chance), others=chance.random() < 0.5)
    )

    assert in_parts == whole


def _now_and_then(chance: Random) -> Callable[[], float]:
    times = itertools.accumulate(chance.choice((0, 0, 0.003, 0.01)) for _ in itertools.count())
    return times.__next__


async def _told(
    in_force: Snapshot,
    asked: list[tuple[int, Interaction]],
    *,
    elapsed_s: Callable[[], float],
    others: bool,
) -> list[Any]:
    """All that is answered, and what is stored at last."""
    now_ms = asked[0][0]
    engine = {"unparked_profiles": 1, "caps": Caps(events=12)}
    told: list[Any] = []
    async with running(
        in_force=in_force, elapsed_s=elapsed_s, clock_ms=lambda: now_ms, engine=engine
    ) as stack:
        for at_ms, interaction in asked:
            now_ms = at_ms
            task = asyncio.create_task(stack.admission.decided(interaction))
            while not task.done():
                if others:
                    await stack.visit(BERT, event_id=f"b{len(told)}", at_ms=now_ms)
                await asyncio.sleep(0)
            answer = await task
            await stack.drain.durable(answer.sequence)
            profile = (await stack.store.load(ANNA)).profile
            told.append(
                (
                    [one.destinations for one in answer.lookups],
                    (answer.consent, answer.permitted, answer.known, answer.datastreams),
                    answer.dropped,
                    profile and _kept(profile, now_ms - WINDOW_MS),
                )
            )
    return told


def _kept(profile: Profile, oldest_ms: int) -> dict[str, Any]:
    """Older events need not be kept: the store removes them with some commits."""
    events = [one for one in profile.events if one.timestamp_ms >= oldest_ms]
    return {
        "events": sorted(events, key=lambda one: (one.timestamp_ms, one.id)),
        "rest": {
            name: getattr(profile, name) for name in profile.__struct_fields__ if name != "events"
        },
    }


def made_rules(chance: Random) -> dict[str, str]:
    made: dict[str, str] = {}
    while len(made) < 6:
        text = stories.rule(chance, list(made))
        if stories.compiled_or_not(text, WINDOW_MS) is not None:
            made[f"s{len(made)}"] = text
    return made


def made_change(chance: Random, now_ms: int, sent: list[Event]) -> Change:
    pick = chance.random()
    if pick < 0.02:
        return PrivacySignalled()
    if pick < 0.06:
        name, value = stories.attribute(chance, now_ms)
        return AttributesPatched({name: value})
    claims = (Identity("CRMID", chance.choice("ab")),) if chance.random() < 0.05 else ()
    segmentation = chance.random() < 0.95
    return EventArrived(
        event=_event(chance, now_ms, sent),
        claims=claims,
        datastream_id=chance.choice(("demo", "")),
        segmentation=segmentation,
    )


def _event(chance: Random, now_ms: int, sent: list[Event]) -> Event:
    if sent and chance.random() < 0.1:
        return chance.choice(sent)  # reported again
    fields = stories.event(chance, now_ms)
    event_id = fields.pop("_id")
    # Which of two of one instant makes room depends on which of them were stored together.
    late_ms = len(sent) % SECOND_MS
    if chance.random() < 0.15:
        late_ms += chance.randrange(3 * HOUR_MS)
    again = chance.random() < 0.1 and sent
    made = event_from(
        fields,
        event_id=chance.choice(sent).id if again else event_id,
        received_ms=now_ms,
        dated_ms=now_ms - late_ms,
    )
    sent.append(made)
    return made
