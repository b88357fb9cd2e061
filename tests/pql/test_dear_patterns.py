"""Patterns that would take long, or too much memory, are refused where the rule is saved."""

from __future__ import annotations

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.patterns import MAX_GROUPS, MAX_PATTERN
from tests.pql.faults import fault_of
from tests.pql.making import NOW_MS


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('a like "{}"', f"The pattern has {MAX_PATTERN + 2:,} characters; 10,000 is the limit."),
        ('a.matches("{}")', "it has 10,002 characters."),
        ('a.regexGroup("{}") = "x"', "it has 10,002 characters."),
    ],
)
def test_a_pattern_has_a_longest_size(rule: str, told: str) -> None:
    """a like "%_%_…" of 240,000 signs was saved, and failed at the first visitor."""
    fault = fault_of(rule.replace("{}", "%_" * (MAX_PATTERN // 2 + 1)))

    assert fault.detail.endswith(told)
    assert compile_rule(rule.replace("{}", "%_" * (MAX_PATTERN // 2)))


def test_a_text_that_is_no_pattern_may_be_as_long_as_the_rule() -> None:
    assert compile_rule(f'a = "{"%_" * MAX_PATTERN}" or a.contains("{"(" * MAX_PATTERN}")')


def test_groups_are_for_what_somebody_asks_of_them() -> None:
    """A thousand of them took a second for each thousand characters of a visitor's text."""
    fault = fault_of(f'a.matches("{"(a|b)*" * (MAX_GROUPS + 1)}")')

    assert fault.detail.endswith("it has 101 groups; 100 is the limit.")
    assert fault.fix == "Write (?:...) where nobody asks what a group found."
    for pattern in ("(a|b)*" * MAX_GROUPS, "(?:a|b)*" * 1_000, "[(]" * 500):
        assert compile_rule(f'a.matches("{pattern}")')


def test_a_pattern_that_needs_too_much_memory_says_what_to_do() -> None:
    fault = fault_of('a.matches("\\\\p{L}{1000}\\\\p{N}{1000}")')

    assert fault.detail.endswith("It takes too much memory.")
    assert fault.fix == "Write fewer repetitions, or shorter ones."


def test_what_a_group_found_is_told_beside_a_test_of_the_same_pattern() -> None:
    rule = compile_rule('a.matches("(a)(b)") and a.regexGroup("(a)(b)", 2) = "b"')

    assert rule.evaluate({"a": "xaby"}, NOW_MS).holds
