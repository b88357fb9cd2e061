"""One profile becomes part of another one, and identities of it: what every store promises."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.decision.event import Event
from perso_core.decision.graph import MAX_IDENTITIES
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile, mark_of, was_moved
from perso_core.decision.union import left_in, united
from perso_core.stores import sqlite_erased
from perso_core.stores.links import BARRED, Joined, Joining, Link
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import News, Store
from perso_core.stores.sqlite import open_sqlite
from tests.building import NOON_MS, event
from tests.stores.building import ANNA as PHONE
from tests.stores.building import BERT as TABLET
from tests.stores.building import arrived, chose, forgot, held
from tests.stores.conftest import OpenStore

ANNA = "o demo CRMID:4711"
MAIL = "o demo Email:anna@shop.test"
TELEPHONE = "o demo Phone:17"


async def reported(store: Store, key: str, *events: Event) -> None:
    """Events arrived under a key, one commit each."""
    for one in events:
        kept = await store.load(key)
        base = kept.profile.version if kept.profile else 0
        entry = structs.replace(arrived(one, key, base=base), linked=bool(kept.linked_to))
        committed = await store.commit([entry])
        assert not committed.conflicts


def page(name: str, at_ms: int = NOON_MS) -> Event:
    return event(event_id=name, at_ms=at_ms)


async def joining(
    store: Store,
    source: str,
    target: str,
    *,
    linked: bool = False,
    max_events: int = 100,
    max_identities: int = MAX_IDENTITIES,
    by: Event | None = None,
) -> Joining:
    """As it is decided on what the store has."""
    other = (await store.load(source)).profile
    into = (await store.load(target)).profile or Profile(key=target)
    both = united(into, other, now_ms=NOON_MS, caps=Caps(max_events)) if other else None
    return Joining(
        source=source,
        target=target,
        decided_ms=NOON_MS,
        united=both,
        source_version=other.version if other else 0,
        target_version=into.version,
        linked=linked,
        max_identities=max_identities,
        left=left_in(into, now_ms=NOON_MS),
        by=by,
    )


async def join(
    store: Store,
    source: str,
    target: str,
    *,
    linked: bool = False,
    max_identities: int = MAX_IDENTITIES,
    by: Event | None = None,
) -> Joined:
    decided = await joining(
        store, source, target, linked=linked, max_identities=max_identities, by=by
    )
    return await store.join(decided)


async def ids(store: Store, key: str) -> list[str]:
    kept = (await store.load(key)).profile
    return [one.id for one in kept.events] if kept else []


async def test_events_are_one_history_by_time_and_then_by_arrival(store: Store) -> None:
    await reported(store, PHONE, page("first"), page("late", NOON_MS + 9))
    await reported(store, ANNA, page("second"), page("early", NOON_MS - 9))
    await reported(store, PHONE, page("third"))

    assert (await join(store, PHONE, ANNA)).kept

    assert await ids(store, ANNA) == ["early", "first", "second", "third", "late"]
    assert await ids(store, PHONE) == []


async def test_what_is_told_of_an_identity_is_not_kept_once_it_leads_to_somebody_else(
    store: Store,
) -> None:
    await reported(store, ANNA, page("hers"))
    assert (await join(store, MAIL, ANNA, linked=True)).kept
    told = structs.replace(await joining(store, MAIL, ANNA, linked=True), led=True)
    assert (await store.join(told)).kept

    assert (await join(store, MAIL, "o demo CRMID:4712", linked=True)).kept

    assert not (await store.join(told)).kept
    assert (await store.load(MAIL)).linked_to == "o demo CRMID:4712"


@pytest.mark.parametrize("linked", [False, True])
async def test_events_that_have_no_room_are_counted(open_store: OpenStore, linked: bool) -> None:
    store = await open_store(max_events=3)
    await reported(store, MAIL, page("old", NOON_MS - 9), page("both"), page("young"))
    await reported(store, ANNA, page("both"), page("new", NOON_MS + 9))
    decided = await joining(store, MAIL, ANNA, linked=linked)
    assert decided.united is not None
    assert decided.united.profile.dropped_events == 0, "the store counts what it drops"

    assert (await store.join(decided)).kept

    anna = (await store.load(ANNA)).profile
    assert anna is not None
    assert [one.id for one in anna.events] == ["both", "young", "new"]
    assert anna.dropped_events == 1
    assert anna.version == decided.united.profile.version


async def test_events_that_have_room_are_not_counted(open_store: OpenStore) -> None:
    store = await open_store(max_events=3)
    await reported(store, PHONE, page("one"), page("both"))
    await reported(store, ANNA, page("both"), page("two"))

    await join(store, PHONE, ANNA)

    anna = (await store.load(ANNA)).profile
    assert anna is not None
    assert (len(anna.events), anna.dropped_events) == (3, 0)


async def test_whichever_device_comes_first_the_profile_is_the_same(open_store: OpenStore) -> None:
    kept = []
    for n, order in enumerate(permutations((PHONE, TABLET, MAIL))):
        # A customer for each order: one database holds them all.
        store, customer = await open_store(), f"o demo CRMID:{n}"
        mine = {key: f"{key}{n}" for key in (PHONE, TABLET, MAIL)}
        for key, name, says in (
            (PHONE, "a", "x"),
            (TABLET, "b", ""),
            (MAIL, "a", "y"),
            (PHONE, "c", ""),
            (TABLET, "a", "z"),
        ):
            await reported(store, mine[key], event(event_id=name, says=says))
        for key in order:
            assert (await join(store, mine[key], customer)).kept
        profile = (await store.load(customer)).profile
        assert profile is not None
        kept.append(structs.replace(profile, key="", claims=(), version=0))

    assert [one.id for one in kept[0].events] == ["a", "b", "c"]
    assert all(one == kept[0] for one in kept)


async def test_what_was_decided_on_another_version_is_not_kept(store: Store) -> None:
    await reported(store, PHONE, page("one"))
    await reported(store, ANNA, page("two"))
    decided = await joining(store, PHONE, ANNA)

    for moved in (PHONE, ANNA):
        await reported(store, moved, page(f"meanwhile-{moved}"))
        before = [await store.load(key) for key in (PHONE, ANNA)]
        assert not (await store.join(decided)).kept
        assert [await store.load(key) for key in (PHONE, ANNA)] == before
        decided = await joining(store, PHONE, ANNA)

    assert (await store.join(decided)).kept
    assert not (await store.join(decided)).kept, "it is done"


@pytest.mark.parametrize("whose", [PHONE, ANNA])
async def test_where_either_refused_nothing_is_moved_or_linked(store: Store, whose: str) -> None:
    await reported(store, PHONE, page("one"))
    decided = await joining(store, PHONE, ANNA, linked=True)
    await store.commit([chose("out", whose)])

    assert not (await store.join(decided)).kept
    assert not (await store.join(structs.replace(decided, united=None))).kept
    assert await ids(store, ANNA) == []


async def test_nothing_comes_into_a_profile_that_was_erased_since(store: Store) -> None:
    await reported(store, PHONE, page("one"))
    decided = await joining(store, PHONE, ANNA)
    await store.commit([structs.replace(forgot(ANNA), now_ms=NOON_MS + 1)])

    assert not (await store.join(decided)).kept
    assert await ids(store, PHONE) == ["one"]


async def test_a_linked_identity_is_told_where_its_profile_is(store: Store) -> None:
    assert await join(store, MAIL, ANNA, linked=True) == Joined(True)

    assert (await store.load(MAIL)).linked_to == ANNA
    assert (await store.load(ANNA)).linked_to == ""
    assert await store.links(ANNA) == (Link(MAIL, NOON_MS),)


async def test_of_a_linked_identity_nothing_else_stays(store: Store) -> None:
    await reported(store, MAIL, page("mail"))
    await store.commit([chose("in", MAIL)])

    await join(store, MAIL, ANNA, linked=True)

    kept = await store.load(MAIL)
    assert (kept.profile, kept.linked_to) == (None, ANNA)
    assert kept.consent is not None


async def test_a_linked_identity_is_written_by_nobody_who_has_not_heard_of_it(store: Store) -> None:
    await join(store, MAIL, ANNA, linked=True)
    decided = arrived(page("mail"), MAIL, base=0)

    assert (await store.commit([decided])).conflicts == {MAIL}

    assert await ids(store, MAIL) == []
    again = structs.replace(decided, linked=True)
    assert not (await store.commit([again])).conflicts, "whoever has moves it on by itself"


async def test_nor_is_one_of_which_nothing_was_to_be_moved(store: Store) -> None:
    await reported(store, MAIL, page("mail"))
    await store.join(await joining(store, MAIL, PHONE))
    left = (await store.load(MAIL)).profile
    assert left is not None
    await store.join(Joining(source=MAIL, target=ANNA, decided_ms=NOON_MS, linked=True))

    decided = arrived(page("further"), MAIL, base=left.version)

    assert (await store.commit([decided])).conflicts == {MAIL}


async def test_no_link_leads_to_a_link(store: Store) -> None:
    await join(store, TELEPHONE, MAIL, linked=True)

    assert (await join(store, MAIL, ANNA, linked=True)).links == (TELEPHONE,)
    assert (await store.load(TELEPHONE)).linked_to == ANNA
    assert not (await join(store, PHONE, MAIL, linked=True)).kept
    assert not (await join(store, ANNA, MAIL, linked=True)).kept, "that would go round"


async def test_a_link_that_is_said_to_lead_elsewhere_leads_there(store: Store) -> None:
    await reported(store, MAIL, page("mail"))
    await join(store, MAIL, ANNA, linked=True)
    other = "o demo CRMID:4712"

    moved = Joining(source=MAIL, target=other, decided_ms=NOON_MS + 1, linked=True)
    assert (await store.join(moved)).kept

    assert (await store.load(MAIL)).linked_to == other
    assert (await ids(store, ANNA), await ids(store, other)) == (["mail"], [])
    assert await store.links(ANNA) == ()


async def test_of_too_many_identities_the_oldest_links_go(store: Store) -> None:
    for n in range(MAX_IDENTITIES + 1):
        linked = Joining(source=f"{MAIL}{n:02}", target=ANNA, decided_ms=NOON_MS + n, linked=True)
        joined = await store.join(linked)
        assert joined.links == ((f"{MAIL}{n - 49:02}",) if n >= 49 else ())

    assert len(await store.links(ANNA)) == MAX_IDENTITIES - 1
    assert (await store.load(f"{MAIL}01")).linked_to == ""


@pytest.mark.parametrize("max_identities", [1, 3])
async def test_how_many_identities_a_person_has_is_what_the_joining_says(
    store: Store, max_identities: int
) -> None:
    for n in range(5):
        linked = Joining(
            source=f"{MAIL}{n}",
            target=ANNA,
            decided_ms=NOON_MS + n,
            linked=True,
            max_identities=max_identities,
        )
        await store.join(linked)

    kept = [link.key for link in await store.links(ANNA)]
    assert kept == [f"{MAIL}{n}" for n in range(5)][5 - (max_identities - 1) :]


@pytest.mark.parametrize("moves", [True, False])
async def test_identities_that_make_room_are_counted_and_know_what_they_left(
    store: Store, moves: bool
) -> None:
    await reported(store, ANNA, page("e1"))
    if moves:
        await reported(store, TELEPHONE, page("e2"))
    await join(store, MAIL, ANNA, linked=True, max_identities=2)

    joined = await join(store, TELEPHONE, ANNA, linked=True, max_identities=2)

    assert (joined.links, joined.dropped) == ((MAIL,), 1)
    anna = (await store.load(ANNA)).profile
    assert anna is not None
    assert anna.dropped_claims == 1
    mail = (await store.load(MAIL)).profile
    assert mail is not None
    assert was_moved(mail, "e1")
    # Nobody was in an audience before the profile began.
    assert mail.evaluated_ms == mail.touched_ms > 0
    # Whoever decided on the version before has to see it.
    late = arrived(event(event_id="e3"), ANNA, base=anna.version - 1)
    assert (await store.commit([late])).conflicts == {ANNA}


async def test_of_a_person_without_a_profile_nothing_is_counted(store: Store) -> None:
    for n in range(3):
        await store.join(
            Joining(
                source=f"{MAIL}{n}",
                target=ANNA,
                decided_ms=NOON_MS,
                linked=True,
                max_identities=2,
            )
        )

    assert (await store.load(ANNA)).profile is None


async def test_with_a_profile_its_links_are_erased(open_store: OpenStore) -> None:
    store, listener = await open_store(), await open_store()
    await join(store, MAIL, ANNA, linked=True)
    await join(store, TELEPHONE, ANNA, linked=True)
    await listener.news()

    await store.commit([forgot(TELEPHONE)])
    assert await store.links(ANNA) == (Link(MAIL, NOON_MS),)
    await store.commit([forgot(ANNA)])

    assert await store.links(ANNA) == ()
    assert (await store.load(MAIL)).linked_to == ""
    assert (await listener.news()).keys == {ANNA, MAIL, TELEPHONE}


async def test_what_is_erased_is_known_again_under_each_identity_and_on_the_device(
    store: Store,
) -> None:
    await reported(store, PHONE, page("of the phone"))
    await reported(store, ANNA, page("of the customer"))
    await join(store, PHONE, ANNA)
    await join(store, MAIL, ANNA, linked=True)

    await store.commit([forgot(ANNA)])

    both = {mark_of("of the phone"), mark_of("of the customer")}
    assert (await store.load(ANNA)).erased_events == both
    assert (await store.load(MAIL)).erased_events == both
    # What tells it there, that it moved, goes with what the device refuses.
    assert (await store.load(PHONE)).erased_events == both


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_is_erased_is_known_again_under_an_identity_that_was_erased_first(
    store: Store, at_once: bool
) -> None:
    await reported(store, MAIL, page("of the address"))
    await join(store, MAIL, ANNA, linked=True)
    await join(store, TELEPHONE, ANNA, linked=True)
    await reported(store, ANNA, page("of the customer"))

    erasures = [forgot(MAIL), forgot(TELEPHONE), forgot(ANNA)]
    for batch in [erasures] if at_once else [[one] for one in erasures]:
        await store.commit(batch)

    both = {mark_of("of the address"), mark_of("of the customer")}
    for key in (MAIL, TELEPHONE, ANNA):
        assert (await store.load(key)).erased_events == both
        again = arrived(page("of the address", NOON_MS + 1), key, now_ms=NOON_MS + 1)
        assert (await store.commit([again])).conflicts == {key}


async def test_of_a_person_of_many_identities_no_less_is_known_again_under_each(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_erased, "MOST_MARKS", 3)
    await reported(store, ANNA, page("first"), page("second"), page("third"))
    await join(store, MAIL, ANNA, linked=True)
    await join(store, TELEPHONE, ANNA, linked=True)

    for key in (MAIL, TELEPHONE, ANNA):
        await store.commit([forgot(key)])

    every = {mark_of("first"), mark_of("second"), mark_of("third")}
    for key in (MAIL, TELEPHONE, ANNA):
        assert (await store.load(key)).erased_events == every


@pytest.mark.parametrize("erased", [MAIL, ANNA])
@pytest.mark.parametrize("login", [page("login", NOON_MS + 9), page("another", NOON_MS - 1)])
async def test_an_erased_event_that_is_sent_again_links_nobody_nor_one_dated_before_the_erasure(
    store: Store, login: Event, erased: str
) -> None:
    await join(store, MAIL, ANNA, linked=True)
    await reported(store, ANNA, page("login"))
    await store.commit([forgot(erased)])
    await store.commit([forgot(ANNA)])

    assert await join(store, MAIL, ANNA, linked=True, by=login) == BARRED
    assert (await store.load(MAIL)).linked_to == ""
    assert await join(store, MAIL, ANNA, linked=True, by=page("new", NOON_MS + 9)) == Joined(True)


async def test_nor_does_it_bring_what_a_device_did_since(store: Store) -> None:
    await reported(store, ANNA, page("login"))
    await store.commit([forgot(ANNA)])
    await reported(store, PHONE, page("since", NOON_MS + 1))

    assert await join(store, PHONE, ANNA, by=page("login", NOON_MS + 9)) == BARRED
    assert await ids(store, PHONE) == ["since"]


async def test_who_refuses_keeps_the_links_that_lead_there(store: Store) -> None:
    await join(store, MAIL, ANNA, linked=True)

    await store.commit([chose("out", ANNA)])

    assert (await store.load(MAIL)).linked_to == ANNA


async def test_others_are_told_of_all_that_changed_and_oneself_of_nothing(
    open_store: OpenStore,
) -> None:
    store, listener = await open_store(), await open_store()
    await reported(store, MAIL, page("one"))
    await join(store, TELEPHONE, MAIL, linked=True)
    await listener.news()

    await join(store, MAIL, ANNA, linked=True)

    assert (await listener.news()).keys == {ANNA, MAIL, TELEPHONE}
    assert await store.news() == News()


async def test_a_linked_identity_is_found_though_it_never_had_a_profile(store: Store) -> None:
    await join(store, TELEPHONE, ANNA, linked=True)

    assert await store.keys_of(Identity("Phone", "17")) == (TELEPHONE,)


async def test_so_is_one_of_which_nothing_is_kept_but_that_another_is_part_of_it(
    store: Store,
) -> None:
    await join(store, TELEPHONE, ANNA, linked=True)

    assert await store.keys_of(Identity("CRMID", "4711")) == (ANNA,)
    assert await store.keys_of(Identity("CRMID", "711")) == ()


async def test_the_newest_events_stay_where_both_have_too_many(open_store: OpenStore) -> None:
    store = await open_store(max_events=3)
    await reported(store, PHONE, page("a", NOON_MS), page("c", NOON_MS + 2))
    await reported(store, ANNA, page("b", NOON_MS + 1), page("d", NOON_MS + 3))

    assert (await store.join(await joining(store, PHONE, ANNA, max_events=3))).kept

    assert await ids(store, ANNA) == ["b", "c", "d"]


async def test_memory_and_disk_hold_the_same_whatever_is_joined(tmp_path: Path) -> None:
    stores: list[Store] = [MemoryStore(), await open_sqlite(tmp_path / "perso.sqlite")]
    keys = [PHONE, TABLET, ANNA, MAIL, TELEPHONE]
    chance = Random(3)
    for number in range(300):
        source, target = chance.sample(keys, 2)
        if chance.random() < 0.6:
            name, at_ms = f"e{chance.randrange(20)}", NOON_MS + chance.randrange(3)
            for store in stores:
                await reported(store, source, event(event_id=name, at_ms=at_ms, n=number))
        else:
            linked = chance.random() < 0.3
            joined = [
                await join(store, source, target, linked=linked, max_identities=2)
                for store in stores
            ]
            assert joined[0] == joined[1]
        for key in keys:
            assert await held(stores[0], key) == await held(stores[1], key)
            assert await stores[0].links(key) == await stores[1].links(key)
    await stores[1].close()
