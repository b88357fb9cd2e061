"""How long an event counts for what is asked of it: where its time has to lie, as a step's WHEN or
a condition of the event's own time says it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perso_core.pql.fixed_times import fixed_time
from perso_core.pql.instants import DAY_MS, FIXED_MS, unit_number, unit_start
from perso_core.pql.kinds import moves, times_of
from perso_core.pql.nodes import (
    And,
    Between,
    Compare,
    Direction,
    Distance,
    Element,
    Node,
    Occurs,
    On,
    Path,
    Period,
    Side,
    TimeWord,
    Window,
)
from perso_core.pql.timing import FLIPPED
from perso_core.pql.windows import (
    NOW,
    TimeWindow,
    distance,
    on,
    side,
    time_window,
)


class Lasting(Struct, frozen=True, array_like=True):
    """How long an event counts: `ms` after its time, and no longer than the calendar unit (None:
    whatever the unit) it happened in. A later event never counts for shorter."""

    ms: int
    unit: str | None = None

    def end(self, at_ms: int) -> int:
        """The first instant at which an event of at_ms no longer counts."""
        if self.unit is None:
            return at_ms + self.ms
        return min(at_ms + self.ms, unit_start(unit_number(at_ms, self.unit) + 1, self.unit))


# The time of the event that a condition is asked of.
AT = Path(Element(0), ("timestamp",))
# `timestamp op time` as what the time lies on one side of.
SIDES: dict[str, Direction] = {">=": "from", ">": "after", "<": "before"}


def dated(
    condition: Node | None, windows: tuple[Window, ...], life_ms: int
) -> tuple[Node | None, Lasting] | None:
    """What is asked of the event, and how long it counts; None: no Lasting says that.

    An operand that asks for the event's own time in a window which moves with now is one of the
    windows; a window at a fixed time is an operand.
    """
    asked: list[Node] = []
    moving: list[Window] = []
    for operand in condition.operands if isinstance(condition, And) else (condition,):
        window = None if operand is None else _window_in(operand)
        if window is not None:
            windows = (*windows, window)
        elif operand is not None:
            asked.append(operand)
    for window in windows:
        for part in _parted(window):
            if all(fixed_time(time) for time in times_of(part)):
                asked.append(Occurs(AT, part))
            else:
                moving.append(part)
    lasting = _lasting(moving, life_ms)
    if lasting is None:
        return None
    if not asked:
        return None, lasting
    return (asked[0] if len(asked) == 1 else And(tuple(asked))), lasting


def _window_in(operand: Node) -> Window | None:
    """The window in which the event's own time has to lie, where the operand asks that and the
    window moves with now."""
    if isinstance(operand, Occurs) and operand.left == AT:
        return operand.window if any(map(moves, times_of(operand.window))) else None
    if not isinstance(operand, Compare):
        return None
    left, right, op = operand.left, operand.right, str(operand.op)
    if right == AT:
        left, right, op = right, left, FLIPPED[op]
    if left != AT or not moves(right):
        return None
    if op == "=":
        return On(right)
    return Side(SIDES[op], right) if op in SIDES else None


def _parted(window: Window) -> tuple[Window, ...]:
    """`between a and now` is `from a`: no event that is told here is of the future."""
    if isinstance(window, Between) and _holds_now(window.last):
        return (Side("from", window.first),)
    return (window,)


def _holds_now(time: Node) -> bool:
    if isinstance(time, TimeWord):
        return time.word in ("now", "today")
    return isinstance(time, Period) and time.which == "this"


def _lasting(windows: Sequence[Window], life_ms: int) -> Lasting | None:
    """None for windows that open only after the event, or more than once."""
    ms, units = life_ms + 1, set()
    for window in windows:
        unit = _running_unit(window)
        if unit is not None:
            units.add(unit)
            continue
        offsets = _offsets(window)
        if offsets is None or offsets[0] > 0:
            return None
        ms = min(ms, offsets[1])
    if len(units) > 1 or ms <= 0:
        return None
    return Lasting(ms, units.pop() if units else None)


def _running_unit(window: Window) -> str | None:
    """`today`, `this week`: the unit the event has to lie in together with now. `from today` is
    the same, of an event that is not of the future."""
    if not isinstance(window, On) and not (isinstance(window, Side) and window.direction == "from"):
        return None
    if isinstance(window.time, TimeWord) and window.time.word == "today":
        return "day"
    if isinstance(window.time, Period) and window.time.which == "this":
        unit = window.time.unit
        # Shorter units than a day are counted in milliseconds from the epoch as well.
        return unit if unit not in FIXED_MS or FIXED_MS[unit] >= DAY_MS else None
    return None


def _offsets(window: Window) -> tuple[int, int] | None:
    """From when to when after its time an event lies in the window, where now alone moves it."""
    if any(not isinstance(t, TimeWord) or t.word != "now" for t in times_of(window)):
        return None
    ready = _window(window)
    if ready is None or ready.offsets is None or len(ready.offsets) != 1:
        return None
    return ready.offsets[0]


def _window(window: Window) -> TimeWindow | None:
    if isinstance(window, Distance):
        forms = distance(window.op, window.amount, window.unit, window.direction)
        return time_window([NOW], forms, negated=window.op == "!=")
    if isinstance(window, Side):
        return time_window([NOW], side(window.direction))
    return time_window([NOW], on()) if isinstance(window, On) else None
