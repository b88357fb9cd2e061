"""Windows at times that stand in the rule: which instants lie in them, and whether any can."""

from __future__ import annotations

from collections.abc import Sequence

from perso_core.pql.instants import DAY_MS, Moment, day, moment
from perso_core.pql.kinds import is_now, literal, times_of
from perso_core.pql.nodes import (
    Between,
    Call,
    Constant,
    Distance,
    Node,
    On,
    Period,
    Side,
    TimeWord,
    Variable,
    Window,
)
from perso_core.pql.windows import (
    DAYS,
    PERIODS,
    Intervals,
    Spans,
    between,
    complement,
    distance,
    on,
    side,
    time_window,
)

INSTANT, WHOLE_DAY = Moment(0, 1), Moment(0, DAY_MS)


def fixed_time(node: Node) -> Moment | None:
    """The time that is written out there; None for anything else."""
    if isinstance(node, Constant):
        return moment(node.value) if isinstance(node.value, str) else None
    if not isinstance(node, Call) or node.name != "date":
        return None
    return day(*map(literal, node.args)) if len(node.args) == 3 else None


def times_in(window: Window) -> Spans | None:
    """The instants that lie in it; None where one of its times is not written out."""
    moments = [fixed_time(time) for time in times_of(window)]
    return None if None in moments else held(window, moments)


def compared(op: str, time: Moment) -> Spans:
    """The instants of which `instant op time` holds."""
    spans = {
        "<": _held_by(side("before"), time),
        ">": _held_by(side("after"), time),
        ">=": _held_by(side("from"), time),
        "<=": complement(_held_by(side("after"), time)),
    }
    inside = _held_by(on(), time)
    return spans.get(op) or (complement(inside) if op == "!=" else inside)


def _held_by(forms: tuple[Intervals, Intervals], *times: Moment) -> Spans:
    return time_window([None] * len(times), forms).held(times)


def held(window: Window, moments: Sequence[Moment | None]) -> Spans:
    """The instants in the window, with these for its times."""
    negated = isinstance(window, Distance) and window.op == "!="
    if isinstance(window, Distance):
        forms = distance(window.op, window.amount, window.unit, window.direction)
    elif isinstance(window, Side):
        forms = side(window.direction)
    else:
        forms = between() if isinstance(window, Between) else on()
    return time_window([None] * len(moments), forms, negated=negated).held(moments)


# ---- windows in which nothing lies ------------------------------------------


def never_between(window: Between) -> bool:
    """Whether its end lies before its beginning, whatever now is."""
    first, last = fixed_time(window.first), fixed_time(window.last)
    if first is not None and last is not None:
        return first.start >= last.end
    begins, ends = from_now(window.first), from_now(window.last)
    if begins is None or ends is None:
        return False
    (unit, first_at), (other, last_at) = begins, ends
    if unit == other:
        return first_at > last_at
    if "now" in (unit, other):
        return first_at > 0 or last_at < 0
    return first_at > 0 > last_at  # this month begins before, after or with this week


def from_now(node: Node) -> tuple[str, int] | None:
    """The calendar unit a time is, and how many of them after the one that holds now."""
    if is_now(node):
        return "now", 0
    if isinstance(node, TimeWord):
        return "day", DAYS[node.word]
    return (node.unit, PERIODS[node.which]) if isinstance(node, Period) else None


def never_distant(window: Distance) -> bool:
    """Whether no time is so far away: `< 0 days before now`, `<= 0 days before today`."""
    if window.op not in ("<", "<=") or window.amount > 1:
        return False
    return not any(held(window, [one]) for one in _lengths(window.time))


def _lengths(node: Node) -> list[Moment]:
    """A time as long as this one, of each length it may have."""
    found = fixed_time(node)
    if found is not None:
        return [found]
    if is_now(node):
        return [INSTANT]
    of_calendar = isinstance(node, TimeWord) or (
        isinstance(node, Period) and node.unit != "millisecond"
    )
    return [WHOLE_DAY] if of_calendar else [INSTANT, WHOLE_DAY]


def before_its_step(window: Window) -> bool:
    """Of a window that is measured from an earlier step of a chain: whether all of it lies before
    the instant after that step, where no later step can be."""
    if isinstance(window, Between):
        return isinstance(window.last, Variable)
    if not isinstance(window, Distance | Side | On) or not isinstance(window.time, Variable):
        return False
    if isinstance(window, On):
        return True
    if isinstance(window, Side):
        return window.direction == "before"
    if window.direction == "before":
        # That day, or that month, goes on after the step.
        return window.op != "!=" and (window.op != "=" or window.amount > 0)
    return window.op in ("<", "<=") and window.amount == 0
