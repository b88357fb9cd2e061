"""Shapes of what asks for time: windows, parts of the calendar, chains of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

from perso_core.pql import syntax as py
from perso_core.pql.chains import Anchored, ChainStep
from perso_core.pql.emitter import Emitter
from perso_core.pql.kinds import is_now, moves, times_of, type_of
from perso_core.pql.nodes import (
    NOWHERE,
    And,
    Between,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
    Events,
    Method,
    Node,
    Occurs,
    On,
    Path,
    Period,
    Side,
    Step,
    TimeWord,
    Variable,
    Window,
)
from perso_core.pql.syntax import Shape
from perso_core.pql.windows import (
    DAYS,
    FOREVER_MS,
    NOW,
    OPEN,
    PERIODS,
    START,
    Bound,
    Intervals,
    Moving,
    TimeWindow,
    between,
    distance,
    on,
    period,
    side,
    time_window,
    until,
)

CURRENT = {"currentMonth": "month", "currentYear": "year", "currentDayOfMonth": "day"}
PARTS = {"getMonth": "month", "getYear": "year", "getDayOfMonth": "day"}
# `one op other` with its sides exchanged.
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def time(emitter: Emitter, node: TimeWord | Period) -> Shape:
    moving = moving_of(node)
    unit = "day"
    if isinstance(node, Period):
        unit = node.unit
    elif node.word == "now":
        unit = "millisecond"
    return py.call("running", "now", emitter.constant(moving), py.text(unit))


def part_of_now(node: Node) -> str | None:
    """The part of the calendar it asks for: currentMonth() or today.getMonth()."""
    if isinstance(node, Call):
        return CURRENT.get(node.name)
    if not isinstance(node, Method) or not isinstance(node.base, TimeWord):
        return None
    return PARTS.get(node.name) if node.base.word in ("now", "today") else None


def moving_of(node: Node) -> Moving | None:
    """The steps from now to a time that moves with it."""
    if isinstance(node, Period):
        return period(node.unit, PERIODS[node.which])
    if isinstance(node, TimeWord):
        return NOW if node.word == "now" else period("day", DAYS[node.word])
    return None


# ---- windows ----------------------------------------------------------------


def occurs(emitter: Emitter, node: Occurs) -> Shape:
    times = times_of(node.window)
    compiled = _window(emitter, node.window, times, still=is_now(node.left))
    return occurring(emitter, node.left, compiled, times)


def compare_times(emitter: Emitter, node: Compare) -> Shape:
    """A typed time against anything: the same windows as `occurs` has."""
    left, right, op = node.left, node.right, str(node.op)
    # The period is what an instant is compared with, wherever it stands.
    if type_of(right) != "time" or (is_now(right) and type_of(left) == "time"):
        left, right, op = right, left, FLIPPED[op]
    end = Bound(0, from_end=True)
    intervals: Intervals = {
        "<": ((OPEN, START),),
        "<=": ((OPEN, end),),
        ">": ((end, OPEN),),
        ">=": ((START, OPEN),),
    }.get(op, ((START, end),))
    anchors = _anchors((right,), still=is_now(left))
    window = time_window(anchors, (intervals, intervals), negated=op == "!=")
    return occurring(emitter, left, emitter.constant(window), (right,))


def occurring(emitter: Emitter, left: Node, compiled: str, times: Sequence[Node]) -> Shape:
    """compiled: the name of the window; where left is now, of one whose anchors keep still."""
    if is_now(left):
        # Periods are asked for once: an answer ends in any case where one begins.
        moments = py.tuple_of(*[_moment(emitter, time) for time in times])
        return py.call("now_occurs", "now", compiled, emitter.constant(NOW[0]), moments)
    fixed = fixed_moments(emitter, times)
    moving = moving_of(left)
    if moving is None or any(map(moves, times)):
        return py.call("occurs", "now", compiled, emitter.value(left), fixed)
    return py.call("now_occurs", "now", compiled, emitter.constant(moving[0]), fixed)


def _anchors(times: Sequence[Node], *, still: bool) -> tuple[Moving | None, ...]:
    """How each time moves. still: as if none did."""
    return tuple([None if still else moving_of(time) for time in times])


def _moment(emitter: Emitter, time: Node) -> Shape:
    return py.call("fixed_moment", emitter.value(time))


def fixed_moments(emitter: Emitter, times: Sequence[Node]) -> Shape:
    """The anchors that do not move, in their places; none at all when all move."""
    if all(map(moves, times)):
        return py.tuple_of()
    return py.tuple_of(*[None if moves(time) else _moment(emitter, time) for time in times])


# A window, and whether it takes the amount of its Distance.
Made = tuple[Callable[..., TimeWindow], bool]


def _window(emitter: Emitter, window: Window, times: Sequence[Node], *, still: bool) -> str:
    """The name of the window."""
    make, takes = _made(window, _anchors(times, still=still))
    if not takes or not isinstance(window, Distance):
        return emitter.constant(make())
    return emitter.written([_amount(window)], lambda amounts: make(*amounts))


def _amount(window: Distance) -> Constant:
    return Constant(window.amount, window.amount_at)


def _made(window: Window, anchors: tuple[Moving | None, ...]) -> Made:
    if isinstance(window, Distance):
        return _distances(window.op, window.unit, window.direction, anchors), True
    form = window.direction if isinstance(window, Side) else type(window)
    return partial(_plain, form, anchors), False


# Rules ask for the same windows over and over; working one out takes as long as parsing it.
@lru_cache(maxsize=256)
def _distances(
    op: str, unit: str, direction: str, anchors: tuple[Moving | None, ...]
) -> Callable[[int], TimeWindow]:
    """The window by its amount."""

    @lru_cache(maxsize=64)
    def found(amount: int) -> TimeWindow:
        forms = distance(op, amount, unit, direction)
        return time_window(anchors, forms, negated=op == "!=")

    return found


@lru_cache(maxsize=256)
def _plain(form: str | type[Window], anchors: tuple[Moving | None, ...]) -> TimeWindow:
    if isinstance(form, str):
        return time_window(anchors, side(form))
    if form is Until:
        return time_window(anchors, until())
    return time_window(anchors, between() if form is Between else on())


class Until(On, frozen=True, eq=False):
    """Before the end of a time."""


def _parted(windows: Sequence[Window], labels: Sequence[str]) -> Iterator[Window]:
    """The windows, with one between a step and another time as two: from the first, and until the
    end of the last. What does not ask for a step is asked of an event before any search."""

    def is_label(node: Node) -> bool:
        return isinstance(node, Variable) and node.name in labels

    for window in windows:
        if isinstance(window, Between) and is_label(window.first) is not is_label(window.last):
            yield Side("from", window.first, window.span)
            yield Until(window.last, window.span)
        else:
            yield window


# ---- chains -----------------------------------------------------------------


def chain(emitter: Emitter, node: Chain) -> Shape:
    labels = [step.label for step in node.steps]
    steps = [_step(emitter, step, labels[:position]) for position, step in enumerate(node.steps)]
    assert isinstance(node.order, Path), "the checker wants a field"
    order = emitter.constant(node.order.segments)
    if isinstance(node.events, Events):
        events, life = py.call("raw_events", emitter.read("view")), emitter.life()
    else:
        events = py.call("items_of", emitter.value(node.events))
        life = emitter.constant(FOREVER_MS)
    several = len(steps) > 1
    wanted = py.tuple_of(*steps) if several else steps[0]
    return py.call("many_steps" if several else "one_step", events, order, wanted, life, "now")


def _step(emitter: Emitter, step: Step, earlier: Sequence[str]) -> Shape:
    windows: list[tuple[Made, tuple[int, ...]]] = []
    fixed: list[Shape] = []
    amounts: list[Constant] = []
    for window in _parted(step.windows, earlier):
        times = times_of(window)
        labels = _labels(times, earlier)
        if not labels:
            fixed.append(fixed_moments(emitter, times))
        windows.append((_made(window, _anchors(times, still=False)), labels))
        if isinstance(window, Distance):
            amounts.append(_amount(window))
    known = len(step.counts_at) == len(step.counts)  # a step may be made without its text
    places = step.counts_at if known else [NOWHERE] * len(step.counts)
    numbers = [Constant(n, at) for (_, n), at in zip(step.counts, places, strict=True)]
    ops = tuple([op for op, _ in step.counts])
    made = partial(_ready, tuple(windows), ops)
    # Whether several counts can be met together was asked: others are another rule.
    ready = emitter.written([*amounts, *numbers], made, free=len(numbers) < 2)
    conditions = step.conditions
    condition = conditions[0] if len(conditions) == 1 else And(conditions)
    of_event = emitter.of_element(condition, test=True)
    return py.tuple_of(ready, of_event, py.tuple_of(*fixed))


def _ready(
    windows: Sequence[tuple[Made, tuple[int, ...]]], ops: Sequence[str], numbers: Sequence[int]
) -> ChainStep:
    """The step with these numbers: the amounts of its windows, then of its counts.

    windows: each with the earlier steps it is measured from.
    """
    left = iter(numbers)
    plain, anchored = [], []
    for (make, takes), labels in windows:
        window = make(next(left)) if takes else make()
        if labels:
            anchored.append(Anchored(window, labels))
        else:
            plain.append(window)
    counts = tuple(zip(ops, left, strict=True))
    return ChainStep(tuple(plain), tuple(anchored), counts or ((">=", 1),))


def _labels(times: Sequence[Node], earlier: Sequence[str]) -> tuple[int, ...]:
    """The earlier steps that a window is measured from; () where it is not."""
    names = [time.name for time in times if isinstance(time, Variable)]
    known = all(name in earlier for name in names)
    return tuple([earlier.index(name) for name in names]) if known else ()
