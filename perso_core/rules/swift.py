"""The commonest event: it is the newest of all, and nobody asks for the audiences it changes.

It does what the draft does, in one pass and without one: nineteen of twenty events take this way,
in a third of the time (bench/pql_decide.py). The laws in tests/rules hold for both ways.
"""

from __future__ import annotations

from perso_core.pql.instants import DAY_MS
from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.judging import judgement_of
from perso_core.rules.layered import changed, moved
from perso_core.rules.program import Program, Told
from perso_core.rules.standing import (
    Ends,
    Judged,
    Log,
    Reached,
    Standing,
    Times,
    happened,
    holders_of,
    logged,
    reached,
    run_up_to,
)


def carried(
    rules: Program, before: Standing, at: int, matched: int, now_ms: int, kept: int | None
) -> Standing | None:
    """The standing after the event; None: it takes a draft."""
    log = before.log
    if before.plain or before.until_ms <= now_ms or (log is not None and at < log[0]):
        return None
    if kept is not None and (0 if log is None else log[3]) >= kept:
        return None
    if now_ms - at >= rules.shortest_ms or at // DAY_MS != now_ms // DAY_MS:
        return None
    simple = matched & rules.simple
    deciding = simple & before.sensitive
    flipped = deciding & ~before.live
    conditions = matched >> rules.shift
    counted = None
    if conditions:
        counted = _Counted(rules, before, now_ms)
        if not counted.happen(at, conditions):
            return None
        counted.keep()
        flipped |= counted.flipped
    if flipped & rules.index.referenced:
        return None
    log = logged(log, at, matched)
    live = before.live | simple
    ends, simple_until_ms = before.ends, before.simple_until_ms
    if deciding:
        wanted = live & before.sensitive
        ends, simple_until_ms = held(rules, ends, simple_until_ms, at, deciding, log, wanted)
    known = before if counted is None else counted
    return Standing(
        now_ms,
        before.members ^ flipped,
        min(known.first_deadline[0], simple_until_ms),
        log,
        live,
        before.base,
        before.sensitive,
        ends,
        simple_until_ms,
        known.times,
        known.runs,
        known.judged,
        known.deadlines,
        known.first_deadline,
        known.late,
    )


def expired(rules: Program, before: Standing, now_ms: int) -> Standing | None:
    """The standing at now_ms where nothing but simple rules comes to its end; None: it takes a
    draft."""
    if before.plain or before.first_deadline[0] <= now_ms:
        return None
    live, gone = before.live, 0
    ends = list(before.ends)
    for number, one in enumerate(before.ends):
        if one[1] <= now_ms:
            bits, lasting = rules.classes[number]
            while one[1] <= now_ms:
                gone |= one[0]
                live &= ~one[0]
                one = holders_of(before.log, live & before.sensitive & bits, lasting.end)
            ends[number] = one
    if gone & rules.index.referenced:
        return None
    simple_until_ms = min([one[1] for one in ends])
    return Standing(
        now_ms,
        before.members ^ gone,
        min(before.first_deadline[0], simple_until_ms),
        before.log,
        live,
        before.base,
        before.sensitive,
        tuple(ends),
        simple_until_ms,
        before.times,
        before.runs,
        before.judged,
        before.deadlines,
        before.first_deadline,
        before.late,
    )


def held(
    rules: Program,
    before: tuple[Ends, ...],
    first_ms: int,
    at: int,
    deciding: int,
    log: Log | None,
    wanted: int,
) -> tuple[tuple[Ends, ...], int]:
    """What ends first in each class, after the newest event made these bits last from its time
    on; and the earliest of all.

    first_ms: the earliest before. log: with the event. wanted: the sensitive live bits.
    """
    ends: list[Ends] | None = None
    anew = False
    for number, (bits, lasting) in enumerate(rules.classes):
        hit = deciding & bits
        if hit:
            holders, end_ms = before[number]
            if not holders:
                after = Ends(hit, lasting.end(at))
            elif holders & hit:
                left = holders & ~hit
                after = Ends(left, end_ms) if left else holders_of(log, wanted & bits, lasting.end)
                anew = anew or end_ms == first_ms
            else:
                continue
            if ends is None:
                ends = list(before)
            ends[number] = after
            first_ms = min(first_ms, after[1])
    if ends is None:
        return before, first_ms
    # Only where the earliest itself may have gone are all looked at.
    return tuple(ends), min([one[1] for one in ends]) if anew else first_ms


class _Counted:
    """What the newest event does to conditions, chains and judged rules."""

    __slots__ = (
        "_judged",
        "_runs",
        "_times",
        "before",
        "deadlines",
        "first_deadline",
        "flipped",
        "judged",
        "late",
        "now_ms",
        "rules",
        "runs",
        "times",
    )

    def __init__(self, rules: Program, before: Standing, now_ms: int) -> None:
        self.rules = rules
        self.before = before
        self.now_ms = now_ms
        self.times = before.times
        self.runs = before.runs
        self.judged = before.judged
        self._times: dict[int, Times] = {}
        self._runs: dict[int, tuple[Reached, ...]] = {}
        self._judged: dict[int, Judged] = {}
        self.deadlines = before.deadlines
        self.first_deadline = before.first_deadline
        self.late = before.late
        self.flipped = 0

    def happen(self, at: int, conditions: int) -> bool:
        """False: it takes a draft."""
        reactions = self.rules.reactions
        touched: list[tuple[int, int, Told | None]] = []
        while conditions:
            low = conditions & -conditions
            conditions ^= low
            condition = low.bit_length() - 1
            kept, steps, touches = reactions[condition]
            if kept:
                self._times[condition] = happened(self._times_of(condition), at, kept)
            for step, chain in steps:
                self._extend(step, chain, at)
            touched += touches
        judged, again = self.before.judged
        due: dict[int, Judged] = {}
        for place, flag, literal in touched:
            if literal is None:
                return False
            one = again.get(place) or judged[place]
            if one[2] & flag and self._may_change(one, flag, literal, place):
                due[place] = one
        return self._judge_all(due)

    def _may_change(self, one: Judged, flag: int, literal: Told, place: int) -> bool:
        if one[3] & flag:
            if one[3] != flag or len(one[0]) > 1:
                return True
            # It held alone and holds, now for longer: nothing changes but when it ends.
            self.late |= {self.rules.judging[place][0]}
            return False
        return not (literal[1] > 1 or literal[2] is not None) or self._end(literal) > self.now_ms

    def _extend(self, step: int, chain: int, at: int) -> None:
        below, above = self.before.runs
        runs = self._runs.get(chain) or above.get(chain) or below[chain]
        found = run_up_to(runs, step, self._times_of(self.rules.chains[chain][0][0]), at)
        if found is not None:
            after = list(runs)
            after[step - 1] = reached(after[step - 1], found)
            self._runs[chain] = tuple(after)

    def _judge_all(self, due: dict[int, Judged]) -> bool:
        deadlines: dict[int, int] = {}
        for place, one in due.items():
            if not self._judge(place, one, deadlines):
                return False
        if deadlines:
            self.deadlines = moved(self.deadlines, deadlines)
            self.first_deadline = self.deadlines.earliest
        while self.first_deadline[1] in self.late:
            place = self.rules.judge_of[self.first_deadline[1]]
            below, above = self.before.judged
            deadlines = {}
            one = self._judged.get(place) or above.get(place) or below[place]
            if not self._judge(place, one, deadlines):
                return False
            self.deadlines = moved(self.deadlines, deadlines)
            self.first_deadline = self.deadlines.earliest
        return True

    def _judge(self, place: int, one: Judged, deadlines: dict[int, int]) -> bool:
        tables = one[0]
        if not tables or tables[0][0] <= self.now_ms:
            return False
        position, _, literals = self.rules.judging[place]
        ends = [self._end(literal) for literal in literals]
        holds, until_ms, watched, standing, first_end_ms = judgement_of(tables, ends, self.now_ms)
        if until_ms == tables[-1][0] < FOREVER_MS:  # so far nobody looked
            return False
        self._judged[place] = Judged(tables, one[1], watched, standing, first_end_ms)
        deadlines[position] = until_ms
        if position in self.late:
            self.late -= {position}
        if (self.before.members >> position & 1) != holds:
            self.flipped |= 1 << position
        return True

    def _end(self, literal: Told) -> int:
        condition, least, chain, lasting = literal
        if chain is None:
            times = self._times_of(condition)
            return lasting[0].end(times[-least]) if len(times) > least else NEVER_MS
        below, above = self.before.runs
        last = (self._runs.get(chain) or above.get(chain) or below[chain])[-1][1]
        if not last:
            return NEVER_MS
        return min([one.end(at) for one, at in zip(lasting, last, strict=True)])

    def _times_of(self, condition: int) -> Times:
        below, above = self.before.times
        found = self._times.get(condition)
        if found is None:
            found = above.get(condition)
        return below[condition] if found is None else found

    def keep(self) -> None:
        if self._times:
            self.times = changed(self.times, self._times)
        if self._runs:
            self.runs = changed(self.runs, self._runs)
        if self._judged:
            self.judged = changed(self.judged, self._judged)
