"""A list compared with one value asks for any of its elements, whatever made the list."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.errors import RuleFaults, RuleTypeError
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN
from perso_core.pql.origins import fields_of
from tests.pql.faults import fault_of, faults_of

PROFILE = {
    "a": [1, 2, 2],
    "n": 5,
    "b": "x",
    "m": {"one": 1, "two": "sale"},
    "joined": "2026-03-01",
    "orders": [{"n": 5, "t": 1_000}, {"n": 7, "t": 2_000}, {"n": 5, "t": 3_000}],
    "days": ["2026-03-01", "2026-04-01"],
    "xEvent": [{"timestamp": 1_000, "n": 1}, {"timestamp": 3_000, "n": 4}],
}
NOW_MS = 4_000


def holds(text: str) -> bool:
    return compile_rule(text).evaluate(PROFILE, NOW_MS).holds


def value(text: str) -> Any:
    return compile_rule(text).value(PROFILE, NOW_MS)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("m.values() > 0", True),
        ("m.values() > 1", False),
        ("a.distinct() > 1", True),
        ("a.distinct() > 2", False),
        ("[n, 1] > 4", True),
        ("[b, 1] > 4", False),
        ("4 < [n, b]", True),
        ("[1, 2, 9] > n", True),
        ("a.filter(x => x > 1) >= 2", True),
        ("(select X from a) < 1", False),
        ("a.intersection([2, 3]) > 1", True),
        ("orders.groupBy(n).keys() > 6", True),
        ('m.values().startsWith("sa")', True),
        ('m.keys().startsWith("tw")', True),
        ('[b, "y"].equals("Y", false)', True),
        ('m.values() like "s%"', True),
        ('m.values().distinct().matches("^x")', False),
        ("days.distinct() occurs after date(2026, 3, 15)", True),
        ("[joined, n] occurs on date(2026, 3, 1)", True),
        ("days.distinct() > date(2026, 4, 1)", False),
        ("date(2026, 3, 5) > days.distinct()", True),
    ],
)
def test_any_element_answers_for_a_list(text: str, answer: bool) -> None:
    """These were refused: "Only numbers and times have an order; this is a list"."""
    assert holds(text) is answer


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('["x"] > 1', "Only numbers and times have an order; this is a list of texts."),
        ("m.keys() > 1", "Only numbers and times have an order; this is a list of texts."),
        ("[] > 1", "Only numbers and times have an order; this is an empty list."),
        ("xEvent > 1", "Only numbers and times have an order; this is a list of objects."),
        (
            "orders.groupBy(n).values() > 1",
            "Only numbers and times have an order; this is a list of lists.",
        ),
        ("[1].contains(b)", "A text is needed here; this is a list of numbers."),
        ("[1] occurs today", "A time is needed here; this is a list of numbers."),
        ('["x"] < today', "A time has no order with a list of texts."),
        ('[1, 2] = "x"', "A list of numbers is never equal to a text."),
        ("xEvent = 1", "A list of objects is never equal to a number."),
    ],
)
def test_a_list_of_which_no_element_can_answer_is_refused(text: str, told: str) -> None:
    fault = fault_of(text)

    assert type(fault) is RuleTypeError
    assert fault.detail == told


@pytest.mark.parametrize(
    "text",
    [
        "none = []",
        "[] = none",
        "let N = none in N = []",
        "none = others",
        "orders[n = none] = [] or none = []",
        "a.intersection([9]) = []",
    ],
)
def test_a_list_may_be_an_empty_one(text: str) -> None:
    """tags = [] was refused, though it holds of a profile without tags."""
    assert compile_rule(text).evaluate({**PROFILE, "none": [], "others": []}, NOW_MS).holds
    assert compile_rule(text, schema=KNOWN)


@pytest.mark.parametrize("text", ["a = []", "b = []", "missing = []", "[] = n"])
def test_only_an_empty_list_is_one(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize("text", ['"x" = []', "[] = 5", "[] = (n = 1)"])
def test_what_is_no_list_is_never_an_empty_one(text: str) -> None:
    assert type(fault_of(text)) is RuleTypeError


def test_two_lists_have_no_order() -> None:
    assert [fault.place for fault in faults_of("[1] < [2]")] == ["1:1", "1:7"]


@pytest.mark.parametrize("text", ['[1, "x"] = "x"', '[1] != "x"', '[b.isNull()] = "false"'])
def test_one_element_that_can_is_enough(text: str) -> None:
    assert holds(text)


def test_the_latest_of_times_in_milliseconds_can_occur() -> None:
    assert holds("xEvent.max(timestamp) occurs <= 1 second before now")
    assert holds("xEvent.min(timestamp) < now")
    assert type(fault_of("xEvent.count() occurs today")) is RuleTypeError


# ---- groups -----------------------------------------------------------------


def test_a_group_is_reached_by_what_its_elements_have_in_common() -> None:
    """groupBy(n).get(5) was refused, and get("5") never found anything."""
    assert value("orders.groupBy(n).get(5).t") == [1_000, 3_000]
    assert value("orders.groupBy(n).get(5.0).count()") == 2
    assert value('orders.groupBy(n).get("5")') is None
    assert value("orders.groupBy(n > 6).get(true).t") == [2_000]
    assert value("let G = orders.groupBy(n) in G.get(7).count()") == 1


def test_a_group_is_not_asked_for_by_a_numbered_place() -> None:
    fault = fault_of("orders.groupBy(n)[5].count() = 1")

    assert (fault.place, fault.fix) == ("1:18", "Write .get(5).")


def test_groups_by_nothing_are_one_fault() -> None:
    with pytest.raises(RuleFaults) as raised:
        compile_rule('orders.groupBy().get("s").count() > 1', schema=KNOWN)

    assert [fault.detail for fault in raised.value.faults] == ["groupBy takes 1 arguments, not 0."]


def test_the_keys_of_a_map_stay_texts() -> None:
    assert fault_of("m.get(5) = 1").detail == "A text is needed here; this is a number."


def test_what_is_read_of_a_group_is_read_of_its_elements() -> None:
    node = compile_rule('orders.groupBy(n).get("five").t = 1').node

    assert fields_of(node).profile == ("orders.n", "orders.t")
