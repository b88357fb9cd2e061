"""Rules that ask an event's own time for a window: kept together they give what running each of
them gives, at every event and at every instant."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.rules.formula import formula_of
from perso_core.rules.ruleset import RuleSet
from tests.rules.making_stories import (
    COMPARISONS,
    DAY_MS,
    HOUR_MS,
    START_MS,
    TYPES,
    Story,
    attribute,
    compiled_or_not,
    condition,
    event,
    randoms,
    run_all,
)
from tests.rules.test_kept import kept_set

WINDOW_MS = 35 * DAY_MS

# What may be said of `timestamp`, and the WHEN of a chain's step that says the same.
KEPT = {
    "occurs <= 30 minutes before now": "<= 30 minutes before now",
    "occurs < 2 hours before now": "< 2 hours before now",
    "occurs <= 1 day before now": "<= 1 day before now",
    "occurs < 3 days from now": "< 3 days from now",
    "occurs today": "today",
    "occurs this week": "this week",
    "occurs this month": "this month",
    "occurs from today": "from today",
    "occurs between today and now": "between today and now",
    "occurs between this week and today": "between this week and today",
    "occurs between date(2026, 9, 22) and now": "between date(2026, 9, 22) and now",
    "occurs from now": "from now",
    "occurs after date(2026, 9, 23)": "after date(2026, 9, 23)",
    "occurs before date(2026, 9, 25)": "before date(2026, 9, 25)",
    "occurs on date(2026, 9, 24)": "on date(2026, 9, 24)",
    "occurs != 2 days after date(2026, 9, 22)": "!= 2 days after date(2026, 9, 22)",
    ">= today": "from today",
    "= today": "today",
}
# Those that open later, more than once, or end in another way.
RUN = (
    "occurs yesterday",
    "occurs > 1 hour before now",
    "occurs >= 30 minutes before now",
    "occurs <= 1 month before now",
    "occurs = 1 day before now",
    "occurs != 1 hour before now",
    "occurs before today",
    "occurs before now",
    "occurs last week",
    "occurs <= 5 hours after today",
    "occurs between yesterday and today",
    "occurs between now and renews",
    "occurs between date(2026, 9, 20) and yesterday",
    "occurs between yesterday and date(2026, 9, 24)",
    "< today",
    "< now",
    "!= today",
    "<= today",
    "<= now",
    "> now",
)
# What stands around it: {c} is another condition, {w} what is said of the time.
SHAPES = (
    "xEvent[{c} and timestamp {w}]",
    "xEvent[timestamp {w} and {c}]",
    "xEvent[timestamp {w}]",
    "xEvent[timestamp {w} and {c} and timestamp {v}]",
    "xEvent.exists({c} and timestamp {w})",
    "xEvent.filter({c} and timestamp {w}).count() {op} {n}",
    "xEvent[{c} and timestamp {w}].count() {op} {n}",
    "xEvent[{c} and timestamp {w}].count() {op} {n}",
    "xEvent[timestamp {w}].count() {op} {n}",
    "xEvent[{c} or timestamp {w}].count() {op} {n}",
    "xEvent[{c} and not(timestamp {w})].count() {op} {n}",
    'xEvent.exists(e => e.eventType.equals("{t}", false) and e.timestamp {w})',
    'exists E from xEvent where E.eventType.equals("{t}", false) and E.timestamp {w}',
    'select E from xEvent where E.timestamp {w} and E.sku = "x"',
    "(select E from xEvent where E.price < 3 and E.timestamp {w}).count() {op} {n}",
    "xEvent.timestamp {w}",
    "CHAIN(xEvent, timestamp, [A: WHAT({c} and timestamp {w})])",
    "CHAIN(xEvent, timestamp, [A: WHAT({c}) WHEN({when}) COUNT({op} {m})])",
    "CHAIN(xEvent, timestamp, [A: WHAT({c} and timestamp {w}), B: WHAT(timestamp {v})])",
)


def rule(chance: Random) -> str:
    shape = chance.choice(SHAPES)
    said = [chance.choice(tuple(KEPT) if chance.random() < 0.8 else RUN) for _ in range(2)]
    text = shape.format(
        c=condition(chance),
        w=said[0],
        v=said[1],
        t=chance.choice(TYPES).upper(),
        when=chance.choice(tuple(KEPT.values())),
        op=chance.choice(COMPARISONS),
        n=chance.randrange(4),
        m=chance.randrange(1, 4),
    )
    pick = chance.random()
    if pick < 0.2:
        return f"not({text})"
    if pick < 0.3:
        return f'{text} and tier = "g"'
    return f"{text} or {rule(chance)}" if pick < 0.4 else text


def rules(chance: Random, count: int, window_ms: int) -> list[tuple[str, CompiledRule]]:
    found: list[tuple[str, CompiledRule]] = []
    while len(found) < count:
        one = compiled_or_not(rule(chance), window_ms)
        if one is not None:
            found.append((f"s{len(found)}", one))
    return found


class Told(Story):
    def __init__(self, chance: Random) -> None:
        super().__init__(chance, rules_count=1)
        self.rules = rules(chance, 5, self.window_ms)
        self.set = RuleSet(self.rules)
        self.standing = self.set.standing(self.view, now_ms=self.now_ms)


LENGTHS = (0, HOUR_MS // 2, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS, DAY_MS, 2 * DAY_MS, 3 * DAY_MS)


def instants(story: Story, until_ms: int) -> set[int]:
    """Where something might change before until_ms: around events and midnights."""
    dated = [int(one["timestamp"]) + length for one in story.events[-6:] for length in LENGTHS]
    midnight = story.now_ms - story.now_ms % DAY_MS
    dated += [midnight + number * DAY_MS for number in range(1, 12)]
    near = {at + more for at in dated for more in (-1, 0, 1)}
    return {at for at in near if story.now_ms <= at < until_ms} | {until_ms - 1}


@given(randoms)
def test_members_are_those_of_running_every_rule_and_change_at_the_instant_told(
    chance: Random,
) -> None:
    story = Told(chance)

    for standing in story.told(20):
        members, _ = run_all(story.rules, story.view(), story.now_ms)
        assert standing.members == members
        until_ms = min(standing.until_ms, story.now_ms + 60 * DAY_MS)
        for at_ms in instants(story, until_ms):
            assert run_all(story.rules, story.view(), at_ms)[0] == members
        if standing.until_ms == until_ms:
            assert run_all(story.rules, story.view(), until_ms)[0] != members


@given(st.integers(0, 2**32))
def test_a_visitor_stands_with_kept_rules_where_it_stands_with_compiled_ones(seed: int) -> None:
    story, again = Told(Random(seed)), Told(Random(seed))
    again.set = kept_set(story.set)
    again.standing = again.set.standing(again.view, now_ms=again.now_ms)

    for one, other in zip(story.told(10), again.told(10), strict=True):
        assert (other.members, other.until_ms) == (one.members, one.until_ms)


ODD_TIMES: tuple[Any, ...] = (
    *(None, "", "soon", "2026-09-21T14:13:20Z", True, [], {}, 1.5, 0, -1, 2**62),
    *([START_MS], [START_MS - DAY_MS, "soon"], {"at": START_MS}, float("nan"), float(START_MS)),
)


@given(randoms)
def test_events_with_times_no_client_would_send_give_what_running_every_rule_gives(
    chance: Random,
) -> None:
    asked = rules(chance, 5, WINDOW_MS)
    together = RuleSet(asked)
    view: dict[str, Any] = {"xEvent": []}
    standing = together.standing(lambda: view, now_ms=START_MS)
    for step in range(8):
        now_ms = START_MS + step * HOUR_MS
        sent = event(chance, now_ms)
        if chance.random() < 0.3:
            sent["timestamp"] = chance.choice(ODD_TIMES)
        name, value = attribute(chance, now_ms)
        view = {**view, name: value, "xEvent": [*view["xEvent"], sent]}
        standing = together.after_attributes(standing, [name], lambda: view, now_ms=now_ms)  # noqa: B023  # called at once
        standing = together.after_event(standing, sent, lambda: view, now_ms=now_ms)  # noqa: B023  # called at once
        assert standing.members == run_all(asked, view, now_ms)[0]
        anew = together.standing(lambda: view, now_ms=now_ms)  # noqa: B023  # called at once
        assert anew.members == standing.members


@pytest.mark.parametrize("said", KEPT)
def test_a_window_of_the_events_own_time_is_that_of_a_step(said: str) -> None:
    view = 'eventType.equals("view", false)'
    step = f"CHAIN(xEvent, timestamp, [A: WHAT({view}) WHEN({KEPT[said]}) COUNT(>= 3)])"
    known = formula_of(compile_rule(step).node, event_window_ms=WINDOW_MS)

    assert known is not None
    for text in (
        f"xEvent[{view} and timestamp {said}].count() >= 3",
        f"(select E from xEvent where E.{view} and E.timestamp {said}).count() >= 3",
    ):
        assert formula_of(compile_rule(text).node, event_window_ms=WINDOW_MS) == known


def test_the_time_may_stand_on_either_side() -> None:
    turned, straight = (
        formula_of(compile_rule(f"xEvent[{said}]").node, event_window_ms=WINDOW_MS)
        for said in ("today <= timestamp", "timestamp >= today")
    )

    assert turned == straight is not None


@pytest.mark.parametrize("said", RUN)
def test_a_window_that_opens_later_or_ends_in_another_way_is_run(said: str) -> None:
    compiled = compile_rule(f'xEvent[eventType = "view" and timestamp {said}].count() >= 3')

    assert formula_of(compiled.node, event_window_ms=WINDOW_MS) is None
