"""Which of a profile's events satisfy the steps of a chain, and what was read of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql.instants import instant_of
from perso_core.pql.kinds import labels_in, times_of
from perso_core.pql.nodes import (
    And,
    Chain,
    Element,
    Events,
    Filter,
    Node,
    Occurs,
    Path,
    Step,
    Variable,
)
from perso_core.pql.origins import Origin, Scope, origin, walk
from perso_core.pql.values import walk as walk_value
from perso_core.pql.values_told import value_words
from perso_core.pql.words import COUNT_OPS, OPS, event_words

# Of the events of one step so many are told, the latest first; of one event so many values.
TOLD_EVENTS = 5
TOLD_VALUES = 6
# A chain whose steps take more events than this together is told by its numbers alone.
MAX_CHOSEN = 20

# From a typed node to its value for a view.
Asking = Callable[[Node], Callable[[Mapping[str, Any]], Any]]
Event = Mapping[str, Any]


class EventSeen(Struct, frozen=True):
    """at_ms: its time. event_type: None where it has none. values: path -> words of what the
    step's condition read there, without type and time."""

    at_ms: int
    event_type: str | None
    values: Mapping[str, str]


class StepSeen(Struct, frozen=True):
    """One step of a chain. says: which events it asks for. needs: how many, in words.

    found: how many events fit it; of a chain of several steps that holds, how many it took.
    events: the latest of those, the latest first.
    """

    label: str
    says: str
    needs: str
    found: int
    holds: bool
    events: tuple[EventSeen, ...]


def chain_seen(chain: Chain, view: Mapping[str, Any], asking: Asking) -> tuple[StepSeen, ...]:
    """The steps in order. () for a chain over something else than the profile's events.

    asking: compiles a typed node. Cost: some twenty evaluations for each step.
    """
    if not isinstance(chain.events, Events):
        return ()
    sight = _Sight(chain, view, asking)
    if len(chain.steps) == 1:
        (step,) = chain.steps
        return (sight.seen(step, sight.fitting(step), met=asking(chain)(view) is True),)
    return sight.several()


def least(step: Step) -> int:
    """How many events a step takes at least."""
    if not step.counts:
        return 1
    return max([n + (op == ">") for op, n in step.counts if op in (">=", ">", "=")] or [0])


def needs_words(step: Step) -> str:
    """How many events a step needs: "1", "at least 3", "exactly 2"."""
    if step.counts in ((), ((">=", 1),)):
        return "1"
    words = {**OPS, **COUNT_OPS}
    return " and ".join(f"{words[op]}{number}" for op, number in step.counts)


class _Sight:
    def __init__(self, chain: Chain, view: Mapping[str, Any], asking: Asking) -> None:
        self.chain = chain
        self.view = view
        self.asking = asking
        found = view.get("xEvent")
        self.events: list[Event] = found if isinstance(found, list) else []
        order = chain.order
        self.order = order.segments if isinstance(order, Path) else ("timestamp",)
        # Asked for again at each step; the view keeps the events, so an id stays its event's.
        self.times = {id(event): instant_of(walk_value(event, self.order)) for event in self.events}

    def at(self, event: Event) -> int:
        """The event's time, as the chain orders them."""
        return self.times[id(event)] or 0

    def holds(self, steps: Sequence[Step]) -> Callable[[Sequence[Event]], bool]:
        """Whether a chain of these steps holds for some of the events."""
        asked = self.asking(Chain(self.chain.events, self.chain.order, tuple(steps)))
        return lambda events: asked({**self.view, "xEvent": list(events)}) is True

    def fitting(self, step: Step) -> list[Event]:
        """The events that satisfy the step by themselves, oldest first. Windows that are measured
        from another step say nothing yet."""
        names = [one.label for one in self.chain.steps]
        labels = {variable.name for variable in labels_in(step, names)}
        windows = tuple(
            window
            for window in step.windows
            if not any(isinstance(t, Variable) and t.name in labels for t in times_of(window))
        )
        order = self.chain.order
        conditions = (*step.conditions, *[Occurs(order, window) for window in windows])
        # One filter for all events: a chain of each by itself would be asked once for each.
        fits = Filter(self.chain.events, conditions[0] if len(conditions) == 1 else And(conditions))
        found = [one for one in self.asking(fits)(self.view) or () if id(one) in self.times]
        return sorted((one for one in found if self.times[id(one)] is not None), key=self.at)

    def several(self) -> tuple[StepSeen, ...]:
        """The events that were taken for as many steps as could be satisfied; for the first that
        could not, those that fit it by themselves."""
        steps = self.chain.steps
        fitting = [self.fitting(step) for step in steps]
        reached = next(
            (n for n in range(len(steps), 0, -1) if self.holds(steps[:n])(self.events)), 0
        )
        together = {id(event): event for found in fitting[:reached] for event in found}
        pool = sorted(together.values(), key=self.at)
        chosen = self.chosen(steps[:reached], pool) if reached else []
        found: list[StepSeen] = []
        for place, step in enumerate(steps):
            if place >= reached or chosen is None:
                found.append(self.seen(step, fitting[place], met=place < reached))
                continue
            taken, chosen = chosen[: least(step)], chosen[least(step) :]
            found.append(self.seen(step, taken, met=True))
        return tuple(found)

    def chosen(self, steps: Sequence[Step], pool: list[Event]) -> list[Event] | None:
        """As few of the pool's events as satisfy the steps, the earliest, oldest first; None:
        they are too many to tell.

        More events never make such a chain false, so of a pool that suffices the shortest
        beginning that suffices ends with an event that is needed.
        """
        holds = self.holds(steps)
        wanted = sum(map(least, steps))
        needed: list[Event] = []
        while wanted <= MAX_CHOSEN and len(needed) <= wanted:
            if holds(needed):
                return sorted(needed, key=self.at)
            low, high = 1, len(pool)
            if not high or not holds([*needed, *pool]):
                return None
            while low < high:
                middle = (low + high) // 2
                if holds([*needed, *pool[:middle]]):
                    high = middle
                else:
                    low = middle + 1
            needed.append(pool[low - 1])
            del pool[low - 1 :]
        return None

    def seen(self, step: Step, events: Sequence[Event], *, met: bool) -> StepSeen:
        return StepSeen(
            label=step.label,
            says=event_words(step, least(step)),
            needs=needs_words(step),
            found=len(events),
            holds=met,
            events=tuple(self.event(step, event) for event in reversed(events[-TOLD_EVENTS:])),
        )

    def event(self, step: Step, event: Event) -> EventSeen:
        kind = event.get("eventType")
        return EventSeen(
            at_ms=self.at(event),
            event_type=kind if isinstance(kind, str) else None,
            values={
                ".".join(path): value_words(walk_value(event, path))
                for path in read_by(step.conditions)[:TOLD_VALUES]
            },
        )


TOLD_ELSEWHERE = (("eventType",), ("timestamp",), ())


def read_by(conditions: Sequence[Node]) -> list[tuple[str, ...]]:
    """The paths of an event that its conditions read, in the order of the text, without type and
    time; of nested ones the innermost."""
    inside = Scope((Origin("event"),))
    found = [
        read.path
        for condition in conditions
        for node, scope in walk(condition, inside)
        if not isinstance(node, Element) and (read := origin(node, scope)) and read.of == "event"
    ]
    around = {path[:length] for path in found for length in range(len(path))}
    return [
        path for path in dict.fromkeys(found) if path not in around and path not in TOLD_ELSEWHERE
    ]
