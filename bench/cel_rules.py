"""The mixed audiences as CEL programs: over the current event alone, or over every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from bench.audiences_parts import Part, Rule
from bench.cel_context import of_all, of_now
from bench.cel_text import floor, over_events
from bench.pql_rules import Decided, Step
from bench.timing import cpu_us

Answers = Callable[[], list[bool]]


class Floor:
    """No windows, counts or order: less than the audiences ask, and the least that CEL can do."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._programs = _Programs(rules, floor)

    def us(self, step: Step, done: Decided) -> float:
        """CPU microseconds of all the audiences on the step's event."""
        visitor, event = step.visitor, step.visitor.events[step.place]
        variables = of_now(event, visitor.attributes, step.now_ms)
        return cpu_us(self._programs.on(variables, done))


class OverEvents:
    """What the audiences ask, over the events up to the step's."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._programs = _Programs(rules, over_events)

    def on(self, step: Step, done: Decided) -> Answers:
        """Answers for each audience in order, each time it is called."""
        visitor = step.visitor
        seen = visitor.events[: step.place + 1]
        return self._programs.on(of_all(seen, visitor.attributes, step.now_ms), done)


class _Programs:
    def __init__(self, rules: Sequence[Rule], say: Callable[[Part], str]) -> None:
        self._cel: Any = import_module("cel")
        self._ids = [rule.id for rule in rules]
        self._programs = [self._cel.compile(say(rule.part)) for rule in rules]

    def on(self, variables: Mapping[str, Any], done: Decided) -> Answers:
        """The memberships that audiences ask for are given, and what CEL makes of the variables
        it makes here: both cost it nothing."""
        members = done.after.members
        held = [one for bit, one in enumerate(self._ids) if members >> bit & 1]
        context = self._cel.Context(variables={**variables, "segments": held})
        programs = self._programs
        programs[0].execute(context)
        return lambda: [program.execute(context) for program in programs]
