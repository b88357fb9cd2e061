"""How far back of now a time window reaches, whatever now is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from math import gcd

from msgspec import Struct

from perso_core.pql.instants import DAY_MS, FIXED_MS, MONTHS, month_length
from perso_core.pql.nodes import Between, Distance, Node, On, Period, Side, TimeWord, Window
from perso_core.pql.windows import (
    DAYS,
    NOW,
    PERIODS,
    Bound,
    Intervals,
    Later,
    Moving,
    Shift,
    StepOf,
    UnitStart,
    between,
    distance,
    on,
    period,
    side,
)


class Lookback(Struct, frozen=True):
    """The ages that a window admits, at one now or another; milliseconds, negative in the future.

    farthest_ms: the greatest; None where there is none: the window is open to the past, or is
    measured from a time that does not move with now. nearest_ms: the least; None likewise.
    """

    farthest_ms: int | None
    nearest_ms: int | None


OPEN_BOTH = Lookback(None, None)


def lookback(window: Window) -> Lookback:
    """Exact for windows measured from now; for calendar units the longest that can come."""
    anchors, (instant, whole) = _read(window)
    if isinstance(window, Distance) and window.op == "!=":
        return OPEN_BOTH
    intervals = instant if anchors[0] == NOW else whole
    farthest = [_age(low, anchors, most=True) for low, _ in intervals]
    # The upper bound itself is outside.
    nearest = [_age(high, anchors, most=False) for _, high in intervals]
    return Lookback(
        None if None in farthest else max(one for one in farthest if one is not None),
        None if None in nearest else min(one for one in nearest if one is not None) + 1,
    )


def _read(window: Window) -> tuple[list[Moving | None], tuple[Intervals, Intervals]]:
    if isinstance(window, Between):
        return [_moving(window.first), _moving(window.last)], between()
    assert isinstance(window, Distance | Side | On), "there are four kinds of window"
    anchors = [_moving(window.time)]
    if isinstance(window, Distance):
        return anchors, distance(window.op, window.amount, window.unit, window.direction)
    return anchors, side(window.direction) if isinstance(window, Side) else on()


def _moving(time: Node) -> Moving | None:
    """The way from now to the start and the end of a time; None: it does not move with now."""
    if isinstance(time, TimeWord):
        return NOW if time.word == "now" else period("day", DAYS[time.word])
    return period(time.unit, PERIODS[time.which]) if isinstance(time, Period) else None


def _age(bound: Bound, anchors: Sequence[Moving | None], *, most: bool) -> int | None:
    """now less the bound: the greatest that can be, or the least."""
    anchor = None if bound.anchor is None else anchors[bound.anchor]
    if anchor is None:
        return None
    total, grain_ms = 0, 1
    for step in (*anchor[bound.from_end], *bound.steps):
        total += _back(step, grain_ms)[most]
        grain_ms = _grain(step, grain_ms)
    return total


def _grain(step: StepOf, before_ms: int) -> int:
    """Of what length of time the instant after the step is a whole multiple."""
    if isinstance(step, UnitStart):
        return min(FIXED_MS.get(step.unit, DAY_MS), DAY_MS)
    if isinstance(step, Shift):
        # Months keep the time of day.
        return gcd(before_ms, step.amount * FIXED_MS.get(step.unit, DAY_MS))
    return 1


def _back(step: StepOf, grain_ms: int) -> tuple[int, int]:
    """How far the step leads back: (least, most), negative for one that leads on."""
    if isinstance(step, Later):
        return -1, -1
    if isinstance(step, Shift):
        least, most = length_ms(abs(step.amount), step.unit)
        return (least, most) if step.amount < 0 else (-most, -least)
    assert isinstance(step, UnitStart), "there are three kinds of step"
    # A midnight is at most 6 days after the start of its week, and is the start of its day.
    longest = length_ms(1, step.unit)[1]
    within = longest - gcd(grain_ms, longest)
    if step.later <= 0:
        least, most = length_ms(-step.later, step.unit)
        return least, most + within
    return -length_ms(step.later, step.unit)[1], within - longest - length_ms(
        step.later - 1, step.unit
    )[0]


def length_ms(amount: int, unit: str) -> tuple[int, int]:
    """The shortest and the longest that so many units can be, in milliseconds."""
    if unit in FIXED_MS:
        return amount * FIXED_MS[unit], amount * FIXED_MS[unit]
    years4, months = divmod(amount * MONTHS[unit], 48)
    shortest, longest = _MONTHS_DAYS[months]
    return (years4 * 1461 + shortest) * DAY_MS, (years4 * 1461 + longest) * DAY_MS


def _runs() -> Iterable[tuple[int, int]]:
    """The fewest and the most days in n months on end, for n from 0 to 47. Every fourth year is a
    leap year: the exceptions only make runs shorter."""
    lengths = [month_length(year, month) for year in range(2020, 2024) for month in range(1, 13)]
    days = [0, *accumulate(chain.from_iterable(repeat(lengths, 2)))]
    for months in range(48):
        runs = [days[start + months] - days[start] for start in range(48)]
        yield min(runs), max(runs)


_MONTHS_DAYS = tuple(_runs())
