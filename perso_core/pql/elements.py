"""Functions over the elements of lists, and over the profile's events while they matter.

A function of an element takes (element, now). Those over events note until when their answer holds:
only events that take part in the answer count, so the instant stays close to the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from perso_core.pql.chains import Now, counts, life_end
from perso_core.pql.instants import (
    Moment,
    instant_of,
    moment,
    part_of,
    unit_number,
    unit_start,
)
from perso_core.pql.values import (
    NUMBERS,
    aggregate,
    group_key,
    group_value,
    items_of,
    key_of,
    walk,
)
from perso_core.pql.windows import FOREVER_MS, StepOf, TimeWindow, union

OfElement = Callable[[Any, Now], Any]

# What a loop costs however few its elements are.
LOOP_STEPS = 4
# What putting one element in order, or into its group, costs beside testing it.
SORT_STEPS = 3
GROUP_STEPS = 6
# What one event costs beside an element of a list: its time is read and its end noted.
EVENT_STEPS = 3
# What a word of the calendar costs. It spares looks at what follows; it ends nothing.
CALENDAR_STEPS = 10


class Entry(tuple[Any, Any]):
    """`mapEntry(key, value)`."""

    __slots__ = ()


# ---- lists ------------------------------------------------------------------


def gone_through(items: Any, now: Now, *, cost: int = 1) -> list[Any]:
    """What a loop goes through. cost: steps for each. Raises StepsSpent when that is too much."""
    found = items_of(items)
    now.spend(LOOP_STEPS + cost * len(found))
    return found


def where(items: Any, condition: OfElement, now: Now) -> list[Any]:
    return [item for item in gone_through(items, now) if condition(item, now)]


def any_of(items: Any, condition: OfElement, now: Now) -> bool:
    # A generator costs as much as the condition.
    for item in gone_through(items, now):  # noqa: SIM110 for that reason
        if condition(item, now):
            return True
    return False


def all_of(items: Any, condition: OfElement, now: Now) -> bool:
    return all(condition(item, now) for item in gone_through(items, now))


def selected(items: Any, condition: OfElement, chosen: OfElement, now: Now) -> list[Any]:
    """What `chosen` lists for each element that satisfies the condition, one list after another."""
    return [
        one
        for item in gone_through(items, now)
        if condition(item, now)
        for one in chosen(item, now)
    ]


def measured(function: str, items: Any, measure: OfElement, now: Now) -> Any:
    """sum, average, min or max of a measure of each element."""
    return aggregate(function, [measure(item, now) for item in gone_through(items, now)])


def mapped(items: Any, of: OfElement, now: Now) -> Any:
    """A value for each element; entries become a map."""
    found = [of(item, now) for item in gone_through(items, now)]
    return _gathered([value for value in found if value is not None])


def mapped_pairs(groups: Any, of: Callable[[Any, Any, Now], Any], now: Now) -> Any:
    """As `mapped`, for each key and value of a map."""
    pairs = groups.items() if isinstance(groups, Mapping) else ()
    now.spend(LOOP_STEPS + len(pairs))
    return _gathered([of(group_value(key), value, now) for key, value in pairs])


def _gathered(found: list[Any]) -> Any:
    entries = [value for value in found if type(value) is Entry]
    return {group_key(key): value for key, value in entries} if entries else found


def grouped(items: Any, key: OfElement, now: Now) -> dict[Any, list[Any]]:
    """Elements by their key, first seen first; those without a key are left out."""
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    for item in gone_through(items, now, cost=GROUP_STEPS):
        value = key(item, now)
        if value is not None:
            groups.setdefault(key_of(value), (value, []))[1].append(item)
    return {group_key(value): group for value, group in groups.values()}


def top(items: Any, key: OfElement, number: Any, now: Now, largest: bool) -> list[Any]:
    """The elements with the largest (or smallest) keys, in that order; ties keep theirs."""
    if type(number) is float and number.is_integer():
        number = int(number)
    if type(number) is not int or number < 0:
        return []
    keyed = [
        (_sortable(key(item, now)), item) for item in gone_through(items, now, cost=SORT_STEPS)
    ]
    kept = [pair for pair in keyed if pair[0] is not None]
    texts = [pair for pair in kept if isinstance(pair[0], str)]
    numbers = [pair for pair in kept if not isinstance(pair[0], str)]
    # Python keeps the order of equal keys in both directions.
    for group in (numbers, texts):
        group.sort(key=lambda pair: pair[0], reverse=largest)
    ordered = texts + numbers if largest else numbers + texts
    return [item for _, item in ordered[:number]]


def _sortable(key: Any) -> Any:
    if isinstance(key, str):
        at = instant_of(key)
        return key if at is None else at
    return key if type(key) in NUMBERS else instant_of(key)


# ---- events -----------------------------------------------------------------


def alive(view: Mapping[str, Any], life_ms: int, now: Now) -> Iterator[tuple[Any, int]]:
    """The events that matter now, latest arrival first, each with the instant its life ends."""
    found = raw_events(view)
    now.spend(EVENT_STEPS * (LOOP_STEPS + len(found)))
    for event in reversed(found):
        ends = life_end(event, life_ms)
        if ends > now.ms:
            yield event, ends


def events(view: Mapping[str, Any], life_ms: int, now: Now) -> list[Any]:
    """All of them, oldest first; the list changes when the first of them ends."""
    return _noted(alive(view, life_ms, now), now)


def _noted(found: Iterable[tuple[Any, int]], now: Now) -> list[Any]:
    kept = []
    for event, ends in found:
        now.flips(ends)
        kept.append(event)
    kept.reverse()
    return kept


def events_where(
    view: Mapping[str, Any], life_ms: int, condition: OfElement, now: Now
) -> list[Any]:
    return _noted((pair for pair in alive(view, life_ms, now) if condition(pair[0], now)), now)


def any_event(view: Mapping[str, Any], life_ms: int, condition: OfElement, now: Now) -> bool:
    """The one of longest life decides: without it there is none."""
    best = max(
        (ends for event, ends in alive(view, life_ms, now) if condition(event, now)), default=None
    )
    if best is not None:
        now.flips(best)
    return best is not None


def all_events(view: Mapping[str, Any], life_ms: int, condition: OfElement, now: Now) -> bool:
    """False as long as the one that fails and lives longest; an event that ends cannot make it
    false."""
    worst = max(
        (ends for event, ends in alive(view, life_ms, now) if not condition(event, now)),
        default=None,
    )
    if worst is not None:
        now.flips(worst)
    return worst is None


def events_selected(
    view: Mapping[str, Any], life_ms: int, condition: OfElement, chosen: OfElement, now: Now
) -> list[Any]:
    kept = events_where(view, life_ms, condition, now)
    return [one for event in kept for one in chosen(event, now)]


def events_counted(
    view: Mapping[str, Any], life_ms: int, condition: OfElement, op: str, wanted: float, now: Now
) -> bool:
    """`xEvent[condition].count() op wanted`, noting when that changes rather than when one of the
    events ends."""
    ends = sorted(ends for event, ends in alive(view, life_ms, now) if condition(event, now))
    holds = counts(op, len(ends), wanted)
    for gone, at in enumerate(ends, 1):
        together = gone < len(ends) and ends[gone] == at
        if not together and counts(op, len(ends) - gone, wanted) is not holds:
            now.flips(at)
            break
    return holds


def of_events(
    view: Mapping[str, Any], life_ms: int, segments: Sequence[str], now: Now
) -> list[Any]:
    """`xEvent.segments`: only events that have something there take part."""
    kept = events_where(view, life_ms, lambda e, _: walk(e, segments) not in (None, []), now)
    found: list[Any] = []
    for event in kept:
        value = walk(event, segments)
        found.extend(value if isinstance(value, list) else [value])
    return found


def raw_events(view: Mapping[str, Any]) -> list[Any]:
    found = view.get("xEvent")
    return found if isinstance(found, list) else []


# ---- time -------------------------------------------------------------------


def occurs(now: Now, window: TimeWindow, value: Any, fixed: Sequence[Moment | None]) -> bool:
    """Whether the time lies in the window; of a list, any of its times."""
    if isinstance(value, list):
        times = [at for at in map(instant_of, value) if at is not None]
        return now.within(union([span for at in times for span in window.spans(at, fixed)]))
    at = instant_of(value)
    return at is not None and now.within(window.spans(at, fixed))


def now_occurs(
    now: Now, window: TimeWindow, steps: Sequence[StepOf], fixed: Sequence[Moment | None]
) -> bool:
    """The same for a time that moves with now."""
    return now.within(window.moving(steps, fixed))


def current(now: Now, part: str) -> int:
    """The running year, month or day of the month."""
    now.steps -= CALENDAR_STEPS
    now.flips(unit_start(unit_number(now.ms, part) + 1, part))
    return part_of(now.ms, part)


# The longest runs of units without one like the first: February after February, the 31st of
# every other month.
LONGEST_RUN = {"month": 12, "day": 62}


def current_is(now: Now, part: str, op: str, value: Any) -> bool:
    """`currentMonth() op value`, noting when that changes rather than when the month does."""
    if type(value) not in NUMBERS:
        if isinstance(value, list):
            return True in [current_is(now, part, op, one) for one in value]
        # A text is no number: unequal to it for good, and without an order.
        return op == "!=" and value is not None
    holds = counts(op, part_of(now.ms, part), value)
    number = unit_number(now.ms, part)
    if part == "year":
        # It changes at the start of that year or of the one after it, or never.
        nearest = [number + 1, int(value // 1), int(value // 1) + 1]
        later = sorted(year for year in nearest if year > number)
    else:
        later = list(range(number + 1, number + LONGEST_RUN[part] + 1))
    for one in later:
        at = unit_start(one, part)
        if counts(op, part_of(at, part), value) is not holds:
            now.flips(min(at, FOREVER_MS))
            break
    return holds


def running(now: Now, moving: tuple[Sequence[StepOf], Sequence[StepOf]], unit: str) -> Moment:
    """now, today or a calendar unit as a value; it is another one when the next unit begins."""
    now.steps -= CALENDAR_STEPS
    now.flips(unit_start(unit_number(now.ms, unit) + 1, unit))
    start = end = now.ms
    for step in moving[0]:
        start = step.apply(start)
    for step in moving[1]:
        end = step.apply(end)
    return Moment(start, end)


def part_of_time(value: Any, part: str) -> int | None:
    at = instant_of(value)
    return None if at is None else part_of(at, part)


def fixed_moment(value: Any) -> Moment | None:
    return moment(value)
