"""What is known of the erased gets old by a clock that nobody can set, whatever calendars show."""

from __future__ import annotations

from pathlib import Path

import pytest

from perso_core.decision.profile import mark_of
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_backup import copy_store, put_back
from tests.building import DAY_MS, NOON_MS, event
from tests.stores.building import ANNA, BERT, arrived, forgot


@pytest.mark.parametrize("erased_days", [-500, -3, 0, 3, 500])
@pytest.mark.parametrize("swept_days", [-500, 0, 500])
async def test_whatever_a_calendar_shows_what_was_erased_is_known_again_for_a_day(
    tmp_path: Path, erased_days: int, swept_days: int
) -> None:
    calendar_ms = running_ms = NOON_MS
    store = await open_sqlite(tmp_path / "perso.sqlite", clock_ms=lambda: calendar_ms)
    store.age_by(lambda: running_ms)
    await store.commit([arrived(event(event_id="e1"))])
    calendar_ms = NOON_MS + erased_days * DAY_MS
    await store.commit([forgot(base=1, now_ms=calendar_ms)])
    calendar_ms = NOON_MS + swept_days * DAY_MS
    await store.sweep_notices(0)
    assert (await store.load(ANNA)).erased_events == {mark_of("e1")}

    running_ms = NOON_MS + DAY_MS + 1
    await store.sweep_notices(0)
    assert (await store.load(ANNA)).erased_events == frozenset()
    await store.close()


async def test_who_was_erased_is_known_for_400_days_whatever_a_calendar_shows(
    tmp_path: Path,
) -> None:
    calendar_ms = running_ms = NOON_MS
    store = await open_sqlite(tmp_path / "perso.sqlite", clock_ms=lambda: calendar_ms)
    store.age_by(lambda: running_ms)
    await store.commit([forgot(ANNA)])
    calendar_ms += 500 * DAY_MS
    await store.commit([forgot(BERT, now_ms=calendar_ms)])
    assert (await store.load(ANNA)).erased_ms == NOON_MS

    running_ms += 400 * DAY_MS
    calendar_ms = running_ms
    await store.commit([forgot(BERT, now_ms=calendar_ms)])
    assert (await store.load(ANNA)).erased_ms == NOON_MS

    running_ms += 1
    await store.commit([forgot(BERT, now_ms=running_ms)])
    assert (await store.load(ANNA)).erased_ms == 0
    await store.close()


@pytest.mark.parametrize("days", [-500, -3, 0, 3, 500])
async def test_who_was_erased_while_an_import_went_on_is_passed_over_whatever_a_calendar_showed(
    tmp_path: Path, days: int
) -> None:
    running_ms = NOON_MS + 9
    calendar_ms = running_ms + days * DAY_MS
    store = await open_sqlite(tmp_path / "perso.sqlite", clock_ms=lambda: calendar_ms)
    store.age_by(lambda: running_ms)
    await store.commit([forgot(now_ms=calendar_ms)])

    calendar_ms = running_ms = NOON_MS + 19
    assert await store.withheld([ANNA, BERT], since_ms=NOON_MS) == {ANNA}
    assert await store.withheld([ANNA, BERT], since_ms=NOON_MS + 10) == frozenset()
    await store.close()


@pytest.mark.parametrize("days", [-500, 500])
async def test_who_was_erased_since_a_backup_stays_so_however_far_off_the_calendar_was(
    tmp_path: Path, days: int
) -> None:
    """The next erasure forgets of whom there is no backup any more."""
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    calendar_ms = NOON_MS
    store = await open_sqlite(path, clock_ms=lambda: calendar_ms)
    store.age_by(lambda: NOON_MS)
    await store.commit([arrived(event())])
    copy_store(path, backup, lambda done, pages: None)
    for calendar_ms, key in ((NOON_MS + days * DAY_MS, ANNA), (NOON_MS, BERT)):
        await store.commit([forgot(key, now_ms=calendar_ms)])
    await store.close()

    assert put_back(backup, path, lambda done, pages: None) == 1

    store = await open_sqlite(path)
    assert (await store.load(ANNA)).profile is None
    await store.close()
