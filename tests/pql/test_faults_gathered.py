"""Every fault of a rule is told, also where it could not be read as it was written."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from perso_core.errors import RuleError, RuleFaults
from perso_core.pql import shapes
from perso_core.pql.cases import Case, run_case
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import TEXT, FieldType, FieldTypes
from perso_core.pql.lexer import Token, tokens_of
from perso_core.pql.source import Source
from tests.pql import making
from tests.pql.cases import VECTORS
from tests.pql.faults import fault_of, faults_of


def places(text: str) -> list[str]:
    return [fault.place for fault in faults_of(text)]


def fixes(text: str) -> list[str]:
    return [fault.fix for fault in faults_of(text)]


def marked(text: str) -> list[str]:
    """What stands above the carets of each fault."""
    shown = [fault.excerpt.split("\n") for fault in faults_of(text)]
    return [line[caret.index("^") : len(caret)] for line, caret in shown]


# ---- what is gathered ---------------------------------------------------------


def test_everything_of_other_languages_in_one_rule_is_told_at_once() -> None:
    text = "tier == 'gold' && items[0].x = 1"

    assert places(text) == ["1:7", "1:9", "1:16", "1:24"]
    assert fixes(text) == [
        "Write = in place of ==.",
        "Write \"...\" in place of '...'.",
        "Write and in place of &&.",
        "Use head() for the first, or topN(key, 1).",
    ]


def test_the_caret_stands_under_all_that_has_to_be_written_otherwise() -> None:
    assert marked("a == 'gold' || b !== “x”") == ["=", "'gold'", "||", "=", "“x”"]
    assert marked("a === 1 && b <> 2") == ["==", "&&", ">"]


def test_places_are_told_by_line_where_a_rule_has_several() -> None:
    assert places("a == 1\n  && b == 2\n  || c = null") == ["1:4", "2:3", "2:9", "3:3", "3:10"]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("a == 1", "Write = in place of ==."),
        ("a === 1", "Write = in place of ===."),
        ("a !== 1", "Write != in place of !==."),
        ("a <> 1", "Write != in place of <>."),
        ("a = 1 && b = 2", "Write and in place of &&."),
        ("a = 1 & b = 2", "Write and in place of &."),
        ("a = 1 || b = 2", "Write or in place of ||."),
        ("a = 'x'", "Write \"...\" in place of '...'."),
        ("a = „x“", 'Write straight double quotes: "...".'),
        ("a = ‘x’", 'Write straight double quotes: "...".'),
        ("a ≥ 1", "Write >= in place of ≥."),
        ("a ≤ 1", "Write <= in place of ≤."),
        ("a ≠ 1", "Write != in place of ≠."),
        ("a =< 1", "Write <= in place of =<."),
        ("a is null", "Write .isNull() in place of is null."),
        ("a.b IS NOT NULL", "Write .isNotNull() in place of IS NOT NULL."),
        ("a is 1", "Write = in place of is."),
        ("a is not true", "Write != in place of is not."),
        ("a not in [1]", "Write notIn in place of not in."),
        ("a in (1, 2)", "Write [ in place of ( and ] in place of )."),
        ('a notIn ("x", (5))', "Write [ in place of ( and ] in place of )."),
        ('a.b contains "x"', 'Write .contains("...").'),
        ('os.head() STARTSWITH "x"', 'Write .startsWith("...").'),
        ('a endsWith ("x", false)', 'Write .endsWith("...").'),
    ],
)
def test_what_is_meant_is_certain_and_the_rest_is_read_on(text: str, fix: str) -> None:
    assert fixes(text) == [fix]
    assert fixes(f"{text} and c = null") == [fix, "Ask with isNull() or isNotNull()."]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a is   not null", "is   not null"),
        ("a = 1 and b not in [1]", "not in"),
        ("a ≠ 1", "≠"),
        ('a contains "x"', "contains"),
        ("a in (1, 2)", "("),
        ("a =< 1", "<"),
    ],
)
def test_the_caret_stands_under_the_words_of_other_languages(text: str, shown: str) -> None:
    assert marked(text) == [shown]


@pytest.mark.parametrize(
    "text",
    [
        "is = 1 && b",
        "a.is = 1 && b",
        "contains = 5 && b",
        "xs.contains(is) && b",
        "is - 1 > 2 && b",
    ],
)
def test_fields_may_have_the_names_of_other_languages_words(text: str) -> None:
    assert fixes(text) == ["Write and in place of &&."]


def test_words_of_other_languages_are_mended_beside_each_other() -> None:
    text = "a in ('x', 'y') or b is null and c contains 'z' or d not in (1, 2)"

    assert places(text) == ["1:6", "1:7", "1:12", "1:22", "1:36", "1:45", "1:54", "1:61"]


def test_a_test_written_as_a_function_is_told_to_stand_after_a_dot_once() -> None:
    assert places('b && contains(a, "x")') == ["1:3", "1:6"]
    assert fixes('b && contains(a, "x")')[1] == 'Write web.url.contains("/sale/", false).'


def test_each_escape_that_there_is_not_is_told() -> None:
    text = r'a.matches("\d+\n\w") and b = "\"\x"'

    assert places(text) == ["1:12", "1:17", "1:33"]


def test_an_apostrophe_in_single_quotes_needs_no_backslash_in_double_ones() -> None:
    assert fixes(r"a = 'it\'s'") == [
        "Write \"...\" in place of '...'.",
        "Write ' without the backslash.",
    ]


def test_a_comparison_with_null_is_one_fault_whatever_the_schema() -> None:
    schema = FieldTypes(FieldType("object", fields={"a": TEXT}), FieldType("object"))
    with pytest.raises(RuleFaults) as raised:
        compile_rule("a = null or a == null", schema=schema)

    assert [fault.place for fault in raised.value.faults] == ["1:5", "1:16", "1:18"]


def test_faults_of_types_are_told_beside_those_of_signs() -> None:
    assert places('"a" > 5 && b.foo() == 1') == ["1:1", "1:9", "1:14", "1:21"]


# ---- what is not ----------------------------------------------------------------


def test_nothing_is_told_of_what_was_put_in_place_of_something_else() -> None:
    assert places("a > 'x' and a.matches('(')") == ["1:5", "1:23"]
    assert places("items[0] + 1 > 2 and items[1] like 5") == ["1:6", "1:27", "1:36"]


def test_a_default_value_as_other_languages_write_it_is_one_fault() -> None:
    assert places("(points || 0) + 1 > 2") == ["1:9"]
    assert places('points > 2 || 0 > "a"') == ["1:12", "1:19"]


def test_reading_ends_where_nobody_can_tell_what_was_meant() -> None:
    assert places("a == 1 and b c == 'x'") == ["1:4", "1:14"]
    assert places("a == 1 and (b == 2") == ["1:4", "1:16", "1:19"]
    assert places("a b && c") == ["1:3"]


@pytest.mark.parametrize(
    "text",
    [
        "a = 'it's' and b == 1",
        "a = 'x and b = 'y'",
        "a = 'x\n' and b == 1",
        "a = 'x and b = \"y' and c == 1",
        'a = “x" and b == 1',
        "a = ‘it’s’ and b == 1",
    ],
)
def test_a_text_whose_end_is_in_doubt_ends_the_reading(text: str) -> None:
    assert places(text) == ["1:5"]


@pytest.mark.parametrize("text", ["a ==> 1", "a ==== 1", "a &&& b", "a <>= 1", "a = 1 # b == 2"])
def test_what_only_begins_like_a_known_confusion_ends_the_reading(text: str) -> None:
    assert places(f"{text} and c == 2") == places(text)
    assert len(places(text)) == 1


def test_what_cannot_stand_at_all_is_told_before_how_it_is_written() -> None:
    assert fault_of("1 < a <> 3").place == "1:7"

    equal, stop = faults_of("a == 1 and 1 < b <> 3")

    assert (equal.place, stop.place) == ("1:4", "1:18")
    assert stop.detail.startswith("'<>' cannot stand here")


def test_a_sign_that_cannot_stand_in_its_place_is_told_once() -> None:
    assert places("a 'x'") == ["1:3"]
    assert places("a = && b") == ["1:5"]


def test_signs_within_a_text_are_no_faults() -> None:
    compile_rule("""a = "== && 'x' “y” <> null[0]" and b = "it's" """)


# ---- the first one ----------------------------------------------------------------


def test_the_first_place_that_cannot_continue_a_rule_is_always_told() -> None:
    for vector in VECTORS:
        if vector.get("expect") == {"error": "parse"}:
            assert vector["at"] in places(vector["pql"]), vector["id"]


def test_a_case_is_about_the_first_sign_that_cannot_stand_wherever_types_clash() -> None:
    text = '"a" > 5 && b == 1'
    wanted = {"error": "parse"}
    case = Case(
        id="both", pql=text, profile={}, now_ms=0, mode="predicate", expect=wanted, at="1:9"
    )

    outcome = run_case(case, cpu_ms=lambda: 0.0)

    assert outcome.passed
    assert "1:1: " in outcome.got
    assert "1:15: " in outcome.got


# ---- how many -----------------------------------------------------------------------


def test_twenty_faults_are_told_and_the_others_are_counted() -> None:
    with pytest.raises(RuleFaults) as raised:
        compile_rule(" && ".join(["a == 1"] * 15))

    assert len(raised.value.faults) == 20
    assert raised.value.more == 9
    assert str(raised.value).endswith("; and 9 more. Write = in place of ==.")


def test_exactly_twenty_faults_leave_nothing_to_count() -> None:
    with pytest.raises(RuleFaults) as raised:
        compile_rule(" and ".join(["a == 1"] * 20))

    assert len(raised.value.faults) == 20
    assert raised.value.more == 0
    assert "more" not in str(raised.value)


def test_faults_of_types_alone_are_counted_too() -> None:
    with pytest.raises(RuleFaults) as raised:
        compile_rule(" and ".join(["a.foo()"] * 25))

    assert [len(raised.value.faults), raised.value.more] == [20, 5]


# ---- what was read before ---------------------------------------------------------------


def test_a_rule_with_faults_is_never_taken_for_one_of_the_same_shape() -> None:
    shapes.forget()
    for number in range(3):
        compile_rule(f'a = "{number}{number}" and b = {number + 5}')
        for text in (f"a = '{number}{number}' and b = {number + 5}", f'a = “7" and b = {number}'):
            assert faults_of(text)


# ---- a law --------------------------------------------------------------------------------

# Beside what rules are made of elsewhere: what some of the confusions are of.
asked_for = st.sampled_from(
    [
        "tier.isNull()",
        "orders.head().price > 1",
        'page.matches("^/\\\\d+/\\\\w")',
        'tier = "gold" or tier != "none"',
        'xEvent.exists(page.isNotNull() and items.head().sku = "A")',
    ]
)
good_rules = st.builds(
    lambda rule, more: f"({rule}) and {' and '.join(f'({one})' for one in more)}",
    making.rules,
    st.lists(asked_for, min_size=1, max_size=3),
)
Change = tuple[int, int, str, int]  # from, to, what is written there, which of it cannot stand


def changes_at(tokens: Sequence[Token], at: int) -> list[Change]:
    """What someone might write in place of what begins with this token."""
    token = tokens[at]
    first, last = token.span
    words = [one.text for one in tokens[at : at + 4]]
    if words == [".", "head", "(", ")"]:
        return [(first, tokens[at + 3].span[1], "[0]", 0)]
    if words[:2] == [".", "isNull"]:
        last = tokens[at + 3].span[1]
        return [(first, last, " = null", 3), (first, last, " is null", 1)]
    if words[:2] == [".", "isNotNull"]:
        last = tokens[at + 3].span[1]
        return [(first, last, " != null", 4), (first, last, " IS NOT null", 1)]
    if token.kind == "text":
        inner = token.text[1:-1]
        if "\\\\" in inner:
            found = token.text.index("\\\\")
            return [(first + found, first + found + 2, "\\", 0)]
        return [(first, last, pair[0] + inner + pair[1], 0) for pair in ("''", "“”", "‘’", "„“")]
    if token.word == "=" and tokens[at + 1].kind in ("text", "number"):
        return [(first, last, one, wrong) for one, wrong in (("==", 1), ("===", 1), (" is ", 1))]
    written = {
        "=": ["==", "==="],
        "!=": ["!==", "<>", "≠"],
        "<=": ["≤", "=<"],
        ">=": ["≥"],
        "and": ["&&", "&"],
        "or": ["||"],
        "notin": ["not in"],
    }
    wrong_at = {"==": 1, "===": 1, "!==": 2, "<>": 1, "=<": 1}
    return [(first, last, one, wrong_at.get(one, 0)) for one in written.get(token.word, [])]


@st.composite
def confused(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """A rule, the same with 1 to 4 confusions in it, and the offsets of these."""
    text = draw(good_rules)
    tokens = tokens_of(Source(text))
    possible = [found for at in range(len(tokens)) if (found := changes_at(tokens, at))]
    chosen = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=4, unique_by=id))
    changes = sorted(draw(st.sampled_from(one)) for one in chosen)
    wrong, offsets, end = "", [], 0
    for first, last, written, cannot_stand in changes:
        wrong += text[end:first]
        offsets.append(len(wrong) + cannot_stand)
        wrong, end = wrong + written, last
    return text, wrong + text[end:], offsets


def mend(text: str, fault: RuleError) -> str:
    """The text after one has done what the fix says; the rule has one line."""
    first, last = fault.column - 1, fault.end_column - 1
    before, wrong, after = text[:first], text[first:last], text[last:]
    if instead := re.fullmatch(r"Write (\S+) in place of (.+)\.", fault.fix):
        right, written = instead.groups()
        if right[0] == ".":
            return before.rstrip() + right + after
        if written == "is":
            return f"{before[:-1]}={after[1:]}"
        if right != '"..."':
            begins = text.index(written, max(0, first - len(written) + 1))
            return text[:begins] + right + text[begins + len(written) :]
    if "double quotes" in fault.detail or "straight double quotes" in fault.fix:
        return f'{before}"{wrong[1:-1]}"{after}'
    if fault.fix.startswith("Write \\\\ for one backslash"):
        return f"{before}\\{wrong}{after}"
    if fault.fix.startswith("Use head() for the first"):
        return f"{before}.head(){after}"
    assert fault.fix == "Ask with isNull() or isNotNull()."
    compared = re.fullmatch(r"(.*?) (!?=) ", before, re.DOTALL)
    assert compared
    return f"{compared[1]}.{'isNull' if compared[2] == '=' else 'isNotNull'}(){after}"


@given(confused())
def test_each_confusion_is_told_in_order_and_mending_them_gives_the_rule(
    made: tuple[str, str, list[int]],
) -> None:
    right, wrong, offsets = made
    note(wrong)
    compile_rule(right)

    faults = faults_of(wrong)

    assert [fault.column - 1 for fault in faults] == offsets
    for fault in reversed(faults):
        wrong = mend(wrong, fault)
    assert wrong == right
