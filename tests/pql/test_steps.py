"""No rule goes through lists for longer than about a second."""

from __future__ import annotations

import time
from typing import Any

import pytest

from perso_core.pql.chains import StepsSpent
from perso_core.pql.checker import check
from perso_core.pql.compiler import FOREVER_MS, Verdict, compile_condition, compile_rule
from perso_core.pql.nodes import Filter
from perso_core.pql.parser import parse
from perso_core.pql.source import Source
from tests.pql.making_profiles import DAY_MS, HOUR_MS

NOW_MS = 1_774_787_445_000
# Far above what it takes here, so that a busy machine does not matter.
MOST_S = 5


def view(number: int) -> dict[str, Any]:
    return {
        "xEvent": [{"timestamp": NOW_MS - n * HOUR_MS, "e": "x", "n": n} for n in range(number)],
        "os": list(range(number)),
    }


def nested(what: str, levels: int) -> str:
    return ", ".join(f"X{n} from {what}" for n in range(levels))


def inside(begins: str, ends: str, levels: int = 12) -> str:
    """One loop in another, each over the profile's own list."""
    opened = "".join("^" * level + begins for level in range(levels))
    return f"{opened}(true){ends * levels}"


SLOW = [
    f"exists {nested('xEvent', 50)} where false",
    f"forall {nested('os', 20)}",
    f"(sum X0 over {nested('os', 20)}) > 1",
    f"(select {nested('xEvent', 20)}).count() > 1",
    inside("xEvent[", "].count() > 0"),
    inside("os.map(", ")"),
    inside("os.topN(", ", 1)"),
    inside("os.groupBy(", ")"),
    inside("os.forall(", ")"),
]


@pytest.mark.parametrize("text", SLOW, ids=lambda text: text[:24])
def test_a_rule_with_too_much_to_go_through_does_not_hold(text: str) -> None:
    rule = compile_rule(text)
    started = time.process_time()

    verdict = rule.evaluate(view(40), NOW_MS)

    assert verdict == Verdict(False, FOREVER_MS)
    assert rule.value(view(40), NOW_MS) is None
    assert time.process_time() - started < MOST_S


@pytest.mark.parametrize(
    "text",
    [
        "xEvent[n > 3].sum(n) > 10",
        "exists X from xEvent, Y from xEvent where X.n > Y.n + 30",
        'CHAIN(xEvent, timestamp, [A: WHAT(e = "x") WHEN(> 5 hours before now)])',
        # Its answer changes with each event that ends: it looks on.
        "xEvent[n < 20].sum(n) > 5 and xEvent.count() > 2",
    ],
)
def test_a_rule_that_is_given_few_steps_has_the_same_answer_or_none(text: str) -> None:
    rule = compile_rule(text, event_window_ms=DAY_MS)
    whole = rule.evaluate(view(40), NOW_MS)
    spent = 0

    for steps in (*range(0, 400, 10), *range(400, 20_000, 100)):
        try:
            assert rule.evaluate(view(40), NOW_MS, steps=steps) == whole
        except StepsSpent:
            spent = steps

    assert 0 < spent < 19_000


def test_a_rule_of_many_loops_over_many_events_has_its_answer() -> None:
    loops = " and ".join(f"xEvent[n >= {n}].count() > 0" for n in range(50))
    rule = compile_rule(loops, event_window_ms=300 * DAY_MS)

    assert rule.evaluate(view(5_000), NOW_MS).holds


def test_each_of_hundreds_of_events_may_be_compared_with_each() -> None:
    rule = compile_rule("exists X from xEvent, Y from xEvent where X.n > Y.n + 498")

    assert rule.evaluate(view(500), NOW_MS).holds


def test_one_event_with_too_much_to_go_through_satisfies_no_condition() -> None:
    node, _ = check(Source(SLOW[0]), parse("xEvent[os.exists(^os.exists(^^os.exists(false)))]"))
    assert isinstance(node, Filter)
    holds = compile_condition(node.condition)
    started = time.process_time()

    assert not holds({"os": list(range(2_000))})
    assert time.process_time() - started < MOST_S


def test_a_sequence_that_is_not_there_is_looked_for_among_thousands_of_events() -> None:
    anchored = 'B: WHAT(e = "x") WHEN(<= 30 minutes after A)'
    rule = compile_rule(
        f'CHAIN(xEvent, timestamp, [A: WHAT(e = "x"), {anchored}])', event_window_ms=300 * DAY_MS
    )
    started = time.process_time()

    verdict = rule.evaluate(view(5_000), NOW_MS)

    assert verdict == Verdict(False, FOREVER_MS)
    assert time.process_time() - started < MOST_S


def test_thousands_of_parts_that_change_with_time_are_looked_at_a_few_times() -> None:
    rule = compile_rule(" and ".join(["(currentMonth())"] * 10_000))
    started = time.process_time()

    verdict = rule.evaluate({}, NOW_MS)

    assert verdict.holds
    assert verdict.until_ms > NOW_MS
    assert time.process_time() - started < MOST_S
