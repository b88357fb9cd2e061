"""How a rule stands of which the literals are known: a look into its truth table.

No rule is run here. Everything is a function of the table and of the instants at which the
literals end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.formula import PATTERNS, full

# Until when, and what then: ascending, the last for good, or as far as was looked.
Over = tuple[tuple[int, int], ...]


class Judgement(NamedTuple):
    """holds: the rule's answer. until_ms: when that changes with no news. watched: the literals
    whose next event can change either, one bit each. standing: those that hold now; all of them
    hold until first_end_ms.
    """

    holds: bool
    until_ms: int
    watched: int
    standing: int
    first_end_ms: int


def judgement_of(tables: Over, ends: list[int], now_ms: int) -> Judgement:
    """tables: the truth for each standing of the literals, over time. ends: until when each
    literal holds. No change found as far as the tables go: until_ms is where they end."""
    if len(tables) == 1 and tables[0][0] == FOREVER_MS:
        return judged_by(tables[0][1], ends, now_ms)
    return _judged_over(tables, ends, now_ms)


def judged_by(table: int, ends: list[int], now_ms: int) -> Judgement:
    """`judgement_of` under a table that time does not change."""
    if len(ends) == 1:
        return _judged_alone(table, ends[0], now_ms)
    standing = 0
    alive: list[tuple[int, int]] = []
    for number, end in enumerate(ends):
        if end > now_ms:
            standing |= 1 << number
            alive.append((end, 1 << number))
    alive.sort()
    first_end_ms = alive[0][0] if alive else FOREVER_MS
    holds = table >> standing & 1
    matters = mattering(table, len(ends))
    until_ms = _first_flip(table, alive, standing) if matters else FOREVER_MS
    watched = matters & ~standing
    for end, flag in alive:
        if end <= until_ms:
            watched |= flag & matters
    return Judgement(holds == 1, until_ms, watched, standing, first_end_ms)


def _judged_over(tables: Over, ends: list[int], now_ms: int) -> Judgement:
    """`judgement_of` where time changes the table. Every literal is watched: a table under which
    it does not matter may give way to one where it does."""
    table = tables[0][1]
    _, _, _, standing, first_end_ms = judged_by(table, ends, now_ms)
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
    return Judgement(holds == 1, until_ms, (1 << len(ends)) - 1, standing, first_end_ms)


def _judged_alone(table: int, end: int, now_ms: int) -> Judgement:
    """`judged_by` for one literal."""
    alive = end > now_ms
    first_end_ms = end if alive else FOREVER_MS
    if table in (0, 3):
        return Judgement(table == 3, FOREVER_MS, 0, int(alive), first_end_ms)
    return Judgement(alive == (table == 2), first_end_ms, 1, int(alive), first_end_ms)


def _first_flip(table: int, alive: list[tuple[int, int]], standing: int) -> int:
    """When the answer changes while the literals end one after another."""
    holds = table >> standing & 1
    for place, (end, flag) in enumerate(alive):
        standing ^= flag
        together = place + 1 < len(alive) and alive[place + 1][0] == end
        if not together and table >> standing & 1 != holds:
            return end
    return FOREVER_MS


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
