"""The rules as texts in CEL: over the current event alone, or over every event.

Variables are flat and folded before: `web.webPageDetails.name` is `web_webPageDetails_name`, in
lower case where a rule ignores case. Instants are milliseconds, and what is counted back from now
is a variable too (`ago_30`: 30 minutes ago), so no text does arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.audiences_parts import (
    DAY_MINUTES,
    AllOf,
    AnyOf,
    Followed,
    Happened,
    Has,
    InSegment,
    Is,
    Missing,
    Not,
    Number,
    Older,
    OneOf,
    Part,
    Text,
    ThisMonth,
    Within,
    quoted,
)

Name = Callable[[str], str]


def variable(path: str) -> str:
    return path.replace(".", "_")


def ago(minutes: int) -> str:
    """The variable of an instant so many minutes before now; negative: after now."""
    return f"ago_{minutes}" if minutes >= 0 else f"in_{-minutes}"


def floor(part: Part, name: Name = variable) -> str:
    """The part over the current event alone: windows hold, a count is one event, a chain is its
    last step. Cheaper than the rule, and not its answer where a rule looks back.

    name: what the value at a path is called.
    """
    match part:
        case Happened():
            return floor(part.condition, name)
        case Followed():
            return floor(part.then, name)
        case _:
            return _joined(part, lambda one: floor(one, name), name)


def over_events(part: Part) -> str:
    """The part over `events`, oldest first: the answer the rule asks for."""
    match part:
        case Happened():
            found = _of_event("e", part.condition, part.minutes)
            if part.at_least == 1:
                return f"events.exists(e, {found})"
            return f"size(events.filter(e, {found})) >= {part.at_least}"
        case Followed():
            first = _of_event("a", part.first, part.minutes)
            then = _of_event("e", part.then, part.minutes)
            return f"events.exists(e, {then} && events.exists(a, a.at < e.at && {first}))"
        case _:
            return _joined(part, over_events, variable)


def _of_event(event: str, condition: Part, minutes: int | None) -> str:
    def name(path: str) -> str:
        return f"{event}.{variable(path)}"

    recent = "" if minutes is None else f"{event}.at >= {ago(minutes)} && "
    return recent + floor(condition, name)


def _joined(part: Part, say: Callable[[Part], str], name: Name) -> str:
    """say: how the parts of the part are said."""
    match part:
        case AllOf():
            return "(" + " && ".join(map(say, part.parts)) + ")"
        case AnyOf():
            return "(" + " || ".join(map(say, part.parts)) + ")"
        case Not():
            return f"!({say(part.part)})"
        case _:
            return _leaf(part, name)


def _leaf(part: Part, named: Name) -> str:
    if isinstance(part, InSegment):
        return f'"{part.audience_id}" in segments'
    assert not isinstance(part, AllOf | AnyOf | Not | Happened | Followed), "joined, not a leaf"
    name = named(part.path)
    match part:
        case Is():
            return f'{name} == "{part.value.lower() if part.folded else part.value}"'
        case OneOf():
            return f"{name} in {quoted(part.values)}"
        case Number():
            return f"{name} {part.operator} {float(part.value)}"
        case Text():
            return f'{name}.{part.test}("{part.value}")'
        case Has():
            return f'"{part.value.lower()}" in {name}_{part.field}'
        case Missing():
            return f"{name}_missing"
        case Within(side="before"):
            return f"({name} >= {ago(part.days * DAY_MINUTES)} && {name} <= now)"
        case Within():
            return f"({name} >= now && {name} <= {ago(-part.days * DAY_MINUTES)})"
        case Older():
            return f"{name} < {ago(part.days * DAY_MINUTES)}"
        case ThisMonth():
            return f"{name}_month == month"
