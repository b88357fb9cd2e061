"""Windows against a second, plain reading of the reference: datetime and no cleverness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.compiler import FOREVER_MS, compile_rule
from perso_core.pql.instants import civil, day_number, moment, unit_number, unit_start
from tests.pql import making
from tests.pql.making import DAY_MS, HOUR_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
OPS: dict[str, Callable[[datetime, datetime], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def at(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def months_on(when: datetime, months: int) -> datetime:
    years, month = divmod(when.month - 1 + months, 12)
    for clamped in (when.day, 30, 29, 28):
        try:
            return when.replace(year=when.year + years, month=month + 1, day=clamped)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def units_on(when: datetime, amount: int, unit: str) -> datetime:
    if unit in ("month", "year"):
        return months_on(when, amount * (12 if unit == "year" else 1))
    return when + timedelta(**{f"{unit}s": amount})


def unit_of(when: datetime, unit: str) -> tuple[datetime, datetime]:
    first = when.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "week":
        first -= timedelta(days=first.weekday())
    if unit in ("month", "year"):
        first = first.replace(day=1)
    if unit == "year":
        first = first.replace(month=1)
    return first, units_on(first, 1, unit)


def anchor(word: str, now: datetime) -> tuple[datetime, datetime]:
    if word == "now":
        return now, now + MS
    if word in ("yesterday", "today", "tomorrow"):
        shift = timedelta(days=("yesterday", "today", "tomorrow").index(word) - 1)
        return unit_of(now + shift, "day")
    which, unit = word.split()
    first, _ = unit_of(now, unit)
    first = units_on(first, {"last": -1, "this": 0, "next": 1}[which], unit)
    return unit_of(first, unit)


def distance_holds(
    t: datetime, op: str, amount: int, unit: str, side: str, word: str, now: datetime
) -> bool:
    start, end = anchor(word, now)
    whole = end - start > MS
    back, on = units_on(start, -amount, unit), units_on(start, amount, unit)
    if side == "from":
        if op in ("=", "!="):
            near = any(same_unit(t, bound, unit) for bound in (back, on))
            return near is (op == "=")
        if op in ("<", "<="):
            return back < t < on if op == "<" else back <= t <= on
        return t < back or t > on if op == ">" else t <= back or t >= on
    bound = back if side == "before" else on
    if op in ("=", "!="):
        return same_unit(t, bound, unit) is (op == "=")
    if op in (">", ">="):
        return OPS[op](bound, t) if side == "before" else OPS[op](t, bound)
    if side == "before":
        inside = t < start if whole else t <= start
        return inside and OPS[op](bound, t)
    inside = t > start if whole else t >= start
    return inside and OPS[op](t, bound)


def same_unit(t: datetime, bound: datetime, unit: str) -> bool:
    if unit in ("millisecond", "hour"):
        return t == bound
    first, last = unit_of(bound, unit)
    return first <= t < last


words = st.sampled_from(
    ["now", "today", "yesterday", "tomorrow", "this month", "last week", "next year", "last day"]
)
shifts = st.sampled_from(["millisecond", "hour", "day", "week", "month", "year"])


@given(
    making.instants,
    making.comparisons,
    st.integers(0, 40),
    shifts,
    making.directions,
    words,
    making.instants,
)
def test_a_distance_means_what_the_reference_says(
    t: int, op: str, amount: int, unit: str, side: str, word: str, now_ms: int
) -> None:
    wanted = distance_holds(at(t), op, amount, unit, side, word, at(now_ms))
    rule = compile_rule(f"t occurs {op} {amount} {unit} {side} {word}")

    assert rule.evaluate({"t": t}, now_ms).holds is wanted


@given(
    st.integers(0, 40),
    shifts,
    making.comparisons,
    making.directions,
    words,
    making.instants,
    st.sampled_from([-1, 0, 1]),
)
def test_a_distance_is_right_a_millisecond_either_side_of_its_bound(
    amount: int, unit: str, op: str, side: str, word: str, now_ms: int, step: int
) -> None:
    start, _ = anchor(word, at(now_ms))
    bound = units_on(start, -amount if side == "before" else amount, unit) + step * MS
    t = (bound - EPOCH) // MS
    wanted = distance_holds(bound, op, amount, unit, side, word, at(now_ms))
    rule = compile_rule(f"t occurs {op} {amount} {unit} {side} {word}")

    assert rule.evaluate({"t": t}, now_ms).holds is wanted


@given(making.moving_windows, making.instants, making.instants)
def test_a_window_ends_to_the_millisecond(window: str, t: int, now_ms: int) -> None:
    rule = compile_rule(f"t occurs {window}")
    view = {"t": t}

    verdict = rule.evaluate(view, now_ms)

    assert rule.evaluate(view, verdict.until_ms - 1).holds is verdict.holds
    if verdict.until_ms < FOREVER_MS:
        assert rule.evaluate(view, verdict.until_ms).holds is not verdict.holds


def ms(text: str) -> int:
    found = moment(text)
    assert found is not None
    return found.start


@pytest.mark.parametrize(
    ("rule", "t", "now", "until"),
    [
        ("t occurs <= 1 hour before now", "T12:00", "T12:30", "T13:00:00.001"),
        ("t occurs < 1 hour before now", "T12:00", "T12:30", "T13:00"),
        ("t occurs >= 1 hour before now", "T12:00", "T12:30", "T13:00"),
        ("t occurs > 1 hour before now", "T12:00", "T12:30", "T13:00:00.001"),
        ("t occurs <= 1 hour before now", "T14:00", "T12:30", "T14:00"),
        ("t occurs today", "T12:00", "T12:30", "T24:00"),
        ("t occurs <= 48 hours after now", "T20:00", "T12:30", "T20:00:00.001"),
    ],
)
def test_an_answer_ends_at_the_instant_an_author_would_name(
    rule: str, t: str, now: str, until: str
) -> None:
    date = "2026-03-10"

    verdict = compile_rule(rule).evaluate({"t": f"{date}{t}"}, ms(f"{date}{now}"))

    assert verdict.until_ms == ms(f"{date}{until}")


@pytest.mark.parametrize(
    ("rule", "now", "holds", "until"),
    [
        # The whole day counts, on whichever side it stands.
        ("now <= date(2026, 3, 29)", "29T12:00", True, "30T00:00"),
        ("now = date(2026, 3, 29)", "29T12:00", True, "30T00:00"),
        ("now > date(2026, 3, 29)", "29T00:00:00.001", False, "30T00:00"),
        ("date(2026, 3, 29) >= now", "29T12:00", True, "30T00:00"),
        ("date(2026, 3, 29) < now", "29T12:00", False, "30T00:00"),
        ("now < date(2026, 3, 29)", "28T23:59", True, "29T00:00"),
        # The time of day.
        ("now occurs <= 17 hours after today", "10T09:00", True, "10T17:00:00.001"),
        ("now occurs <= 17 hours after today", "10T18:00", False, "11T00:00:00.001"),
        ("now occurs < 2 hours before tomorrow", "10T12:00", False, "10T22:00:00.001"),
        ("now occurs <= 90 minutes after this hour", "10T12:59", True, "10T13:00"),
        # Days against longer periods.
        ("today occurs this month", "31T12:00", True, None),
        ("yesterday occurs this month", "01T12:00", False, "02T00:00"),
        ("tomorrow occurs this week", "13T12:00", True, "15T00:00"),
        ("today occurs >= 9 days after this month", "09T12:00", False, "10T00:00"),
        ("today occurs before now", "10T12:00", True, "11T00:00"),
        ("today > yesterday", "10T12:00", True, None),
        ("now > today", "10T12:00", False, None),
    ],
)
def test_two_times_that_move_with_now_are_compared(
    rule: str, now: str, holds: bool, until: str | None
) -> None:
    verdict = compile_rule(rule).evaluate({}, ms(f"2026-03-{now}"))

    assert verdict.holds is holds
    if until is not None:
        assert verdict.until_ms == ms(f"2026-03-{until}" + ":00" * (len(until) == 5))


@pytest.mark.parametrize(
    ("t", "holds", "until"),
    [
        # A month before 31 March at 10 is 28 February at 10; before 30 April, 30 March.
        ("2026-02-28T10:00:00Z", True, "2026-03-31T11:00"),
        ("2026-02-28T09:59:59Z", False, None),
        ("2026-03-31T09:00:00Z", True, "2026-05-01T00:00"),
        ("2026-03-31T10:00:00Z", False, "2026-03-31T11:00"),
    ],
)
def test_months_are_counted_from_an_hour(t: str, holds: bool, until: str | None) -> None:
    verdict = compile_rule("t occurs <= 1 month before this hour").evaluate(
        {"t": t}, ms("2026-03-31T10:30")
    )

    assert (verdict.holds, verdict.until_ms) == (holds, ms(until) if until else FOREVER_MS)


def test_a_month_that_clamps_may_hold_again_for_a_few_hours() -> None:
    # 29 March at 9 looks back to 28 February at 9, as 28 March at 9 did.
    rule = compile_rule("t occurs <= 1 month before now")
    view = {"t": "2026-02-28T10:00:00Z"}

    answers = [rule.evaluate(view, ms("2026-03-28T10:00")).holds]
    answers.append(rule.evaluate(view, ms("2026-03-28T10:00:00.001")).holds)
    again = rule.evaluate(view, ms("2026-03-28T11:00"))
    answers.append(rule.evaluate(view, again.until_ms).holds)

    assert answers == [True, False, True]
    assert again.until_ms == ms("2026-03-29")


def test_an_event_from_the_future_enters_its_window_when_its_time_comes() -> None:
    rule = compile_rule("CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(<= 1 hour before now)])")
    view = {"xEvent": [{"timestamp": ms("2026-03-10T12:00"), "a": 1}]}

    before = rule.evaluate(view, ms("2026-03-10T11:00"))
    inside = rule.evaluate(view, before.until_ms)

    assert (before.holds, before.until_ms) == (False, ms("2026-03-10T12:00"))
    assert (inside.holds, inside.until_ms) == (True, ms("2026-03-10T13:00:00.001"))


@pytest.mark.parametrize(
    "rule",
    [
        "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1)])",
        "xEvent[a = 1].count() > 0",
        "xEvent.exists(a = 1)",
        "xEvent.a = 1",
        "not(xEvent[a = 1].count() = 0)",
        "(select X from xEvent where X.a = 1)",
    ],
)
def test_an_event_matters_as_long_as_the_event_window_says(rule: str) -> None:
    compiled = compile_rule(rule, event_window_ms=2 * DAY_MS)
    view = {"xEvent": [{"timestamp": 1_000, "a": 1}]}

    verdict = compiled.evaluate(view, 5_000)

    assert (verdict.holds, verdict.until_ms) == (True, 1_000 + 2 * DAY_MS + 1)
    assert compiled.evaluate(view, verdict.until_ms).holds is False
    assert compiled.evaluate(view, verdict.until_ms).until_ms == FOREVER_MS


def test_days_and_dates_agree_with_the_calendar() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    for number in range(0, 3_600_000, 997):
        date = first + timedelta(days=number)
        found = day_number(date.year, date.month, date.day)
        assert at(found * DAY_MS) == date
        assert civil(found) == (date.year, date.month, date.day)


@given(st.integers(-(10**14), 10**14), making.units)
def test_calendar_units_follow_one_another_without_a_gap(instant_ms: int, unit: str) -> None:
    number = unit_number(instant_ms, unit)

    assert unit_start(number, unit) <= instant_ms < unit_start(number + 1, unit)
    assert unit_number(unit_start(number, unit), unit) == number


def test_what_counts_as_a_time() -> None:
    day = ms("2026-03-10")

    assert moment("2026-03-10") == moment("2026-03-10") is not None
    assert moment("2026-03-10T01:00+01:00") is not None
    assert ms("2026-03-10T01:00+01:00") == day
    assert ms("2026-03-10T00:00:00.1239Z") == day + 123
    assert ms("2026-03-10T24:00") == day + 24 * HOUR_MS
    for text in ("today", "2026-02-30", "2026-13-01", "20260310", "2026-03-10T25:00", ""):
        assert moment(text) is None
    assert moment(True) is None
    assert moment(1.9) == moment(1)
