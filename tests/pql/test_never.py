"""Windows and counts that nothing can meet, whatever the fields are."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleNeverHolds
from perso_core.pql.compiler import compile_rule
from tests.pql.faults import fault_of
from tests.pql.test_types import fault_with, faults_of


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
