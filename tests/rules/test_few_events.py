"""Whoever has few events is decided for what these cost, on what holds for anybody."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

from hypothesis import given

from perso_core.decision.profile import Profile
from perso_core.decision.qualification import qualify_all
from perso_core.pql.compiler import compile_rule
from perso_core.rules.ruleset import RuleSet
from tests import building
from tests.building import BASKET_RULE, DAY_MS, HOUR_MS, NOON_MS, snapshot
from tests.rules.making_stories import Story, event, randoms, run_all

VISITORS = 4
NAMED = 'identityMap.get("ECID").id = "2"'
# Stories begin within ten days from 21 September 2026 on.
SALE = "date(2026, 9, 27) occurs <= 3 days before now"
RULES = (
    ("sale", compile_rule(SALE)),
    ("sale-buys", compile_rule(f'{SALE} and xEvent.exists(eventType = "buy")')),
    ("named", compile_rule(NAMED)),
    ("named-buys", compile_rule(f'{NAMED} and xEvent.exists(eventType = "buy")')),
    ("others", compile_rule('not(inSegment("named-buys"))')),
)


def seen(ecid: str, *events: Mapping[str, Any]) -> dict[str, Any]:
    return {"identityMap": {"ECID": [{"id": ecid}]}, "xEvent": list(events)}


@given(randoms)
def test_few_events_decide_what_running_every_rule_does_whoever_came_before(
    chance: Random,
) -> None:
    story = Story(chance)
    rules = [*story.rules, *RULES]
    known, fresh = RuleSet(rules), RuleSet(rules)

    for _ in range(VISITORS):
        story.now_ms += chance.choice((0, 1, HOUR_MS, DAY_MS, 2 * DAY_MS, -2 * DAY_MS))
        now_ms = story.now_ms
        sent = [event(chance, story.dated()) for _ in range(chance.choice((0, 1, 1, 2, 4)))]
        sent.sort(key=lambda one: int(one["timestamp"]))
        view = partial(seen, chance.choice("123"), *sent)
        found = known.of_few_events(sent, view, lambda: {"xEvent": []}, now_ms=now_ms)
        anew = fresh.standing(view, now_ms=now_ms)
        assert found.members == anew.members == run_all(rules, view(), now_ms)[0]
        assert (found.until_ms, found.now_ms, found.plain) == (anew.until_ms, now_ms, anew.plain)


def test_whose_events_are_of_the_future_has_every_rule_run_once() -> None:
    """As where the clock has stepped back since."""
    looks = []

    def view() -> dict[str, Any]:
        looks.append(1)
        return seen("1", *sent)

    rules = RuleSet(RULES)
    sent = [building.event("buy", at_ms=NOON_MS + n).xdm for n in range(9)]
    rules.standing(view, now_ms=NOON_MS - 1)
    once = len(looks)
    looks.clear()

    found = rules.of_few_events(sent, view, lambda: {"xEvent": []}, now_ms=NOON_MS - 1)

    assert found.plain
    assert len(looks) == once


def test_what_is_said_of_one_new_visitor_counts_for_no_other() -> None:
    known = snapshot({"basket": BASKET_RULE, "gold": 'tier = "gold"', "others": "tier.isNull()"})
    events = (building.event("commerce.productListAdds", at_ms=NOON_MS),)
    gold = Profile(key="ECID:1", attributes={"tier": "gold"}, events=events)
    silent = Profile(key="ECID:2", events=events)

    decided = [qualify_all(one, known, now_ms=NOON_MS) for one in (silent, gold, silent)]

    assert [set(one.profile.memberships) for one in decided] == [
        {"basket", "others"},
        {"basket", "gold"},
        {"basket", "others"},
    ]
