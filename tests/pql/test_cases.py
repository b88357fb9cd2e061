"""Mistakes in a file of cases, which would be run as something else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perso_core.errors import BadCases
from perso_core.pql.cases import Rule, cases_from_json

RULES = {"gold": Rule("a", 1)}


def refused(text: str) -> BadCases:
    with pytest.raises(BadCases) as raised:
        cases_from_json(text, RULES)
    return raised.value


def one(**given: Any) -> str:
    case = {"id": "x", "pql": "a", "now": 0, "expect": True, **given}
    return json.dumps([{key: value for key, value in case.items() if value is not None}])


@pytest.mark.parametrize(
    ("text", "detail", "fix"),
    [
        (one(at="19"), 'at is "19"', 'Write a place, e.g. "1:9".'),
        (
            one(at="1:1"),
            "at is the place of a fault, and none is expected",
            'Take it out, or expect {"error": "parse"}.',
        ),
        (one(max_ms=-5), "max_ms is -5", "Write a number of milliseconds."),
        (
            one(event_window_days=0),
            "event_window_days is 0",
            "Write 1 to 3,650 days.",
        ),
        (
            one(pql=None, audience="gold", event_window_days=5),
            "event_window_days is the audience's own",
            "Take it out.",
        ),
        (
            one(profile={"xEvent": {"a": 1}}),
            "profile.xEvent is no list of events",
            "Write [{...}, {...}].",
        ),
        (one(profile={"xEvent": [1]}), "profile.xEvent is no list of events", ""),
        (one(expect={"error": "pql.nope"}), 'expect is {"error": "pql.nope"}', ""),
    ],
)
def test_a_key_that_means_nothing_is_told_with_its_case(text: str, detail: str, fix: str) -> None:
    fault = refused(text)

    assert fault.detail == f"case 1 (x): {detail}."
    assert fault.fix == fix or not fix


def test_the_codes_that_may_be_expected_are_told() -> None:
    assert "pql.never-holds" in refused(one(expect={"error": "pql.nope"})).fix


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "x", "pql": "a", "pql": "b", "now": 0, "expect": true}]',
        '[{"id": "x", "pql": "a", "now": 0, "expect": true, "profile": {"pql": 1, "pql": 2}}]',
    ],
)
def test_a_key_that_is_given_twice_is_told(text: str) -> None:
    """The last one had counted, and nobody saw it."""
    fault = refused(text)

    assert fault.detail == 'the JSON cannot be read: an object has the key "pql" twice.'
    assert fault.fix == "Keep one of the two."
