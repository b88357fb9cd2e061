"""The compiled rule against the plain evaluator, over rules and profiles that lie at the edges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.compiler import FOREVER_MS
from perso_core.pql.instants import Moment
from tests.pql import making, making_focused, making_profiles
from tests.pql.admitted import admitted
from tests.pql.instants_near import instants_near
from tests.pql.plain import plain_holds, plain_value
from tests.pql.plain_time import Time, time_of

Situation = tuple[dict[str, Any], int, int]
rules = making_focused.rules
values = st.one_of(making_focused.numbers, making_focused.lists)
situations = making_profiles.situations()


def alike(one: Any, other: Any) -> bool:
    """One value, numbers within 1e-9 of each other or of their size."""
    if isinstance(one, Moment | Time) or isinstance(other, Moment | Time):
        return (one.start, one.end) == (other.start, other.end)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if type(one) in (int, float) and type(other) in (int, float):
        return bool(one == pytest.approx(other, rel=1e-9, abs=1e-9))
    return type(one) is type(other) and bool(one == other)


@given(rules, situations)
def test_a_rule_holds_exactly_when_the_plain_evaluator_says_so(
    text: str, situation: Situation
) -> None:
    view, now_ms, event_window_ms = situation
    rule = admitted(text, event_window_ms)

    assert rule.evaluate(view, now_ms).holds is plain_holds(
        rule.node, view, now_ms, event_window_ms
    )


@given(values, situations)
def test_a_value_is_what_the_plain_evaluator_says(text: str, situation: Situation) -> None:
    view, now_ms, event_window_ms = situation
    rule = admitted(text, event_window_ms)

    found = rule.value(view, now_ms)

    wanted = plain_value(rule.node, view, now_ms, event_window_ms)
    assert alike(found, wanted), (found, wanted)


# An answer whose parts flip many times before it does may be asked for again earlier: 64 flips are
# looked at, and `today occurs = 1 millisecond before now` flips three times a day.
LOOKED_AT_MS = 20 * making.DAY_MS


@given(rules, situations)
def test_the_plain_answer_is_one_until_the_instant_given_and_another_there(
    text: str, situation: Situation
) -> None:
    view, now_ms, event_window_ms = situation
    rule = admitted(text, event_window_ms)

    until_ms = rule.evaluate(view, now_ms).until_ms

    def plain(at: int) -> bool:
        return plain_holds(rule.node, view, at, event_window_ms)

    assert until_ms > now_ms
    holds = plain(now_ms)
    for at in instants_near(rule.node, view, now_ms, until_ms, event_window_ms):
        assert plain(at) is holds, at - now_ms
    if until_ms < FOREVER_MS:
        assert plain(until_ms - 1) is holds
    if until_ms - now_ms < LOOKED_AT_MS:
        assert plain(until_ms) is not holds, until_ms - now_ms


@given(situations)
def test_the_plain_evaluator_reads_its_own_clock_right(situation: Situation) -> None:
    now = time_of(situation[1])
    assert now is not None
    assert now.start == situation[1]
