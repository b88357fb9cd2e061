"""Long tuples of which a change copies little: what changed lately lies in a small layer on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from perso_core.pql.windows import FOREVER_MS

T = TypeVar("T")

# A layer grows to this part of what lies below it, and to LEAST at the least, before it is put in.
PART = 16
LEAST = 8


class Layered(NamedTuple, Generic[T]):
    """below: every entry. above: those that changed since, by place; they cover the ones below.

    Readers ask `above.get(place)` first, then below[place].
    """

    below: tuple[T, ...]
    above: Mapping[int, T]


def layered(entries: Iterable[T]) -> Layered[T]:
    return Layered(tuple(entries), {})


def changed(before: Layered[T], changes: dict[int, T]) -> Layered[T]:
    """With these entries replaced. O(changes + the upper layer), now and then O(entries)."""
    below, above = before
    after = {**above, **changes}
    if len(after) <= LEAST or len(after) * PART <= len(below):
        return Layered(below, after)
    return Layered(tuple(after.get(place, one) for place, one in enumerate(below)), {})


def entries(of: Layered[T]) -> list[T]:
    """All of them, in order."""
    below, above = of
    return [above.get(place, one) for place, one in enumerate(below)]


class Deadlines(NamedTuple):
    """The earliest of many instants, each by its place, some of which change all the time.

    order: (instant, place) ascending, from `first` on. above: instants that changed since order
    was made; they stand for the ones in it.
    """

    order: tuple[tuple[int, int], ...]
    first: int
    above: Mapping[int, int]

    @property
    def earliest(self) -> tuple[int, int]:
        """The instant and its place; FOREVER_MS and any place where there is none."""
        lower = self.order[self.first] if self.first < len(self.order) else (FOREVER_MS, -1)
        for place, at in self.above.items():
            if at < lower[0]:
                lower = (at, place)
        return lower

    def due(self, now_ms: int) -> list[int]:
        """The places whose instant is not after now_ms."""
        found = [place for place, at in self.above.items() if at <= now_ms]
        for at, place in self.order[self.first :]:
            if at > now_ms:
                break
            if place not in self.above:
                found.append(place)
        return found


NO_DEADLINES = Deadlines((), 0, {})


def moved(before: Deadlines, changes: dict[int, int]) -> Deadlines:
    """With these instants instead. FOREVER_MS: none any more."""
    order, first, above = before
    after = {**above, **changes}
    if len(after) > LEAST and len(after) * PART > len(order):
        whole = {place: at for at, place in order} | after
        order = tuple(sorted((at, place) for place, at in whole.items() if at < FOREVER_MS))
        return Deadlines(order, 0, {})
    while first < len(order) and order[first][1] in after:
        first += 1
    return Deadlines(order, first, after)
