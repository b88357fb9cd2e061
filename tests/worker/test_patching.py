"""What is said of one person in several profiles is kept in all of them, or in none."""

from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.decision.caps import DEFAULT_CAPS
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Change, ConsentChosen, Forgotten
from perso_core.errors import Overloaded, RecordTooLarge, StoreUnavailable
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker.identity_graph import IdentityGraph
from perso_core.worker.patching import Patching
from tests.building import NOON_MS
from tests.worker.stack import Stack, WatchedStore, broken, running

ONE, OTHER, MAIL = "o one CRMID:1", "o other CRMID:1", "o one Email:a"
CAPS = structs.replace(DEFAULT_CAPS, record_bytes=1_000)
LARGE = {"note": "x" * 600}


def graph_of(stack: Stack) -> IdentityGraph:
    return IdentityGraph(
        stack.engine, stack.store, stack.drain, stack.admission, clock_ms=lambda: NOON_MS
    )


def patching(stack: Stack) -> Patching:
    return Patching(
        stack.engine,
        stack.drain,
        stack.admission,
        graph_of(stack),
        clock_ms=lambda: NOON_MS,
        caps=CAPS,
    )


async def note_of(stack: Stack, key: str) -> object:
    """As the store has it."""
    profile = (await stack.store.load(key)).profile
    return profile.attributes.get("note") if profile else None


async def said(stack: Stack, key: str, change: Change) -> None:
    asked = Interaction(profile_key=key, datastream_id=OPERATOR, changes=(change,))
    await stack.drain.durable((await stack.admission.decided(asked)).sequence)


@pytest.mark.parametrize("full", [0, 1])
async def test_a_patch_that_has_no_room_in_one_profile_is_kept_in_none(full: int) -> None:
    async with running() as stack:
        await patching(stack).patch([(ONE, OTHER)[full]], {"other": "y" * 600})

        with pytest.raises(RecordTooLarge):
            await patching(stack).patch([ONE, OTHER], LARGE)

        assert await note_of(stack, ONE) is await note_of(stack, OTHER) is None
        assert not stack.engine.waiting


async def test_it_is_in_one_commit_and_in_each_profile_once() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        await graph_of(stack).link((ONE, MAIL))

        assert await patching(stack).patch([ONE, OTHER, MAIL], LARGE) == 0

        assert [[entry.key for entry in batch] for batch in watched.batches] == [[ONE, OTHER]]
        assert await note_of(stack, ONE) == await note_of(stack, OTHER) == LARGE["note"]


async def test_it_stands_where_another_process_has_linked_the_identity_meanwhile() -> None:
    """What moves into a profile fills gaps there; this is said of the person herself."""
    database = MemoryDatabase()
    async with running(MemoryStore(database)) as one, running(MemoryStore(database)) as other:
        assert await graph_of(other).canonical(MAIL) == MAIL
        await graph_of(one).link((ONE, MAIL))
        await patching(one).patch([ONE], {"note": "silver"})

        assert await patching(other).patch([MAIL], {"note": "gold"}) == 0

        assert await note_of(one, ONE) == "gold"
        assert await note_of(one, MAIL) is None


async def test_of_an_identity_that_has_become_another_persons_that_one_alone_gets_it() -> None:
    """A worker that stood still for a moment had it written into the first one's profile."""
    bert, database = "o one CRMID:2", MemoryDatabase()
    async with running(MemoryStore(database)) as one, running(MemoryStore(database)) as other:
        await graph_of(other).link((ONE, MAIL))
        await graph_of(one).link((bert, MAIL))

        await patching(other).patch([MAIL], {"note": "gold"})

        assert (await note_of(one, ONE), await note_of(one, bert)) == (None, "gold")


async def test_where_the_store_takes_nothing_nothing_is_kept() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        await patching(stack).patch([ONE, OTHER], {"a": 1})
        watched.failing = broken()
        with pytest.raises(StoreUnavailable):
            await patching(stack).patch([ONE, OTHER], LARGE)
        watched.failing = None

        assert await note_of(stack, ONE) is await note_of(stack, OTHER) is None


async def test_where_there_is_no_room_for_all_that_waits_nothing_is_decided() -> None:
    async with running() as stack:
        keys = [f"o one CRMID:{number}" for number in range(stack.engine.room)]
        for key in (ONE, OTHER):
            await patching(stack).patch([key], {"a": 1})

        with pytest.raises(Overloaded):
            await patching(stack).patch(keys[:6_000], LARGE)

        assert not stack.engine.waiting


async def test_it_is_told_under_how_many_keys_the_person_refused() -> None:
    async with running() as stack:
        await graph_of(stack).link((ONE, MAIL))
        await said(stack, ONE, ConsentChosen("out"))
        await said(stack, MAIL, ConsentChosen("in"))

        assert await patching(stack).patch([ONE, OTHER], LARGE) == 1

        assert await note_of(stack, OTHER) == LARGE["note"]


async def test_what_was_said_before_an_erasure_is_not_kept_by_being_written_after_it() -> None:
    """An import of attributes brought back whoever was erased between its look and its write."""
    async with running() as stack:
        await patching(stack).patch([ONE], {"note": "before"})
        await said(stack, ONE, Forgotten())

        await patching(stack).patch([ONE], {"note": "imported"}, said_ms=NOON_MS - 1)
        assert await note_of(stack, ONE) is None

        await patching(stack).patch([ONE], {"note": "again"})
        await patching(stack).patch([ONE], {"note": "imported"}, said_ms=NOON_MS - 1)
        assert await note_of(stack, ONE) == "again"


async def test_whoever_refuses_at_another_process_meanwhile_is_told_of_as_not_kept() -> None:
    database = MemoryDatabase()
    async with running(MemoryStore(database)) as one, running(MemoryStore(database)) as other:
        await patching(other).patch([ONE], {"note": "silver"})
        await said(one, ONE, ConsentChosen("out"))

        assert await patching(other).patch([ONE], {"note": "gold"}) == 1

        assert (await one.store.load(ONE)).profile is None
