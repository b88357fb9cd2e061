"""What an author is told."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleSyntaxError, RuleTooLarge, RuleTypeError
from perso_core.pql.compiler import compile_rule
from tests.pql.faults import fault_of, faults_of


def test_a_fault_points_at_its_place_with_a_caret() -> None:
    fault = fault_of('a = 1\nand b.startsWit("x")')

    assert (fault.line, fault.column, fault.end_column) == (2, 7, 21)
    assert fault.excerpt == 'and b.startsWit("x")\n      ^^^^^^^^^^^^^^'
    assert fault.detail == "There is no function startsWit."
    assert fault.fix == "Did you mean startsWith?"


def test_every_fault_of_types_is_shown_at_once() -> None:
    faults = faults_of('a > "x" and b.foo() and inSegment(5)')

    assert [fault.place for fault in faults] == ["1:5", "1:15", "1:35"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a = 'x'", "Write \"...\" in place of '...'."),
        ("a = “x”", 'Write straight double quotes: "...".'),
        ("a == 1", "Write = in place of ==."),
        ("a = 1 && b = 2", "Write and in place of &&."),
        ("a = 1 || b = 2", "Write or in place of ||."),
        ('a = "x', 'Add a " where the text ends.'),
        ("items[0]", "Use head() for the first, or topN(key, 1)."),
        ("a = null", "Ask with isNull() or isNotNull()."),
        ("a.EndsWith(b)", "Did you mean endsWith?"),
    ],
)
def test_what_people_type_from_other_languages_gets_a_hint(text: str, hint: str) -> None:
    assert fault_of(text).fix == hint


@pytest.mark.parametrize("text", ["(" * 300 + "a" + ")" * 300, "!" * 300 + "a", "a" + ".f" * 1])
def test_a_rule_nested_too_deeply_is_refused_and_others_are_not(text: str) -> None:
    if text == "a.f":
        with pytest.raises(pytest.fail.Exception):
            fault_of(text)
    else:
        assert type(fault_of(text)) is RuleTooLarge


def test_a_rule_over_256_kib_is_refused() -> None:
    fault = fault_of(f'a = "{"x" * 262_144}"')

    assert type(fault) is RuleTooLarge
    assert len(fault.excerpt) < 200


def test_a_rule_of_more_than_50_000_parts_is_refused() -> None:
    fault = fault_of(f"a in [{', '.join(['1'] * 50_001)}]")

    assert type(fault) is RuleTooLarge


def test_a_caret_is_shown_within_a_long_line() -> None:
    fault = fault_of(f"{'a = 1 and ' * 100}b == 2{' and a = 1' * 100}")

    shown, caret = fault.excerpt.split("\n")
    assert shown[caret.index("^")] == "="
    assert len(shown) < 130


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("$1 = 1", "1:1"),
        ("a = 1 and $1.keys().count() > 3", "1:11"),
        ("let P = $1 in P.a = 1", "1:9"),
        ("(P) => P in [1]", "1:8"),
        ("$2", "1:1"),
        ("now occurs before now", "1:19"),
        ("a = 1 and now >= now", "1:11"),
        ("a.matches(b)", "1:11"),
        ("a like b", "1:8"),
        ('stringCompare(a, b, ["x"])', "1:15"),
    ],
)
def test_what_can_mean_nothing_is_a_fault_at_its_place(text: str, place: str) -> None:
    fault = fault_of(text)

    assert type(fault) is RuleTypeError
    assert fault.place == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("os.map(null => 1)", "1:13"),
        ("os.filter((true) => a = 1)", "1:18"),
        ("xEvent => xEvent.count()", "1:8"),
        ("not => 1", "1:5"),
        ("os.map((K, select) => 1)", "1:12"),
        ("os.map((K, xEvent) => 1)", "1:12"),
    ],
)
def test_a_word_of_the_language_names_no_parameter(text: str, place: str) -> None:
    # The place is the first token that cannot continue a rule: `os.map(null` still can.
    fault = fault_of(text)

    assert type(fault) is RuleSyntaxError
    assert fault.place == place


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("99999, 1, 1", "99999, 1, 1"),
        ("0, 1, 1", "0, 1, 1"),
        ("-44, 3, 15", "-44, 3, 15"),
        ("2026, 2, 30", "2026, 2, 30"),
        ("2026.5, 1, 1", "2026.5, 1, 1"),
        ("currentYear(), 13, 1", "…, 13, 1"),
        ("currentYear() - 1, 2, 30", "…, 2, 30"),
        ("2026, currentMonth(), 32", "2026, …, 32"),
        ("10000, currentMonth(), 1", "10000, …, 1"),
    ],
)
def test_a_day_that_no_calendar_has_is_a_fault_where_it_is_written(written: str, told: str) -> None:
    """date(99999, 1, 1) was taken, and no profile could ever be told about it."""
    fault = fault_of(f"a = 1 or joined < date({written})")

    assert (type(fault), fault.place) == (RuleTypeError, "1:19")
    assert fault.detail == f"There is no such day: date({told})."
    assert fault.fix == "Write date(year 1 to 9999, month 1 to 12, day of that month)."


@pytest.mark.parametrize(
    "written", ["1, 1, 1", "9999, 12, 31", "currentYear(), 2, 29", "a, b, 31", "2024.0, 2, 29"]
)
def test_a_day_that_some_calendar_has_is_none(written: str) -> None:
    text = f"joined < date({written})"

    assert compile_rule(text).text == text


def test_a_comparison_that_never_holds_is_a_fault() -> None:
    assert type(fault_of('a.count() = "2"')) is RuleTypeError
    assert type(fault_of("a.isNull() = 1")) is RuleTypeError


def test_a_second_comparison_in_a_row_is_a_fault() -> None:
    for text in ("1 < a < 3", "not a = b = c", "a occurs today = true"):
        assert type(fault_of(text)) is RuleSyntaxError


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\\1", "a{1001}", "\\\\p{No}{3}("])
def test_a_pattern_the_engine_does_not_take_is_a_fault(pattern: str) -> None:
    assert type(fault_of(f'a.matches("{pattern}")')) is RuleTypeError


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ('"日本語" = a and b == 2', 20),
        ('"😀" = a and b == 2', 16),
        ('"ｆｕｌｌ" = a and b == 2', 22),
        ('"e\u0301e\u0301" = a and b == 2', 16),
        ('"a\u200db" = a and b == 2', 16),
        ("a = 1 and\t\tb == 2", 14),
    ],
)
def test_the_caret_stands_below_its_sign_where_characters_are_wider_or_take_no_place(
    text: str, before: int
) -> None:
    """Columns of a place are code points; those of a terminal are not."""
    fault = fault_of(text)

    assert fault.column == text.index("==") + 2
    assert fault.excerpt.split("\n")[1] == " " * before + "^"


def test_what_is_marked_is_marked_as_wide_as_it_is() -> None:
    fault = fault_of('日本語("x") and a = 1')

    assert fault.excerpt.split("\n")[1].strip() == "^" * len('日本語("x")___')
