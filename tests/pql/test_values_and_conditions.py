"""Where a value is needed a condition is none, and where a condition is needed a value is none."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleFaults, RuleTypeError
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN
from tests.pql.faults import fault_of

CHAIN = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "a")])'
IN_STEP = 'Write COUNT(>= 2) in the step, or xEvent[eventType = "view"].count() >= 2.'
ALONE = "Take it out: the condition alone says whether it holds."


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (f"{CHAIN}.count() >= 1", "1:55", IN_STEP),
        (f"{CHAIN}.count() > 2", "1:55", IN_STEP),
        (f"{CHAIN}.exists()", "1:55", ALONE),
        (f"{CHAIN}.isNotNull()", "1:55", ALONE),
        (f"{CHAIN}.isNull()", "1:55", "Write not(...) around the condition."),
        ('inSegment("x").count() > 0', "1:16", ALONE),
        ('inSegment("x").isNotNull()', "1:16", ALONE),
        ("(a = 1).count() = 1", "1:9", ALONE),
        ("(a = 1 or b = 2).isNotNull()", "1:18", ALONE),
        ("(a occurs today).isNull()", "1:18", "Write not(...) around the condition."),
        ('(a like "x%").exists()', "1:15", ALONE),
        ("(not(a)).count() > 0", "1:10", ALONE),
        ("(exists X from xEvent where X.a = 1).count() > 1", "1:38", ALONE),
        ("orders.exists(price > 1).count() > 1", "1:26", ALONE),
        (f"{CHAIN}.head().price > 1", "1:55", "Ask it of a field, or of a list: xEvent[...]."),
        ('(a = 1).startsWith("t")', "1:9", "Ask it of a field, or of a list: xEvent[...]."),
        (f"{CHAIN}.filter(price > 1)", "1:55", "Ask it of a field, or of a list: xEvent[...]."),
    ],
)
def test_nothing_is_asked_of_a_condition(text: str, place: str, fix: str) -> None:
    """CHAIN(...).count() >= 1 was saved, and everyone was in it: false is one value, too."""
    fault = fault_of(text)

    assert type(fault) is RuleTypeError
    assert (fault.place, fault.fix) == (place, fix)
    assert "is true or false" in fault.detail


@pytest.mark.parametrize(
    "text", [f"{CHAIN}[price > 1]", "(a = 1)[b = 2]", 'inSegment("x").name', "(a = 1).b = 2"]
)
def test_a_condition_has_neither_elements_nor_fields(text: str) -> None:
    fault = fault_of(text)

    assert "is true or false" in fault.detail


def test_what_a_condition_asks_for_is_written_so() -> None:
    for text in (
        'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "view") COUNT(>= 2)])',
        'xEvent[eventType = "view"].count() >= 2',
        'not(inSegment("x"))',
        "(a = 1) = true",
        "vip.isNull() or vips.count() > 1",
    ):
        compile_rule(text)


@pytest.mark.parametrize(
    "text", ["a.exists(b = 1).count() > 1 and c = 1", "c = 1 and (a = 1).isNull()"]
)
def test_a_part_of_a_rule_is_refused_like_a_whole_one(text: str) -> None:
    for _ in range(2):  # parts that were compiled before are remembered
        compile_rule("c = 1")
        with pytest.raises(RuleFaults, match="is true or false"):
            compile_rule(text)


# ---- a value where a condition is needed ----------------------------------------


VALUES = [
    '"just text"',
    "5",
    '""',
    "[1]",
    "[]",
    "date(2026, 1, 1)",
    "today",
    "-5",
    "2026 - 1",
    "currentMonth()",
    "orders.count()",
    "orders.sum(price)",
    "xEvent[a = 1].count()",
    "P => P.orders.count()",
]


@pytest.mark.parametrize("text", VALUES)
def test_a_rule_that_is_the_same_value_for_everyone_is_refused(text: str) -> None:
    """It was saved, and everyone was in the audience."""
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text, schema=KNOWN)

    (fault,) = raised.value.faults
    assert type(fault) is RuleTypeError
    assert fault.detail == "This is a value, not a condition."


@pytest.mark.parametrize("text", VALUES[:-1])
@pytest.mark.parametrize("rule", ["not({})", "a = 1 and {}", "a = 1 or {}", "orders[{}]"])
def test_so_is_one_as_a_part_of_a_rule(rule: str, text: str) -> None:
    if rule != "orders[{}]" or text not in (*VALUES[:3], "-5"):  # those ask for a place or a key
        with pytest.raises(RuleFaults, match=r"This is a value, not a condition\."):
            compile_rule(rule.format(text), schema=KNOWN)


def test_what_it_gives_may_be_asked_for_all_the_same() -> None:
    assert compile_rule("orders.count()").value({"orders": [1, 2]}, 0) == 2
    assert compile_rule("5").value({}, 0) == 5


@pytest.mark.parametrize(
    "text",
    ["true", "loyalty.tier", "orders[price > 5]", "orders.max(price)", "a + 1", "orders.head()"],
)
def test_what_is_only_there_for_some_is_a_condition(text: str) -> None:
    assert compile_rule(text, schema=KNOWN)
    assert compile_rule(f"not({text})", schema=KNOWN)
