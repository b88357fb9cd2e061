"""The worker removes what is due by itself, in small steps, from one process of several."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest
from msgspec import structs

from perso_core.decision.membership import EXITED_KEPT_MS
from perso_core.decision.retention import Retention
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.engine.engine import Engine
from perso_core.errors import StoreUnavailable
from perso_core.stores.imports import Batch
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import ClockMark, Swept
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.turn import OnlyOne
from perso_core.worker import sweeping
from perso_core.worker.running import RetentionClock
from perso_core.worker.sweeping import FIRST_VISITS_AT_ONCE, Sweeper
from tests.building import DAY_MS, HOUR_MS, NOON_MS, definitions, event
from tests.stores.building import ANNA, BERT, arrived, forgot
from tests.stores.conftest import OpenStore, open_store
from tests.stores.test_forgetting import first_visit, touched
from tests.stores.test_sqlite import sql

__all__ = ["open_store"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIN_PAUSE_S", "IDLE_PAUSE_S", "PROFILES_PAUSE_S", "TICK_S"):
        monkeypatch.setattr(sweeping, name, 0.0)


def engine(days: int | None = 7) -> Engine:
    ordinary = definitions()
    demo = structs.replace(ordinary.datastreams[0], retention_days=days)
    return Engine(
        compile_snapshot(structs.replace(ordinary, datastreams=(demo,))), first_visit_ms=HOUR_MS
    )


def sweeper(store: MemoryStore | SqliteStore, one: Engine, now_ms: int) -> Sweeper:
    return Sweeper(one, store, wall_ms=lambda: now_ms, mine=lambda: True, commits=lambda: 0)


def test_the_engine_is_told_what_the_calendar_may_show_after_the_machine_was_off() -> None:
    told = engine()
    off = RetentionClock(ClockMark("a", 0, NOON_MS, owed_ms=DAY_MS), running_ms=lambda: 0)

    Sweeper(
        told,
        MemoryStore(),
        wall_ms=lambda: NOON_MS + DAY_MS,
        clock=off,
        mine=lambda: True,
        commits=lambda: 0,
    ).tick()

    assert told.keeping.clock_ms == NOON_MS
    assert told.keeping.told_ms == NOON_MS + DAY_MS
    assert told.keeping.latest_ms == NOON_MS + DAY_MS


@pytest.mark.parametrize("others_write", [True, False])
async def test_the_writer_is_left_to_others_as_long_as_they_write(
    monkeypatch: pytest.MonkeyPatch, others_write: bool
) -> None:
    store, commits, paused = MemoryStore(), count(), list[float]()
    await store.commit([first_visit(key=f"ECID:{n}") for n in range(3 * FIRST_VISITS_AT_ONCE)])
    sweeping_up = Sweeper(
        engine(),
        store,
        wall_ms=lambda: NOON_MS + HOUR_MS,
        mine=lambda: True,
        commits=lambda: next(commits) if others_write else 0,
    )
    monkeypatch.setattr(sweeping, "MIN_PAUSE_S", 5.0)

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await sweeping_up.round()

    assert sweeping_up.removed == 3 * FIRST_VISITS_AT_ONCE
    assert paused.count(5.0) == (4 if others_write else 0)


async def test_what_cannot_be_read_goes_after_its_time_as_well(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    number = 2 * 64 + 3  # more than one step
    await store.commit([arrived(event(), f"ECID:{n}") for n in range(number)])
    sql(path, "UPDATE profile SET record = x'00'")
    for n in range(number):
        await store.load(f"ECID:{n}")

    left = []
    for days in (0, 6, 7):
        await sweeper(store, engine(days=7), NOON_MS + days * DAY_MS).round()
        left += sql(path, "SELECT count(*) FROM quarantine")
    await store.close()

    assert left == [(2 * number,), (2 * number,), (0,)]  # each profile and its event


async def test_one_round_removes_every_first_visit_that_is_due() -> None:
    store, number = MemoryStore(), 2 * FIRST_VISITS_AT_ONCE + 3
    await store.commit([first_visit(key=f"ECID:{n}") for n in range(number)])
    sweeping_up = sweeper(store, engine(), NOON_MS + HOUR_MS)

    await sweeping_up.round()

    assert sweeping_up.removed == number
    assert (await store.load("ECID:0")).profile is None


async def test_a_round_removes_what_is_past_the_retention_of_its_datastream() -> None:
    store = MemoryStore()
    await store.commit([touched(ANNA, NOON_MS)])

    await sweeper(store, engine(None), NOON_MS + 8 * DAY_MS).round()
    assert (await store.load(ANNA)).profile is not None
    await sweeper(store, engine(7), NOON_MS + 8 * DAY_MS).round()

    assert (await store.load(ANNA)).profile is None


async def test_a_retention_that_was_changed_is_swept_by_at_once() -> None:
    store, one = MemoryStore(), engine(None)
    await store.commit([touched(ANNA, NOON_MS)])
    sweeping_up = sweeper(store, one, NOON_MS + 8 * DAY_MS)
    await sweeping_up.round()

    one.swap(engine(7).snapshot)
    await sweeping_up.round()

    assert (await store.load(ANNA)).profile is None


async def test_events_that_no_audience_counts_go_by_the_calendar_where_that_is_behind() -> None:
    store = MemoryStore()
    await store.commit([arrived(event())])
    ahead = RetentionClock(ClockMark("a", 0, NOON_MS + 99 * DAY_MS), running_ms=lambda: 0)
    behind = Sweeper(
        engine(None),
        store,
        wall_ms=lambda: NOON_MS + DAY_MS,
        clock=ahead,
        mine=lambda: True,
        commits=lambda: 0,
    )

    await behind.round()

    kept = (await store.load(ANNA)).profile
    assert kept is not None
    assert len(kept.events) == 1


@pytest.mark.parametrize("ahead_days", [0, 400])
async def test_what_was_imported_goes_by_itself_a_month_after_its_end(
    open_store: OpenStore, ahead_days: int
) -> None:
    store = await open_store()
    assert isinstance(store, (MemoryStore, SqliteStore))
    ends = {ANNA: NOON_MS + DAY_MS, BERT: NOON_MS + 2 * DAY_MS}
    rows = [(key, "a-risk", until_ms) for key, until_ms in ends.items()]
    await store.import_memberships(Batch(rows=rows, now_ms=NOON_MS, began_ms=NOON_MS))
    now_ms = NOON_MS + DAY_MS + EXITED_KEPT_MS + 1
    ran = RetentionClock(ClockMark("a", 0, now_ms), running_ms=lambda: 0)
    sweeping_up = Sweeper(
        engine(),
        store,
        wall_ms=lambda: now_ms + ahead_days * DAY_MS,
        clock=ran,
        mine=lambda: True,
        commits=lambda: 0,
    )

    await sweeping_up.round()

    left = [key for key in ends if (await store.load(key)).profile]
    assert left == [BERT]


async def test_the_key_of_whoever_was_erased_is_soon_in_no_announcement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    row = (ANNA, "a-risk", NOON_MS + DAY_MS)
    await store.import_memberships(Batch(rows=[row], now_ms=NOON_MS, began_ms=NOON_MS))
    await store.commit([forgot(ANNA)])
    sweeping_up = Sweeper(
        engine(), store, wall_ms=lambda: NOON_MS, mine=lambda: True, commits=lambda: 0
    )
    monkeypatch.setattr(sweeping, "NOTICES_KEPT_S", 1_000.0)
    await sweeping_up.round()
    assert sql(path, "SELECT key FROM notice") == [(ANNA,)]
    monkeypatch.setattr(sweeping, "NOTICES_KEPT_S", -1.0)

    await sweeping_up.round()  # notes which there are
    assert sql(path, "SELECT key FROM notice") == [(ANNA,)]
    await sweeping_up.round()

    assert sql(path, "SELECT key FROM notice") == [(None,)]
    assert sql(path, "SELECT keys FROM imported_notice") == [(None,)]
    await store.close()


async def test_who_did_not_hear_of_an_import_in_time_takes_it_that_anybody_was_meant(
    tmp_path: Path,
) -> None:
    store, late = [await open_sqlite(tmp_path / "perso.sqlite") for _ in range(2)]
    await late.news()
    row = (ANNA, "a-risk", NOON_MS + DAY_MS)
    for _ in range(2):
        await store.import_memberships(Batch(rows=[row], now_ms=NOON_MS, began_ms=NOON_MS))
        await store.sweep_notices(0)

    await store.sweep_notices(0)

    assert (await late.news()).imported_any
    assert not (await late.news()).imported_any
    await store.close()
    await late.close()


async def test_where_another_process_sweeps_nothing_is_done_here() -> None:
    store = MemoryStore()
    await store.commit([first_visit()])
    idle = Sweeper(
        engine(), store, wall_ms=lambda: NOON_MS + DAY_MS, mine=lambda: False, commits=lambda: 0
    )

    idle.start()
    for _ in range(20):
        await asyncio.sleep(0)
    await idle.close()

    assert (await store.load(ANNA)).profile is not None


class Failing(MemoryStore):
    """Fails three times."""

    left = 3

    async def sweep_profiles(
        self,
        retention: Retention,
        *,
        now_ms: int,
        events_from_ms: int,
        after: int = 0,
        at_most: int = 200,
    ) -> Swept:
        self.left -= 1
        if self.left >= 0:
            raise StoreUnavailable("the disk is full.", fix="Make room.")
        return await super().sweep_profiles(
            retention, now_ms=now_ms, events_from_ms=events_from_ms, after=after, at_most=at_most
        )


async def test_a_store_that_fails_is_told_of_once_and_swept_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Failing()
    await store.commit([touched(ANNA, NOON_MS)])
    sweeping_up = sweeper(store, engine(), NOON_MS + 8 * DAY_MS)

    sweeping_up.start()
    async with asyncio.timeout(10):
        while (await store.load(ANNA)).profile is not None:  # noqa: ASYNC110 it tells nobody
            await asyncio.sleep(0)
    await sweeping_up.close()

    assert caplog.text.count("Nothing is removed for now.") == 1


def test_of_several_processes_one_sweeps_and_another_when_that_has_ended(tmp_path: Path) -> None:
    one, other = OnlyOne(tmp_path), OnlyOne(tmp_path)

    assert one.mine()
    assert not other.mine()
    one.close()

    assert other.mine()
    other.close()
