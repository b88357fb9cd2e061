"""A damaged page of the store costs those who are on it, and nobody else."""

from __future__ import annotations

import pytest

from perso_core.decision.projection import Projection
from perso_core.engine.engine import Interaction, NeedProfile
from perso_core.errors import DamagedStore, StoreUnavailable
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Stored
from perso_core.worker.hearing import Hearing
from perso_core.worker.refresh import Refresh
from tests.building import NOON_MS
from tests.stores.building import chose
from tests.worker.stack import ANNA, BERT, Clock, Stack, WatchedStore, running, settled


class DamagedPage(WatchedStore):
    """unreadable: whose rows are on it."""

    unreadable: str | None = None

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        if key == self.unreadable:
            raise DamagedStore("CorruptError.", fix="Restore a backup.")
        return await super().load(key, projection)


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


def asked(key: str) -> Interaction:
    return Interaction(profile_key=key, datastream_id="demo")


def refresh_of(stack: Stack, hearing: Hearing) -> Refresh:
    return Refresh(
        stack.engine,
        stack.store,
        clock_ms=lambda: NOON_MS,
        interval_ms=10,
        hearing=hearing,
        on_problem=stack.problems.append,
    )


async def test_a_visitor_who_cannot_be_read_does_not_keep_the_process_from_hearing_of_others(
    database: MemoryDatabase,
) -> None:
    """It had answered nobody any more, a minute later."""
    store, elsewhere = DamagedPage(MemoryStore(database)), MemoryStore(database)
    clock = Clock()
    hearing = Hearing(clock)
    async with running(store, hearing=hearing) as stack:
        refresh = refresh_of(stack, hearing)
        await refresh.poll()
        await stack.begin_visit(ANNA)
        await stack.begin_visit(BERT)
        store.unreadable = ANNA
        await elsewhere.commit([chose("out", ANNA), chose("out", BERT)], announce=True)

        await refresh.poll()
        clock.s += 59
        await refresh.poll()
        clock.s += 59

        assert not (await stack.admission.decided(asked(BERT))).permitted
        assert [type(one) for one in stack.problems] == [DamagedStore]


async def test_nobody_is_answered_by_what_was_known_before_they_could_not_be_read(
    database: MemoryDatabase,
) -> None:
    """It may be revoked; once the store is put back they are answered by what that has."""
    store, elsewhere = DamagedPage(MemoryStore(database)), MemoryStore(database)
    async with running(store) as stack:
        refresh = refresh_of(stack, Hearing())
        await refresh.poll()
        await stack.begin_visit(ANNA)
        store.unreadable = ANNA
        await elsewhere.commit([chose("out", ANNA)], announce=True)
        await refresh.poll()

        with pytest.raises(StoreUnavailable):
            await stack.admission.decided(asked(ANNA))
        store.unreadable = None

        assert not (await stack.admission.decided(asked(ANNA))).permitted


async def test_nor_is_a_template_answered_by_it_once_nothing_waits_for_its_commit(
    database: MemoryDatabase,
) -> None:
    """A template asks what is in memory, and nobody else."""
    store, elsewhere = DamagedPage(MemoryStore(database)), MemoryStore(database)
    async with running(store) as stack:
        refresh = refresh_of(stack, Hearing())
        await refresh.poll()
        await stack.begin_visit(ANNA)
        store.gate.clear()
        waiting = stack.begin_visit(ANNA, event_id="e2")
        await settled()
        store.unreadable = ANNA
        await elsewhere.commit([chose("out", ANNA)], announce=True)
        await refresh.poll()
        store.gate.set()
        with pytest.raises(StoreUnavailable):
            await waiting

        assert isinstance(stack.engine.lookup(ANNA, "demo", now_ms=NOON_MS), NeedProfile)


async def test_who_was_overtaken_and_cannot_be_read_has_others_events_given_up_once_at_most(
    database: MemoryDatabase,
) -> None:
    store = DamagedPage(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        await ours.begin_visit(ANNA)
        await theirs.begin_visit(ANNA, event_id="e2")
        store.unreadable = ANNA
        with pytest.raises(StoreUnavailable):
            await ours.begin_visit(ANNA, event_id="e3")

        with pytest.raises(StoreUnavailable):
            await ours.visit(ANNA, event_id="e4")

        assert ours.engine.waiting == 0
        await ours.begin_visit(BERT)
