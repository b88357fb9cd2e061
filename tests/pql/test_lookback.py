"""How far back a window reaches, whatever now is."""

from __future__ import annotations

import pytest
from hypothesis import given

from perso_core.pql.compiler import compile_rule
from perso_core.pql.instants import DAY_MS, HOUR_MS
from perso_core.pql.lookback import Lookback, lookback
from perso_core.pql.nodes import Chain
from tests.pql import making
from tests.pql.cases import ENDLESS_MS


def chain(window: str) -> str:
    return f"CHAIN(xEvent, timestamp, [C0: WHAT(true) WHEN({window})])"


def of(window: str) -> Lookback:
    node = compile_rule(chain(window)).node
    assert isinstance(node, Chain)
    return lookback(node.steps[0].windows[0])


@pytest.mark.parametrize(
    ("window", "farthest_ms"),
    [
        ("<= 24 hours before now", DAY_MS),
        ("< 24 hours before now", DAY_MS - 1),
        ("today", DAY_MS - 1),
        ("yesterday", 2 * DAY_MS - 1),
        ("this hour", HOUR_MS - 1),
        ("this week", 7 * DAY_MS - 1),
        ("this month", 31 * DAY_MS - 1),
        ("last month", 62 * DAY_MS - 1),
        ("<= 1 month before now", 31 * DAY_MS),
        ("<= 12 months before now", 366 * DAY_MS),
        ("<= 4 years before now", 1461 * DAY_MS),
        ("= 3 days before now", 4 * DAY_MS - 1),
        ("= 2 weeks before today", 21 * DAY_MS - 1),
        ("between yesterday and now", 2 * DAY_MS - 1),
        ("<= 2 days from now", 2 * DAY_MS),
        ("<= 2 days after now", 0),
    ],
)
def test_a_window_reaches_as_far_back_as_its_first_instant_ever_is(
    window: str, farthest_ms: int
) -> None:
    assert of(window).farthest_ms == farthest_ms


@pytest.mark.parametrize(
    "window",
    [
        ">= 2 hours before now",
        "before today",
        "on date(2026, 3, 1)",
        "after date(2026, 3, 1)",
        "!= 3 days before now",
    ],
)
def test_a_window_that_is_open_to_the_past_or_stands_still_reaches_without_end(
    window: str,
) -> None:
    assert of(window).farthest_ms is None


def test_a_window_that_begins_in_the_past_admits_no_younger_event() -> None:
    assert of("> 40 days before now").nearest_ms == 40 * DAY_MS + 1
    assert of("yesterday").nearest_ms == 1
    assert of("next month").nearest_ms == -62 * DAY_MS + 1


@given(making.moving_windows, making.instants, making.instants)
def test_no_event_that_a_window_admits_is_older_or_younger_than_it_says(
    window: str, event_ms: int, now_ms: int
) -> None:
    rule = compile_rule(chain(window), event_window_ms=ENDLESS_MS)
    ages = of(window)
    age_ms = now_ms - event_ms

    if rule.evaluate({"xEvent": [{"timestamp": event_ms}]}, now_ms).holds:
        assert ages.farthest_ms is None or age_ms <= ages.farthest_ms
        assert ages.nearest_ms is None or age_ms >= ages.nearest_ms
