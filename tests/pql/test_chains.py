"""Sequences of events against trying every choice of events."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.errors import RuleTooLarge, RuleTypeError
from perso_core.pql.compiler import Verdict, compile_rule
from tests.pql.faults import fault_of

KINDS = "abc"
events = st.lists(
    st.builds(
        lambda kind, at: {"eventType": kind, "timestamp": at},
        st.sampled_from(KINDS),
        st.integers(0, 12),
    ),
    max_size=6,
)
# A step: the kind of event, and at most how long after which earlier step.
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.none() | st.tuples(st.integers(0, 6), st.integers(0, 2))),
    min_size=2,
    max_size=4,
)


def text_of(sequence: list[tuple[str, tuple[int, int] | None]]) -> str:
    parts = []
    for number, (kind, limit) in enumerate(sequence):
        when = ""
        if limit is not None and limit[1] < number:
            when = f" WHEN(<= {limit[0]} milliseconds after C{limit[1]})"
        parts.append(f'C{number}: WHAT(eventType = "{kind}"){when}')
    return f"CHAIN(xEvent, timestamp, [{', '.join(parts)}])"


def found_by_trying(sequence: list[Any], happened: list[dict[str, Any]]) -> bool:
    return any(fits(sequence, chosen) for chosen in permutations(happened, len(sequence)))


def fits(sequence: list[Any], chosen: tuple[dict[str, Any], ...]) -> bool:
    times = [event["timestamp"] for event in chosen]
    if any(later <= earlier for earlier, later in pairwise(times)):
        return False
    for number, (kind, limit) in enumerate(sequence):
        if chosen[number]["eventType"] != kind:
            return False
        if limit is not None and limit[1] < number and times[number] - times[limit[1]] > limit[0]:
            return False
    return True


@given(steps, events)
def test_a_sequence_is_found_exactly_when_some_choice_of_events_fits(
    sequence: list[Any], happened: list[dict[str, Any]]
) -> None:
    rule = compile_rule(text_of(sequence))

    assert rule.evaluate({"xEvent": happened}, 20).holds is found_by_trying(sequence, happened)


def test_the_earliest_first_event_is_not_always_the_right_one() -> None:
    rule = compile_rule(
        'CHAIN(xEvent, timestamp, [A: WHAT(e = "x"), B: WHAT(e = "y") WHEN(<= 5 seconds after A)])'
    )
    happened = [(1_000, "x"), (60_000, "x"), (62_000, "y")]
    view = {"xEvent": [{"timestamp": at, "e": kind} for at, kind in happened]}

    assert rule.evaluate(view, 100_000).holds


def test_a_count_in_a_sequence_takes_that_many_events_before_the_next_step() -> None:
    rule = compile_rule('CHAIN(xEvent, timestamp, [A: WHAT(e = "x") COUNT(2), B: WHAT(e = "y")])')

    def view(kinds: str) -> dict[str, Any]:
        return {"xEvent": [{"timestamp": at, "e": kind} for at, kind in enumerate(kinds)]}

    assert rule.evaluate(view("xxy"), 10).holds
    assert not rule.evaluate(view("xyx"), 10).holds


@pytest.mark.parametrize(
    ("window", "now", "holds"),
    [
        # Views at 2 and 6, an add at 5: to the millisecond.
        ("between V and now", 4, False),
        ("between V and now", 5, True),
        ("between now and V", 5, False),
        ("between V and date(1970, 1, 1)", 9, True),
        ("between V and date(1969, 12, 31)", 9, False),
        ("between date(1970, 1, 1) and V", 9, False),
        ("between V and ends", 9, True),
        ("between V and early", 9, False),
        ("between V and missing", 9, False),
    ],
)
def test_a_window_between_a_step_and_another_time_takes_both(
    window: str, now: int, holds: bool
) -> None:
    rule = compile_rule(
        f'CHAIN(xEvent, timestamp, [V: WHAT(e = "v"), A: WHAT(e = "a") WHEN({window})])'
    )
    happened = [(2, "v"), (5, "a"), (6, "v")]
    view = {"ends": 5, "early": 4, "xEvent": [{"timestamp": at, "e": e} for at, e in happened]}

    assert rule.evaluate(view, now).holds is holds


def test_a_window_from_a_step_until_now_opens_when_the_event_happens() -> None:
    rule = compile_rule(
        'CHAIN(xEvent, timestamp, [V: WHAT(e = "v"), A: WHAT(e = "a") WHEN(between V and now)])'
    )
    view = {"xEvent": [{"timestamp": 2, "e": "v"}, {"timestamp": 5, "e": "a"}]}

    assert rule.evaluate(view, 3) == Verdict(False, 5)


def test_a_count_in_a_sequence_is_a_least_number() -> None:
    fault = fault_of("CHAIN(xEvent, timestamp, [A: WHAT(a = 1) COUNT(<= 1), B: WHAT(a = 2)])")

    assert type(fault) is RuleTypeError
    assert fault.place == "1:27"


def test_windows_measured_from_three_earlier_steps_at_once_are_over_a_limit() -> None:
    steps = [f"{label}: WHAT(a = 1)" for label in "ABC"]
    last = "D: WHAT(a = 1) " + " ".join(f"WHEN(after {label})" for label in "ABC")

    fault = fault_of(f"CHAIN(xEvent, timestamp, [{', '.join([*steps, last])}])")

    assert type(fault) is RuleTooLarge
    assert fault.place == "1:75"
