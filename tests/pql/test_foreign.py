"""What authors of SQL, JavaScript and Python type, and what they are told to write."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleFaults
from perso_core.pql.compiler import compile_rule
from perso_core.pql.foreign import FUNCTIONS, OPERATORS
from perso_core.pql.types import METHODS
from tests.pql.faults import fault_of

LENGTH = 'Write count() of a list; of a text, matches("^.{3,}$") asks for its length.'
HOUR = "Write occurs with a window: now occurs >= 9 hours after today."
ATTRIBUTE = "Keep what it gives in an attribute of the profile."


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("a.length() > 3", "1:3", LENGTH),
        ("len(a) > 3", "1:1", LENGTH),
        (
            'a.toLowerCase() = "x"',
            "1:3",
            'Write false as the last argument: equals("gold", false).',
        ),
        ("now() > a", "1:1", "Write the word without brackets."),
        ("coalesce(a, 0) > 1", "1:1", "Write if(a.isNull(), 0, a)."),
        ('a.in(["x"])', "1:3", 'Write tier in ["gold", "silver"].'),
        ("a.isnull()", "1:3", "Did you mean isNull?"),
        ("a.startWith(b)", "1:3", "Did you mean startsWith?"),
        ("count(orders) > 2", "1:1", "Write orders.count() > 2."),
        ("currentHour() > 5", "1:1", HOUR),
        ("a.getMinutes() > 5", "1:3", HOUR),
        ("a.getDayOfWeek() = 1", "1:3", ATTRIBUTE),
        ("currentDayOfWeek() = 1", "1:1", ATTRIBUTE),
        ("a.getWeek() = 4", "1:3", "Write joined occurs this week."),
        ("a.getAge() > 5", "1:3", "Write birthDate occurs >= 18 years before today."),
        ("getAge(a) > 5", "1:1", "Write birthDate occurs >= 18 years before today."),
        ('a.has("x")', "1:3", 'Write interests.includes("sport").'),
        ('a.inSegment("x")', "1:3", 'Write inSegment("ac2b8310").'),
    ],
)
def test_a_function_of_another_language_is_told_with_ours(text: str, place: str, fix: str) -> None:
    """a.length() was taken for a misspelt endsWith."""
    fault = fault_of(text)

    assert (fault.place, fault.fix) == (place, fix)


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (
            "a between 1 and 5",
            "1:3",
            "Write points >= 1 and points <= 5; of times, joined occurs between yesterday and now.",
        ),
        ('a ilike "x"', "1:3", 'Write matches "(?i)^x".'),
        ('a ~ "x"', "1:3", 'Write matches "^x".'),
        ("a > 1 ? b : c", "1:7", "Write if(a > 1, 10, 0)."),
        ("a = 1;", "1:6", "Take it out: a rule is one expression."),
        ("a = 1 # why", "1:7", "Take it out: a rule has no remarks."),
        ("a = 1 // why", "1:8", "Take it out: a rule has no remarks."),
        ("`a` = 1", "1:1", "Write the name without quotes around it."),
        (
            'a not like "x"',
            "1:3",
            'Write not before the whole comparison: not(page like "sale/%").',
        ),
        ('a includes "x"', "1:3", 'Write interests.includes("sport").'),
        ('a has "x"', "1:3", 'Write interests.includes("sport").'),
        ("a?.b = 1", "1:2", "Take ? out: a field that is missing is no value, and no fault."),
        (
            'a?.b.contains("x")',
            "1:2",
            "Take ? out: a field that is missing is no value, and no fault.",
        ),
        ("a exists", "1:3", "Write tier.isNotNull()."),
        ("a = 1 and b => 5", "1:13", "Write >= in place of =>."),
        ("a \N{MINUS SIGN} b > 1", "1:3", "Write - in place of it."),
        ('a in "x"', "1:6", 'Write ["x"].'),
    ],
)
def test_an_operator_of_another_language_is_told_with_ours(text: str, place: str, fix: str) -> None:
    fault = fault_of(text)

    assert (fault.place, fault.fix) == (place, fix)


@pytest.mark.parametrize("word", ["null", "NULL", "Null", "None", "undefined", "nil"])
def test_no_value_is_asked_for_by_is_null_whatever_it_is_called(word: str) -> None:
    """a = NULL was saved, and had no members."""
    assert fault_of(f"a != {word}").fix == "Ask with isNull() or isNotNull()."


def test_a_field_may_be_called_so_further_in() -> None:
    assert compile_rule("a.None = 1 and let nil = 1 in nil = 1")


def test_greater_or_equal_the_wrong_way_round_is_no_rule_about_everyone() -> None:
    """points => 5 was saved, and everyone was in it."""
    fault = fault_of("points => 5")

    assert fault.fix == "Write points >= 5."


# ---- what is to be written ----------------------------------------------------

# These tell what to do, not what to write.
PROSE = ("Take it out", "Keep what", "Write the ", "Write - in", "Write * in", "Write / in")
OTHERS = ("Write >= in place of =>.",)
# What a part of a fix is written into.
WAYS = ("{}", "os.{}", "os.{} > 1", 'a {} "x"', "a {}", "a {} and b")
AROUND = (
    "not before the whole comparison: ",
    "false as the last argument: ",
    "occurs with a window: ",
    " asks for its length",
    " asks whether there is a value",
    " for an empty text",
    " for an empty list",
    " for no value",
    " of a list",
    "of a text, ",
    "of times, ",
    "=, as in ",
)


def parts_of(fix: str) -> list[str]:
    """What of a fix is in the language."""
    code = fix.removeprefix("Write ").removesuffix(".")
    for words in AROUND:
        code = code.replace(words, "")
    if fix.count(" for ") > 1:
        return code.split(", ")
    return [part for each in code.split("; ") for part in each.split(" or points / ")]


def compiles(text: str) -> bool:
    try:
        compile_rule(text)
    except RuleFaults:
        return False
    return True


@pytest.mark.parametrize("fix", sorted({*FUNCTIONS.values(), *OPERATORS.values()}))
def test_what_an_author_is_told_to_write_is_of_the_language(fix: str) -> None:
    parts = [] if fix.startswith(PROSE) or fix in OTHERS else parts_of(fix)

    for part in parts:
        assert any(compiles(way.format(part)) for way in WAYS), part


def test_no_function_of_ours_is_told_to_be_of_another_language() -> None:
    assert not {name for name in METHODS if name.lower() in FUNCTIONS}
