"""Windows and counts that nothing can meet, whatever the fields are."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleNeverHolds
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN
from tests.pql.faults import fault_of
from tests.pql.test_types import CLOSED, fault_with, faults_of


@pytest.mark.parametrize(
    "between",
    [
        "date(2026, 5, 1) and date(2026, 4, 30)",
        '"2026-05-01" and "2026-04-30T10:00:00Z"',
        "today and yesterday",
        "tomorrow and now",
        "now and last week",
        "this month and last month",
        "next month and last week",
    ],
)
def test_a_time_between_a_later_and_an_earlier_one_is_told_at_the_second(between: str) -> None:
    fault = fault_with(f"person.birthDate occurs between {between}")

    assert type(fault) is RuleNeverHolds
    assert fault.column == len("person.birthDate occurs between ") + between.index(" and ") + 6
    assert fault.fix == "Write the earlier time first."


@pytest.mark.parametrize(
    "between",
    [
        "date(2026, 5, 1) and date(2026, 5, 1)",
        '"2026-05-01T10:00:00Z" and date(2026, 5, 1)',
        "now and today",
        "today and today",
        "this month and last week",
        "last year and yesterday",
        "now and date(1999, 1, 1)",
    ],
)
def test_a_time_between_two_of_which_the_first_may_be_earlier_is_no_fault(between: str) -> None:
    assert faults_of(f"person.birthDate occurs between {between}") == ()


@pytest.mark.parametrize(
    "window",
    ["<= 0 days before now", "<= 0 days from today", "< 1 day before today", "> 0 days before now"],
)
def test_a_short_time_that_something_can_be_away_is_no_fault(window: str) -> None:
    assert faults_of(f"person.birthDate occurs {window}") == ()


@pytest.mark.parametrize(
    ("counts", "column"),
    [
        ("COUNT(< 0)", 55),
        ("COUNT(< 2) COUNT(>= 2)", 67),
        ("COUNT(= 1) COUNT(= 2)", 66),
        ("COUNT(>= 3) COUNT(!= 3) COUNT(< 4)", 79),
    ],
)
def test_a_count_that_no_number_of_events_has_is_told_without_a_schema(
    counts: str, column: int
) -> None:
    """COUNT(< 0) was saved, and had no members."""
    fault = fault_of(f'CHAIN(xEvent, timestamp, [C: WHAT(page = "a") {counts}])')

    assert type(fault) is RuleNeverHolds
    assert fault.column == column


def test_counts_that_some_number_of_events_has_are_no_fault_whatever_was_read_before() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C: WHAT(page = "a") COUNT(>= {}) COUNT(<= {})])'
    for _ in range(3):
        assert compile_rule(rule.format(2, 5)).text
        assert type(fault_of(rule.format(6, 5))) is RuleNeverHolds


# ---- windows that move with now --------------------------------------------------

STEPS = "CHAIN(xEvent, timestamp, [A: WHAT(a = 1) WHEN({}), B: WHAT(b = 1) WHEN({})])"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("today", "yesterday"),
        ("this month", "last month"),
        ("<= 3 days before now", "> 5 days before now"),
        ("= 1 day before today", "= 2 days before today"),
        ("after now", "before today"),
        ("before today", "after today"),
        ("between yesterday and today", "<= 2 hours after tomorrow"),
    ],
)
def test_windows_that_never_meet_are_told_at_the_second(one: str, other: str) -> None:
    rule = f"person.birthDate occurs {one} and person.birthDate occurs {other}"
    step = f"CHAIN(xEvent, timestamp, [A: WHAT(a = 1) WHEN({one}) WHEN({other})])"

    for text, schema in ((rule, CLOSED), (step, KNOWN)):
        fault = fault_with(text, schema)
        assert type(fault) is RuleNeverHolds
        assert fault.column > text.index(one) + len(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("this week", "last month"),
        ("last week", "this month"),
        ("<= 36 hours before now", "before yesterday"),
        ("= 1 month before today", "= 29 days before today"),
        ("this decade", "last decade"),
        ("today", "on date(2031, 1, 1)"),
        ("<= 2 days after now", "after tomorrow"),
    ],
)
def test_windows_that_meet_on_some_days_are_no_fault(one: str, other: str) -> None:
    text = f"person.birthDate occurs {one} and person.birthDate occurs {other}"

    assert faults_of(text) == ()


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("today", "yesterday"),
        ("this month", "last month"),
        ("<= 1 day before now", "> 2 days before now"),
        ("this week", "before last week"),
    ],
)
def test_a_later_step_whose_window_is_over_before_is_told(first: str, later: str) -> None:
    text = STEPS.format(first, later)
    fault = fault_with(text, KNOWN)

    assert type(fault) is RuleNeverHolds
    assert fault.column == text.rindex("WHEN(") + 6
    assert fault.detail == "This is over before A can be, which comes first."


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("yesterday", "today"),
        ("today", "today"),
        ("this month", "last week"),
        ("<= 1 day before now", "<= 7 days before now"),
        ("<= 1 day before now", "> 1 hour before now"),
    ],
)
def test_a_later_step_that_may_be_later_is_no_fault(first: str, later: str) -> None:
    assert faults_of(STEPS.format(first, later), KNOWN) == ()
