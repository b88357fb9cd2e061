"""How a rule stands of which the literals are known: a look into its truth table.

No rule is run here. Everything is a function of the table and of the instants at which the
literals end.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.formula import PATTERNS, full

# Until when, and what then: ascending, the last for good, or as far as was looked.
Over = tuple[tuple[int, int], ...]

# The tables of one literal that does not matter.
CONSTANT = (0, 3)


class Judgement(Struct, frozen=True, gc=False):
    """holds: the rule's answer. until_ms: when that changes with no news. watched: the literals
    whose next event can change either, one bit each. standing: those that hold now.
    """

    holds: bool
    until_ms: int
    watched: int
    standing: int


def judgement_of(tables: Over, ends: list[int], now_ms: int) -> Judgement:
    """tables: the truth for each standing of the literals, over time. ends: until when each
    literal holds. No change found as far as the tables go: until_ms is where they end."""
    if len(tables) == 1 and tables[0][0] == FOREVER_MS:
        return judged_by(tables[0][1], ends, now_ms)
    return _judged_over(tables, ends, now_ms)


def judged_by(table: int, ends: list[int], now_ms: int) -> Judgement:
    """`judgement_of` under a table that time does not change."""
    if len(ends) == 1:
        return judged_alone(table, ends[0], now_ms)
    if len(ends) == 2:
        return _judged_pair(table, ends[0], ends[1], now_ms)
    together: dict[int, int] = {}
    for number, end in enumerate(ends):
        if end > now_ms:
            together[end] = together.get(end, 0) | 1 << number
    order = sorted(together)
    course = _course(table, len(ends), tuple([together[end] for end in order]))
    until_ms = FOREVER_MS if course.flips is None else order[course.flips]
    return Judgement(course.holds, until_ms, course.watched, course.standing)


def _judged_over(tables: Over, ends: list[int], now_ms: int) -> Judgement:
    """`judgement_of` where time changes the table. Every literal is watched: a table under which
    it does not matter may give way to one where it does."""
    table = tables[0][1]
    standing = sum(1 << one for one, end in enumerate(ends) if end > now_ms)
    holds = table >> standing & 1
    changes = sorted({*ends, *(until for until, _ in tables)})
    until_ms, number = tables[-1][0], 0
    for at in changes:
        if not now_ms < at < until_ms:
            continue
        while tables[number][0] <= at:
            number += 1
        left = sum(1 << one for one, end in enumerate(ends) if end > at)
        if tables[number][1] >> left & 1 != holds:
            until_ms = at
            break
    return Judgement(holds == 1, until_ms, (1 << len(ends)) - 1, standing)


def judged_alone(table: int, end: int, now_ms: int) -> Judgement:
    """`judged_by` for one literal."""
    alive = end > now_ms
    if table in CONSTANT:
        return Judgement(table == 3, FOREVER_MS, 0, int(alive))
    return Judgement(alive == (table == 2), end if alive else FOREVER_MS, 1, int(alive))


def _judged_pair(table: int, one: int, other: int, now_ms: int) -> Judgement:
    """`judged_by` for two literals: most rules have no more."""
    if one == other:
        ending: tuple[int, ...] = (3,) if one > now_ms else ()
    elif one < other:
        ending = BOTH if one > now_ms else OTHER if other > now_ms else ()
    else:
        ending = BOTH_REVERSED if other > now_ms else ONE if one > now_ms else ()
    course = _course(table, 2, ending)
    if course.flips is None:
        until_ms = FOREVER_MS
    else:
        first = min(one, other) if len(ending) == 2 else max(one, other)
        until_ms = first if course.flips == 0 else max(one, other)
    return Judgement(course.holds, until_ms, course.watched, course.standing)


# The two literals in the order in which they end.
ONE, OTHER, BOTH, BOTH_REVERSED = (1,), (2,), (1, 2), (2, 1)


class _Course(Struct, frozen=True, gc=False):
    """What comes of literals that end one after another. flips: with which of them the answer
    changes first, None: with none; the rest as in Judgement."""

    holds: bool
    flips: int | None
    watched: int
    standing: int


@lru_cache(maxsize=65_536)
def _course(table: int, literals: int, ending: tuple[int, ...]) -> _Course:
    """ending: the literals that hold, one bit each, those that end together in one; the first to
    end first."""
    standing = left = sum(ending)
    holds = table >> standing & 1
    watched = ~standing
    flips = None
    for place, some in enumerate(ending):
        watched |= some
        left ^= some
        if table >> left & 1 != holds:
            flips = place
            break
    return _Course(holds == 1, flips, watched & mattering(table, literals), standing)


@lru_cache(maxsize=65_536)
def mattering(table: int, literals: int) -> int:
    """The literals on which the table depends, one bit each."""
    found = 0
    everything = full(literals)
    for number, pattern in enumerate(PATTERNS[literals]):
        shift = 1 << number
        with_it = (table & pattern) >> shift
        without = table & ~pattern & everything
        if with_it != without:
            found |= 1 << number
    return found
