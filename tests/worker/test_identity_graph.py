"""Two profiles become one while both are being written, here and in other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from perso_core.decision.caps import DEFAULT_CAPS, Caps
from perso_core.decision.membership import Membership
from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.decision.retention import Retention
from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores.imports import Batch
from perso_core.stores.links import NOT_JOINED, Joined, Joining
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Committed, Stored
from perso_core.stores.sqlite import open_sqlite
from perso_core.worker.hearing import Hearing
from perso_core.worker.identity_graph import IdentityGraph
from tests.building import DAY_MS, NOON_MS
from tests.engine.test_imported import in_force
from tests.soaking import times
from tests.stores.building import arrived
from tests.worker.stack import ANNA as PHONE
from tests.worker.stack import BERT as TABLET
from tests.worker.stack import Stack, WatchedStore, running, settled

ANNA = "o demo CRMID:4711"


def graph_of(
    stack: Stack, caps: Caps = DEFAULT_CAPS, heard: Callable[[], Awaitable[None]] | None = None
) -> IdentityGraph:
    more = {} if heard is None else {"until_heard": heard}
    return IdentityGraph(
        stack.engine,
        stack.store,
        stack.drain,
        stack.admission,
        clock_ms=lambda: NOON_MS,
        caps=caps,
        **more,
    )


async def kept(stack: Stack, event_id: str, key: str = PHONE) -> None:
    await stack.begin_visit(key, event_id=event_id)


async def test_what_waits_for_its_commit_is_moved_too() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        graph = graph_of(stack)
        await kept(stack, "e1")
        watched.gate.clear()
        waiting = stack.begin_visit(PHONE, event_id="e2")
        await settled()
        moving = asyncio.create_task(graph.move(PHONE, ANNA))
        await settled()
        watched.gate.set()
        await asyncio.gather(waiting, moving)

        assert (await stack.event_ids(ANNA), await stack.event_ids(PHONE)) == ({"e1", "e2"}, set())
        assert not graph.holds_something(PHONE)


async def test_a_device_that_left_memory_since_it_was_asked_for_is_taken_to_hold_something() -> (
    None
):
    """As where others push it out while who signs in on it is looked up."""
    store = MemoryStore()
    async with running(store) as stack:
        await kept(stack, "e1")
    async with running(store) as stack:
        graph = graph_of(stack)

        assert graph.holds_something(PHONE)
        await graph.move(PHONE, ANNA)

        assert not graph.holds_something(PHONE)
        assert await stack.event_ids(ANNA) == {"e1"}


async def test_what_is_decided_while_it_is_moved_is_decided_again_on_what_is_left() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        await kept(stack, "e1")
        watched.gate.clear()
        moving = asyncio.create_task(graph_of(stack).move(PHONE, ANNA))
        await settled()
        later = stack.begin_visit(PHONE, event_id="e2")
        again = stack.begin_visit(PHONE, event_id="e1")
        await settled()
        watched.gate.set()
        await asyncio.gather(moving, later, again)

        assert await stack.event_ids(ANNA) | await stack.event_ids(PHONE) == {"e1", "e2"}
        assert not await stack.event_ids(ANNA) & await stack.event_ids(PHONE)


async def test_whoever_gives_up_does_not_end_it() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        graph = graph_of(stack)
        await kept(stack, "e1")
        watched.gate.clear()
        first, second = (asyncio.create_task(graph.move(PHONE, ANNA)) for _ in range(2))
        await settled()
        first.cancel()
        await settled()
        watched.gate.set()
        await second

        assert await stack.event_ids(ANNA) == {"e1"}


async def test_whoever_is_always_overtaken_hears_that_it_failed() -> None:
    class Contended(WatchedStore):
        async def join(self, joining: Joining) -> Joined:
            return NOT_JOINED

    async with running(Contended(MemoryStore())) as stack:
        await kept(stack, "e1")
        with pytest.raises(StoreUnavailable, match="not joined"):
            await graph_of(stack).move(PHONE, ANNA)

        assert graph_of(stack).holds_something(PHONE)


async def test_who_writes_a_profile_without_pause_waits_while_it_becomes_part_of_another() -> None:
    class WrittenEachTime(WatchedStore):
        async def join(self, joining: Joining) -> Joined:
            writing.append(asyncio.ensure_future(kept(stack, f"w{len(writing)}")))
            await settled()
            return await super().join(joining)

    writing: list[asyncio.Future[None]] = []
    async with running(WrittenEachTime(MemoryStore())) as stack:
        await kept(stack, "e1")
        await graph_of(stack).move(PHONE, ANNA)
        await asyncio.gather(*writing)

        assert len(writing) == 2
        assert await stack.event_ids(ANNA) == {"e1", "w0"}
        assert await stack.event_ids(PHONE) == {"w1"}


async def test_a_customer_past_the_retention_begins_anew_with_what_the_device_brings() -> None:
    async with running() as stack:
        await kept(stack, "old", ANNA)
        keeping = stack.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")
        keeping.clock_ms = NOON_MS + 2 * DAY_MS
        await kept(stack, "new")

        await graph_of(stack).move(PHONE, ANNA)

        assert (await stack.event_ids(ANNA), await stack.event_ids(PHONE)) == ({"new"}, set())


async def test_no_identity_leads_to_a_profile_past_its_retention() -> None:
    mail = "o demo Email:anna@shop.test"
    async with running() as stack:
        await kept(stack, "old", ANNA)
        graph = graph_of(stack)
        await graph.link((ANNA, mail))
        keeping = stack.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")

        keeping.clock_ms = NOON_MS + DAY_MS - 1
        assert await graph.canonical(mail) == ANNA
        keeping.clock_ms = NOON_MS + DAY_MS
        assert await graph.canonical(mail) == mail


async def test_no_identity_leads_to_a_profile_that_begins_anew_past_its_retention() -> None:
    mail, watched = "o demo Email:anna@shop.test", WatchedStore(MemoryStore())
    async with running(watched) as stack:
        await kept(stack, "old", ANNA)
        graph = graph_of(stack)
        await graph.link((ANNA, mail))
        keeping = stack.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")
        keeping.clock_ms = NOON_MS + DAY_MS
        watched.gate.clear()
        await stack.visit(ANNA, event_id="new")

        assert await graph.canonical(mail) == mail
        watched.gate.set()


async def test_a_profile_that_others_touched_is_not_past_its_retention(tmp_path: Path) -> None:
    mail = "o demo Email:anna@shop.test"
    first, second = [await open_sqlite(tmp_path / "perso", max_events=9) for _ in range(2)]
    async with running(first, announce=True) as one, running(second) as other:
        await kept(one, "old", ANNA)
        await graph_of(one).link((ANNA, mail))
        for key in (mail, ANNA):
            assert await graph_of(other).canonical(key) == ANNA
        await second.news(other.engine.holds)
        one.engine.keeping.clock_ms = NOON_MS + DAY_MS - 1
        await kept(one, "new", ANNA)
        for key, appended in (await second.news(other.engine.holds)).appended.items():
            other.engine.appended(key, appended)

        keeping = other.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")
        keeping.clock_ms = NOON_MS + DAY_MS
        assert await graph_of(other).canonical(mail) == ANNA
    for store in (first, second):
        await store.close()


async def test_an_identity_whose_profile_is_past_its_retention_is_linked_to_another() -> None:
    mail, phone = "o demo Email:anna@shop.test", "o demo Phone:1"
    async with running() as stack:
        await kept(stack, "old", ANNA)
        graph = graph_of(stack)
        await graph.link((ANNA, mail))
        keeping = stack.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")
        keeping.clock_ms = NOON_MS + DAY_MS
        await kept(stack, "new", mail)

        assert (await graph.link((mail, phone))).key == mail == await graph.canonical(phone)
        assert await stack.event_ids(mail) == {"new"}


async def test_identities_of_a_profile_past_its_retention_are_linked_to_each_other() -> None:
    mail, phone = "o demo Email:anna@shop.test", "o demo Phone:1"
    async with running() as stack:
        await kept(stack, "old", ANNA)
        graph = graph_of(stack)
        await graph.link((ANNA, mail, phone))
        keeping = stack.engine.keeping
        keeping.retention = Retention(by_datastream={"demo": DAY_MS}, org="o")
        keeping.clock_ms = NOON_MS + DAY_MS
        await kept(stack, "new", mail)

        assert (await graph.link((mail, phone))).key == mail == await graph.canonical(phone)
        assert await stack.event_ids(mail) == {"new"}


async def test_a_version_from_before_is_older_than_the_one_after() -> None:
    """Tokens for the device and for the customer are still honoured."""
    async with running() as stack:
        await kept(stack, "e1")
        await kept(stack, "e2", ANNA)
        before = {key: stack.engine.seen(key) for key in (PHONE, ANNA)}

        await graph_of(stack).move(PHONE, ANNA)

        for key, seen in before.items():
            assert stack.engine.seen(key).version > seen.version
        to_see = graph_of(stack).to_see(ANNA, left=PHONE)
        assert to_see.version
        assert stack.engine.seen(ANNA) == to_see


async def test_a_link_costs_no_read_once_it_is_known() -> None:
    watched = WatchedStore(MemoryStore())
    async with running(watched) as stack:
        graph = graph_of(stack)
        mail = "o demo Email:a"
        assert (await graph.link((ANNA, mail))).key == ANNA
        loads = len(watched.loads)
        for _ in range(3):
            assert await graph.canonical(mail) == ANNA == await graph.canonical(ANNA)

        assert len(watched.loads) == loads


async def test_who_links_before_hearing_of_an_earlier_link_links_to_where_that_leads() -> None:
    database, mail, phone = MemoryDatabase(), "o demo Email:a", "o demo Phone:1"
    async with running(MemoryStore(database)) as one, running(MemoryStore(database)) as other:
        await kept(other, "e1", mail)
        await graph_of(one).link((ANNA, mail))

        linked = await graph_of(other).link((mail, phone))

        assert linked.key == ANNA
        assert (await one.store.load(phone)).linked_to == ANNA
        assert await one.event_ids(ANNA) == {"e1"}


async def test_a_profile_that_begins_as_an_identity_leads_there_is_decided_from_then_on() -> None:
    bert, mail = "o demo CRMID:4712", "o demo Email:anna@shop.test"
    async with running() as stack:
        graph = graph_of(stack)
        await kept(stack, "e1", ANNA)
        await graph.link((ANNA, mail))
        await graph.link((bert, mail))

        begun = (await stack.store.load(bert)).profile
        assert begun is not None
        assert begun.evaluated_ms == NOON_MS


async def test_a_profile_of_whom_only_an_import_told_begins_as_an_identity_leads_there() -> None:
    bert, mail = "o demo CRMID:4712", "o demo Email:anna@shop.test"
    store = MemoryStore()
    rows = ((bert, "risk", NOON_MS + DAY_MS),)
    long_ago_ms = NOON_MS - 9 * DAY_MS
    async with running(store) as stack:
        graph = graph_of(stack)
        await kept(stack, "e1", ANNA)
        await graph.link((ANNA, mail))
        batch = Batch(rows=rows, now_ms=long_ago_ms, began_ms=long_ago_ms, name=b"", progress=None)
        await store.import_memberships(batch)
        await graph.link((bert, mail))

        begun = (await store.load(bert)).profile
        assert begun is not None
        assert begun.touched_ms == begun.evaluated_ms == NOON_MS


async def test_what_was_imported_and_is_over_stays_an_exit_as_an_identity_leads_there() -> None:
    bert, mail = "o demo CRMID:4712", "o demo Email:anna@shop.test"
    store = MemoryStore()
    began_ms, until_ms = NOON_MS - 9 * DAY_MS, NOON_MS - 8 * DAY_MS
    async with running(store) as stack:
        stack.engine.swap(in_force())
        graph = graph_of(stack)
        await kept(stack, "e1", ANNA)
        await graph.link((ANNA, mail))
        rows = ((bert, "risk", until_ms),)
        batch = Batch(rows=rows, now_ms=began_ms, began_ms=began_ms, name=b"", progress=None)
        await store.import_memberships(batch)

        await graph.link((bert, mail))

        begun = stack.engine.profile(bert, now_ms=NOON_MS)
        assert isinstance(begun, Profile)
        assert begun.memberships["risk"] == Membership(
            audience_id="risk", status="exited", since_ms=until_ms
        )


async def test_what_was_kept_before_a_link_was_heard_of_moves_with_the_next_call() -> None:
    database, mail = MemoryDatabase(), "o demo Email:a"
    async with running(MemoryStore(database)) as one, running(MemoryStore(database)) as other:
        await kept(other, "e1", mail)
        await graph_of(one).link((ANNA, mail))
        await kept(other, "e2", mail)
        assert await one.event_ids(mail) == {"e2"}

        await graph_of(other).link([mail])

        assert await one.event_ids(ANNA) == {"e1", "e2"}
        assert await one.event_ids(mail) == set()


class Slow(MemoryStore):
    """Whatever is asked of it, others may come first."""

    def __init__(self, database: MemoryDatabase, chance: Random) -> None:
        super().__init__(database)
        self._chance = chance

    async def _wait(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        await self._wait()
        stored = await super().load(key, projection)
        await self._wait()
        return stored

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        await self._wait()
        committed = await super().commit(entries, announce=announce)
        await self._wait()
        return committed

    async def join(self, joining: Joining) -> Joined:
        await self._wait()
        joined = await super().join(joining)
        await self._wait()
        return joined


@pytest.mark.parametrize("seed", range(times(8, 500)))
async def test_whatever_two_processes_do_at_once_each_event_is_kept_once(seed: int) -> None:
    """Neither hears of the other but by what it finds in the store."""
    chance = Random(seed)
    database = MemoryDatabase()
    async with running(Slow(database, chance)) as one, running(Slow(database, chance)) as other:
        stacks = [(one, graph_of(one)), (other, graph_of(other))]
        acknowledged: set[str] = set()

        async def visitor(number: int) -> None:
            for step in range(12):
                stack, graph = chance.choice(stacks)
                device = chance.choice((PHONE, TABLET))
                try:
                    if chance.random() < 0.3:
                        await graph.move(device, ANNA)
                        continue
                    name = f"{number}-{step}"
                    await kept(stack, name, chance.choice((device, ANNA)))
                    acknowledged.add(name)
                except StoreUnavailable:
                    pass  # overtaken too often: it was not acknowledged

        await asyncio.gather(*(visitor(number) for number in range(6)))
        for device in (PHONE, TABLET):
            await one.admission.take_over(device)
            await stacks[0][1].move(device, ANNA)

        everything = [await one.event_ids(key) for key in (PHONE, TABLET, ANNA)]
        assert everything == [set(), set(), everything[2]]
        assert acknowledged <= everything[2]


async def test_a_person_has_as_many_identities_as_the_settings_say() -> None:
    async with running() as stack:
        graph = graph_of(stack, Caps(identities=2))
        for number, key in enumerate((PHONE, TABLET)):
            await kept(stack, f"e{number}", key)
            await graph.move(key, ANNA)
        for number in range(3):
            await graph.link((ANNA, f"o demo Email:{number}"))
        links = await stack.store.links(ANNA)
        anna = (await stack.store.load(ANNA)).profile

        assert [link.key for link in links] == ["o demo Email:2"]
        assert anna is not None
        assert [one.id for one in anna.claims] == [PHONE.split(":")[1], TABLET.split(":")[1]]

        await kept(stack, "e2", "ECID:" + "9" * 38)
        await graph.move("ECID:" + "9" * 38, ANNA)
        anna = (await stack.store.load(ANNA)).profile
        assert anna is not None
        # Two links and a claim.
        assert (len(anna.claims), anna.dropped_claims) == (2, 3)


@pytest.mark.parametrize("identities", [1, 2, 3])
async def test_of_more_identities_than_a_person_may_have_none_is_linked_again_and_again(
    identities: int,
) -> None:
    class Counting(MemoryStore):
        joined = 0

        async def join(self, joining: Joining) -> Joined:
            self.joined += 1
            return await super().join(joining)

    store = Counting()
    async with running(store) as stack:
        graph = graph_of(stack, Caps(identities=identities))
        mails = [f"o demo Email:{number}" for number in range(4)]
        for number, key in enumerate((ANNA, *mails)):
            await kept(stack, f"e{number}", key)
        for _ in range(3):
            assert (await graph.link((ANNA, *mails))).key == ANNA

        assert [link.key for link in await store.links(ANNA)] == mails[: identities - 1]
        assert store.joined == identities - 1
        anna = (await store.load(ANNA)).profile
        assert anna is not None
        assert anna.dropped_claims == 0


async def test_who_moves_an_identity_to_another_person_waits_until_others_have_heard() -> None:
    """No process tells of the person whose it was once the call is answered."""
    bert, mail, heard = "o demo CRMID:4712", "o demo Email:anna@shop.test", 0

    async def hear() -> None:
        nonlocal heard
        heard += 1

    async with running(MemoryStore()) as stack:
        graph = graph_of(stack, Caps(identities=2), heard=hear)
        await graph.link((ANNA, mail))
        assert heard == 0, "whose it becomes nobody was told of it"

        await graph.link((bert, mail))
        assert heard == 1

        await graph.link((bert, "o demo Phone:17"))
        assert heard == 2, "the one that made room is nobody's"


async def test_what_came_while_an_identity_became_another_persons_counts_no_more_there() -> None:
    """It was kept of the first one: by this process before the link was on disk, by others before
    they heard of it. Whoever was not answered in time sends it again."""
    bert, mail = "o demo CRMID:4712", "o demo Email:anna@shop.test"
    watched = WatchedStore(MemoryStore())

    async def hear() -> None:
        await kept(stack, "unheard", ANNA)

    async with running(watched) as stack:
        await graph_of(stack).link((ANNA, mail))
        await kept(stack, "his", bert)
        watched.gate.clear()
        linking = asyncio.create_task(graph_of(stack, heard=hear).link((bert, mail)))
        await settled()
        meanwhile = stack.begin_visit(ANNA, event_id="meanwhile")
        await settled()
        watched.gate.set()
        await asyncio.gather(linking, meanwhile)
        for event_id in ("meanwhile", "unheard", "another"):
            await kept(stack, event_id, bert)

        assert await stack.event_ids(ANNA) == {"meanwhile", "unheard"}
        assert await stack.event_ids(bert) == {"his", "another"}


async def test_a_process_that_stood_still_says_whose_an_identity_is_once_it_has_caught_up() -> None:
    """What came for the identity then was kept of the person whose it had been."""
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    async with running(MemoryStore(), hearing=hearing, load_timeout_ms=500) as stack:
        await graph_of(stack).link((ANNA, "o demo Email:a"))
        looking = asyncio.create_task(hearing.look())
        await settled()

        now_s = 30.0  # news do not come in time
        with pytest.raises(StoreUnavailable, match="the process stood still"):
            await graph_of(stack).canonical("o demo Email:a")
        looking.cancel()


async def test_what_a_profile_brings_has_as_much_room_as_the_settings_say() -> None:
    for record_bytes, brought in ((2_000, 0), (300_000, 2)):
        async with running() as stack:
            mail = "o demo Email:1"
            said = Profile(key=mail, version=1, attributes={"a": "x" * 90_000, "b": "y" * 150_000})
            await stack.store.commit([structs.replace(arrived(None, mail), profile=said)])
            await graph_of(stack, Caps(record_bytes=record_bytes)).link((ANNA, mail))
            anna = (await stack.store.load(ANNA)).profile

            assert anna is not None
            assert len(anna.brought.get("Email", {})) == brought
            assert anna.dropped_attributes == 2 - brought


async def test_events_that_have_no_room_at_a_join_are_counted_once() -> None:
    async with running(MemoryStore(max_events=4)) as stack:
        graph = graph_of(stack, Caps(events=4))
        for number in range(3):
            await kept(stack, f"phone{number}", PHONE)
            await kept(stack, f"tablet{number}", TABLET)
        for key in (PHONE, TABLET):
            await graph.move(key, ANNA)
        told = stack.engine.profile(ANNA, now_ms=NOON_MS)

        assert isinstance(told, Profile)
        assert (len(told.events), told.dropped_events) == (4, 2)
        assert len(await stack.event_ids(ANNA)) == 4
