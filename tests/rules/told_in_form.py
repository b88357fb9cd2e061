"""`python -m tests.rules.told_in_form`: what the form of the rules that runs here comes to, in a
line for each of many stories: two forms that answer alike say the same.

Among them sets of more rules than a machine word has bits, and events no client would send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random
from typing import Any

from perso_core.rules.ruleset import RuleSet
from tests.rules.making_stories import DAY_MS, START_MS, Story, event, rules

FEW, MANY = 8, 140
STORIES, LARGE_STORIES, ODD_STORIES = 60, 4, 40
STEPS, LARGE_STEPS = 20, 40

DEEPER_THAN_A_STACK = 100_000


def _deep() -> Any:
    value: Any = {"sku": "x", "page": "a"}
    for _ in range(DEEPER_THAN_A_STACK):
        value = [value]
    return value


ODD: tuple[Any, ...] = (
    _deep(),
    *(None, True, -1, 2**31, 2**62, 2**63, -(2**63) - 1, 2**64, 10**400, 0.0, -0.0),
    *(1e308, float("inf"), float("-inf"), float("nan")),
    *("", "buy", "\ud800", "\u0130" * 300, b"buy", [], {}, (), ("a",), [[["a"]]], [None, {}, 1]),
    *({"page": 1}, {"page": {"name": {"name": "a"}}}, {1: 2}, [{"sku": ["x", None]}], {"sku": []}),
)


def told() -> Iterator[str]:
    for seed in range(STORIES):
        yield _of(f"story {seed}", lambda seed=seed: _standings(seed, FEW, STEPS))  # type: ignore[misc]  # called at once
    for seed in range(LARGE_STORIES):
        yield _of(f"large {seed}", lambda seed=seed: _standings(seed, MANY, LARGE_STEPS))  # type: ignore[misc]  # called at once
    for seed in range(ODD_STORIES):
        yield _of(f"odd {seed}", lambda seed=seed: _odd(Random(seed)))  # type: ignore[misc]  # called at once


def _of(name: str, made: Callable[[], Iterator[object]]) -> str:
    seen = blake2b(digest_size=8)
    for one in made():
        seen.update(repr(one).encode("utf-8", "backslashreplace"))
    return f"{name}: {seen.hexdigest()}"


def _standings(seed: int, count: int, steps: int) -> Iterator[object]:
    yield from Story(Random(seed), rules_count=count).told(steps)


def _odd(chance: Random) -> Iterator[object]:
    """Standings after events whose values are of any kind, or the error."""
    asked = RuleSet(rules(chance, FEW, DAY_MS))
    events: list[dict[str, Any]] = []
    standing = asked.standing(lambda: {"xEvent": events}, now_ms=START_MS)
    for step in range(STEPS):
        now_ms = START_MS + step * 1_000
        sent = event(chance, now_ms)
        for name in chance.sample(sorted(sent), 3):
            sent[name] = chance.choice(ODD)
        try:
            yield asked.matching(sent)
            after = asked.after_event(
                standing,
                sent,
                lambda: {"xEvent": [*events, sent]},  # noqa: B023  # called at once
                now_ms=now_ms,
            )
        except RecursionError as error:  # where exactly, differs
            yield type(error)
            continue
        except Exception as error:
            yield type(error), str(error)
            continue
        events.append(sent)
        standing = after
        yield standing


if __name__ == "__main__":
    for line in told():
        print(line)
