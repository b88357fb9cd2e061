"""The rules that the benchmarks measure are what the figures say of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from bench.audiences_match import EVENT, OPENED, about_events, about_one_event
from bench.audiences_mixed import kind_of, mixed, with_absent
from bench.audiences_parts import Happened, Rule, literals, pql
from bench.audiences_shapes import FEW_SHAPES, distinct, repeated
from bench.audiences_stream import visitors
from perso_core.pql.compiler import compile_rule


def shape(rule: str) -> str:
    """What is left of a rule without its texts, numbers and fields."""
    without_texts = re.sub(r'"[^"]*"', '"', rule)
    without_fields = re.sub(r"\b[\w.]+\.(?=\w+\()|\b\w+(\.\w+)+\b", "f.", without_texts)
    return re.sub(r"\b(eventType|search)\b", "f", re.sub(r"\b\d+\b", "0", without_fields))


def texts_of(rules: tuple[Rule, ...]) -> list[str]:
    return [pql(rule.part) for rule in rules]


@pytest.mark.parametrize(
    "rules",
    [
        lambda: [pql(Happened(rule.part)) for rule in about_one_event(200)],
        lambda: texts_of(about_events(200)),
        lambda: texts_of(mixed(200)),
        lambda: texts_of(with_absent(100, 200)),
        lambda: distinct(200),
        lambda: repeated(200),
    ],
)
def test_every_rule_of_the_benchmarks_compiles(rules: Callable[[], list[str]]) -> None:
    for rule in rules():
        compile_rule(rule)


def test_rules_of_distinct_shapes_differ_in_more_than_values_and_fields() -> None:
    rules = distinct(10_000)

    assert len({shape(rule) for rule in rules}) == 10_000


def test_of_rules_with_repeated_shapes_nine_of_ten_repeat_one() -> None:
    rules = repeated(10_000)

    assert len({shape(rule) for rule in rules}) == FEW_SHAPES == 1_000
    assert len(set(rules)) == 10_000


def test_six_of_ten_mixed_audiences_read_the_profile_alone_and_one_of_nine_several_events() -> None:
    rules = mixed(1_000)

    kinds = Counter(kind_of(number) for number in range(1_000))
    assert kinds == {"profile": 590, "simple": 300, "general": 110}
    for number, rule in enumerate(rules):
        found = len(literals(rule.part))
        assert (found == 0) == (kind_of(number) == "profile"), pql(rule.part)
        assert found <= 1 or kind_of(number) == "general", pql(rule.part)


def test_a_mixed_audience_asks_only_for_audiences_before_it() -> None:
    known: set[str] = set()
    asked = 0
    for rule in mixed(1_000):
        needed = re.findall(r'inSegment\("([^"]+)"\)', pql(rule.part))
        assert known.issuperset(needed)
        asked += len(needed)
        known.add(rule.id)
    assert asked > 50


def test_windows_of_the_mixed_audiences_reach_from_half_an_hour_to_five_weeks() -> None:
    windows = set(re.findall(r"WHEN\(<= (\d+ \w+) before now\)", " ".join(texts_of(mixed(1_000)))))

    assert {"30 minutes", "35 days"} <= windows


def test_the_same_first_audiences_stand_in_every_set() -> None:
    assert mixed(300)[:100] == mixed(100) == with_absent(100, 300)[:100]


def test_no_event_of_a_visitor_satisfies_a_literal_added_to_the_first_audiences() -> None:
    events = [event for visitor in visitors(20) for event in visitor.events]
    conditions = [
        compile_rule(f"xEvent.exists({pql(condition)})")
        for rule in with_absent(100, 600)[100:]
        for literal in literals(rule.part)
        for condition in (literal.condition if isinstance(literal, Happened) else literal,)
    ]

    assert len(conditions) > 200
    for condition in conditions:
        assert not condition.evaluate({"xEvent": events}, events[-1]["timestamp"]).holds


def test_the_visitors_are_the_same_each_time_and_keep_about_thirty_events() -> None:
    (visitor,) = visitors(1)

    assert visitors(3)[0] == visitor
    assert 25 < sum(len(view["xEvent"]) for view, _, _ in visitor.moments()) / 10 < 35


def test_the_two_events_of_the_wider_rules_are_in_order() -> None:
    assert OPENED["timestamp"] < EVENT["timestamp"]
