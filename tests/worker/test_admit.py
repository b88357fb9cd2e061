"""Admission: a profile that is not in memory is loaded once, and a failed load is no answer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from perso_core.decision.event import Event
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import EventArrived
from perso_core.errors import Overloaded, StoreUnavailable, UnknownDatastream
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker.people import People
from tests.building import NOON_MS, event, snapshot
from tests.worker.stack import ANNA, BERT, WatchedStore, broken, running, settled

LOOKUP = Interaction(profile_key=ANNA, datastream_id="demo")


@pytest.fixture
async def database() -> MemoryDatabase:
    """Anna has a profile in it."""
    database = MemoryDatabase()
    async with running(MemoryStore(database)) as earlier:
        await earlier.begin_visit(ANNA, event_id="before")
    return database


@pytest.fixture
def store(database: MemoryDatabase) -> WatchedStore:
    return WatchedStore(MemoryStore(database))


async def test_a_stored_profile_is_loaded_and_answers(store: WatchedStore) -> None:
    async with running(store) as stack:
        answer = await stack.admission.decided(LOOKUP)

        assert answer.known
        assert answer.sequence == 0
        assert store.loads == [ANNA]


async def test_who_is_in_memory_is_decided_about_without_waiting(store: WatchedStore) -> None:
    async with running(store) as stack:
        waiting = stack.admission.decide(LOOKUP)
        assert not isinstance(waiting, Answer)
        read = await waiting

        assert stack.admission.decide(LOOKUP) == read

        with stack.admission.unchanged(ANNA):
            assert isinstance(stack.admission.decide(LOOKUP), Answer)  # it changes nothing
            changing = structs.replace(LOOKUP, changes=(EventArrived(event=event()),))
            waiting = stack.admission.decide(changing)
            assert not isinstance(waiting, Answer)
        assert (await waiting).sequence == 1


async def test_a_hundred_who_ask_at_once_cause_one_load(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()
        asking = [stack.begin_visit(ANNA, event_id=f"e{n}") for n in range(100)]
        await settled()
        store.gate.set()
        await asyncio.gather(*asking)

        assert store.loads == [ANNA]
        profile = stack.engine.profile(ANNA, now_ms=NOON_MS)
        assert len(profile.events) == 101  # type: ignore[union-attr]  # hot


async def test_of_events_that_are_reported_again_these_are_read_and_no_others(
    store: WatchedStore,
) -> None:
    async with running(store) as stack:
        for number in range(3):
            await stack.begin_visit(event_id=f"e{number}")
        batches = len(store.batches)

        answers = [await stack.visit(event_id=one) for one in ("before", "e0", "e1")]

        assert [answer.sequence for answer in answers] == [0, 0, 0]
        assert (len(store.batches), store.loads) == (batches, [ANNA])
        assert store.looks == [(ANNA, "before"), (ANNA, "e0"), (ANNA, "e1")]


class SlowlyTold(WatchedStore):
    """What is read of events first is told late."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.told = asyncio.Event()

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        first = not self.looks
        found = await super().events_of(key, ids)
        if first:
            await self.told.wait()
        return found


async def test_what_is_committed_of_an_event_after_it_was_read_is_not_lost(
    database: MemoryDatabase,
) -> None:
    store = SlowlyTold(MemoryStore(database))
    async with running(store) as stack:
        await stack.begin_visit(event_id="e1")

        def says(name: str) -> Interaction:
            told: dict[str, Any] = {name: 1}
            report = EventArrived(event=event(event_id="before", **told))
            return Interaction(profile_key=ANNA, datastream_id="demo", changes=(report,))

        slow = asyncio.create_task(stack.admission.decided(says("a")))
        await settled()
        quick = await stack.admission.decided(says("b"))
        await stack.drain.durable(quick.sequence)
        await stack.begin_visit(event_id="e2")  # so that it is not the newest, which is whole
        store.told.set()
        await stack.drain.durable((await slow).sequence)

        kept = (await store.load(ANNA)).profile
        assert kept is not None
        (before,) = (one for one in kept.events if one.id == "before")
        assert (before.xdm["a"], before.xdm["b"]) == (1, 1)


async def test_no_more_of_them_are_read_at_once_than_profiles_may_be(
    database: MemoryDatabase,
) -> None:
    store = WatchedStore(MemoryStore(database))
    async with running(store, max_loads=1) as stack:
        await stack.begin_visit(event_id="e1")
        store.gate.clear()
        first = asyncio.create_task(stack.visit(event_id="before"))
        await settled()

        with pytest.raises(Overloaded, match="1 profiles are loading"):
            await stack.visit(event_id="before")
        store.gate.set()

        assert (await first).sequence == 0


async def test_an_event_that_is_stored_no_more_has_its_profile_read_anew(
    store: WatchedStore, database: MemoryDatabase
) -> None:
    async with running(store) as stack:
        await stack.begin_visit(event_id="e1")
        del database.events[ANNA]["before"]
        database.profiles[ANNA] = structs.replace(
            database.profiles[ANNA], version=database.profiles[ANNA].version + 1
        )

        await stack.begin_visit(event_id="before")

        assert store.loads == [ANNA, ANNA]
        assert await stack.event_ids() == {"before", "e1"}


async def test_a_visitor_without_a_profile_is_looked_for_once(store: WatchedStore) -> None:
    async with running(store) as stack:
        unknown = Interaction(profile_key=BERT, datastream_id="demo")
        answers = [await stack.admission.decided(unknown) for _ in range(3)]

        assert not any(answer.known for answer in answers)
        assert store.loads == [BERT]


async def test_a_new_visitor_is_not_looked_for(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.visit(BERT, new=True)

        assert store.loads == []


async def test_a_decision_that_writes_wakes_the_drain(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.visit(BERT, new=True)
        await settled()

        assert [entry.key for batch in store.batches for entry in batch] == [BERT]


async def test_a_failed_load_is_said_and_not_taken_for_no_profile(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.failing = broken()
        with pytest.raises(StoreUnavailable):
            await stack.admission.decided(LOOKUP)
        store.failing = None

        answer = await stack.admission.decided(LOOKUP)

        assert answer.known
        assert store.loads == [ANNA, ANNA]


async def test_a_slow_load_is_said_after_its_time_and_may_still_serve_the_next(
    store: WatchedStore,
) -> None:
    async with running(store, load_timeout_ms=10) as stack:
        store.gate.clear()
        with pytest.raises(StoreUnavailable, match="within 10 ms"):
            async with asyncio.timeout(2):
                await stack.admission.decided(LOOKUP)
        again = asyncio.create_task(stack.admission.decided(LOOKUP))
        await settled()
        store.gate.set()

        assert (await again).known
        assert store.loads == [ANNA]


async def test_an_erasure_waits_for_its_profile_longer_than_a_page(
    database: MemoryDatabase, store: WatchedStore
) -> None:
    async with running(store, load_timeout_ms=10) as stack:
        people = People(MemoryStore(database), stack.drain, stack.admission)
        store.gate.clear()
        erasing = asyncio.create_task(people.forget([ANNA]))
        await asyncio.sleep(0.05)
        assert not erasing.done()
        store.gate.set()
        await erasing

        assert store.loads == [ANNA]
    assert (await store.load(ANNA)).profile is None


async def test_an_erasure_does_not_wait_for_a_profile_that_cannot_be_read(
    database: MemoryDatabase, store: WatchedStore
) -> None:
    async with running(store) as stack:
        store.failing = StoreUnavailable("broken.", fix="Mend it.")

        with pytest.raises(StoreUnavailable, match="broken"):
            await People(MemoryStore(database), stack.drain, stack.admission).forget([ANNA])


async def test_one_who_gives_up_does_not_end_the_load_for_the_others(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()
        impatient = asyncio.create_task(stack.admission.decided(LOOKUP))
        patient = asyncio.create_task(stack.admission.decided(LOOKUP))
        await settled()
        impatient.cancel()
        await settled()
        store.gate.set()

        assert (await patient).known


async def test_a_load_that_fails_after_everyone_gave_up_troubles_nobody(
    store: WatchedStore,
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    async with running(store) as stack:
        store.gate.clear()
        asking = asyncio.create_task(stack.admission.decided(LOOKUP))
        await settled()
        asking.cancel()
        store.failing = broken()
        store.gate.set()
        await settled()
        gc.collect()

        assert complaints == []


async def test_more_loads_at_once_than_allowed_are_refused(store: WatchedStore) -> None:
    async with running(store, max_loads=3) as stack:
        store.gate.clear()
        asking = [
            asyncio.create_task(
                stack.admission.decided(Interaction(profile_key=f"ECID:{n}", datastream_id="demo"))
            )
            for n in range(4)
        ]
        await settled()
        store.gate.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)

        assert [type(one) for one in outcomes].count(Overloaded) == 1


async def test_an_unknown_datastream_stays_the_callers_fault(store: WatchedStore) -> None:
    async with running(store) as stack:
        with pytest.raises(UnknownDatastream):
            await stack.admission.decided(Interaction(profile_key=ANNA, datastream_id="nowhere"))


async def test_what_was_read_for_rules_that_are_no_more_is_read_again(store: WatchedStore) -> None:
    """Of the event nothing was read that the new rule asks for."""
    phone = 'xEvent.filter(x => x.web.name = "home").count() = 0'
    async with running(store) as stack:
        store.gate.clear()
        asking = [asyncio.create_task(stack.admission.decided(LOOKUP)) for _ in range(3)]
        await settled()
        stack.engine.swap(snapshot({"away": phone}))
        store.gate.set()
        answers = await asyncio.gather(*asking)

        assert store.loads == [ANNA, ANNA]
        assert [one.lookups[0].destinations[0].audiences for one in answers] == [("away",)] * 3
