"""An erasure reaches what another process makes one person's, or takes from one, in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Committed
from perso_core.stores.sqlite import open_sqlite
from perso_core.worker.people import People, TellingStore
from tests.worker.stack import ANNA, BERT, Stack, WatchedStore, running
from tests.worker.test_identity_graph import graph_of

CLARA = "ECID:" + "3" * 38
EVERYBODY = (ANNA, BERT, CLARA)
Opening = Callable[[], Awaitable[TellingStore]]


class HeldStore(WatchedStore):
    """came: a commit came to the gate."""

    def __init__(self, store: TellingStore) -> None:
        super().__init__(store)
        self.came = asyncio.Event()

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        self.came.set()
        return await super().commit(entries, announce=announce)


class Two(Struct):
    """Two processes on one store. here: with a gate before its commits. people: erase here, and
    read past the gate."""

    here: Stack
    gate: HeldStore
    people: People
    there: Stack
    people_there: People

    async def erase(self, *keys: str, meanwhile: Callable[[], Awaitable[object]]) -> None:
        """meanwhile: comes between what the first commit was decided on, and that commit."""
        # It is in memory: what is held up is the commit alone.
        for key in keys:
            await self.here.admission.decided(Interaction(profile_key=key, datastream_id=OPERATOR))
        self.gate.came.clear()
        self.gate.gate.clear()
        erasing = asyncio.create_task(self.people.forget(keys))
        await asyncio.wait_for(self.gate.came.wait(), 10)
        await meanwhile()
        self.gate.gate.set()
        await erasing

    async def left(self) -> dict[str, set[str]]:
        """The ids of events, by key, of whoever has any."""
        found = {key: await self.there.event_ids(key) for key in EVERYBODY}
        return {key: ids for key, ids in found.items() if ids}


@pytest.fixture(params=["memory", "sqlite"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    database = MemoryDatabase()

    async def opened() -> TellingStore:
        if request.param == "memory":
            return MemoryStore(database)
        return await open_sqlite(tmp_path / "perso.sqlite")

    return opened


@pytest.fixture
async def two(opening: Opening) -> AsyncIterator[Two]:
    store, other = await opening(), await opening()
    watched = HeldStore(store)
    async with running(watched) as here, running(other) as there:
        people = People(store, here.drain, here.admission)
        people_there = People(other, there.drain, there.admission)
        yield Two(here, watched, people, there, people_there)
    await store.close()
    await other.close()


async def test_what_another_process_links_meanwhile_is_erased_with_whom_it_is_part_of(
    two: Two,
) -> None:
    """Its events are in that profile by then: to empty the identity alone would leave them."""
    await two.here.begin_visit(ANNA, event_id="a", new=True)
    await two.there.begin_visit(BERT, event_id="b", new=True)

    await two.erase(ANNA, meanwhile=lambda: graph_of(two.there).link([BERT, ANNA]))

    assert await two.left() == {}


async def test_and_so_is_one_that_becomes_part_of_a_third_meanwhile(two: Two) -> None:
    await two.here.begin_visit(ANNA, event_id="a", new=True)
    await two.there.begin_visit(BERT, event_id="b", new=True)
    await two.there.begin_visit(CLARA, event_id="c", new=True)
    await graph_of(two.there).link([BERT, ANNA])

    await two.erase(BERT, meanwhile=lambda: graph_of(two.there).link([CLARA, BERT]))

    assert await two.left() == {}


async def test_one_whose_person_another_process_erases_meanwhile_is_erased(two: Two) -> None:
    await two.there.begin_visit(BERT, event_id="b", new=True)
    await graph_of(two.there).link([BERT, ANNA])

    async def freed() -> None:
        await two.people_there.forget([BERT])

    await two.erase(ANNA, BERT, meanwhile=freed)

    assert await two.left() == {}


async def test_what_nobody_links_is_erased_alone(two: Two) -> None:
    await two.here.begin_visit(ANNA, event_id="a", new=True)
    await two.there.begin_visit(BERT, event_id="b", new=True)

    async def nothing() -> None:
        """Nobody says anything."""

    await two.erase(ANNA, meanwhile=nothing)

    assert await two.left() == {BERT: {"b"}}


async def test_an_erasure_that_others_overtake_for_ever_says_so(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overtaken(_: People, keys: Sequence[str]) -> list[str]:
        """By the time it is known who is one person with them, somebody else is."""
        return list(keys)

    monkeypatch.setattr(People, "_of_one_person", overtaken)
    await two.there.begin_visit(BERT, event_id="b", new=True)
    await graph_of(two.there).link([BERT, ANNA])

    with pytest.raises(StoreUnavailable, match=f"{ANNA} became part of another profile 16 times"):
        await two.people.forget([ANNA])
