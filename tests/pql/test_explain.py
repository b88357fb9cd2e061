"""Sentences a marketer reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from perso_core.pql.compiler import compile_rule
from perso_core.pql.explain import explain_rule, reason
from tests.pql import making

NOW_MS = 1_773_577_845_000  # 2026-03-15 12:30:45 UTC


def told(rule: str, view: dict[str, Any], **names: str) -> str:
    return reason(explain_rule(compile_rule(rule), view, NOW_MS, names=names))


ADD = (
    'CHAIN(xEvent, timestamp, [C0: WHAT(eventType.equals("commerce.productListAdds", false))'
    " WHEN(<= 1 hour before now)])"
)
ADDED = {"xEvent": [{"timestamp": NOW_MS - 4 * 60_000, "eventType": "commerce.productListAdds"}]}


@pytest.mark.parametrize(
    ("rule", "view", "sentence"),
    [
        (
            "loyalty.points >= 1000",
            {"loyalty": {"points": 1250}},
            "Loyalty points is 1,250; needs at least 1,000.",
        ),
        (
            'homeAddress.countryCode in ["DE", "AT", "CH"]',
            {"homeAddress": {"countryCode": "IT"}},
            "Not in: country code is IT; the rule wants DE, AT or CH.",
        ),
        (ADD, ADDED, "commerce.productListAdds 4 min ago; counts until 13:26:45 UTC."),
        (ADD, {}, "No commerce.productListAdds in the last hour."),
        (
            'xEvent.exists(a = 1) and loyalty.tier.equals("gold", false)',
            {"xEvent": [{"timestamp": NOW_MS, "a": 1}]},
            "Not in: loyalty tier is not known; the rule wants gold.",
        ),
        ("not(a.isNull())", {}, "Not in: a is not known; the rule excludes no value."),
        (f"not({ADD})", {}, "No commerce.productListAdds in the last hour; the rule wants none."),
        (
            'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "tent") WHEN(<= 7 days before now)'
            " COUNT(3)])",
            {"xEvent": [{"timestamp": NOW_MS, "eventType": "tent"}] * 2},
            "Not in: 2 tent in the last 7 days; needs at least 3.",
        ),
        (
            'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view"), B: WHAT(eventType = "buy")])',
            {},
            "No view followed by buy.",
        ),
    ],
)
def test_the_reason_says_what_was_found_and_what_is_needed(
    rule: str, view: dict[str, Any], sentence: str
) -> None:
    assert told(rule, view) == sentence


def test_audiences_go_by_their_names() -> None:
    member = {"segmentMembership": {"ups": {"s1": {"status": "realized"}}}}

    assert told('inSegment("s1")', member, s1="Gold") == "In audience Gold."
    assert told('inSegment("s1")', {}, s1="Gold") == "Not in audience Gold."
    assert told('not(inSegment("s1"))', member, s1="Gold") == (
        "Not in: in audience Gold; the rule excludes it."
    )


def test_an_event_of_the_right_kind_that_fails_otherwise_is_mentioned() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "add" and price >= 250) WHEN(today)])'
    view = {"xEvent": [{"timestamp": NOW_MS, "eventType": "add", "price": 99}]}

    assert told(rule, view) == "No add with price at least 250: 1 today without."


def test_each_part_of_the_tree_has_its_place_and_text() -> None:
    explanation = explain_rule(compile_rule("a = 1 and (b = 2 or !(c = 3))"), {"a": 1}, NOW_MS)

    first, second = explanation.children
    assert (first.place, first.text, first.holds, first.got) == ("1:1", "a = 1", True, "1")
    assert (second.place, second.text) == ("1:12", "b = 2 or not(c = 3)")
    assert [part.holds for part in second.children] == [False, True]
    assert [part.decides for part in explanation.children] == [True, False]


@given(making.rules, making.profiles, making.instants)
def test_the_tree_says_what_the_rule_says(text: str, view: dict[str, Any], now_ms: int) -> None:
    rule = compile_rule(text)

    explanation = explain_rule(rule, view, now_ms)

    assert explanation.holds is rule.evaluate(view, now_ms).holds
    assert reason(explanation).endswith(".")
