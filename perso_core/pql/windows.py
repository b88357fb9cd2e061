"""Time windows: for which values of now a time lies in a window.

Every window form is a list of [low, high) intervals whose ends are bounds: an anchor taken through
steps such as "a month earlier" or "start of the week". For a fixed time t, the values of now for
which t >= low(now) and t < high(now) are found by taking t back through the steps. That one idea
gives the truth and the exact next flip for every form.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from perso_core.pql.instants import (
    DAY_MS,
    FIXED_MS,
    MONTHS,
    Moment,
    first_day_reaching,
    next_unit_number,
    shifted,
    shifted_day,
    unit_number,
    unit_start,
)

# "No instant": what holds until then holds until something is written.
FOREVER_MS = 2**62
NEVER_MS = -(2**62)

# Disjoint [from, to) in ascending order.
Spans = tuple[tuple[int, int], ...]
ALWAYS: Spans = ((NEVER_MS, FOREVER_MS),)

# Beyond this many months every date is out of reach; the arithmetic stays on small numbers.
MAX_UNITS = 10**9


# ---- spans ------------------------------------------------------------------


def complement(spans: Spans) -> Spans:
    found, at = [], NEVER_MS
    for start, end in spans:
        if at < start:
            found.append((at, start))
        at = max(at, end)
    if at < FOREVER_MS:
        found.append((at, FOREVER_MS))
    return tuple(found)


def union(spans: Sequence[tuple[int, int]]) -> Spans:
    """The same instants, as disjoint spans in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start < end:
            found.append((start, end))
    return tuple(found)


def intersection(one: Spans, other: Spans) -> Spans:
    if len(one) == 1 and len(other) == 1:
        (a, b), (c, d) = one[0], other[0]
        start, end = (a if a > c else c), (b if b < d else d)
        return ((start, end),) if start < end else ()
    return tuple((max(a, c), min(b, d)) for a, b in one for c, d in other if max(a, c) < min(b, d))


def state(spans: Spans, now_ms: int) -> tuple[bool, int]:
    """Whether now lies in the spans, and the first instant after it when that changes."""
    for start, end in spans:
        if now_ms < start:
            return False, start
        if now_ms < end:
            return True, end
    return False, FOREVER_MS


# ---- bounds -----------------------------------------------------------------


class Shift(Struct, frozen=True):
    """`amount` units later; earlier when negative."""

    amount: int
    unit: str

    def apply(self, ms: int) -> int:
        return shifted(ms, self.amount, self.unit)


class UnitStart(Struct, frozen=True):
    """The start of the calendar unit, `later` units on."""

    unit: str
    later: int = 0

    def apply(self, ms: int) -> int:
        return unit_start(unit_number(ms, self.unit) + self.later, self.unit)


class Later(Struct, frozen=True):
    """One millisecond on: makes an included end an excluded one."""

    def apply(self, ms: int) -> int:
        return ms + 1


StepOf = Shift | UnitStart | Later


class Bound(Struct, frozen=True):
    """One end of an interval.

    anchor: which time it is measured from; None for no end on this side.
    from_end: measured from the end of that time rather than its start.
    """

    anchor: int | None
    steps: tuple[StepOf, ...] = ()
    from_end: bool = False

    def at(self, anchor: Moment) -> int:
        ms = anchor.end if self.from_end else anchor.start
        for step in self.steps:
            ms = step.apply(ms)
        return ms


def reaching(steps: Sequence[StepOf], goal: int) -> Spans:
    """The values of now that the steps take to `goal` or later."""
    for position in range(len(steps) - 1, -1, -1):
        step = steps[position]
        if isinstance(step, Later):
            goal -= 1
        elif isinstance(step, UnitStart):
            goal = unit_start(next_unit_number(goal, step.unit) - step.later, step.unit)
        elif step.unit in FIXED_MS:
            goal -= step.amount * FIXED_MS[step.unit]
        elif position == 0:
            return _reaching_by_months(step, goal)
        elif _gives_midnights(steps[:position]):
            # For midnights the shift never goes back.
            months = step.amount * MONTHS[step.unit]
            day, time = divmod(goal, DAY_MS)
            goal = first_day_reaching(day + (time > 0), months) * DAY_MS
        else:
            earlier = steps[:position]
            return union(
                [s for span in _reaching_by_months(step, goal) for s in _led(earlier, span)]
            )
    return ray(goal)


def _gives_midnights(steps: Sequence[StepOf]) -> bool:
    return all(
        isinstance(step, UnitStart) and FIXED_MS.get(step.unit, DAY_MS) >= DAY_MS for step in steps
    )


def _led(steps: Sequence[StepOf], span: tuple[int, int]) -> Spans:
    """The values of now that the steps take into [start, end)."""
    start, end = span
    if end >= FOREVER_MS:
        return reaching(steps, start)
    return intersection(reaching(steps, start), complement(reaching(steps, end)))


def ray(start: int) -> Spans:
    start = max(NEVER_MS, start)
    return ((start, FOREVER_MS),) if start < FOREVER_MS else ()


def _reaching_by_months(step: Shift, goal: int) -> Spans:
    """As `reaching`, for an instant that is shifted by months: the 28th at noon comes again from
    the 29th and the 30th, so the answer may come, go and come back on up to four days."""
    months = step.amount * MONTHS[step.unit]
    day, time = divmod(goal, DAY_MS)
    now_day = first_day_reaching(day, months)
    found = []
    while shifted_day(now_day, months) == day:
        found.append((now_day * DAY_MS + time, (now_day + 1) * DAY_MS))
        now_day += 1
    return union([*found, (now_day * DAY_MS, FOREVER_MS)])


# ---- windows ----------------------------------------------------------------


class TimeWindow(Struct, frozen=True, eq=False):
    """A window ready to be asked.

    anchors: for each time it is measured from, the steps from now to its start and to its end
    where it moves with now, None where it is known only when the rule runs.
    intervals: (low, high). whole: the same where the anchor is longer than an instant.
    negated: the window is everything else.
    """

    anchors: tuple[tuple[tuple[StepOf, ...], tuple[StepOf, ...]] | None, ...]
    intervals: tuple[tuple[Bound, Bound], ...]
    whole: tuple[tuple[Bound, Bound], ...]
    negated: bool = False
    offsets: Spans | None = None  # spans(0) where t only moves them: no calendar is involved

    def spans(self, t: int, fixed: Sequence[Moment | None] = ()) -> Spans:
        """The values of now for which the time t lies in the window.

        fixed: the anchors that do not move, in their places; others are not looked at. No span
        when one of them is missing.
        """
        if self.offsets is not None:
            return tuple(
                [
                    (a if a == NEVER_MS else a + t, b if b == FOREVER_MS else b + t)
                    for a, b in self.offsets
                ]
            )
        return self.computed(t, fixed) if fixed else _remembered(self, t)

    def computed(self, t: int, fixed: Sequence[Moment | None] = ()) -> Spans:
        """`spans` without a short cut."""
        found: list[tuple[int, int]] = []
        for anchor, moment in zip(self.anchors, fixed, strict=False):
            if anchor is None and moment is None:
                return ()
        for low, high in self._chosen(fixed):
            low_above = () if low.anchor is None else self._beyond(low, t, fixed)
            high_above = ALWAYS if high.anchor is None else self._beyond(high, t, fixed)
            found.extend(intersection(high_above, complement(low_above)))
        return complement(union(found)) if self.negated else union(found)

    def _chosen(self, fixed: Sequence[Moment | None]) -> tuple[tuple[Bound, Bound], ...]:
        moment = fixed[0] if fixed else None
        return self.intervals if moment is not None and moment.instant else self.whole

    def _beyond(self, bound: Bound, t: int, fixed: Sequence[Moment | None]) -> Spans:
        """The values of now for which the bound lies after t."""
        assert bound.anchor is not None, "an open end has no bound"
        anchor = self.anchors[bound.anchor]
        if anchor is None:
            moment = fixed[bound.anchor]
            assert moment is not None, "spans looked at every fixed anchor"
            return ALWAYS if bound.at(moment) > t else ()
        steps = (*anchor[bound.from_end], *bound.steps)
        return reaching(steps, t + 1)

    def held(self, fixed: Sequence[Moment | None]) -> Spans:
        """The times that lie in the window, all anchors being fixed; none when one is missing."""
        if None in fixed:
            return ()
        found = [
            (
                NEVER_MS if low.anchor is None else low.at(_of(fixed, low)),
                FOREVER_MS if high.anchor is None else high.at(_of(fixed, high)),
            )
            for low, high in self._chosen(fixed)
        ]
        return complement(union(found)) if self.negated else union(found)

    def moving(self, steps: Sequence[StepOf], fixed: Sequence[Moment | None]) -> Spans:
        """The values of now for which a time that moves with now lies in the window; all anchors
        are fixed."""
        if None in fixed:
            return ()
        found: list[tuple[int, int]] = []
        for low, high in self._chosen(fixed):
            after = ALWAYS if low.anchor is None else reaching(steps, low.at(_of(fixed, low)))
            before = () if high.anchor is None else reaching(steps, high.at(_of(fixed, high)))
            found.extend(intersection(after, complement(before)))
        return complement(union(found)) if self.negated else union(found)


# The same dates of birth, purchase and renewal are asked for on every page.
@lru_cache(maxsize=8192)
def _remembered(window: TimeWindow, t: int) -> Spans:
    return window.computed(t)


def _of(fixed: Sequence[Moment | None], bound: Bound) -> Moment:
    moment = fixed[bound.anchor or 0]
    assert moment is not None, "a missing anchor gives no spans"
    return moment


# ---- the forms --------------------------------------------------------------

Intervals = tuple[tuple[Bound, Bound], ...]
Moving = tuple[tuple[StepOf, ...], tuple[StepOf, ...]]

OPEN = Bound(None)
START = Bound(0)
AFTER_START = Bound(0, (Later(),))
NOW: Moving = ((), (Later(),))

# Where a period begins and ends, in units from the one that holds now.
PERIODS = {"last": -1, "this": 0, "next": 1}
DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


def period(unit: str, later: int) -> Moving:
    """The steps from now to the start and to the end of a calendar unit."""
    return (UnitStart(unit, later),), (UnitStart(unit, later + 1),)


def time_window(
    anchors: Sequence[Moving | None], forms: tuple[Intervals, Intervals], *, negated: bool = False
) -> TimeWindow:
    """The window of a form. forms: its intervals for an instant anchor and for a longer one."""
    instant, whole = forms
    if anchors and anchors[0] == NOW:
        whole = instant
    window = TimeWindow(tuple(anchors), instant, whole, negated)
    steps = [step for low, high in whole for bound in (low, high) for step in bound.steps]
    only_now = bool(anchors) and all(anchor == NOW for anchor in anchors)
    if not only_now or not all(map(_fixed_length, steps)):
        return window
    offsets = window.computed(0)
    return TimeWindow(tuple(anchors), instant, whole, negated, offsets)


def _fixed_length(step: StepOf) -> bool:
    return isinstance(step, Later) or (isinstance(step, Shift) and step.unit in FIXED_MS)


def distance(op: str, amount: int, unit: str, direction: str) -> tuple[Intervals, Intervals]:
    """`op amount unit direction anchor`; for "!=" the intervals of "="."""
    amount = min(amount, FOREVER_MS if unit in FIXED_MS else MAX_UNITS)
    back, on = _moved(-amount, unit), _moved(amount, unit)
    sides = {"before": (back,), "after": (on,), "from": (back, on)}[direction]
    if op in ("=", "!="):
        intervals = tuple(_same_unit(bound, unit) for bound in sides)
        return intervals, intervals
    strict = op in ("<", ">")
    if op in (">", ">="):
        early = (OPEN, back if strict else _later(back))
        late = (_later(on) if strict else on, OPEN)
        far = {"before": (early,), "after": (late,), "from": (early, late)}[direction]
        return far, far
    first = _later(back) if strict else back
    last = on if strict else _later(on)
    if direction == "before":
        return ((first, AFTER_START),), ((first, START),)
    if direction == "after":
        return ((START, last),), ((AFTER_START, last),)
    return ((first, last),), ((first, last),)


def _moved(amount: int, unit: str) -> Bound:
    return Bound(0, (Shift(amount, unit),))


def _later(bound: Bound) -> Bound:
    return Bound(bound.anchor, (*bound.steps, Later()), bound.from_end)


def _same_unit(bound: Bound, unit: str) -> tuple[Bound, Bound]:
    """Days and longer: the calendar unit the bound lies in. Shorter: that very instant."""
    if unit in FIXED_MS and FIXED_MS[unit] < DAY_MS:
        return bound, _later(bound)
    first = Bound(0, (*bound.steps, UnitStart(unit)))
    return first, Bound(0, (*bound.steps, UnitStart(unit, 1)))


def side(direction: str) -> tuple[Intervals, Intervals]:
    """`before`, `after` or `from` an anchor; after a day means after its end."""
    intervals = {
        "before": ((OPEN, START),),
        "after": ((Bound(0, from_end=True), OPEN),),
        "from": ((START, OPEN),),
    }[direction]
    return intervals, intervals


def on() -> tuple[Intervals, Intervals]:
    intervals = ((START, Bound(0, from_end=True)),)
    return intervals, intervals


def until() -> tuple[Intervals, Intervals]:
    """Before the end of the anchor: what `between` says of its second."""
    intervals = ((OPEN, Bound(0, from_end=True)),)
    return intervals, intervals


def between() -> tuple[Intervals, Intervals]:
    """From the start of the first anchor to the end of the second."""
    intervals = ((START, Bound(1, from_end=True)),)
    return intervals, intervals
