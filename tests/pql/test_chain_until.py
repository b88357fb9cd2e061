"""Until when a sequence of many events is there."""

from __future__ import annotations

from typing import Any

from perso_core.pql.compiler import FOREVER_MS, compile_rule
from tests.pql.making_profiles import DAY_MS, HOUR_MS

NOW_MS = 1_774_787_445_000


def history(kinds: str, last_ms: int = NOW_MS) -> dict[str, Any]:
    """One event an hour, the last of them at last_ms."""
    first = last_ms - (len(kinds) - 1) * HOUR_MS
    return {"xEvent": [{"timestamp": first + n * HOUR_MS, "e": e} for n, e in enumerate(kinds)]}


def pair(first: str = "", then: str = "") -> str:
    steps = f'A: WHAT(e = "x"){first}, B: WHAT(e = "y"){then}'
    return f"CHAIN(xEvent, timestamp, [{steps}])"


def test_a_pair_that_happened_hundreds_of_times_is_over_when_its_last_time_is() -> None:
    rule = compile_rule(pair(), event_window_ms=30 * DAY_MS)

    verdict = rule.evaluate(history("xy" * 300), NOW_MS)

    assert verdict.holds
    assert verdict.until_ms == NOW_MS - HOUR_MS + 30 * DAY_MS + 1


def test_a_pair_that_comes_into_its_window_after_hundreds_of_others_is_there_from_then_on() -> None:
    rule = compile_rule(pair(" WHEN(>= 20 days before now)"), event_window_ms=60 * DAY_MS)

    verdict = rule.evaluate(history("y" * 200 + "x" + "y" * 200), NOW_MS)

    assert not verdict.holds
    assert verdict.until_ms == NOW_MS - 200 * HOUR_MS + 20 * DAY_MS


def test_events_that_only_end_start_no_sequence() -> None:
    rule = compile_rule(pair(), event_window_ms=30 * DAY_MS)

    verdict = rule.evaluate(history("y" * 200 + "x" * 200), NOW_MS)

    assert not verdict.holds
    assert verdict.until_ms == FOREVER_MS


def test_events_that_come_and_go_in_turn_are_followed_so_far_and_then_asked_again() -> None:
    window = " WHEN(= 20 hours before now)"
    rule = compile_rule(pair(window, " WHEN(<= 1 hours after A)"))
    view = history("xz" * 300 + "xy")

    verdict = rule.evaluate(view, NOW_MS - 580 * HOUR_MS)

    assert not verdict.holds
    assert NOW_MS - 580 * HOUR_MS < verdict.until_ms <= NOW_MS + 19 * HOUR_MS


def test_what_is_measured_from_a_step_that_is_left_out_may_be_left_out_too() -> None:
    steps = 'A: WHAT(e = "q") COUNT(>= 0), B: WHAT(e = "x") WHEN(after A) COUNT({})'
    optional = compile_rule(f"CHAIN(xEvent, timestamp, [{steps.format('>= 0')}])")
    wanted = compile_rule(f"CHAIN(xEvent, timestamp, [{steps.format('>= 1')}])")

    assert optional.evaluate(history("xx"), NOW_MS).holds
    assert not wanted.evaluate(history("xx"), NOW_MS).holds
    assert wanted.evaluate(history("qx"), NOW_MS).holds
