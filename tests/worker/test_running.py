"""The clock that retention goes by shows the time that passes, whatever the calendar says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import ClockMark
from perso_core.worker.running import MAX_OWED_MS, RetentionClock, advanced, resumed
from perso_core.worker.sweeping import retention_clock
from tests.building import DAY_MS, HOUR_MS, NOON_MS

YEAR_MS = 365 * DAY_MS


def test_it_begins_with_the_calendar_and_goes_on_with_the_machine() -> None:
    mark = resumed(None, boot="a", running_ms=5_000, wall_ms=NOON_MS)

    assert advanced(mark, 65_000).clock_ms == NOON_MS + 60_000


@pytest.mark.parametrize("jump_ms", [YEAR_MS, -YEAR_MS])
def test_a_calendar_that_is_set_moves_nothing_also_over_a_restart_of_perso(jump_ms: int) -> None:
    before = ClockMark("a", 1_000, NOON_MS)

    after = resumed(before, boot="a", running_ms=2_000, wall_ms=NOON_MS + jump_ms)

    assert advanced(after, 11_000).clock_ms == NOON_MS + 10_000


def test_the_time_for_which_perso_was_stopped_has_passed() -> None:
    before = ClockMark("a", 1_000, NOON_MS)

    after = resumed(before, boot="a", running_ms=1_000 + DAY_MS, wall_ms=NOON_MS + DAY_MS)

    assert advanced(after, 1_000 + DAY_MS).clock_ms == NOON_MS + DAY_MS


def test_time_for_which_the_machine_was_off_is_made_up_for_a_quarter_faster() -> None:
    before = ClockMark("a", 9_000, NOON_MS)

    after = resumed(before, boot="b", running_ms=0, wall_ms=NOON_MS + HOUR_MS)

    assert advanced(after, 0).clock_ms == NOON_MS
    assert advanced(after, 2 * HOUR_MS).clock_ms == NOON_MS + 2 * HOUR_MS + HOUR_MS // 2
    assert advanced(after, 9 * HOUR_MS).clock_ms == NOON_MS + 10 * HOUR_MS


def test_no_more_than_thirty_days_are_made_up_for() -> None:
    before = ClockMark("a", 9_000, NOON_MS)

    after = resumed(before, boot="b", running_ms=0, wall_ms=NOON_MS + YEAR_MS)

    assert after.owed_ms == MAX_OWED_MS == 30 * DAY_MS


@given(
    st.lists(st.integers(0, 40 * DAY_MS), max_size=8),
    st.integers(0, 60 * DAY_MS),
)
def test_it_never_goes_back_nor_more_than_a_quarter_faster_than_time(
    steps: list[int], off_ms: int
) -> None:
    mark = resumed(ClockMark("a", 0, NOON_MS), boot="b", running_ms=0, wall_ms=NOON_MS + off_ms)
    for passed_ms in steps:
        after = advanced(mark, mark.running_ms + passed_ms)
        went_ms = after.clock_ms - mark.clock_ms
        assert passed_ms <= went_ms <= passed_ms * 5 // 4
        mark = after
    # Noting it more often changes nothing but what a quarter rounds off.
    at_once = advanced(
        resumed(ClockMark("a", 0, NOON_MS), boot="b", running_ms=0, wall_ms=NOON_MS + off_ms),
        sum(steps),
    )
    assert abs(at_once.clock_ms - mark.clock_ms) <= len(steps)


async def test_what_is_noted_in_the_store_is_counted_on_from() -> None:
    store = MemoryStore()
    first = await retention_clock(store, NOON_MS)
    await store.keep_clock_mark(first.mark())

    again = await retention_clock(store, NOON_MS + YEAR_MS)

    assert again.now_ms() - NOON_MS < HOUR_MS


async def test_a_calendar_that_is_far_off_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    await store.keep_clock_mark((await retention_clock(store, NOON_MS)).mark())

    await retention_clock(store, NOON_MS + YEAR_MS)

    assert "The calendar is +525600 min from the time that the machine has run" in caplog.text


def test_a_clock_of_a_machine_counts_by_itself() -> None:
    shown = iter([100, 250])

    clock = RetentionClock(ClockMark("a", 0, NOON_MS), running_ms=lambda: next(shown))

    assert [clock.now_ms(), clock.now_ms()] == [NOON_MS + 100, NOON_MS + 250]
