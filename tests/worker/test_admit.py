"""Admission: a profile that is not in memory is loaded once, and a failed load is no answer."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from perso_core.engine.engine import Interaction
from perso_core.errors import Overloaded, StoreUnavailable, UnknownDatastream
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from tests.building import NOON_MS
from tests.worker.stack import ANNA, BERT, WatchedStore, broken, running, settled

LOOKUP = Interaction(profile_key=ANNA, datastream_id="demo")


@pytest.fixture
async def store() -> WatchedStore:
    """Anna has a profile in it."""
    database = MemoryDatabase()
    async with running(MemoryStore(database)) as earlier:
        await earlier.begin_visit(ANNA, event_id="before")
    return WatchedStore(MemoryStore(database))


async def test_a_stored_profile_is_loaded_and_answers(store: WatchedStore) -> None:
    async with running(store) as stack:
        answer = await stack.admission.decide(LOOKUP)

        assert answer.known
        assert answer.sequence == 0
        assert store.loads == [ANNA]


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


async def test_a_visitor_without_a_profile_is_looked_for_once(store: WatchedStore) -> None:
    async with running(store) as stack:
        unknown = Interaction(profile_key=BERT, datastream_id="demo")
        answers = [await stack.admission.decide(unknown) for _ in range(3)]

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
            await stack.admission.decide(LOOKUP)
        store.failing = None

        answer = await stack.admission.decide(LOOKUP)

        assert answer.known
        assert store.loads == [ANNA, ANNA]


async def test_a_slow_load_is_said_after_its_time_and_may_still_serve_the_next(
    store: WatchedStore,
) -> None:
    async with running(store, load_timeout_ms=10) as stack:
        store.gate.clear()
        with pytest.raises(StoreUnavailable, match="within 10 ms"):
            async with asyncio.timeout(2):
                await stack.admission.decide(LOOKUP)
        again = asyncio.create_task(stack.admission.decide(LOOKUP))
        await settled()
        store.gate.set()

        assert (await again).known
        assert store.loads == [ANNA]


async def test_one_who_gives_up_does_not_end_the_load_for_the_others(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()
        impatient = asyncio.create_task(stack.admission.decide(LOOKUP))
        patient = asyncio.create_task(stack.admission.decide(LOOKUP))
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
        asking = asyncio.create_task(stack.admission.decide(LOOKUP))
        await settled()
        asking.cancel()
        store.failing = broken()
        store.gate.set()
        await settled()
        gc.collect()

        assert complaints == []


async def test_more_loads_at_once_than_allowed_are_refused(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()
        stack.admission._max_loads = 3
        asking = [
            asyncio.create_task(
                stack.admission.decide(Interaction(profile_key=f"ECID:{n}", datastream_id="demo"))
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
            await stack.admission.decide(Interaction(profile_key=ANNA, datastream_id="nowhere"))
