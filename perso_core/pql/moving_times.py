"""Windows that move with now: whether some instant can lie in several of them together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from perso_core.pql.fixed_times import from_now, held
from perso_core.pql.instants import DAY_MS, Moment, day_number, unit_number, unit_start
from perso_core.pql.kinds import times_of
from perso_core.pql.nodes import Node, Window
from perso_core.pql.windows import Spans, intersection

# The first and the last instant of each day of four years, one of them a leap year: whatever a
# calendar can do to windows of days, weeks, months and years it does in these.
FIRST, DAYS = day_number(2023, 12, 25), 4 * 366
SAMPLES = tuple(
    (FIRST + number) * DAY_MS + more for number in range(DAYS) for more in (0, DAY_MS - 1)
)
# Of longer units four years tell nothing.
LONG = frozenset(("decade", "century", "millennium"))


def moves_alone(window: Window) -> bool:
    """Whether it is measured from now and its calendar alone."""
    found = [from_now(time) for time in times_of(window)]
    units = {getattr(window, "unit", "day"), *(one[0] for one in found if one is not None)}
    return None not in found and not units & LONG


def never_meet(windows: Sequence[Window]) -> bool:
    """Whether no instant lies in all of them, whatever now is. windows: such as move alone.
    O(samples) where they hardly ever meet."""
    return not any(reduce(intersection, _all_at(windows, now)) for now in SAMPLES)


def never_later(one: Sequence[Window], other: Sequence[Window]) -> bool:
    """Whether no instant in all of the others is later than one in all of the first."""
    for now in SAMPLES:
        first = reduce(intersection, _all_at(one, now))
        last = reduce(intersection, _all_at(other, now))
        if first and last and last[-1][1] - 1 > first[0][0]:
            return False
    return True


def _all_at(windows: Sequence[Window], now: int) -> list[Spans]:
    return [held(window, [_at(time, now) for time in times_of(window)]) for window in windows]


def _at(node: Node, now: int) -> Moment:
    found = from_now(node)
    assert found is not None, "moves_alone looked"
    unit, later = found
    if unit == "now":
        return Moment(now, now + 1)
    number = unit_number(now, unit) + later
    return Moment(unit_start(number, unit), unit_start(number + 1, unit))
