"""What people write where a rule cannot go on, and what they are told to write."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleSyntaxError
from tests.pql.faults import fault_of

CHAIN = "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) {}])"
NO_STEP = (
    "Write not(CHAIN(...)) around a chain of its own, or send us what Adobe's builder exports."
)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("a occurs last 7 days", "Write <= 7 days before now."),
        ("a occurs in last 7 days", "Write <= 7 days before now."),
        ("a occurs in the next 2 weeks", "Write <= 2 weeks after now."),
        ("a occurs within 7 days", "Write <= 7 days before now."),
        (CHAIN.format("WHEN(last 30 days)"), "Write <= 30 days before now."),
        (CHAIN.format("WHEN(in the last 24 hours)"), "Write <= 24 hours before now."),
        ("a occurs <= 7 days ago", "Write before now in place of ago."),
        ("a > now - 7 days", "Write joined occurs <= 7 days before now."),
        ("a occurs <= 1.5 hours before now", "Write it in a smaller unit: 90 minutes."),
        (
            "a occurs <= -7 days before now",
            "Take - out; after in place of before is what is still to come.",
        ),
        ("a occurs <= n days before now", "Write a number: <= 7 days before now."),
        (
            "a occurs <= 7d before now",
            "Write it in full: 5 minutes, 2 hours, 7 days, 3 months.",
        ),
        ("a occurs <= 2 quarters before now", "Write months: 3 for each quarter."),
        (
            "a occurs this quarter",
            "Known are minute, hour, day, week, month, year; or between two times.",
        ),
    ],
)
def test_a_length_of_time_written_otherwise_is_told_as_a_window(text: str, fix: str) -> None:
    assert fault_of(text).fix == fix


@pytest.mark.parametrize(
    ("clause", "fix"),
    [
        ("COUNT(between 1 and 2)", "Write COUNT(>= 1) COUNT(<= 2)."),
        ("COUNT(1.5)", "Write COUNT(>= 2)."),
        ("COUNT(> -1)", "Write COUNT(>= 2)."),
        ("GAP(5)", NO_STEP),
    ],
)
def test_a_clause_of_a_step_written_otherwise_is_told(clause: str, fix: str) -> None:
    assert fault_of(CHAIN.format(clause)).fix == fix


@pytest.mark.parametrize("step", ["C0: NOT WHAT(a = 1)", "exclude C0: WHAT(a = 1)"])
def test_a_step_that_must_not_happen_asks_for_a_sample(step: str) -> None:
    """No text form of it is published."""
    assert fault_of(f"CHAIN(xEvent, timestamp, [{step}])").fix == NO_STEP


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (
            r"a = \"x\"",
            "1:5",
            'Write " without the backslash: the rule was escaped once too often.',
        ),
        (
            'a = "C:\\\\temp\\"',
            "1:5",
            "Write \\\\ for one backslash, and a quote where the text ends.",
        ),
        ("a = &quot;x&quot;", "1:5", 'Write a straight quote: ".'),
        ("a &gt; 5", "1:3", "Write >."),
        ("a = 1 &amp;&amp; b", "1:7", "Write and."),
        ("a = +5", "1:5", "Take + out."),
        ("a > = 5", "1:5", "Write >= in one."),
        ("a ! = 5", "1:3", "Write != in one."),
        ("a =! 5", "1:4", "Write != in place of =!."),
        ("a = 1,000", "1:6", "Write 1000 or 1.5."),
        ("a = １", "1:5", "Write 0 to 9."),
        ("a ** 2 = 4", "1:4", "Write points * points."),
        ("a->b = 1", "1:3", "Write . in place of ->."),
        ("a.0.b = 1", "1:2", "Use head() for the first, or topN(key, 1)."),
        ("a ∧ b", "1:3", "Write a and b."),
        ('a in "x", "y"', "1:9", 'Write square brackets around them: in ["a", "b"].'),
        ('a in {"x"}', "1:10", 'Write ["a", "b"].'),
        ('a.startsWith "x"', "1:14", 'Write .startsWith("...").'),
        ("if a then b", "1:4", "Write if(a > 1, 10, 0)."),
        ("where a = 1", "1:1", "Take where out."),
        ("a = 1 limit 5", "1:7", "Take it out: a rule is a condition on one visitor."),
    ],
)
def test_a_sign_or_word_of_elsewhere_is_told_at_its_place(text: str, place: str, fix: str) -> None:
    fault = fault_of(text)

    assert type(fault) is RuleSyntaxError
    assert (fault.place, fault.fix) == (place, fix)


def test_times_are_not_reckoned_with() -> None:
    fix = "Times are not reckoned with. Write joined occurs <= 7 days before now."

    assert fault_of("a > now - 7").fix == fix


@pytest.mark.parametrize("text", ["a && b", "a = 1 & b", "a[5", "a = 1 b", "{"])
def test_what_is_none_of_them_is_told_as_before(text: str) -> None:
    assert "HTML" not in fault_of(text).detail


def test_braces_in_a_rule_break_no_sentence() -> None:
    assert fault_of('a = "{x}" \\"').fix.startswith('Write " without the backslash')
