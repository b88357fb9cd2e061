"""Times for the plain evaluator: datetime in UTC, one question at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
# The calendar, weekdays included, comes again after 400 years: datetime needs to know only those
# from 1970 on.
CYCLE_MS = 146_097 * DAY_MS
LENGTHS_MS = {
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
}
MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1_200, "millennium": 12_000}


class Time(NamedTuple):
    """[start, end) in epoch milliseconds. instant: it stands for its start alone."""

    start: int
    end: int
    instant: bool = False


def instant(ms: int) -> Time:
    return Time(ms, ms + 1, True)


# ---- the calendar -----------------------------------------------------------


def calendar(ms: int) -> tuple[int, datetime]:
    """The year, and a datetime with the right month, day, weekday and time."""
    cycles, rest = divmod(ms, CYCLE_MS)
    when = EPOCH + timedelta(milliseconds=rest)
    return when.year + 400 * cycles, when


def midnight(year: int, month: int, day: int) -> int:
    """Raises ValueError when there is no such day."""
    cycles, of_cycle = divmod(year - 1970, 400)
    when = datetime(1970 + of_cycle, month, day, tzinfo=UTC)
    return cycles * CYCLE_MS + (when - EPOCH) // timedelta(milliseconds=1)


def parts(ms: int) -> dict[str, int]:
    year, when = calendar(ms)
    return {"Year": year, "Month": when.month, "DayOfMonth": when.day}


def later(ms: int, amount: int, unit: str) -> int:
    """`amount` units on; months and longer clamp to the last day of the month."""
    if unit in LENGTHS_MS:
        return ms + amount * LENGTHS_MS[unit]
    year, when = calendar(ms)
    year, month = divmod(year * 12 + when.month - 1 + amount * MONTHS[unit], 12)
    for day in range(when.day, 0, -1):
        try:
            return midnight(year, month + 1, day) + ms % DAY_MS
        except ValueError:
            continue
    raise AssertionError("every month has a first day")


def unit_around(ms: int, unit: str) -> Time:
    """The calendar unit that holds the instant."""
    if unit == "week":
        start = ms - ms % DAY_MS - calendar(ms)[1].weekday() * DAY_MS
    elif unit in LENGTHS_MS:
        start = ms - ms % LENGTHS_MS[unit]
    else:
        year, when = calendar(ms)
        month = when.month if unit == "month" else 1
        start = midnight(year - year % max(1, MONTHS[unit] // 12), month, 1)
    return Time(start, later(start, 1, unit))


def period(which: str, unit: str, now_ms: int) -> Time:
    """this, last or next unit."""
    here = unit_around(now_ms, unit)
    inside = {"this": here.start, "last": here.start - 1, "next": here.end}[which]
    return unit_around(inside, unit)


def word(name: str, now_ms: int) -> Time:
    if name == "now":
        return instant(now_ms)
    days = {"yesterday": -1, "today": 0, "tomorrow": 1}[name]
    return unit_around(now_ms + days * DAY_MS, "day")


def date(year: Any, month: Any, day: Any) -> Time | None:
    """None when there is no such day."""
    numbers = [int(n) for n in (year, month, day) if type(n) in (int, float) and n == n // 1]
    if len(numbers) < 3 or abs(numbers[0]) > 1_000_000:
        return None
    try:
        start = midnight(*numbers)
    except (ValueError, OverflowError):
        return None
    return Time(start, start + DAY_MS)


# ---- reading ----------------------------------------------------------------

WRITTEN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:Z|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def time_of(value: Any) -> Time | None:
    """What time a value of the profile names: ISO 8601 or epoch milliseconds."""
    if isinstance(value, Time):
        return value
    if type(value) in (int, float):
        return instant(int(value // 1))
    if type(value) is not str or (found := WRITTEN.fullmatch(value)) is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups("0")
    try:
        start = midnight(int(year), int(month), int(day))
        clock = timedelta(hours=int(hour), minutes=int(minute), seconds=int(second))
        if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
            return None
    except ValueError:
        return None
    if found[4] is None:
        return Time(start, start + DAY_MS)
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    start += (clock - offset) // timedelta(milliseconds=1)
    return instant(start + int(fraction.ljust(3, "0")[:3]))


# ---- windows ----------------------------------------------------------------

TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def beside(t: int, direction: str, anchor: Time) -> bool:
    """`t occurs before anchor`, after or from it."""
    if direction == "before":
        return t < anchor.start
    return t >= anchor.end if direction == "after" else t >= anchor.start


def distant(t: int, op: str, amount: int, unit: str, direction: str, anchor: Time) -> bool:
    """`t occurs op amount unit direction anchor`: the table of pql.md §4, row by row."""
    amount = min(amount, 10**9 if unit in MONTHS else 2**62)
    back, on = later(anchor.start, -amount, unit), later(anchor.start, amount, unit)
    if op == "!=":
        return not distant(t, "=", amount, unit, direction, anchor)
    if op == "=":
        goals = {"before": [back], "after": [on], "from": [back, on]}[direction]
        if unit in LENGTHS_MS and LENGTHS_MS[unit] < DAY_MS:
            return t in goals
        return any(unit_around(goal, unit) == unit_around(t, unit) for goal in goals)
    if op in (">", ">="):
        early, late = TESTS[op](back, t), TESTS[op](t, on)
        return {"before": early, "after": late, "from": early or late}[direction]
    near_back, near_on = TESTS[op](back, t), TESTS[op](t, on)
    if direction == "from":
        return near_back and near_on
    if direction == "before":
        return near_back and (t <= anchor.start if anchor.instant else t < anchor.start)
    return near_on and (t >= anchor.start if anchor.instant else t > anchor.start)


def compared(op: str, one: Time, other: Time) -> bool:
    """`one op other`, a time and the period it is compared with: `one` counts as its start."""
    t = one.start
    return {
        "=": other.start <= t < other.end,
        "!=": not other.start <= t < other.end,
        "<": t < other.start,
        "<=": t < other.end,
        ">": t >= other.end,
        ">=": t >= other.start,
    }[op]
