"""The drain: nothing is acknowledged before it is on disk, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perso_core.engine.engine import Interaction
from perso_core.engine.journal import EventArrived
from perso_core.errors import StoreUnavailable
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.sqlite import open_sqlite
from perso_core.worker.drain import MAX_CONFLICTS
from perso_core.worker.precedence import GATHERED_S
from tests.building import MINUTE_MS, NOON_MS, event
from tests.stores.building import forgot
from tests.stores.conftest import OpenStore, open_store
from tests.worker.stack import ANNA, BERT, Clock, Stack, WatchedStore, broken, running, settled

__all__ = ["open_store"]


@pytest.fixture
async def store() -> WatchedStore:
    return WatchedStore(MemoryStore())


# ---- who was erased ----------------------------------------------------------------------


@pytest.mark.parametrize("returned", [False, True])
async def test_what_was_before_an_erasure_does_not_come_back_when_a_server_sends_it_again(
    open_store: OpenStore, returned: bool
) -> None:
    store = await open_store(clock_ms=lambda: NOON_MS)
    await store.commit([forgot(ANNA, now_ms=NOON_MS - MINUTE_MS)])
    async with running(store) as stack:
        if returned:
            await stack.begin_visit(event_id="since")

        await stack.begin_visit(event_id="before", at_ms=NOON_MS - 2 * MINUTE_MS)

        assert await stack.event_ids() == ({"since"} if returned else set())
        assert not stack.problems
        assert (stack.engine.profile(ANNA, now_ms=NOON_MS) is not None) == returned
        await stack.begin_visit(event_id="late", at_ms=NOON_MS - 1)
        assert "late" in await stack.event_ids()


# ---- group commit ------------------------------------------------------------------------


async def test_an_event_is_acknowledged_only_after_its_commit(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.visit(BERT)  # admitted, so that only the commit is behind the gate
        await settled()
        store.gate.clear()
        waiting = stack.begin_visit(BERT, event_id="e2")
        await settled()
        assert len(store.batches) == 2
        assert not waiting.done()

        store.gate.set()
        await waiting

        assert await stack.event_ids(BERT) == {"e1", "e2"}


async def test_what_comes_during_a_commit_goes_together_in_the_next(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()
        visits = [stack.begin_visit(f"ECID:{n}") for n in range(10)]
        await settled()
        store.gate.set()
        await asyncio.gather(*visits)
        store.batches.clear()
        store.gate.clear()
        first = stack.begin_visit("ECID:0", event_id="first")
        await settled()
        others = [stack.begin_visit(f"ECID:{n}", event_id="other") for n in range(10)]
        await settled()

        store.gate.set()
        await asyncio.gather(first, *others)

        assert [len(batch) for batch in store.batches] == [1, 10]


async def test_no_more_than_commit_batch_entries_are_in_one_commit(store: WatchedStore) -> None:
    async with running(store, commit_batch=4) as stack:
        store.gate.clear()
        visits = [stack.begin_visit(f"ECID:{n}") for n in range(10)]
        await settled()
        store.gate.set()
        await asyncio.gather(*visits)

        assert max(len(batch) for batch in store.batches) <= 4
        assert sum(len(batch) for batch in store.batches) == 10


async def test_in_a_flood_of_first_visits_who_came_before_goes_first(store: WatchedStore) -> None:
    clock = Clock()
    async with running(store, first_visit_ms=1_800_000, elapsed_s=clock) as stack:
        await stack.begin_visit("ECID:0", new=True)
        crowd = [stack.begin_visit(f"ECID:{n}", new=True) for n in range(1, 10)]
        await settled()
        assert len(store.batches) == 1, "first visits so soon after others gather"

        await stack.begin_visit(BERT)

        assert [entry.key for entry in store.batches[1]] == [BERT]
        assert not any(visit.done() for visit in crowd)
        clock.s += GATHERED_S
        await asyncio.gather(*crowd)
        assert [len(batch) for batch in store.batches] == [1, 1, 9]


async def test_who_was_known_before_hears_of_a_commit_before_the_first_visits_in_it(
    store: WatchedStore,
) -> None:
    heard: list[asyncio.Task[None]] = []
    async with running(store, first_visit_ms=1_800_000, elapsed_s=Clock()) as stack:
        await stack.visit(BERT)  # admitted, so that only the commit is behind the gate
        store.gate.clear()
        before = stack.begin_visit(BERT, event_id="e2")
        await settled()
        crowd = [stack.begin_visit(f"ECID:{n}", new=True) for n in range(10)]
        known = stack.begin_visit(BERT, event_id="e3")
        for call in (*crowd, known):
            call.add_done_callback(heard.append)
        await settled()
        store.gate.set()
        await asyncio.gather(before, known, *crowd)

    assert len(store.batches[-1]) == 12
    assert heard[0] is known


async def test_what_a_new_visitor_did_goes_in_order_with_what_they_do_next(
    store: WatchedStore,
) -> None:
    async with running(store, first_visit_ms=1_800_000, elapsed_s=Clock()) as stack:
        await stack.begin_visit("ECID:0", new=True)
        first = stack.begin_visit(new=True)
        await settled()
        again = asyncio.create_task(_returns(stack))
        await asyncio.gather(first, again)

        assert [entry.event.id for entry in store.batches[1] if entry.event] == ["e1", "e2"]
        assert await stack.event_ids() == {"e1", "e2"}


async def test_closing_waits_for_no_more_first_visits(store: WatchedStore) -> None:
    async with running(store, first_visit_ms=1_800_000, elapsed_s=Clock()) as stack:
        await stack.begin_visit("ECID:0", new=True)
        gathering = stack.begin_visit(new=True)
        await settled()
        assert len(store.batches) == 1
    await gathering

    assert [len(batch) for batch in store.batches] == [1, 1]


async def _returns(stack: Stack) -> None:
    """The visitor of `ANNA` comes back, by a cookie that proves the device."""
    answer = await stack.admission.decided(
        Interaction(
            profile_key=ANNA,
            datastream_id="demo",
            changes=(EventArrived(event=event(event_id="e2")),),
            visits=True,
        )
    )
    await stack.drain.durable(answer.sequence)


async def test_what_was_kept_before_others_is_known_also_after_these_failed(
    store: WatchedStore,
) -> None:
    clock = Clock()
    async with running(store, first_visit_ms=1_800_000, elapsed_s=clock) as stack:
        await stack.begin_visit("ECID:0", new=True)
        crowd = stack.begin_visit(new=True)
        await settled()
        answer = await stack.visit(BERT)
        await stack.drain.durable(answer.sequence)
        store.failing = broken()
        clock.s += GATHERED_S
        with pytest.raises(StoreUnavailable):
            await crowd

        async with asyncio.timeout(5):
            await stack.drain.durable(answer.sequence)


async def test_an_answer_without_a_write_waits_for_nothing(store: WatchedStore) -> None:
    async with running(store) as stack:
        store.gate.clear()

        await stack.drain.durable(0)


async def test_of_what_is_kept_it_is_known_at_once_whoever_waits_to_hear_of_it(
    store: WatchedStore,
) -> None:
    async with running(store, first_visit_ms=1_800_000, elapsed_s=Clock()) as stack:
        await stack.begin_visit(BERT)
        store.gate.clear()
        crowd = [stack.begin_visit(f"ECID:{n}", new=True) for n in range(6)]
        await settled()
        assert not stack.drain.is_kept(7)
        store.gate.set()
        await crowd[0]
        assert not crowd[5].done()
        assert [stack.drain.is_kept(one) for one in (1, 2, 7, 8)] == [True, True, True, False]
        await asyncio.gather(*crowd)

        store.failing = StoreUnavailable("the disk is full.", fix="Make room.")
        with pytest.raises(StoreUnavailable):
            await stack.begin_visit(BERT, event_id="e2")
        assert not stack.drain.is_kept(8)


async def test_who_asks_after_the_commit_is_answered_at_once(store: WatchedStore) -> None:
    async with running(store) as stack:
        answer = await stack.visit()
        await stack.drain.durable(answer.sequence)

        await stack.drain.durable(answer.sequence)


async def test_one_who_stops_waiting_takes_nobody_with_him(store: WatchedStore) -> None:
    async with running(store) as stack:
        answer = await stack.visit()
        store.gate.clear()
        impatient = asyncio.ensure_future(stack.drain.durable(answer.sequence))
        patient = asyncio.ensure_future(stack.drain.durable(answer.sequence))
        await settled()
        impatient.cancel()
        await settled()

        store.gate.set()
        await patient

        assert impatient.cancelled()


# ---- two processes on one file -------------------------------------------------------------


async def test_two_processes_on_one_file_lose_no_event_of_a_visitor_they_share(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perso.sqlite"
    one_store, other_store = await open_sqlite(path), await open_sqlite(path)
    async with running(one_store) as one, running(other_store) as other:
        for stack in (one, other):
            await stack.admission.decided(Interaction(profile_key=ANNA, datastream_id="demo"))
        visits = [
            stack.begin_visit(ANNA, event_id=f"{name}-{n}")
            for n in range(20)
            for name, stack in (("one", one), ("other", other))
        ]
        await asyncio.gather(*visits)

        expected = {f"{name}-{n}" for n in range(20) for name in ("one", "other")}
        assert await one.event_ids() == expected
    await one_store.close()
    await other_store.close()


async def test_a_write_overtaken_by_another_process_is_decided_again_on_what_is_there(
    store: WatchedStore,
) -> None:
    async with running(store) as ours, running(store) as theirs:
        await ours.admission.decided(Interaction(profile_key=ANNA, datastream_id="demo"))
        await theirs.begin_visit(ANNA, event_id="theirs")

        await ours.begin_visit(ANNA, event_id="ours")

        assert await ours.event_ids() == {"theirs", "ours"}
        profile = ours.engine.profile(ANNA, now_ms=NOON_MS)
        assert {event.id for event in profile.events} == {"theirs", "ours"}  # type: ignore[union-attr]  # hot


async def test_a_conflict_holds_up_nobody_else(store: WatchedStore) -> None:
    async with running(store) as stack:
        for key in (ANNA, BERT):
            await stack.begin_visit(key)
        store.always_conflicts = frozenset({ANNA})
        store.gate.clear()
        unlucky, lucky = (
            stack.begin_visit(ANNA, event_id="e2"),
            stack.begin_visit(BERT, event_id="e2"),
        )
        await settled()
        store.gate.set()

        await lucky
        with pytest.raises(StoreUnavailable, match="overtaken"):
            await unlucky

        assert await stack.event_ids(BERT) == {"e1", "e2"}
        store.always_conflicts = frozenset()
        await stack.begin_visit(ANNA, event_id="e2")
        assert await stack.event_ids(ANNA) == {"e1", "e2"}


async def test_whoever_is_overtaken_a_dozen_times_in_a_row_is_kept_all_the_same(
    store: WatchedStore,
) -> None:
    """Two servers sent batches of one customer: after six rounds all that waited was given up."""
    async with running(store) as stack:
        await stack.begin_visit(ANNA)
        store.always_conflicts = frozenset({ANNA})
        store.conflicts_through = len(store.batches) + 12

        await stack.begin_visit(ANNA, event_id="e2")

        assert await stack.event_ids() == {"e1", "e2"}
        assert stack.problems == []


async def test_what_was_kept_beside_a_conflict_is_known_to_who_asks_only_then(
    store: WatchedStore,
) -> None:
    async with running(store) as stack:
        for key in (ANNA, BERT):
            await stack.begin_visit(key)
        store.always_conflicts = frozenset({ANNA})
        store.gate.clear()
        await stack.visit(ANNA, event_id="e2")
        of_bert = await stack.visit(BERT, event_id="e2")
        await settled()
        store.gate.set()
        store.gate.clear()  # the commit is through, and Anna is not loaded yet
        await settled()

        async with asyncio.timeout(5):
            await stack.drain.durable(of_bert.sequence)

        store.always_conflicts = frozenset()
        store.gate.set()


async def test_conflicts_that_were_resolved_do_not_add_up(store: WatchedStore) -> None:
    async with running(store) as ours, running(store) as theirs:
        await ours.admission.decided(Interaction(profile_key=ANNA, datastream_id="demo"))
        for number in range(2 * MAX_CONFLICTS):
            await theirs.begin_visit(ANNA, event_id=f"theirs-{number}")
            await ours.begin_visit(ANNA, event_id=f"ours-{number}")

        assert len(await ours.event_ids()) == 4 * MAX_CONFLICTS
        assert ours.problems == []


# ---- faults ----------------------------------------------------------------------------------


async def test_when_the_store_fails_every_waiter_hears_it_and_then_it_goes_on(
    store: WatchedStore,
) -> None:
    async with running(store) as stack:
        for key in (ANNA, BERT):
            await stack.begin_visit(key)
        store.gate.clear()
        store.failing = broken()
        visits = [stack.begin_visit(key, event_id="lost") for key in (ANNA, BERT)]
        await settled()
        late = stack.begin_visit(ANNA, event_id="late")
        await settled()
        store.gate.set()

        for visit in (*visits, late):
            with pytest.raises(StoreUnavailable, match="the disk is gone"):
                await visit
        assert stack.drain.failures >= 1
        assert stack.problems[0] is store.failing

        store.failing = None
        await stack.begin_visit(ANNA, event_id="after")
        assert await stack.event_ids(ANNA) == {"e1", "after"}
        profile = stack.engine.profile(ANNA, now_ms=NOON_MS)
        assert {event.id for event in profile.events} == {"e1", "after"}  # type: ignore[union-attr]  # hot


async def test_who_asks_only_after_the_failure_hears_it_too(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.begin_visit()
        store.failing = broken()
        answer = await stack.visit(event_id="lost")
        await settled()

        with pytest.raises(StoreUnavailable, match="not stored"):
            await stack.drain.durable(answer.sequence)


async def test_a_crash_of_the_drain_is_heard_counted_and_survived(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.begin_visit()
        store.failing = ZeroDivisionError("a bug")

        with pytest.raises(StoreUnavailable, match="ZeroDivisionError"):
            await stack.begin_visit(event_id="lost")

        assert stack.drain.crashes == 1
        assert stack.problems == [store.failing]
        store.failing = None
        await stack.begin_visit(event_id="after")
        assert await stack.event_ids() == {"e1", "after"}


# ---- stopping ----------------------------------------------------------------------------------


async def test_closing_commits_what_waits(store: WatchedStore) -> None:
    async with running(store, commit_batch=3) as stack:
        visits = [stack.begin_visit(f"ECID:{n}") for n in range(20)]
        await settled()

        await stack.drain.close(5)
        await asyncio.gather(*visits)

        assert sum(len(batch) for batch in store.batches) == 20


async def test_a_store_that_hangs_holds_up_the_stop_no_longer_than_allowed(
    store: WatchedStore,
) -> None:
    async with running(store) as stack:
        await stack.begin_visit()
        store.gate.clear()
        waiting = stack.begin_visit(event_id="lost")
        await settled()

        await stack.drain.close(0.01)

        with pytest.raises(StoreUnavailable, match="stops"):
            await waiting


async def test_a_drain_that_has_stopped_makes_nobody_wait(store: WatchedStore) -> None:
    async with running(store) as stack:
        await stack.begin_visit()
        await stack.drain.close(5)
        answer = await stack.visit(event_id="late")

        with pytest.raises(StoreUnavailable, match="stops"):
            await stack.drain.durable(answer.sequence)


async def test_a_slower_report_of_an_event_that_another_process_has_completes_it() -> None:
    """What is read anew is read whole then: of a packed event nobody knows what it lacks."""
    database = MemoryDatabase()
    async with (
        running(WatchedStore(MemoryStore(database))) as ours,
        running(MemoryStore(database)) as theirs,
    ):
        await ours.begin_visit(event_id="before")
        for event_id in ("e1", "e2"):
            await theirs.begin_visit(event_id=event_id)
        more = EventArrived(event=event(event_id="e1", device={"type": "mobile"}))
        interaction = Interaction(profile_key=ANNA, datastream_id="demo", changes=(more,))
        answer = await ours.admission.decided(interaction)
        await ours.drain.durable(answer.sequence)

        stored = await MemoryStore(database).events_of(ANNA, ["e1"])
        assert stored["e1"] == more.event
        assert await ours.event_ids() == {"before", "e1", "e2"}
        assert ours.drain.crashes == 0
        assert isinstance(ours.store, WatchedStore)
        assert ours.store.loads == [ANNA] * 4
