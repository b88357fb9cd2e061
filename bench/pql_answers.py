"""decide_1000/equal_answer_cel: beside CEL texts that give the same answers, compared with ours.

Our answers are also compared with those of each rule asked alone, the instants included.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.audiences_mixed import mixed
from bench.audiences_parts import Rule
from bench.audiences_stream import visitors
from bench.cel_rules import OverEvents
from bench.figures import record
from bench.pql_rules import Compiled, Decided, Step, compiled, decide, streamed
from bench.timing import Spent, cpu_us
from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.ruleset import RuleSet

RULES = 1_000
VISITORS = 20
# Answers are compared at every third event; one event of each visitor is timed.
STRIDE = 3
ROUNDS = 3
# Our own time is taken over so many calls.
CALLS = 10


def measure() -> None:
    """Raises AssertionError where two ways to answer differ."""
    rules = mixed(RULES)
    one_by_one = compiled(rules)
    ours, cel = RuleSet(one_by_one), OverEvents(rules)
    ours_us: list[float] = []
    cel_us: list[float] = []
    events = compared = 0
    for number, visitor in enumerate(visitors(VISITORS)):
        taken = list(streamed(ours, visitor).each())
        for step, done in taken[number % STRIDE :: STRIDE]:
            _agree(rules, done, cel.on(step, done)())
            compared += RULES
        step, done = taken[number % len(taken)]
        asked = cel.on(step, done)
        if number < ROUNDS:
            _holds_until(one_by_one, step, done)
        events += step.place + 1
        for _ in range(ROUNDS):
            ours_us.append(cpu_us(partial(decide, ours, step), CALLS))
            cel_us.append(cpu_us(asked))
    deciding, asking = Spent(tuple(ours_us)), Spent(tuple(cel_us))
    record(
        "decide_1000/equal_answer_cel",
        deciding.over(asking),
        unit="ratio",
        decide_us=deciding.told(),
        cel_us=asking.told(),
        answers_compared=compared,
        events_in_memory=round(events / VISITORS, 1),
        rounds=ROUNDS * VISITORS,
    )


def _agree(rules: Sequence[Rule], done: Decided, answers: Sequence[bool]) -> None:
    for bit, (rule, answer) in enumerate(zip(rules, answers, strict=True)):
        assert answer == bool(done.after.members >> bit & 1), f"CEL says otherwise of {rule}"


def _holds_until(rules: Compiled, step: Step, done: Decided) -> None:
    """Each rule asked alone gives the same members and, the earliest of all, the same instant."""
    realized: dict[str, Any] = {}
    view = {**step.visitor.view(step.place + 1), "segmentMembership": {"ups": realized}}
    until_ms = FOREVER_MS
    for bit, (audience_id, rule) in enumerate(rules):
        verdict = rule.evaluate(view, step.now_ms)
        assert verdict.holds == bool(done.after.members >> bit & 1), rule.text
        if verdict.holds:
            realized[audience_id] = {"status": "realized"}
        until_ms = min(until_ms, verdict.until_ms)
    assert until_ms == done.after.until_ms, f"{until_ms} and {done.after.until_ms}"
