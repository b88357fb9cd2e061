"""What every store promises (stores/protocol.py). A store is done when it passes this."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.profile import packed
from perso_core.decision.projection import Projection
from perso_core.stores.batch import SWEPT_EVERY_VERSIONS, KeyChange
from perso_core.stores.protocol import News, Retaining, Store, Stored, StoredDefinitions
from tests.building import DAY_MS, NOON_MS, definitions, event
from tests.stores.building import ANNA, BERT, arrived, chose, forgot, held, profile
from tests.stores.conftest import OpenStore

# ---- what was kept is what is loaded --------------------------------------------


async def test_nothing_is_loaded_where_nothing_was_kept(store: Store) -> None:
    assert await held(store, ANNA) == Stored(None, None)


async def test_a_profile_is_loaded_as_it_was_kept(store: Store) -> None:
    committed = await store.commit([arrived(event())])

    assert not committed.conflicts
    assert await held(store, ANNA) == Stored(structs.replace(profile(), events=(event(),)))


async def test_a_profile_is_there_for_the_next_opening(open_store: OpenStore) -> None:
    before = await open_store()
    await before.commit([arrived(event()), chose("in", BERT)])
    await before.close()

    after = await open_store()

    assert (await after.load(ANNA)).profile == structs.replace(profile(), events=(event(),))
    assert (await after.load(BERT)).consent == Consent("in", NOON_MS)


async def test_of_several_entries_the_last_profile_and_every_event_is_kept(store: Store) -> None:
    first, second = event(event_id="e1"), event(event_id="e2", at_ms=NOON_MS + 1)
    await store.commit(
        [
            arrived(first),
            arrived(event(), BERT),
            arrived(second, base=1, tier="silver"),
            arrived(None, base=2, tier="bronze"),
        ]
    )

    kept = (await store.load(ANNA)).profile

    assert kept == structs.replace(profile(version=3, tier="bronze"), events=(first, second))


async def test_events_come_back_oldest_first(store: Store) -> None:
    late, early = event(event_id="late", at_ms=NOON_MS + 5), event(event_id="early")
    await store.commit([arrived(late)])
    await store.commit([arrived(early, base=1)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert kept.events == (early, late)


@pytest.mark.parametrize("paths", [[], [("web",)], [("web", "page"), ("device",)], [()]])
async def test_a_profile_is_loaded_with_what_is_wanted_of_its_events(
    store: Store, paths: list[tuple[str, ...]]
) -> None:
    for base in range(70):
        more: dict[str, Any] = {"web": {"page": f"p{base}", "at": [base]}}
        more["device"] = {"n": 2**70 + base}
        one = event(event_id=f"e{base}", at_ms=NOON_MS - base // 2, **more)
        await store.commit([arrived(one, base=base)])
    projection = Projection(frozenset(paths))

    whole = (await store.load(ANNA)).profile
    kept = (await store.load(ANNA, projection)).profile

    assert whole is not None
    assert kept is not None
    assert kept == packed(whole, projection)
    newest = KeptEvents.of(kept.events)
    assert newest.projection is projection
    assert newest.whole_at(69) == whole.events[69]
    assert newest.whole_at(68) is None


async def test_events_of_one_instant_come_back_as_they_arrived(store: Store) -> None:
    ids = ["z", "a", "m", "b"]
    for base, event_id in enumerate(ids):
        await store.commit([arrived(event(event_id=event_id), base=base)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert [one.id for one in kept.events] == ids


async def test_a_completed_event_replaces_the_first_report_and_keeps_its_place(
    store: Store,
) -> None:
    whole = event(event_id="e1", device={"screenWidth": 1440})
    await store.commit([arrived(event(event_id="e1")), arrived(event(event_id="e2"), base=1)])
    await store.commit([arrived(whole, base=2)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert kept.events == (whole, event(event_id="e2"))


async def test_an_event_and_its_completion_in_one_batch_are_one_event(store: Store) -> None:
    whole = event(event_id="e1", device={"screenWidth": 1440})
    await store.commit([arrived(event(event_id="e1")), arrived(whole, base=1)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert kept.events == (whole,)


async def test_an_event_that_gets_another_instant_is_kept_there_and_nowhere_else(
    open_store: OpenStore,
) -> None:
    store, reader = await open_store(), await open_store()
    await store.commit([arrived(event(event_id="ahead", at_ms=NOON_MS + DAY_MS))])
    await store.commit([arrived(event(event_id="other"), base=1)])
    await reader.news()
    redated = event(event_id="ahead", at_ms=NOON_MS + 1)
    now = event(event_id="now", at_ms=NOON_MS + 2)

    await store.commit([structs.replace(arrived(now, base=2), redated=(redated,))], announce=True)

    kept = (await store.load(ANNA)).profile
    assert kept is not None
    assert kept.events == (event(event_id="other"), redated, now)
    # Whoever takes over new events alone would not see that one moved.
    assert await reader.news(lambda _: True) == News(keys=frozenset({ANNA}))


async def test_one_event_id_on_two_profiles_is_two_events(store: Store) -> None:
    await store.commit([arrived(event()), arrived(event(), BERT)])

    for key in (ANNA, BERT):
        kept = (await store.load(key)).profile
        assert kept is not None
        assert kept.events == (event(),)


async def test_numbers_larger_than_64_bits_are_kept_whole(store: Store) -> None:
    huge = event(total=10**400, low=-(10**30), inside=[{"n": 2**64}])
    await store.commit([arrived(huge)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert kept.events == (huge,)


async def test_a_commit_of_nothing_keeps_nothing(store: Store) -> None:
    assert not (await store.commit([])).conflicts


# ---- bounds ---------------------------------------------------------------------


async def test_of_a_profile_fuller_than_a_lowered_cap_all_is_loaded_so_that_what_goes_is_counted(
    open_store: OpenStore,
) -> None:
    store = await open_store(max_events=3)
    events = [event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(5)]
    await store.commit([arrived(one, base=base) for base, one in enumerate(events)])
    patches = range(5, SWEPT_EVERY_VERSIONS + 2)
    await store.commit([arrived(None, base=base) for base in patches])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert kept.events == tuple(events)


async def test_events_older_than_the_window_are_removed_as_the_profile_is_written(
    open_store: OpenStore,
) -> None:
    store = await open_store()
    await store.commit([arrived(event(event_id="old"))])
    later_ms = NOON_MS + 36 * DAY_MS
    versions = range(1, SWEPT_EVERY_VERSIONS + 4)
    for n in versions:
        one = event(event_id=f"e{n}", at_ms=later_ms + n)
        await store.commit([arrived(one, base=n, events_from_ms=later_ms - 35 * DAY_MS)])

    kept = (await store.load(ANNA)).profile

    assert kept is not None
    assert [one.id for one in kept.events] == [f"e{n}" for n in versions]


def test_who_has_more_events_is_looked_through_for_old_ones_the_less_often() -> None:
    def sweeps(events: int, versions: int) -> int:
        had = tuple(event(event_id=f"e{n}") for n in range(events))
        kept = structs.replace(profile(), events=had)
        return sum(
            KeyChange(
                key=ANNA,
                events_from_ms=0,
                base_version=version,
                profile=structs.replace(kept, version=version + 1),
            ).sweep
            for version in range(1, versions)
        )

    assert sweeps(3, 640) == 640 // SWEPT_EVERY_VERSIONS
    assert 1 <= sweeps(300, 1_600) <= 1_600 // 300


async def test_events_that_made_room_are_removed_with_the_write_that_says_so(
    open_store: OpenStore,
) -> None:
    store = await open_store()
    events = [event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(5)]
    await store.commit([arrived(one, base=base) for base, one in enumerate(events[:4])])
    last = arrived(events[4], base=4)
    assert last.profile is not None
    kept = structs.replace(last.profile, events=tuple(events[3:]))

    await store.commit([structs.replace(last, evicted=True, profile=kept)])

    stored = (await store.load(ANNA)).profile
    assert stored is not None
    assert stored.events == tuple(events[3:])


async def test_a_profile_that_begins_with_more_events_than_may_be_keeps_as_many_as_it_says(
    open_store: OpenStore,
) -> None:
    store = await open_store()
    events = [event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(5)]
    entries = [arrived(one, base=base) for base, one in enumerate(events)]
    assert entries[-1].profile is not None
    kept = structs.replace(entries[-1].profile, events=tuple(events[3:]))

    await store.commit([*entries[:-1], structs.replace(entries[-1], evicted=True, profile=kept)])

    stored = (await store.load(ANNA)).profile
    assert stored is not None
    assert stored.events == tuple(events[3:])


async def test_what_comes_late_after_others_made_room_in_the_same_write_stays(
    open_store: OpenStore,
) -> None:
    store = await open_store()
    events = [event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(5)]
    await store.commit([arrived(one, base=base) for base, one in enumerate(events[:4])])
    late = event(event_id="late", at_ms=NOON_MS - 1)
    entries = [arrived(events[4], base=4), arrived(late, base=5)]
    first, last = (entry.profile for entry in entries)
    assert first is not None
    assert last is not None
    kept = tuple(events[2:])

    await store.commit(
        [
            structs.replace(entries[0], evicted=True, profile=structs.replace(first, events=kept)),
            structs.replace(entries[1], profile=structs.replace(last, events=(late, *kept))),
        ]
    )

    stored = (await store.load(ANNA)).profile
    assert stored is not None
    assert stored.events == (late, *kept)


async def test_the_events_of_another_profile_are_not_removed_with_them(
    open_store: OpenStore,
) -> None:
    store = await open_store(max_events=2)
    await store.commit([arrived(event(event_id="old"), BERT)])
    later_ms = NOON_MS + 2 * DAY_MS
    for n in range(20):
        one = event(event_id=f"e{n}", at_ms=later_ms + n)
        await store.commit([arrived(one, base=n, events_from_ms=later_ms - DAY_MS)])

    kept = (await store.load(BERT)).profile

    assert kept is not None
    assert [one.id for one in kept.events] == ["old"]


# ---- two who write one profile ----------------------------------------------------


async def test_a_write_on_an_older_version_is_a_conflict_and_nothing_of_that_key_is_kept(
    store: Store,
) -> None:
    await store.commit([arrived(event(), tier="gold")])
    before = await store.load(ANNA)

    committed = await store.commit(
        [
            arrived(event(event_id="e2"), BERT),
            arrived(event(event_id="e2"), base=0, tier="overtaken"),
            chose("out", base=1),
            arrived(event(event_id="e3"), base=1),
        ]
    )

    assert committed.conflicts == {ANNA}
    assert await store.load(ANNA) == before
    assert (await store.load(BERT)).profile is not None


@pytest.mark.parametrize("base", [0, 1, 3])
async def test_a_write_is_kept_on_the_stored_version_and_on_no_other(
    store: Store, base: int
) -> None:
    await store.commit([arrived(event(event_id="e1")), arrived(event(event_id="e2"), base=1)])
    before = await store.load(ANNA)

    committed = await store.commit([arrived(event(event_id="e3"), base=base)])

    assert committed.conflicts == {ANNA}
    assert await store.load(ANNA) == before


async def test_a_write_on_a_version_that_is_gone_is_a_conflict(store: Store) -> None:
    committed = await store.commit([arrived(event(), base=7)])

    assert committed.conflicts == {ANNA}
    assert await held(store, ANNA) == Stored(None, None)


async def test_of_two_stores_on_one_database_the_second_to_write_hears_of_the_conflict(
    open_store: OpenStore,
) -> None:
    one, other = await open_store(), await open_store()
    assert not (await one.commit([arrived(event(event_id="e1"))])).conflicts

    committed = await other.commit([arrived(event(event_id="e2"))])
    again = await other.commit([arrived(event(event_id="e2"), base=1)])

    assert committed.conflicts == {ANNA}
    assert not again.conflicts
    kept = (await one.load(ANNA)).profile
    assert kept is not None
    assert {one.id for one in kept.events} == {"e1", "e2"}


async def test_of_several_who_get_an_event_in_one_batch_those_overtaken_are_left_out_alone(
    store: Store,
) -> None:
    everyone = [f"ECID:{number:038d}" for number in range(6)]
    await store.commit([arrived(event(event_id="e1"), key) for key in everyone])
    overtaken = {everyone[2], everyone[5]}
    await store.commit([arrived(event(event_id="other"), key, base=1) for key in overtaken])

    committed = await store.commit([arrived(event(event_id="e2"), key, base=1) for key in everyone])

    assert committed.conflicts == overtaken
    for key in everyone:
        kept = (await store.load(key)).profile
        assert kept is not None
        assert [one.id for one in kept.events] == [
            "e1",
            "other" if key in overtaken else "e2",
        ]


# ---- definitions --------------------------------------------------------------------


async def test_no_definitions_are_in_a_new_store(store: Store) -> None:
    assert await store.definitions() is None


async def test_definitions_come_back_whole_and_count_up(store: Store) -> None:
    older, newer = definitions(), definitions(default_consent="out")

    versions = [
        await store.save_definitions(older),
        await store.save_definitions(newer, saved_ms=NOON_MS),
    ]

    assert versions == [1, 2]
    assert await store.definitions() == StoredDefinitions(2, newer, NOON_MS)


# ---- news from others ----------------------------------------------------------------


async def test_an_announced_write_is_heard_once_by_the_others_and_not_by_the_writer(
    open_store: OpenStore,
) -> None:
    writer, reader = await open_store(), await open_store()

    await writer.commit([arrived(event()), arrived(event(), BERT)], announce=True)

    assert await reader.news() == News(keys=frozenset({ANNA, BERT}))
    assert await reader.news() == News()
    assert await writer.news() == News()


async def test_a_forgotten_visitor_is_announced(open_store: OpenStore) -> None:
    writer, reader = await open_store(), await open_store()
    await writer.commit([forgot()], announce=True)

    assert await reader.news() == News(keys=frozenset({ANNA}))


async def test_a_write_that_was_not_announced_is_no_news(open_store: OpenStore) -> None:
    writer, reader = await open_store(), await open_store()

    await writer.commit([arrived(event())])

    assert await reader.news() == News()


async def test_a_write_in_conflict_is_no_news(open_store: OpenStore) -> None:
    writer, reader = await open_store(), await open_store()

    await writer.commit([arrived(event(), base=3)], announce=True)

    assert await reader.news() == News()


async def test_saved_definitions_are_heard_by_the_others(open_store: OpenStore) -> None:
    writer, reader = await open_store(), await open_store()

    await writer.save_definitions(definitions())

    assert await reader.news() == News(definitions=True)
    assert await reader.news() == News()
    assert await writer.news() == News()


async def test_who_opens_later_hears_only_what_comes_after(open_store: OpenStore) -> None:
    writer = await open_store()
    await writer.commit([arrived(event())], announce=True)
    late = await open_store()

    await writer.commit([arrived(event(), BERT)], announce=True)

    assert await late.news() == News(keys=frozenset({BERT}))


async def test_who_did_not_listen_for_too_long_hears_that_something_was_missed(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory", "sqlite_writer", "sqlite_appending"):
        monkeypatch.setattr(f"perso_core.stores.{module}.KEPT_NOTICES", 2)
    writer, reader = await open_store(), await open_store()
    for base in range(3):
        one = event(event_id=f"e{base}")
        await writer.commit([arrived(one, base=base)], announce=True)

    assert await reader.news() == News(keys=frozenset({ANNA}), missed=True)
    assert await reader.news() == News()


async def test_announcements_that_were_heard_are_forgotten_with_the_keys_in_them(
    open_store: OpenStore,
) -> None:
    writer, listener, sleeper = [await open_store() for _ in range(3)]
    for key in (ANNA, BERT):
        await writer.commit([arrived(event(), key)], announce=True)
    assert (await listener.news()).keys == {ANNA, BERT}
    retaining = cast(Retaining, writer)
    through = await retaining.sweep_notices(0)
    assert not (await listener.news()).keys

    assert through == 2
    await retaining.sweep_notices(through)

    # What follows them names nobody, and has the others look at the definitions.
    assert await listener.news() == News(definitions=True)
    assert await sleeper.news() == News(definitions=True, missed=True)
    await writer.commit([arrived(event(), "ECID:later")], announce=True)
    assert (await listener.news()) == News(keys=frozenset({"ECID:later"}))
