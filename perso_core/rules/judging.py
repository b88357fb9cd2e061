"""How a rule stands of which the literals are known: a look into its truth table.

No rule is run here. Everything is a function of the table and of the instants at which the
literals end.
"""

from __future__ import annotations

from functools import lru_cache

from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.bits import lowest_bits
from perso_core.rules.formula import PATTERNS, full

# Until when, and what then: ascending, the last for good, or as far as was looked.
Over = tuple[tuple[int, int], ...]


def until(ends_ms: int, bits: int) -> tuple[int, int]:
    """One of an Over. What holds for good is there once, however many visitors have it."""
    return _for_good(bits) if ends_ms == FOREVER_MS else (ends_ms, bits)


@lru_cache(maxsize=4_096)
def _for_good(bits: int) -> tuple[int, int]:
    return FOREVER_MS, bits


# The tables of one literal that does not matter.
CONSTANT = (0, 3)


# (holds, until_ms, watched, standing). holds: the rule's answer. until_ms: when that changes with
# no news. watched: the literals whose next event can change either, one bit each. standing: those
# that hold now.
Judgement = tuple[bool, int, int, int]


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
    ending = tuple([together[end] for end in order])
    holds, flips, watched, standing = _course(table, len(ends), ending)
    return holds, FOREVER_MS if flips is None else order[flips], watched, standing


def _judged_over(tables: Over, ends: list[int], now_ms: int) -> Judgement:
    """`judgement_of` where time changes the table. Every literal is watched: a table under which
    it does not matter may give way to one where it does."""
    table = tables[0][1]
    standing = _lasting_past(ends, now_ms)
    holds = table >> standing & 1
    changes = sorted({*ends, *[until for until, _ in tables]})
    until_ms, number = tables[-1][0], 0
    for at in changes:
        if not now_ms < at < until_ms:
            continue
        while tables[number][0] <= at:
            number += 1
        if tables[number][1] >> _lasting_past(ends, at) & 1 != holds:
            until_ms = at
            break
    return holds == 1, until_ms, lowest_bits(len(ends)), standing


def _lasting_past(ends: list[int], at_ms: int) -> int:
    """The literals that hold still at that instant, one bit each."""
    found = 0
    for number, end in enumerate(ends):
        if end > at_ms:
            found |= 1 << number
    return found


def judged_alone(table: int, end: int, now_ms: int) -> Judgement:
    """`judged_by` for one literal."""
    alive = end > now_ms
    if table in CONSTANT:
        return table == 3, FOREVER_MS, 0, int(alive)
    return alive == (table == 2), end if alive else FOREVER_MS, 1, int(alive)


def _judged_pair(table: int, one: int, other: int, now_ms: int) -> Judgement:
    """`judged_by` for two literals: most rules have no more."""
    if one == other:
        ending: tuple[int, ...] = (3,) if one > now_ms else ()
    elif one < other:
        ending = BOTH if one > now_ms else OTHER if other > now_ms else ()
    else:
        ending = BOTH_REVERSED if other > now_ms else ONE if one > now_ms else ()
    holds, flips, watched, standing = _course(table, 2, ending)
    until_ms = FOREVER_MS
    if flips is not None:
        earlier, later = (one, other) if one < other else (other, one)
        until_ms = earlier if flips == 0 and len(ending) == 2 else later
    return holds, until_ms, watched, standing


# The two literals in the order in which they end.
ONE, OTHER, BOTH, BOTH_REVERSED = (1,), (2,), (1, 2), (2, 1)


# What comes of literals that end one after another: (holds, flips, watched, standing). flips: with
# which of them the answer changes first, None: with none; the rest as in Judgement.
_Course = tuple[bool, int | None, int, int]


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
    return holds == 1, flips, watched & mattering(table, literals), standing


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
