"""Instants and UTC calendar units as whole numbers of milliseconds.

All arithmetic is on integers: no year is too early or too late.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import Struct

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

FIXED_MS = {
    "millisecond": 1,
    "second": SECOND_MS,
    "minute": MINUTE_MS,
    "hour": HOUR_MS,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
}
MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000}

# 1970-01-01 was a Thursday; weeks start on Monday.
MONDAY_SHIFT = 3

Part = Literal["year", "month", "day"]


class Moment(Struct, frozen=True):
    """A time as the language knows it: [start, end) in epoch milliseconds.

    An instant is one millisecond long; a day or another calendar unit is longer.
    """

    start: int
    end: int

    @property
    def instant(self) -> bool:
        return self.end - self.start == 1


# ---- days and months --------------------------------------------------------


def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    # Years that begin in March put the leap day at their end.
    y = year - (month <= 2)
    era, of_era = divmod(y, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month of a day number."""
    era, of_era = divmod(day + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def month_length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def part_of(ms: int, part: str) -> int:
    """The year, the month (1 to 12) or the day of the month, UTC."""
    return civil(ms // DAY_MS)[("year", "month", "day").index(part)]


# ---- calendar units ---------------------------------------------------------


def unit_number(ms: int, unit: str) -> int:
    """Which of the units since some fixed one holds the instant; consecutive numbers."""
    if unit == "week":
        return (ms // DAY_MS + MONDAY_SHIFT) // 7
    if unit in FIXED_MS:
        return ms // FIXED_MS[unit]
    year, month, _ = civil(ms // DAY_MS)
    return (year * 12 + month - 1) // MONTHS[unit]


def unit_start(number: int, unit: str) -> int:
    """The first millisecond of the unit with that number."""
    if unit == "week":
        return (number * 7 - MONDAY_SHIFT) * DAY_MS
    if unit in FIXED_MS:
        return number * FIXED_MS[unit]
    year, month = divmod(number * MONTHS[unit], 12)
    return day_number(year, month + 1, 1) * DAY_MS


def next_unit_number(ms: int, unit: str) -> int:
    """The number of the first unit that starts at or after the instant."""
    number = unit_number(ms, unit)
    return number if unit_start(number, unit) == ms else number + 1


def shifted(ms: int, amount: int, unit: str) -> int:
    """The instant `amount` units later. Months and longer keep the time of day and clamp to the
    last day of the month."""
    if unit in FIXED_MS:
        return ms + amount * FIXED_MS[unit]
    day, time = divmod(ms, DAY_MS)
    return shifted_day(day, amount * MONTHS[unit]) * DAY_MS + time


def shifted_day(day: int, months: int) -> int:
    """Never goes back as `day` goes on, but several days may lead to one."""
    year, month, of_month = civil(day)
    year, month = divmod(year * 12 + month - 1 + months, 12)
    return day_number(year, month + 1, min(of_month, month_length(year, month + 1)))


def first_day_reaching(day: int, months: int) -> int:
    """The first day whose `shifted_day` is `day` or later."""
    # The day before this one leads to an earlier day, or to an earlier month.
    guess = shifted_day(day, -months)
    while shifted_day(guess, months) < day:
        guess += 1
    return guess


# ---- reading ----------------------------------------------------------------

ISO = re.compile(
    r"([+-]?\d{4,6})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?)?\Z",
    re.ASCII,
)


def moment(value: Any) -> Moment | None:
    """The time a value names: a Moment, ISO 8601 text or epoch milliseconds; else None.

    A date without time is the whole UTC day; no offset means UTC.
    """
    kind = type(value)
    if kind is int:
        return Moment(value, value + 1)
    if kind is str:
        return _read(value)
    if kind is Moment:
        found: Moment = value
        return found
    if kind is float and value - value == 0:
        return Moment(int(value // 1), int(value // 1) + 1)
    return None


def instant_of(value: Any) -> int | None:
    """The start of the time a value names."""
    if type(value) is int:
        return value
    found = moment(value)
    return None if found is None else found.start


def day(year: Any, month: Any, of_month: Any) -> Moment | None:
    """`date(y, m, d)`; None when there is no such day."""
    numbers = [_whole(part) for part in (year, month, of_month)]
    y, m, d = numbers
    if y is None or m is None or d is None or abs(y) > 1_000_000:
        return None
    if not 1 <= m <= 12 or not 1 <= d <= month_length(y, m):
        return None
    start = day_number(y, m, d) * DAY_MS
    return Moment(start, start + DAY_MS)


def _whole(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _read(text: str) -> Moment | None:
    match = ISO.match(text)
    if match is None:
        return None
    whole = day(int(match[1]), int(match[2]), int(match[3]))
    if whole is None or match[4] is None:
        return whole
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    offset = _offset_minutes(match[8])
    if hour > 24 or minute > 59 or second > 60 or offset is None:
        return None
    if hour == 24 and (minute or second):
        return None
    # What is finer than a millisecond is cut off.
    fraction = int((match[7] or "0").ljust(3, "0")[:3])
    start = whole.start + hour * HOUR_MS + (minute - offset) * MINUTE_MS
    start += second * SECOND_MS + fraction
    return Moment(start, start + 1)


def _offset_minutes(text: str | None) -> int | None:
    if text is None or text in "Zz":
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)


def iso(ms: int) -> str:
    """For people: 2026-03-15 12:30 UTC, with seconds only when there are some."""
    days, time = divmod(ms, DAY_MS)
    year, month, of_month = civil(days)
    date = f"{year:04d}-{month:02d}-{of_month:02d}"
    seconds, rest = divmod(time, SECOND_MS)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    if seconds % 60 or rest:
        clock += f":{seconds % 60:02d}"
    return f"{date} {clock} UTC"


def iso_exact(ms: int) -> str:
    """For programs, to the millisecond: 2026-03-15T12:30:00.000Z."""
    days, time = divmod(ms, DAY_MS)
    year, month, of_month = civil(days)
    seconds, rest = divmod(time, SECOND_MS)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
    return f"{year:04d}-{month:02d}-{of_month:02d}T{clock}Z"
