"""At which instants an answer might change: around every time the profile names, moved by every
length the rule names, and where days, months and years begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perso_core.pql.nodes import Distance, Node, children
from tests.pql.plain_time import later, time_of, unit_around

# More than this is not worth the time; which are taken depends on the instants alone.
MOST = 120
UNITS = ("day", "week", "month", "year")


def times_in(value: Any) -> Iterator[int]:
    """Everything in the profile that reads as a time of our days."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from times_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from times_in(inner)
    elif not isinstance(value, bool) and (found := time_of(value)) and found.start > 10**9:
        yield found.start
        yield found.end


def lengths_in(node: Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, Distance) and node.amount < 10_000:
        yield node.amount, node.unit
    for child in children(node):
        yield from lengths_in(child)


def instants_near(
    node: Node, view: Mapping[str, Any], start: int, end: int, event_window_ms: int
) -> list[int]:
    """Instants in [start, end), in order."""
    dated = {*times_in(view), start}
    lengths = {*lengths_in(node)}
    moved = {later(at, sign * n, unit) for at in dated for n, unit in lengths for sign in (1, -1)}
    ended = {at + event_window_ms + 1 for at in dated}
    found = dated | moved | ended
    for unit in UNITS:
        here = unit_around(start, unit)
        found |= {here.end, unit_around(here.end, unit).end}
        found |= {edge for at in moved | dated for edge in unit_around(at, unit)[:2]}
    near = sorted({at + step for at in found for step in (-1, 0, 1) if start <= at + step < end})
    return near[:: len(near) // MOST + 1]
