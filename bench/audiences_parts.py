"""What the benchmarks' rules are made of, apart from any language, and their text in PQL."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

DAY_MINUTES = 24 * 60


class Is(Struct, frozen=True, tag=True):
    """The text at the path. folded: whatever its letter case."""

    path: str
    value: str
    folded: bool = False


class OneOf(Struct, frozen=True, tag=True):
    path: str
    values: tuple[str, ...]


class Number(Struct, frozen=True, tag=True):
    path: str
    operator: Literal[">=", "<"]
    value: float


class Text(Struct, frozen=True, tag=True):
    """A test on a part of the text at the path; "matches" finds a regular expression in it."""

    path: str
    test: Literal["startsWith", "contains", "matches"]
    value: str


class Has(Struct, frozen=True, tag=True):
    """One of the objects in the list at the path has this text there, whatever its letter case."""

    path: str
    field: str
    value: str


class Missing(Struct, frozen=True, tag=True):
    path: str


class Within(Struct, frozen=True, tag=True):
    """The instant at the path is at most so many days before now, or after it."""

    path: str
    days: int
    side: Literal["before", "after"]


class Older(Struct, frozen=True, tag=True):
    """The instant at the path is more than so many days ago."""

    path: str
    days: int


class ThisMonth(Struct, frozen=True, tag=True):
    """The date at the path has its anniversary this month, UTC."""

    path: str


class InSegment(Struct, frozen=True, tag=True):
    audience_id: str


class Not(Struct, frozen=True, tag=True):
    part: Part


class AllOf(Struct, frozen=True, tag=True):
    parts: tuple[Part, ...]


class AnyOf(Struct, frozen=True, tag=True):
    parts: tuple[Part, ...]


class Happened(Struct, frozen=True, tag=True):
    """At least so many events of the condition. minutes: how long ago at most; None: any time."""

    condition: Part
    minutes: int | None = None
    at_least: int = 1


class Followed(Struct, frozen=True, tag=True):
    """An event of the first condition, then a later one of the second, both within the minutes."""

    first: Part
    then: Part
    minutes: int


Part = (
    Is
    | OneOf
    | Number
    | Text
    | Has
    | Missing
    | Within
    | Older
    | ThisMonth
    | InSegment
    | Not
    | AllOf
    | AnyOf
    | Happened
    | Followed
)


class Rule(Struct, frozen=True):
    id: str
    part: Part


def pql(part: Part) -> str:
    """The part as an author would write it."""
    match part:
        case Happened() | Followed():
            return f"CHAIN(xEvent, timestamp, [{_steps(part)}])"
        case Not():
            return f"not({pql(part.part)})"
        case AllOf():
            return "(" + " and ".join(map(pql, part.parts)) + ")"
        case AnyOf():
            return "(" + " or ".join(map(pql, part.parts)) + ")"
        case InSegment():
            return f'inSegment("{part.audience_id}")'
        case _:
            return _leaf(part)


def literals(part: Part) -> tuple[Part, ...]:
    """The event literals of the rule, as written; a chain is one for each step."""
    match part:
        case Happened():
            return (part,)
        case Followed():
            return (part.first, part.then)
        case Not():
            return literals(part.part)
        case AllOf() | AnyOf():
            return tuple(literal for one in part.parts for literal in literals(one))
        case _:
            return ()


def _leaf(part: Part) -> str:
    match part:
        case Is(folded=True):
            return f'{part.path}.equals("{part.value}", false)'
        case Is():
            return f'{part.path} = "{part.value}"'
        case OneOf():
            return f"{part.path} in {quoted(part.values)}"
        case Number():
            return f"{part.path} {part.operator} {part.value}"
        case Text():
            return f'{part.path}.{part.test}("{part.value}")'
        case Has():
            return f'{part.path}.exists({part.field}.equals("{part.value}", false))'
        case Missing():
            return f"{part.path}.isNull()"
        case Within():
            return f"{part.path} occurs <= {part.days} days {part.side} now"
        case Older():
            return f"{part.path} occurs > {part.days} days before now"
        case ThisMonth():
            return f"{part.path}.getMonth() = currentMonth()"
        case _:
            raise AssertionError(f"{part} is no leaf")


def _steps(part: Happened | Followed) -> str:
    if isinstance(part, Happened):
        count = f" COUNT(>= {part.at_least})" if part.at_least > 1 else ""
        return f"C0: {_what(part.condition, part.minutes)}{count}"
    return f"C0: {_what(part.first, part.minutes)}, C1: {_what(part.then, part.minutes)}"


def _what(condition: Part, minutes: int | None) -> str:
    when = "" if minutes is None else f" WHEN(<= {_duration(minutes)} before now)"
    return f"WHAT({pql(condition)}){when}"


def _duration(minutes: int) -> str:
    for name, size in (("days", 1440), ("hours", 60)):
        if minutes % size == 0 and minutes >= size:
            return f"{minutes // size} {name}"
    return f"{minutes} minutes"


def quoted(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
