"""A case's events are read as the edge keeps them: it answers what a visitor would be answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perso_core.decision.event import event_from
from perso_core.pql.cases import Case, cases_from_json, run_case
from perso_core.pql.compiler import compile_rule
from perso_core.pql.instants import instant_of
from perso_core.pql.kept_events import as_kept

NOW = "2026-03-15T12:00:00Z"
AT = "2026-03-15T09:00:00Z"
EVENT = {"timestamp": AT, "eventType": "view"}


def case_of(rule: str, *, expect: bool) -> Case:
    profile = {"xEvent": [EVENT]}
    (case,) = cases_from_json(
        json.dumps([{"id": "1", "pql": rule, "profile": profile, "now": NOW, "expect": expect}])
    )
    return case


@pytest.mark.parametrize(
    ("rule", "live"),
    [
        ("xEvent.max(timestamp) occurs today", True),
        ("CHAIN(xEvent, timestamp, [C0: WHAT(timestamp > 170000)])", True),
        ('xEvent[timestamp.contains("20")]', False),
        ("xEvent[timestamp occurs today]", True),
        ("xEvent[_id.isNotNull()]", True),
    ],
)
def test_a_case_answers_what_the_edge_answers(rule: str, live: bool) -> None:
    """The first was true of visitors and false in its test, whose timestamp was a text."""
    now_ms, at_ms = instant_of(NOW), instant_of(AT)
    assert now_ms is not None
    assert at_ms is not None
    event = event_from(EVENT, event_id="e", received_ms=now_ms, dated_ms=at_ms)
    at_the_edge = compile_rule(rule).evaluate({"xEvent": [event.xdm]}, now_ms).holds

    outcome = run_case(case_of(rule, expect=live), cpu_ms=lambda: 0)

    assert at_the_edge is live
    assert outcome.passed, outcome.got


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ({"timestamp": AT, "_id": "x"}, {"timestamp": instant_of(AT), "_id": "x"}),
        ({"timestamp": 5, "_id": "x"}, {"timestamp": 5, "_id": "x"}),
        ({"timestamp": "soon", "_id": "x"}, {"timestamp": "soon", "_id": "x"}),
        ({"_id": ""}, {"_id": "event-1"}),
        ({"_id": 7}, {"_id": "event-1"}),
        ({"joined": AT}, {"joined": AT, "_id": "event-1"}),
        ("no event", "no event"),
    ],
)
def test_only_what_the_edge_sets_is_set(event: Any, kept: Any) -> None:
    assert as_kept({"xEvent": [event], "timestamp": AT}) == {"xEvent": [kept], "timestamp": AT}


def test_what_is_no_list_of_events_stays() -> None:
    assert as_kept({"xEvent": 5}) == {"xEvent": 5}
    assert as_kept({}) == {}
