"""What every store removes by itself, and what it never does."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from perso_core.decision.consent import Choice, Consent
from perso_core.decision.retention import Retention
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.engine.engine import Engine, Interaction, NeedProfile
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    Entry,
    EventArrived,
    Expired,
    PrivacySignalled,
    Visited,
)
from perso_core.stores.imports import Batch
from perso_core.stores.links import Joining
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import ImportStore, Retaining, Store, Stored
from perso_core.stores.sqlite import open_sqlite
from tests.building import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, ORG, definitions, event
from tests.soaking import times
from tests.stores.building import ANNA, BERT, arrived, chose, forgot, held, signalled
from tests.stores.conftest import OpenStore

CUSTOMER, ADDRESS = f"{ORG} demo CRMID:4711", f"{ORG} demo Email:anna@shop.test"
HALF_HOUR_MS = 30 * MINUTE_MS
FIRST_VISITS = Retention(first_visit_ms=HALF_HOUR_MS)
A_WEEK = Retention(by_datastream={"demo": 7 * DAY_MS}, org=ORG)


class Both(Store, Retaining, Protocol):
    """A store with both its sides."""


@pytest.fixture
async def kept(open_store: OpenStore) -> Both:
    return cast(Both, await open_store())


def first_visit(
    event_id: str = "e1", key: str = ANNA, *, base: int = 0, begun_ms: int = NOON_MS
) -> Entry:
    return structs.replace(
        arrived(event(event_id=event_id), key, base=base), first_visit_ms=begun_ms
    )


def returned(key: str = ANNA, *, base: int = 1) -> Entry:
    return structs.replace(arrived(None, key, base=base), change=Visited())


async def swept(store: Both, now_ms: int) -> int:
    return await store.sweep_first_visits(FIRST_VISITS, now_ms=now_ms, at_most=100)


async def passed(store: Both, now_ms: int, *, events_from_ms: int = 0) -> int:
    """Removed in one pass over all profiles, three at a time."""
    removed, after, begun = 0, 0, False
    while after or not begun:
        begun = True
        step = await store.sweep_profiles(
            A_WEEK, now_ms=now_ms, events_from_ms=events_from_ms, after=after, at_most=3
        )
        removed, after = removed + step.removed, step.after
    return removed


# ---- first visits ----------------------------------------------------------------


async def test_a_first_visit_is_loaded_as_one_until_somebody_returns(kept: Both) -> None:
    await kept.commit([first_visit()])
    assert (await kept.load(ANNA)).first_visit_ms == NOON_MS

    await kept.commit([returned()])

    assert (await kept.load(ANNA)).first_visit_ms == 0


async def test_a_first_visit_is_removed_at_its_instant_with_all_that_is_of_it(kept: Both) -> None:
    await kept.commit([first_visit(), first_visit("e2", base=1), first_visit(key=BERT)])
    await kept.commit([returned(BERT)])

    await swept(kept, NOON_MS + HALF_HOUR_MS - 1)
    assert (await kept.load(ANNA)).profile is not None
    await swept(kept, NOON_MS + HALF_HOUR_MS)

    assert (await kept.load(ANNA)).profile is None
    assert (await kept.load(BERT)).profile is not None
    await kept.commit([arrived(event(event_id="e9"))])  # nothing stands in its way
    profile = (await kept.load(ANNA)).profile
    assert profile is not None
    assert [one.id for one in profile.events] == ["e9"]


async def test_whoever_returned_in_the_same_commit_is_no_first_visit(kept: Both) -> None:
    await kept.commit([first_visit(), returned()])

    await swept(kept, NOON_MS + DAY_MS)

    assert (await kept.load(ANNA)).profile is not None


SAID = pytest.mark.parametrize("said", [chose("in"), signalled()], ids=["a choice", "a signal"])


@SAID
async def test_whoever_said_something_of_consent_after_the_first_visit_has_returned(
    said: Entry, kept: Both
) -> None:
    """To another process, which knew of no first visit: events may be answered before they are on
    disk."""
    await kept.commit([first_visit()])
    await kept.commit([said])

    await swept(kept, NOON_MS + DAY_MS)

    stored = await kept.load(ANNA)
    assert stored.first_visit_ms == 0
    assert stored.profile is not None
    assert stored.consent is not None
    assert not (await kept.commit([arrived(event(), base=stored.profile.version)])).conflicts


@SAID
async def test_a_first_visit_that_comes_to_disk_after_the_return_is_decided_again(
    said: Entry, kept: Both
) -> None:
    await kept.commit([said])
    assert (await kept.commit([first_visit()])).conflicts == {ANNA}

    engine = Engine(compile_snapshot(definitions()), first_visit_ms=HALF_HOUR_MS)
    came = EventArrived(event=event(), datastream_id="demo")
    engine.decide(
        Interaction(profile_key=ANNA, datastream_id="demo", changes=(came,), new=True),
        now_ms=NOON_MS,
    )
    stored = await kept.load(ANNA)
    engine.renew(ANNA, stored.profile, stored.consent, now_ms=NOON_MS)
    assert not (await kept.commit(engine.pending(1))).conflicts

    await swept(kept, NOON_MS + DAY_MS)
    assert (await kept.load(ANNA)).profile is not None


@pytest.mark.parametrize("first", [True, False], ids=["event first", "word first"])
async def test_whoever_said_something_of_consent_with_the_first_visit_has_not(
    first: bool, kept: Both
) -> None:
    came = [first_visit()]
    said = [structs.replace(chose("in"), first_visit_ms=NOON_MS)]
    for entries in (came, said) if first else (said, came):
        await kept.commit(entries)
    assert (await kept.load(ANNA)).first_visit_ms == NOON_MS

    await swept(kept, NOON_MS + DAY_MS)

    assert await held(kept, ANNA) == Stored()


async def test_what_is_on_its_way_of_a_first_visit_does_not_undo_the_return(kept: Both) -> None:
    await kept.commit([first_visit()])
    await kept.commit([chose("in")])

    late = await kept.commit([first_visit("e2", base=1)])

    assert late.conflicts == {ANNA}
    assert (await kept.load(ANNA)).first_visit_ms == 0


async def test_a_visit_that_an_earlier_perso_wrote_on_is_not_removed(kept: Both) -> None:
    await kept.commit([first_visit()])
    await kept.commit([arrived(event(event_id="e2"), base=1)])

    await swept(kept, NOON_MS + DAY_MS)

    assert (await kept.load(ANNA)).first_visit_ms == 0
    assert (await kept.load(ANNA)).profile is not None


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (Consent("in", NOON_MS), False),
        (Consent("in", NOON_MS, share="n", share_since_ms=NOON_MS), True),
        (Consent(None, 0, gpc_since_ms=NOON_MS), False),
    ],
)
async def test_of_a_first_visit_a_refusal_stays(kept: Both, said: Consent, stays: bool) -> None:
    chosen = structs.replace(
        arrived(event()),
        change=ConsentChosen("in", said.share),
        profile=None,
        event=None,
        consent=said,
        first_visit_ms=NOON_MS,
    )
    await kept.commit([chosen])

    await swept(kept, NOON_MS + HALF_HOUR_MS)

    assert (await kept.load(ANNA)).consent == (said if stays else None)


async def test_first_visits_of_a_clock_that_was_ahead_begin_when_that_is_seen(kept: Both) -> None:
    await kept.commit([first_visit(begun_ms=NOON_MS + 365 * DAY_MS)])

    await swept(kept, NOON_MS)
    assert await swept(kept, NOON_MS + HALF_HOUR_MS - 1) == 0

    assert await swept(kept, NOON_MS + HALF_HOUR_MS) == 1


async def test_a_step_removes_no_more_than_it_may(kept: Both) -> None:
    await kept.commit([first_visit(key=f"ECID:{n}") for n in range(5)])

    steps = [
        await kept.sweep_first_visits(FIRST_VISITS, now_ms=NOON_MS + DAY_MS, at_most=2)
        for _ in range(4)
    ]

    assert steps == [2, 2, 1, 0]


async def test_whoever_is_erased_is_no_first_visit_any_more(kept: Both) -> None:
    await kept.commit([first_visit()])

    await kept.commit([forgot(base=1), arrived(event(event_id="e2"))])
    await swept(kept, NOON_MS + DAY_MS)

    assert (await kept.load(ANNA)).profile is not None


# ---- retention of a datastream -----------------------------------------------------


def touched(key: str, at_ms: int) -> Entry:
    entry = arrived(event(at_ms=at_ms), key)
    assert entry.profile is not None
    return structs.replace(entry, profile=structs.replace(entry.profile, touched_ms=at_ms))


async def test_profiles_that_nobody_touched_are_removed_and_the_others_stay(kept: Both) -> None:
    keys = [f"ECID:{n}" for n in range(10)]
    await kept.commit([touched(key, NOON_MS + n * DAY_MS) for n, key in enumerate(keys)])

    removed = await passed(kept, NOON_MS + 11 * DAY_MS)

    left = [key for key in keys if (await kept.load(key)).profile is not None]
    assert removed == 5
    assert left == keys[5:]


async def test_no_identity_leads_to_a_profile_that_is_gone_and_everybody_hears(
    open_store: OpenStore,
) -> None:
    kept, other = cast(Both, await open_store()), await open_store()
    await kept.commit([touched(CUSTOMER, NOON_MS)])
    linked = Joining(source=ADDRESS, target=CUSTOMER, decided_ms=NOON_MS, linked=True)
    assert (await kept.join(linked)).kept
    await other.news()

    assert await passed(kept, NOON_MS + 7 * DAY_MS) == 1

    assert (await kept.load(ADDRESS)).linked_to == ""
    assert ADDRESS in (await kept.news()).keys
    assert ADDRESS in (await other.news()).keys


async def test_what_was_imported_of_a_first_visit_stays_and_everybody_hears(kept: Both) -> None:
    """It goes by its own end; a process that has the visit in memory would not know it."""
    imports = cast(ImportStore, kept)
    await kept.commit([first_visit(), first_visit(key=BERT)])
    rows = ((ANNA, "risk", NOON_MS + DAY_MS),)
    await imports.import_memberships(Batch(rows=rows, now_ms=NOON_MS, began_ms=NOON_MS))
    await kept.news()

    await swept(kept, NOON_MS + HALF_HOUR_MS)

    profile = (await kept.load(ANNA)).profile
    assert profile is not None
    assert (profile.events, [*profile.imported]) == ((), ["risk"])
    assert (await kept.news()).imported == {ANNA}


async def test_a_consent_stays_where_its_profile_goes(kept: Both) -> None:
    said = Consent("in", NOON_MS)
    chosen = structs.replace(touched(ANNA, NOON_MS), change=ConsentChosen("in"), consent=said)
    await kept.commit([chosen])

    assert await passed(kept, NOON_MS + 7 * DAY_MS) == 1

    loaded = await kept.load(ANNA)
    assert (loaded.profile, loaded.consent) == (None, said)


async def test_whoever_returned_and_is_forgotten_later_leaves_a_consent_for_good(
    kept: Both,
) -> None:
    said = Consent("in", NOON_MS)
    chosen = structs.replace(
        touched(ANNA, NOON_MS),
        change=ConsentChosen("in"),
        consent=said,
        first_visit_ms=NOON_MS,
    )
    await kept.commit([chosen])
    await kept.commit([returned()])

    assert await passed(kept, NOON_MS + 8 * DAY_MS) == 1

    loaded = await kept.load(ANNA)
    assert (loaded.consent, loaded.first_visit_ms) == (said, 0)


async def test_of_a_profile_that_stays_events_go_that_no_audience_counts(kept: Both) -> None:
    await kept.commit([touched(ANNA, NOON_MS), touched(BERT, NOON_MS + DAY_MS)])

    await passed(kept, NOON_MS + 2 * DAY_MS, events_from_ms=NOON_MS + 1)

    anna, bert = (await kept.load(ANNA)).profile, (await kept.load(BERT)).profile
    assert anna is not None
    assert bert is not None
    assert (len(anna.events), len(bert.events)) == (0, 1)


async def test_what_was_decided_to_be_too_old_goes_and_the_next_visit_begins_anew(
    kept: Both,
) -> None:
    await kept.commit([arrived(event(event_id="old"))])
    gone = structs.replace(arrived(None, base=1), change=Expired(1, 0), profile=None)

    committed = await kept.commit([gone, arrived(event(event_id="new"))])

    profile = (await kept.load(ANNA)).profile
    assert not committed.conflicts
    assert profile is not None
    assert [one.id for one in profile.events] == ["new"]


async def test_what_was_removed_before_the_visitor_came_back_stands_in_nobodys_way(
    kept: Both,
) -> None:
    await kept.commit([first_visit()])
    await swept(kept, NOON_MS + HALF_HOUR_MS)

    gone = structs.replace(arrived(None, base=1), change=Expired(1, NOON_MS), profile=None)
    committed = await kept.commit([gone, arrived(event(event_id="new"))])

    profile = (await kept.load(ANNA)).profile
    assert not committed.conflicts
    assert profile is not None
    assert [one.id for one in profile.events] == ["new"]


@pytest.mark.parametrize("state", [Expired(1, 0), Expired(2, NOON_MS)])
async def test_what_was_decided_to_be_too_old_stays_where_somebody_came_meanwhile(
    kept: Both, state: Expired
) -> None:
    await kept.commit([arrived(event()), arrived(event(event_id="e2"), base=1)])
    before = await kept.load(ANNA)

    gone = structs.replace(arrived(None, base=1), change=state, profile=None)
    committed = await kept.commit([gone, arrived(event(event_id="e3"))])

    assert committed.conflicts == {ANNA}
    assert await kept.load(ANNA) == before


# ---- laws ---------------------------------------------------------------------------

RETENTION_MS = 7 * DAY_MS
KEYS = ("ECID:1", "ECID:2", "ECID:3")
Deed = Literal["come", "event", "look", "say yes", "say no", "signal", "operator", "sweep"]
acts = st.lists(
    st.tuples(
        st.sampled_from(get_args(Deed)),
        st.sampled_from(KEYS),
        st.sampled_from([0, 1, MINUTE_MS, 29 * MINUTE_MS, HALF_HOUR_MS, DAY_MS, RETENTION_MS]),
    ),
    max_size=25,
)


class Known(Struct):
    """What has to be known of one key. begun_ms: of a first visit; None: somebody returned.
    touched_ms: of the last write or look."""

    begun_ms: int | None
    touched_ms: int

    def due_ms(self) -> int:
        first = self.touched_ms if self.begun_ms is None else self.begun_ms + HALF_HOUR_MS
        return first if self.begun_ms is not None else self.touched_ms + RETENTION_MS

    def surely_ms(self) -> int:
        """So long it lives in any case: a look need not be written down at once."""
        return self.due_ms() - (0 if self.begun_ms is not None else RETENTION_MS // 20)


class Life(Struct):
    """Engine and store, forgotten by the engine after each act, beside what has to be known."""

    store: Both
    known: dict[str, Known]
    refused: dict[str, Choice | None]
    used: set[str]
    number: int = 0

    async def act(self, deed: Deed, key: str, now_ms: int) -> None:
        if deed == "sweep":
            return await self.swept(now_ms)
        if deed == "come":
            if key in self.used:
                return None  # a device that comes anew has a key that nobody had before
            self.used.add(key)
            await self.decide(key, now_ms, self.event(now_ms), new=True)
            self.known[key] = Known(now_ms, now_ms)
            return None
        self.used.add(key)
        lives = key in self.known and now_ms < self.known[key].due_ms()
        if deed == "operator" and not lives:
            return None  # a profile that he begins is of no datastream, and stays
        if deed == "look":
            await self.decide(key, now_ms)
        else:
            await self.decide(key, now_ms, self.change(deed, now_ms))
        if deed == "say no":
            self.known.pop(key, None)
            self.refused[key] = "out"
        elif lives:
            self.known[key] = Known(None, now_ms)
        else:
            self.known.pop(key, None)
            if deed == "event" and not self.refused.get(key):
                self.known[key] = Known(None, now_ms)
        if deed == "say yes":
            self.refused.pop(key, None)
        return None

    def change(self, deed: Deed, now_ms: int) -> Change:
        match deed:
            case "say yes":
                return ConsentChosen("in")
            case "say no":
                return ConsentChosen("out")
            case "signal":
                return PrivacySignalled()
            case "operator":
                self.number += 1
                return AttributesPatched({"n": self.number})
            case _:
                return self.event(now_ms)

    def event(self, now_ms: int) -> EventArrived:
        self.number += 1
        happened = event(event_id=f"e{self.number}", at_ms=now_ms)
        return EventArrived(event=happened, datastream_id="demo")

    async def decide(self, key: str, now_ms: int, *changes: Change, new: bool = False) -> None:
        engine = a_new_engine()
        visit = Interaction(
            profile_key=key, datastream_id="demo", changes=changes, new=new, visits=not new
        )
        if isinstance(engine.decide(visit, now_ms=now_ms), NeedProfile):
            stored = await self.store.load(key)
            engine.admit(
                key,
                stored.profile,
                stored.consent,
                now_ms=now_ms,
                first_visit_ms=stored.first_visit_ms,
            )
            engine.decide(visit, now_ms=now_ms)
        committed = await self.store.commit(engine.pending(100))
        assert not committed.conflicts

    async def swept(self, now_ms: int) -> None:
        retention = a_new_engine().keeping.retention
        await self.store.sweep_first_visits(retention, now_ms=now_ms, at_most=100)
        await self.store.sweep_profiles(retention, now_ms=now_ms, events_from_ms=0, at_most=100)
        for key in KEYS:
            known, stored = self.known.get(key), await self.store.load(key)
            if known is not None and now_ms < known.surely_ms():
                assert stored.profile is not None, "what is younger than its retention stays"
            if known is None or now_ms >= known.due_ms():
                assert stored.profile is None, "nothing past its retention is left"
                self.known.pop(key, None)
            if self.refused.get(key):
                assert stored.consent is not None, "a refusal is never forgotten"


def a_new_engine() -> Engine:
    ordinary = definitions()
    demo = structs.replace(ordinary.datastreams[0], retention_days=7)
    return Engine(
        compile_snapshot(structs.replace(ordinary, datastreams=(demo,))),
        first_visit_ms=HALF_HOUR_MS,
    )


@contextmanager
def opened(kind: str, runner: asyncio.Runner) -> Iterator[Both]:
    if kind == "memory":
        yield MemoryStore()
        return
    with tempfile.TemporaryDirectory() as directory:
        store = runner.run(open_sqlite(Path(directory) / "perso.sqlite"))
        try:
            yield store
        finally:
            runner.run(store.close())


@settings(max_examples=times(150, 3_000), deadline=None)
@given(acts=acts)
def test_the_young_and_those_who_return_stay_and_nothing_is_left_past_its_retention(
    acts: list[tuple[Deed, str, int]],
) -> None:
    lived("memory", acts)


@settings(max_examples=times(10, 500), deadline=None)
@given(acts=acts)
def test_in_sqlite_the_young_and_those_who_return_stay_and_nothing_else(
    acts: list[tuple[Deed, str, int]],
) -> None:
    lived("sqlite", acts)


def lived(kind: str, acts: list[tuple[Deed, str, int]]) -> None:
    with asyncio.Runner() as runner, opened(kind, runner) as store:
        life, now_ms = Life(store, {}, {}, set()), NOON_MS
        for deed, key, later_ms in acts:
            now_ms += later_ms
            runner.run(life.act(deed, key, now_ms))
        runner.run(life.swept(now_ms))


async def test_what_is_told_once_more_of_an_event_that_was_kept_with_the_erasure_is_kept(
    store: Store,
) -> None:
    """The event was dated before it, as a server dates one: it came after."""
    first = event(event_id="e1", at_ms=NOON_MS - HOUR_MS)
    assert not (await store.commit([forgot(), arrived(first, base=0)])).conflicts
    kept = (await store.load(ANNA)).profile
    assert kept is not None
    again = arrived(first, base=kept.version)
    report = EventArrived(event=event(event_id="e1", at_ms=NOON_MS), datastream_id="demo")
    again = structs.replace(again, change=report, now_ms=NOON_MS + 1)

    assert not (await store.commit([again])).conflicts


async def test_an_event_of_before_an_erasure_that_was_barred_is_no_conflict(store: Store) -> None:
    """It leaves the profile as it is."""
    assert not (await store.commit([forgot(), arrived(event(event_id="e1"), base=0)])).conflicts
    kept = (await store.load(ANNA)).profile
    assert kept is not None
    late = event(event_id="e0", at_ms=NOON_MS - HOUR_MS)
    barred = structs.replace(
        arrived(late, base=kept.version), event=None, profile=kept, now_ms=NOON_MS + 1
    )

    assert not (await store.commit([barred])).conflicts
