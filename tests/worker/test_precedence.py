"""Precedence: a flood gathers, so that whoever else writes seldom finds the disk taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.engine.journal import Entry, Nothing
from perso_core.worker.precedence import (
    GATHERED_AT_MOST_S,
    GATHERED_S,
    USUAL_IN_A_SECOND,
    Precedence,
)
from tests.worker.stack import Clock


def change(key: str, *, first_visit: bool = False) -> Entry:
    return Entry(
        sequence=1,
        key=key,
        now_ms=0,
        change=Nothing(),
        base_version=1,
        profile=None,
        first_visit_ms=1 if first_visit else 0,
    )


def keys(entries: list[Entry] | tuple[Entry, ...]) -> list[str]:
    return [entry.key for entry in entries]


def flooded(clock: Clock, *, beside: str | None = "somebody") -> Precedence:
    """After one visitor has sent more than a person does, with or without somebody else."""
    precedence = Precedence(clock)
    for _ in range(USUAL_IN_A_SECOND + 1):
        precedence.turn([change("flood")])
    if beside:
        precedence.turn([change(beside)])
    return precedence


def test_who_sends_more_than_a_person_gives_way_to_others() -> None:
    clock = Clock()
    precedence = flooded(clock)
    precedence.turn([change("flood")])

    assert not precedence.turn([change("flood")])
    assert keys(list(precedence.turn([change("flood"), change("somebody")]))) == ["somebody"]


def test_what_gathered_goes_when_its_time_has_come() -> None:
    clock = Clock()
    precedence = flooded(clock)
    precedence.turn([change("flood")])
    assert 0 < precedence.due_in_s <= GATHERED_S

    clock.s += precedence.due_in_s

    assert len(precedence.turn([change("flood"), change("flood")])) == 2


def due_after(took_s: float, *, first_visits: int = 10) -> float:
    """When what gathers may go again beside others, from when it went, if that took so long."""
    clock = Clock()
    precedence = flooded(clock)
    precedence.turn([change(f"new {n}", first_visit=True) for n in range(first_visits)])
    clock.s += took_s
    precedence.turn_over()
    return took_s + precedence.due_in_s


def test_while_others_write_what_gathers_takes_a_twentieth_of_the_time() -> None:
    assert due_after(0.003) == pytest.approx(20 * 0.003)


@pytest.mark.parametrize(("took_s", "apart_s"), [(0.0005, GATHERED_S), (0.5, GATHERED_AT_MOST_S)])
def test_what_gathers_goes_no_sooner_than_usual_and_within_the_time(
    took_s: float, apart_s: float
) -> None:
    assert due_after(took_s) == pytest.approx(apart_s)


def test_on_a_slow_disk_a_first_visit_waits_for_a_crowd_only_where_there_is_one() -> None:
    assert due_after(0.05, first_visits=1) == pytest.approx(GATHERED_S)
    assert due_after(0.05, first_visits=3) == pytest.approx(3 * GATHERED_S)
    assert due_after(0.05, first_visits=30) == pytest.approx(GATHERED_AT_MOST_S)


def test_as_many_as_go_in_one_commit_wait_for_no_more() -> None:
    clock = Clock()
    precedence = flooded(clock)
    precedence.turn([change("flood")])
    crowd = [change(f"new {n}", first_visit=True) for n in range(5)]
    assert not precedence.turn(crowd)

    assert precedence.turn(crowd, full=True) == crowd


def test_a_commit_of_others_puts_off_nothing_that_gathers() -> None:
    clock = Clock()
    precedence = flooded(clock)
    precedence.turn([change("flood")])
    clock.s += 0.001
    precedence.turn_over()
    due_s = clock.s + precedence.due_in_s
    precedence.turn([change("somebody")])
    clock.s += 0.004

    precedence.turn_over()

    assert clock.s + precedence.due_in_s == pytest.approx(due_s)


def test_a_long_commit_puts_nothing_off_where_nobody_else_writes() -> None:
    clock = Clock()
    precedence = Precedence(clock)
    precedence.turn([change("new", first_visit=True)])
    clock.s += 0.05

    precedence.turn_over()

    assert precedence.turn([change("new", first_visit=True)])


def test_nobody_waits_where_nobody_else_is_there() -> None:
    clock = Clock()
    precedence = flooded(clock, beside=None)
    clock.s += 0.2  # until then it was somebody itself

    for _ in range(3):
        assert precedence.turn([change("flood")])


def test_nobody_waits_for_one_who_was_there_a_while_ago() -> None:
    clock = Clock()
    precedence = flooded(clock)
    clock.s += 0.5

    for _ in range(3):
        assert precedence.turn([change("flood")])


def test_a_flood_is_still_one_in_the_next_second_and_none_after_a_pause() -> None:
    clock = Clock()
    precedence = flooded(clock)
    clock.s += 1.0
    precedence.turn([change("somebody")])
    precedence.turn([change("flood")])
    assert not precedence.turn([change("flood")])

    clock.s += 2.5
    precedence.turn([change("somebody")])
    precedence.turn([change("flood")])

    assert precedence.turn([change("flood")])


def test_who_sent_a_flood_once_and_goes_on_as_a_person_does_gives_way_no_longer() -> None:
    clock = Clock()
    precedence = flooded(clock)
    for _ in range(2):
        clock.s += 1.0
        precedence.turn([change("somebody")])
        precedence.turn([change("flood")])

    assert precedence.turn([change("flood")])


def test_a_flood_that_goes_at_once_does_not_put_off_first_visits() -> None:
    clock = Clock()
    precedence = flooded(clock, beside=None)
    clock.s += 0.2
    precedence.turn([change("first", first_visit=True)])
    assert not precedence.turn([change("new", first_visit=True)])
    for _ in range(11):
        clock.s += GATHERED_S / 10
        assert precedence.turn([change("flood")])

    assert keys(list(precedence.turn([change("new", first_visit=True)]))) == ["new"]


moments = st.tuples(
    st.sampled_from(["flood", "anna", "bert", "new"]),
    st.integers(0, 6),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
)


@given(st.lists(moments, max_size=60))
def test_all_of_one_key_go_together_and_within_the_time(
    sent: list[tuple[str, int, float, float]],
) -> None:
    clock = Clock()
    precedence = Precedence(clock)
    pending: list[Entry] = []
    for key, often, passed_s, took_s in sent:
        clock.s += passed_s
        pending += [change(key, first_visit=key == "new")] * often
        batch = list(precedence.turn(pending))
        left = [entry for entry in pending if entry.key not in keys(batch)]
        assert len(batch) + len(left) == len(pending)
        assert not left or 0 < precedence.due_in_s <= GATHERED_AT_MOST_S
        clock.s += took_s
        precedence.turn_over()
        pending = left
