"""Long tuples of which a change copies little: what changed lately lies in a small layer on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

# The upper layer grows to this part of what lies below it, and to LEAST at the least, before it
# is put in.
PART = 16
LEAST = 12


class Layered(Struct, Generic[T], frozen=True, gc=False, eq=False):
    """below: every entry. above: those that changed since, by place; they cover the ones below.

    Readers ask `above.get(place)` first, then below[place].
    """

    below: tuple[T, ...]
    above: dict[int, T]


def layered(entries: Iterable[T]) -> Layered[T]:
    return Layered(tuple(entries), {})


def changed(before: Layered[T], changes: dict[int, T]) -> Layered[T]:
    """With these entries replaced. O(changes + the upper layer), now and then O(entries)."""
    below, above = before.below, {**before.above, **changes}
    if len(above) <= LEAST or len(above) * PART <= len(below):
        return Layered(below, above)
    return layered(everything(Layered(below, above)))


def everything(one: Layered[T]) -> list[T]:
    """Every entry as it is now."""
    whole = list(one.below)
    for place, entry in one.above.items():
        whole[place] = entry
    return whole
