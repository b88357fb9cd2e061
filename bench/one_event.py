"""What a peer is, and what it is given: one event, and what rules ask of time worked out before.

Peers know one event alone. How old the event is they get as a number, and the event before it as
a field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bench.audiences_parts import AllOf, Followed, Happened, Is, Number, Part


class Peer(Struct, frozen=True):
    """One engine with the rules it can express.

    matching: the ids of those that hold for the event it was given. known: the ids it can say.
    close: what it holds open, if anything.
    """

    name: str
    known: frozenset[str]
    matching: Callable[[], set[str]]
    close: Callable[[], object] = lambda: None


class Unsaid(Exception):
    """This engine has no words for the part."""


def seen(event: Mapping[str, Any], before: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The event as peers get it, with its age in minutes and the event before it."""
    return {**_aged(event, now_ms), "before": _aged(before, now_ms)}


def flat(event: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every scalar by its dotted path."""
    found: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            found[prefix + name] = value
    return found


def of_one_event(part: Part) -> Part:
    """The part without time: ages are numbers, the event before is a field."""
    match part:
        case Happened():
            return AllOf((part.condition, *_age(part.minutes, "")))
        case Followed():
            first = (_moved(part.first, "before."), *_age(part.minutes, "before."))
            return AllOf((*first, part.then, *_age(part.minutes, "")))
        case _:
            return part


def _aged(event: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    return {**event, "age": (now_ms - event["timestamp"]) // 60_000}


def _age(minutes: int | None, prefix: str) -> tuple[Part, ...]:
    return () if minutes is None else (Number(f"{prefix}age", "<", minutes + 1),)


def _moved(part: Part, prefix: str) -> Part:
    match part:
        case AllOf():
            return AllOf(tuple(_moved(one, prefix) for one in part.parts))
        case Is():
            return Is(prefix + part.path, part.value, part.folded)
        case _:
            raise AssertionError(f"no first step of the bench has {part}")


def said(rules: Sequence[tuple[str, Part]], say: Callable[[Part], Any]) -> list[tuple[str, Any]]:
    """The rules as an engine says them, without those it cannot say."""
    found = []
    for rule_id, part in rules:
        try:
            found.append((rule_id, say(part)))
        except Unsaid:
            continue
    return found


def peer_of(name: str, rules: Sequence[tuple[str, Any]], holds: Callable[[Any], Any]) -> Peer:
    """rules: as the engine says them. holds: asks one of them about the event."""
    return Peer(
        name,
        frozenset(rule_id for rule_id, _ in rules),
        lambda: {rule_id for rule_id, rule in rules if holds(rule)},
    )
