"""The rules of all cases in one set: each answers as it does alone."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from perso_core.errors import RuleFaults
from perso_core.pql.cases import cases_from_json
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.instants import instant_of
from perso_core.rules.ruleset import RuleSet, stamp_of
from tests.pql.cases import ENDLESS_MS, HERE, VECTORS
from tests.rules.making_stories import run_all


def compiled() -> list[tuple[str, CompiledRule]]:
    found = []
    for case in cases_from_json((HERE / "vectors.json").read_text()):
        # The longest ones take seconds between them, and ask for nothing new.
        if len(case.pql) > 5_000:
            continue
        try:
            found.append((str(case.id), compile_rule(case.pql, event_window_ms=ENDLESS_MS)))
        except RuleFaults:
            continue
    return found


RULES = compiled()
SET = RuleSet(RULES)
PROFILES = sorted(
    {json.dumps([case["profile"], case["now"]]) for case in VECTORS if case.get("profile")}
)


@pytest.mark.parametrize("number", range(len(PROFILES)))
def test_each_rule_of_a_set_answers_as_it_does_alone(number: int) -> None:
    profile, now = json.loads(PROFILES[number])
    now_ms = instant_of(now)
    assert now_ms is not None

    standing = SET.standing(lambda: profile, now_ms=now_ms)

    assert SET.ids(standing.members) == alone(profile, now_ms)


@pytest.mark.parametrize("number", range(len(PROFILES)))
def test_events_that_come_one_by_one_leave_what_they_leave_together(number: int) -> None:
    profile, now = json.loads(PROFILES[number])
    now_ms = instant_of(now)
    assert now_ms is not None
    events = [one for one in profile.get("xEvent", ()) if -(2**62) < stamp_of(one) <= now_ms]
    events.sort(key=stamp_of)
    first_ms = min(map(stamp_of, events), default=now_ms)
    standing = SET.standing(lambda: {**profile, "xEvent": []}, now_ms=first_ms)

    for upto, event in enumerate(events, 1):
        view = {**profile, "xEvent": events[:upto]}
        standing = SET.after_event(standing, event, partial(dict, view), now_ms=stamp_of(event))
    standing = SET.advance(standing, lambda: {**profile, "xEvent": events}, now_ms=now_ms)

    assert SET.ids(standing.members) == alone({**profile, "xEvent": events}, now_ms)


def alone(profile: dict[str, Any], now_ms: int) -> list[str]:
    outside = profile.get("segmentMembership", {}).get("ups", {})
    members, _ = run_all(RULES, profile, now_ms, outside=outside)
    return SET.ids(members)


def test_rules_about_events_are_of_every_kind() -> None:
    run = [judge for judge in SET.judges if judge.parts is None]

    assert SET.simple.bit_count() >= 10
    assert len(SET.series) + len(SET.judges) - len(run) >= 10
    assert len(run) >= 10
