"""A process whose store is replaced by another one decides nothing on what was there before."""

from __future__ import annotations

import asyncio
import copy

from perso_core.decision.profile import Profile
from perso_core.engine.engine import NOTHING_SEEN, Interaction
from perso_core.engine.journal import AttributesPatched
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker.identity_graph import IdentityGraph
from tests.building import NOON_MS
from tests.edge.test_epochs import restore
from tests.worker.stack import ANNA, BERT, WatchedStore, running, settled

PERSON = "o demo CRMID:1"


async def test_what_waits_for_its_commit_is_decided_again_on_what_is_there_now() -> None:
    """Also where the versions of both happen to be the same."""
    database = MemoryDatabase()
    watched = WatchedStore(MemoryStore(database))
    async with running(watched) as stack:
        await stack.begin_visit(ANNA, event_id="both")
        backup = copy.deepcopy(database)
        await stack.begin_visit(ANNA, event_id="lost")
        watched.gate.clear()
        waiting = stack.begin_visit(ANNA, event_id="waits")
        await settled()
        restore(database, backup)
        async with running(MemoryStore(database)) as other:
            await other.begin_visit(ANNA, event_id="since")
        watched.gate.set()
        await waiting

        assert await stack.event_ids(ANNA) == {"both", "since", "waits"}
        profile = stack.engine.profile(ANNA, now_ms=NOON_MS)
        assert isinstance(profile, Profile)
        assert {one.id for one in profile.events} == {"both", "since", "waits"}


async def test_what_is_held_of_before_is_read_again_before_anything_is_decided_on_it() -> None:
    database = MemoryDatabase()
    watched = WatchedStore(MemoryStore(database))
    async with running(watched) as stack:
        await stack.begin_visit(ANNA, event_id="both")
        await stack.begin_visit(BERT, event_id="both")
        backup = copy.deepcopy(database)
        for key in (ANNA, BERT):
            await stack.begin_visit(key, event_id="lost")
        watched.gate.clear()
        waiting = stack.begin_visit(BERT, event_id="waits")
        await settled()
        restore(database, backup)
        stack.engine.following.follow(database.epoch)
        # Of neither it is known what is there; of Bert something still waits.
        assert stack.engine.seen(ANNA) is stack.engine.seen(BERT) is NOTHING_SEEN
        later = [stack.begin_visit(key, event_id="later") for key in (ANNA, BERT)]
        await settled()
        watched.gate.set()
        await asyncio.gather(waiting, *later)

        assert await stack.event_ids(ANNA) == {"both", "later"}
        assert await stack.event_ids(BERT) == {"both", "waits", "later"}
        assert stack.engine.seen(BERT).epoch == database.epoch


async def test_no_profile_of_before_is_moved_into_one_of_now() -> None:
    database = MemoryDatabase()
    watched = WatchedStore(MemoryStore(database))
    async with running(watched) as stack:
        graph = IdentityGraph(
            stack.engine, watched, stack.drain, stack.admission, clock_ms=lambda: NOON_MS
        )
        await stack.begin_visit(ANNA, event_id="both")
        backup = copy.deepcopy(database)
        lost = Interaction(
            profile_key=ANNA, datastream_id="demo", changes=(AttributesPatched({"lost": 1}),)
        )
        await stack.drain.durable((await stack.admission.decided(lost)).sequence)
        assert await graph.canonical(PERSON) == PERSON
        watched.gate.clear()
        moving = asyncio.create_task(graph.move(ANNA, PERSON))
        await settled()
        restore(database, backup)
        async with running(MemoryStore(database)) as other:
            await other.begin_visit(ANNA, event_id="since")
        watched.gate.set()
        await moving

        assert await stack.event_ids(PERSON) == {"both", "since"}
        person = (await stack.store.load(PERSON)).profile
        assert person is not None
        assert "lost" not in person.brought.get("ECID", {})
