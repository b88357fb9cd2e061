"""Sentences about lists in lists, and about what a rule makes of fields."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.explain import explain_rule
from perso_core.pql.telling import Standing, headline
from perso_core.pql.values_told import value_words
from tests.pql.test_explain import NOW_MS

ORDERS = {"orders": [{"store": "s1", "price": 3, "items": [{"sku": "A"}]}]}


def told(rule: str, view: dict[str, Any]) -> str:
    explanation = explain_rule(compile_rule(rule), view, NOW_MS)
    return headline(explanation, Standing("X")).split("”. ", 1)[1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2, None], "1, 2 and no value"),
        ([[1, 2], [None], []], "[1, 2], [no value] and []"),
        ([["a", ["b", 3]], "c"], "[a, [b, 3]] and c"),
        ([[1, 2, 3, 4, 5, 6, 7]], "[1, 2, 3, 4, 5, 2 more]"),
        ([{"a": 1}], "an object"),
        ([{"a": 1}, {}], "2 objects"),
        ([{"a": 1}, 5, [{}]], "an object, 5 and [an object]"),
    ],
)
def test_a_list_in_a_list_is_seen_where_it_begins_and_ends(value: Any, words: str) -> None:
    """[[1, 2], [null]] was told as "1 and 2 and not known"."""
    assert value_words(value) == words


@pytest.mark.parametrize(
    ("rule", "view", "sentence"),
    [
        ("a = [1, 2]", {"a": [1, 3]}, "A is 1 and 3; the rule wants [1, 2]."),
        ('"x" in tags', {"tags": ["y", "z"]}, "Tags are y and z; the rule wants x."),
        ('"y" notIn tags', {"tags": ["y"]}, "Tags are y; the rule wants anything but y."),
        ("5 < a", {"a": 2}, "A is 2; needs more than 5."),
        ("5 >= a", {"a": 7}, "A is 7; needs at most 5."),
        ('"gold" = tier', {"tier": "x"}, "Tier is x; the rule wants gold."),
        (
            "date(2026, 3, 1) < joined",
            {"joined": "2026-02-01"},
            "Joined is 2026-02-01; the rule wants it after 2026-03-01.",
        ),
    ],
)
def test_what_was_found_is_told_before_what_is_wanted_whatever_stands_first(
    rule: str, view: dict[str, Any], sentence: str
) -> None:
    """ "x" in tags was told as: x is x; the rule wants what the field tags holds."""
    assert told(rule, view) == sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("a < b.count()", "A is 2; the rule wants less than number of b, which is 1."),
        ("a = c + 1", "A is 2; the rule wants c + 1, which is 6."),
        ("b.intersects(d)", "B is 5; the rule wants what the field d holds, which is 7 and 8."),
        ("a < c - 4", "A is 2; the rule wants less than c - 4, which is 1."),
    ],
)
def test_what_a_value_is_compared_with_is_told_with_what_it_is(rule: str, sentence: str) -> None:
    assert told(rule, {"a": 2, "b": [5], "c": 5, "d": [7, 8]}) == sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "(sum O.price over O from orders where O.price > 1) > 10",
            "Sum of price of orders with price over 1 is 3; needs more than 10.",
        ),
        (
            "orders.topN(price, 1).head().store = 's2'",
            "Store of the one of orders with the largest price is s1; the rule wants s2.",
        ),
        (
            "orders.bottomN(price, 2).store = 's2'",
            "Store of the 2 of orders with the smallest price is s1; the rule wants s2.",
        ),
        (
            "orders.head().store = 's2'",
            "Store of the first of orders is s1; the rule wants s2.",
        ),
        ("orders.map(store) = 's2'", "Store of orders is s1; the rule wants s2."),
        (
            "orders.store.distinct().count() > 1",
            "Number of distinct orders store is 1; needs more than 1.",
        ),
        (
            "(orders.count() + 1) * 2 > 9",
            "(number of orders + 1) * 2 is 4; needs more than 9.",
        ),
        (
            "orders.groupBy(store).get('s1').price > 5",
            "Price of orders with store s1 is 3; needs more than 5.",
        ),
        (
            "let N = orders.count() in N > 2",
            "“let N = orders.count() in N > 2” does not hold; the rule wants it to.",
        ),
        (
            "not(orders.store.subsetOf(['s1']))",
            '“orders.store.subsetOf(["s1"])” holds; the rule wants it not to.',
        ),
    ],
)
def test_what_a_rule_makes_of_fields_has_words(rule: str, sentence: str) -> None:
    assert told(rule.replace("'", '"'), ORDERS) == sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "exists O from orders where O.price > 5",
            "Of 1 orders, none with price over 5; the rule wants at least one.",
        ),
        (
            "not(exists O from orders where O.price > 1)",
            "Of 1 orders, 1 with price over 1; the rule wants none.",
        ),
        (
            "forall O from orders where O.price > 5",
            "Of 1 orders, none with price over 5; the rule wants all of them.",
        ),
        (
            "select O from orders where O.price > 5",
            "Of 1 orders, none with price over 5; the rule wants at least one.",
        ),
        (
            "orders.exists(o => o.price > 5)",
            "Of 1 orders, none with price over 5; the rule wants at least one.",
        ),
        (
            "orders.exists(exists I from items where I.sku = 'B')",
            "Of 1 orders, none with items with sku B; the rule wants at least one.",
        ),
    ],
)
def test_one_name_from_a_list_is_told_as_exists_is(rule: str, sentence: str) -> None:
    assert told(rule.replace("'", '"'), ORDERS) == sentence


def test_a_part_of_a_rule_that_has_no_words_is_cut_where_it_is_long() -> None:
    names = " + ".join(f"field{number}" for number in range(500))

    sentence = told(f"if(a, {names}, 1) > 5", {})

    assert len(sentence) < 200
    assert sentence.startswith("“if(a, field0 + field1")
    assert sentence.endswith("…” is 1; needs more than 5.")


def test_a_name_is_cut_where_it_is_long() -> None:
    assert len(told(f"{'x' * 100_000} = 1", {})) < 300
