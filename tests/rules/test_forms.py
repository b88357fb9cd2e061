"""Forms that time moves in its own way: kept together they give what running each of them gives."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given

from perso_core.pql.compiler import compile_rule
from perso_core.rules.formula import formula_of
from perso_core.rules.ruleset import RuleSet
from tests.rules.making_stories import DAY_MS, Story, randoms, run_all

BUY, VIEW = 'A: WHAT(eventType = "buy")', 'B: WHAT(eventType = "view")'
RUN = (
    f"CHAIN(xEvent, timestamp, [{BUY}, {VIEW} WHEN(between A and now)])",
    f"CHAIN(xEvent, timestamp, [{BUY}, {VIEW} WHEN(between now and A)])",
    f"CHAIN(xEvent, timestamp, [{BUY}, {VIEW} WHEN(between A and today)])",
    f"CHAIN(xEvent, timestamp, [{BUY}, {VIEW} WHEN(between born and A)])",
    f"CHAIN(xEvent, timestamp, [{BUY}, {VIEW} WHEN(between A and renews)])",
    f"CHAIN(xEvent, timestamp, [{BUY} WHEN(<= 1 month before this hour)])",
    "CHAIN(xEvent, timestamp, [A: WHAT($1 and price > 1)])",
    "xEvent.exists(price > 1 and now occurs <= 17 hours after today)",
)
TOLD = (
    "now occurs <= 17 hours after today and xEvent.exists(price > 1)",
    "today occurs this month and not(xEvent.exists(price > 1))",
    "now <= date(2026, 9, 25) and xEvent[price > 1].count() > 1",
    "$1 and xEvent.exists(price > 1)",
)
# Of one event, whose time now does not move.
FIXED = (
    "xEvent[timestamp occurs after date(2026, 9, 23)]",
    "xEvent[price > 0 and timestamp occurs != 2 days after date(2026, 9, 22)].count() > 1",
    "xEvent.exists(timestamp >= date(2026, 9, 24) or price > 2)",
    "xEvent[not(timestamp = date(2026, 9, 24))].count() < 3",
    "xEvent[timestamp occurs <= 3 days after items.time]",
)
SILENT = (
    "today occurs <= 2 days before next week or vip = true",
    "born occurs <= 1 month before this hour",
    'tier.notEqualTo("g", "x") and $1.isNotNull()',
)
WINDOW_MS = 35 * DAY_MS


@pytest.mark.parametrize("text", RUN)
def test_a_rule_whose_events_end_in_another_way_is_run(text: str) -> None:
    assert formula_of(compile_rule(text).node, event_window_ms=WINDOW_MS) is None


@pytest.mark.parametrize("text", TOLD + FIXED)
def test_a_rule_whose_time_stands_beside_its_events_is_told(text: str) -> None:
    assert formula_of(compile_rule(text).node, event_window_ms=WINDOW_MS) is not None


@given(randoms)
def test_the_members_after_every_step_are_those_of_running_every_rule(chance: Random) -> None:
    story = Story(chance)
    texts = chance.sample(RUN + TOLD + FIXED + SILENT, 10)
    compiled = [compile_rule(text, event_window_ms=WINDOW_MS) for text in texts]
    story.rules = [(f"s{number}", one) for number, one in enumerate(compiled)]
    story.set, story.window_ms = RuleSet(story.rules), WINDOW_MS
    story.standing = story.set.standing(story.view, now_ms=story.now_ms)

    for standing in story.told(20):
        assert standing.members == run_all(story.rules, story.view(), story.now_ms)[0]
