"""Long tuples of which a change copies little: what changed lately lies in a small layer on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

# The upper layer grows to this part of what lies below it, and to LEAST at the least, before it
# is put in.
PART = 16
LEAST = 12

# (below, above). below: every entry. above: those that changed since, by place; they cover the ones
# below.
Layered = tuple[tuple[T, ...], dict[int, T]]


def layered(entries: Iterable[T]) -> Layered[T]:
    return tuple(entries), {}


def entry_at(entries: Layered[T], place: int) -> T:
    below, above = entries
    found = above.get(place)
    return below[place] if found is None else found


def changed(before: Layered[T], changes: dict[int, T]) -> Layered[T]:
    """With these entries replaced. O(changes + the upper layer), now and then O(entries)."""
    below, above = before
    above = {**above, **changes}
    if len(above) <= LEAST or len(above) * PART <= len(below):
        return below, above
    return layered(everything((below, above)))


def everything(one: Layered[T]) -> list[T]:
    """Every entry as it is now."""
    below, above = one
    whole = list(below)
    for place, entry in above.items():
        whole[place] = entry
    return whole
