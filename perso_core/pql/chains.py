"""Chains of events: which events satisfy which step, in which order, and until when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql.instants import Moment, instant_of
from perso_core.pql.values import ORDER, walk
from perso_core.pql.windows import (
    FOREVER_MS,
    NEVER_MS,
    Spans,
    TimeWindow,
    intersection,
    state,
)

# A chain's answer is followed over at most this many stretches in which events only come or only
# go; then the end of the last is reported: earlier than need be, never too late.
MAX_STRETCHES = 64

# So many elements the loops of one evaluation may go through together, nested ones times what
# they stand in; about a second. A filter of 5,000 events costs 15,000.
MAX_STEPS = 1_000_000


class StepsSpent(Exception):
    """The loops of a rule have more to go through than they were given: MAX_STEPS, or the part of
    these that one look may take (rules/ahead.py)."""


class Now(Struct, eq=False, gc=False):
    """The instant of one evaluation, and the first later one at which something it used changes.

    steps: how many elements its loops may still go through.
    """

    ms: int
    until: int = FOREVER_MS
    steps: int = MAX_STEPS

    def flips(self, ms: int) -> None:
        """Something that was used changes at this instant."""
        self.steps -= 1  # spares a look at many parts that change often; it raises nothing
        if self.ms < ms < self.until:
            self.until = ms

    def spend(self, steps: int) -> None:
        """Raises StepsSpent when there are no more."""
        self.steps -= steps
        if self.steps < 0:
            raise StepsSpent

    def within(self, spans: Spans) -> bool:
        """Whether now lies in the spans; notes when that changes."""
        holds, until = state(spans, self.ms)
        if until < self.until:
            self.until = until
        return holds


def timeless() -> Now:
    """For what asks no time, but goes through lists."""
    return Now(0)


Condition = Callable[[Any, Now], bool]


class Anchored(Struct, frozen=True):
    """A window measured from an earlier step: labels[i] is that step's position for anchor i."""

    window: TimeWindow
    labels: tuple[int, ...]


class ChainStep(Struct, frozen=True):
    """One step. windows: those that ask for now alone or for fixed times; anchored: those measured
    from earlier steps. counts: (op, number), e.g. (">=", 1)."""

    windows: tuple[TimeWindow, ...] = ()
    anchored: tuple[Anchored, ...] = ()
    counts: tuple[tuple[str, int], ...] = ((">=", 1),)

    @property
    def least(self) -> int:
        """How many events the step takes at least."""
        return max([n + (op == ">") for op, n in self.counts if op in (">=", ">", "=")] or [0])

    def counted(self, number: int) -> bool:
        return all(counts(op, number, wanted) for op, wanted in self.counts)


def counts(op: str, number: float, wanted: float) -> bool:
    """`number op wanted`, for all six comparisons."""
    if op == "=":
        return number == wanted
    return number != wanted if op == "!=" else ORDER[op](number, wanted)


# A step, its condition, and for each of its windows the anchors that do not move.
Compiled = tuple[ChainStep, Condition, Sequence[Sequence[Moment | None]]]

# One event that satisfies a step: its time, and the values of now for which it does.
Candidate = tuple[int, Spans]


def one_step(
    events: Sequence[Any], order: Sequence[str], compiled: Compiled, life_ms: int, now: Now
) -> bool:
    """Whether a chain of one step holds; notes the exact instant at which that changes."""
    candidates = candidates_of(events, order, compiled, life_ms, now)
    step = compiled[0]
    changes: list[tuple[int, int]] = []
    number = 0
    for _, spans in candidates:
        for start, end in spans:
            if start <= now.ms < end:
                number += 1
                changes.append((end, -1))
            elif start > now.ms:
                changes += ((start, 1), (end, -1))
    holds = step.counted(number)
    changes.sort()
    position = 0
    while position < len(changes):
        at = changes[position][0]
        while position < len(changes) and changes[position][0] == at:
            number += changes[position][1]
            position += 1
        if step.counted(number) is not holds:
            now.flips(at)
            break
    return holds


def candidates_of(
    events: Sequence[Any], order: Sequence[str], compiled: Compiled, life_ms: int, now: Now
) -> list[Candidate]:
    """The events that satisfy the step now or later, each with when it does.

    life_ms: how long an event matters. Events without a usable time take no part.
    """
    found: list[Candidate] = []
    step, condition, fixed = compiled
    now.spend(len(events))
    early, late = _simple(step.windows)
    windows = () if (early, late) != EVERY else tuple(zip(step.windows, fixed, strict=True))
    for event in events:
        stamp = event.get("timestamp") if type(event) is dict else None
        lived = stamp if type(stamp) is int else instant_of(stamp)
        at = lived if order == TIMESTAMP else instant_of(walk(event, order))
        if at is None:
            continue
        ends = FOREVER_MS if lived is None else min(lived + life_ms + 1, FOREVER_MS)
        if late < FOREVER_MS:
            ends = min(ends, at + late)
        if ends <= now.ms or not condition(event, now):
            continue
        starts = NEVER_MS if early == NEVER_MS else at + early
        spans: Spans = ((starts, ends),) if starts < ends else ()
        for window, anchors in windows:
            spans = intersection(spans, window.spans(at, anchors))
        if spans and spans[-1][1] > now.ms:
            found.append((at, spans))
    return found


def _simple(windows: Sequence[TimeWindow]) -> tuple[int, int]:
    """From when to when after its time an event counts, where that is all the windows say;
    EVERY where they say more, or where there are none."""
    if len(windows) != 1 or windows[0].offsets is None or len(windows[0].offsets) != 1:
        return EVERY
    return windows[0].offsets[0]


TIMESTAMP = ("timestamp",)
EVERY = (NEVER_MS, FOREVER_MS)


def life_end(event: Any, life_ms: int) -> int:
    """The first instant at which an event no longer matters; FOREVER_MS without a time."""
    at = event.get("timestamp") if type(event) is dict else walk(event, TIMESTAMP)
    if type(at) is not int:
        at = instant_of(at)
    return FOREVER_MS if at is None else min(at + life_ms + 1, FOREVER_MS)


def many_steps(
    events: Sequence[Any],
    order: Sequence[str],
    compiled: Sequence[Compiled],
    life_ms: int,
    now: Now,
) -> bool:
    """Whether events satisfy the steps one after another, each strictly later than those before.

    The noted instant is the one at which the answer changes (or, past MAX_STRETCHES, one before it
    at which it might).
    """
    candidates = [sorted(candidates_of(events, order, one, life_ms, now)) for one in compiled]
    steps = [step for step, _, _ in compiled]
    holds = _holds(candidates, steps, now, now.ms)
    for count, stretch in enumerate(_stretches(candidates, now.ms, holds=holds)):
        if count == MAX_STRETCHES:
            now.flips(stretch[0])
            break
        if _holds(candidates, steps, now, stretch[-1]) is not holds:
            now.flips(_first_other(candidates, steps, now, stretch, holds=holds))
            break
    return holds


def _stretches(
    candidates: Sequence[Sequence[Candidate]], now_ms: int, *, holds: bool
) -> Iterator[list[int]]:
    """The later instants at which the answer may change, in stretches over which it cannot change
    back.

    The steps ask for at least so many events, so the more candidates the better: while they only
    go, a chain that holds stops once; while they only come, one that does not hold starts once.
    """
    spans = [span for found in candidates for _, spans in found for span in spans]
    come = {start for start, _ in spans if start > now_ms}
    go = {end for _, end in spans if now_ms < end < FOREVER_MS}
    away, back = (go, come) if holds else (come, go)
    stretch: list[int] = []
    for at in sorted(come | go):
        if at in back and stretch:
            yield stretch
            stretch = []
        if at in away:
            stretch.append(at)
    if stretch:
        yield stretch


def _first_other(
    candidates: Sequence[Sequence[Candidate]],
    steps: Sequence[ChainStep],
    now: Now,
    stretch: Sequence[int],
    *,
    holds: bool,
) -> int:
    """The first instant of the stretch at which the answer is another; at its last it is."""
    at = bisect_left(stretch, True, key=lambda ms: _holds(candidates, steps, now, ms) is not holds)
    return stretch[at]


def _holds(
    candidates: Sequence[Sequence[Candidate]], steps: Sequence[ChainStep], now: Now, ms: int
) -> bool:
    times = [[at for at, spans in found if state(spans, ms)[0]] for found in candidates]
    needed = {label for step in steps for anchored in step.anchored for label in anchored.labels}
    return _Search(times, steps, needed, now).found(0, None, {})


class _Search:
    """Depth first over the steps; remembers what led nowhere. O(steps × times × log times) for
    steps that are measured from the one before within a short window."""

    def __init__(
        self,
        times: Sequence[Sequence[int]],
        steps: Sequence[ChainStep],
        needed: set[int],
        now: Now,
    ) -> None:
        self.times = times
        self.steps = steps
        self.needed = needed
        self.now = now
        self.failed: set[tuple[int, int | None, tuple[tuple[int, int], ...]]] = set()
        # For each step the steps that it or a later one is measured from.
        self.later = [
            {label for step in steps[position:] for a in step.anchored for label in a.labels}
            for position in range(len(steps))
        ]

    def found(self, position: int, after: int | None, labels: dict[int, int]) -> bool:
        """Whether the steps from `position` on can be satisfied by events later than `after`.

        labels: the times chosen for steps that later ones are measured from.
        """
        if position == len(self.steps):
            return True
        later = self.later[position]
        key = (position, after, tuple((i, at) for i, at in labels.items() if i in later))
        if key in self.failed:
            return False
        step = self.steps[position]
        # What is measured from a step without an event fits nothing, and may be content with that.
        if step.least == 0 and self.found(position + 1, after, labels):
            return True
        times = self._fitting(position, after, labels)
        self.now.spend(1 + len(times) // 16)  # most of them are copied, not looked at
        # The n-th fitting event closes the step; only a step that others are measured from, or
        # the earliest, can matter.
        choices = times[max(step.least, 1) - 1 :]
        for at in choices if position in self.needed else choices[:1]:
            chosen = {**labels, position: at} if position in self.needed else labels
            if self.found(position + 1, at, chosen):
                return True
        self.failed.add(key)
        return False

    def _fitting(self, position: int, after: int | None, labels: dict[int, int]) -> Sequence[int]:
        times = self.times[position]
        spans: Spans = ((NEVER_MS if after is None else after + 1, FOREVER_MS),)
        for anchored in self.steps[position].anchored:
            if not labels.keys() >= set(anchored.labels):
                return ()
            anchors = tuple(Moment(labels[i], labels[i] + 1) for i in anchored.labels)
            spans = intersection(spans, anchored.window.held(anchors))
        return [
            at
            for start, end in spans
            for at in times[bisect_left(times, start) : bisect_left(times, end)]
        ]
