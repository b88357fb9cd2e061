"""A schema: the fields that profiles and events have, as far as an operator tells them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from perso_core.definitions.finding import Finding, shown
from perso_core.pql.fields import (
    ANY,
    DATE,
    DATETIME,
    EVENT_FIELDS,
    FLAG,
    INTEGER,
    KNOWN,
    NUMBER,
    OBJECT,
    PROFILE_FIELDS,
    TEXT,
    FieldType,
    FieldTypes,
    list_of,
)

FieldWord = Literal["text", "number", "integer", "boolean", "date", "datetime", "object", "any"]
Side = Literal["profile", "event"]

MAX_FIELDS = 5_000
MAX_PATH_LENGTH = 512
MAX_PATH_DEPTH = 32
MAX_VALUES = 1_000

# A name, then [] for each list it stands for; * is any name: the keys of a map.
_SEGMENT = re.compile(r"(\*|[^.\[\]*\"\x00-\x1f\x7f]{1,128})((?:\[\]){0,3})")

_TYPES: Mapping[FieldWord, FieldType] = {
    "text": TEXT,
    "number": NUMBER,
    "integer": INTEGER,
    "boolean": FLAG,
    "date": DATE,
    "datetime": DATETIME,
    "object": OBJECT,
    "any": ANY,
}
# What Perso itself writes. Of these a schema may say which texts they can be, and no more.
_BUILT_IN: Mapping[Side, Mapping[str, FieldType]] = {
    "profile": {**PROFILE_FIELDS, "xEvent": list_of(ANY)},
    "event": EVENT_FIELDS,
}


class Field(Struct, frozen=True, kw_only=True):
    """One field. path: names with dots between; `orders[].price` is the price of each element of
    a list, `plans.*.end` the end under each key of a map. values: all that it can be; () for
    anything of its type.
    """

    path: str
    type: FieldWord
    values: tuple[str | int | float, ...] = ()


class Schema(Struct, frozen=True, kw_only=True):
    """profile, event: their fields; None: nothing is told of them. closed: what is told of is all
    there is, apart from what Perso itself writes."""

    profile: tuple[Field, ...] | None = None
    event: tuple[Field, ...] | None = None
    closed: bool = False


# ---- what must be true of it ------------------------------------------------


def check_schema(schema: Schema) -> Iterator[Finding]:
    """Every fault; the path of each is ("schema", "profile" or "event", the field's path)."""
    for side, fields in (("profile", schema.profile), ("event", schema.event)):
        if fields and len(fields) > MAX_FIELDS:
            yield Finding(
                path=("schema", side, fields[MAX_FIELDS].path),
                detail=f"The {side} has {len(fields):,} fields; {MAX_FIELDS:,} is the limit.",
                fix="Take out the fields that no rule reads.",
            )
            continue
        root = _Place()
        for field in fields or ():
            problem = _problem(field, side, root)
            if problem:
                yield Finding(path=("schema", side, field.path), detail=problem[0], fix=problem[1])


class _Place:
    """What is told of one place: it is a field, an object with fields, a map or a list."""

    def __init__(self) -> None:
        self.field: Field | None = None
        self.names: dict[str, _Place] = {}
        self.each_key: _Place | None = None
        self.element: _Place | None = None

    def put(self, field: Field) -> str | None:
        """Tell of the field here below; what it cannot be together with, where there is one."""
        place = self
        for name, lists in _segments(field.path):
            if place.element or (place.field and place.field.type != "object"):
                return _what(place)
            place = place.key() if name == "*" else place.names.setdefault(name, _Place())
            for _ in range(lists):
                if place.field or place.names or place.each_key:
                    return _what(place)
                place.element = place.element or _Place()
                place = place.element
        inside = place.element or ((place.names or place.each_key) and field.type != "object")
        if place.field or inside:
            return _what(place)
        place.field = field
        return None

    def key(self) -> _Place:
        self.each_key = self.each_key or _Place()
        return self.each_key


def _what(place: _Place) -> str:
    if place.field:
        return f"told to be {place.field.type} already"
    return "a list" if place.element else "an object, with fields of its own"


def _segments(path: str) -> list[tuple[str, int]]:
    """(name, of how many lists) for each name of a path that is right."""
    found = []
    for segment in path.split("."):
        match = _SEGMENT.fullmatch(segment)
        assert match, "check_schema looked"
        found.append((match[1], len(match[2]) // 2))
    return found


def _problem(field: Field, side: Side | str, root: _Place) -> tuple[str, str] | None:
    """What is wrong with the field, and what to write."""
    path = field.path
    segments = path.split(".")
    if len(path) > MAX_PATH_LENGTH or len(segments) > MAX_PATH_DEPTH:
        return (
            f"The path {shown(path)} is over {MAX_PATH_LENGTH} characters or {MAX_PATH_DEPTH}"
            " names.",
            "Tell of a field further up as an object.",
        )
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        return (
            f"{shown(path)} is not a path of field names.",
            'Write names with dots between: "loyalty.tier", "orders[].price" for a list,'
            ' "plans.*.end" for a map.',
        )
    built_in = _built_in(field, side, segments)
    if built_in:
        return built_in
    clash = root.put(field)
    if clash:
        return (
            f"The field {shown(path)} cannot be: it, or what it stands in, is {clash}.",
            "Keep one of the two; write [] after the name of a list in both.",
        )
    return _values_problem(field)


def _built_in(field: Field, side: Side | str, segments: list[str]) -> tuple[str, str] | None:
    known = _BUILT_IN["profile" if side == "profile" else "event"]
    name = segments[0].split("[")[0]
    if name not in known or (known[name] is TEXT and segments == [name] and field.type == "text"):
        return None
    return (
        f"{shown(name)} is written by Perso itself, and its type is known.",
        "Take it out.",
    )


def _values_problem(field: Field) -> tuple[str, str] | None:
    values = field.values
    if len(values) > MAX_VALUES:
        return (
            f"The field {shown(field.path)} has {len(values):,} values; {MAX_VALUES:,} is the"
            " limit.",
            f'Write "{field.type}" in their place.',
        )
    wanted = str if field.type == "text" else (int, float)
    sound = all(isinstance(one, wanted) and not isinstance(one, bool) for one in values)
    if values and (field.type not in ("text", "number", "integer") or not sound):
        return (
            f"The values of {shown(field.path)} are not of one type.",
            "List texts alone, or numbers alone.",
        )
    return None


# ---- what rules are checked with --------------------------------------------


@lru_cache(maxsize=8)
def field_types(schema: Schema) -> FieldTypes:
    """What is known of fields, for the checker; one object for equal schemas. The schema is one
    that check_schema finds no fault in."""
    if schema.profile is None and schema.event is None:
        return KNOWN
    return FieldTypes(
        profile=_root(schema.profile, PROFILE_FIELDS, closed=schema.closed),
        event=_root(schema.event, EVENT_FIELDS, closed=schema.closed),
    )


def _root(
    fields: tuple[Field, ...] | None, always: Mapping[str, FieldType], *, closed: bool
) -> FieldType:
    place = _Place()
    for field in fields or ():
        place.put(field)
    told = _type_of(place, closed=closed)
    rest = told.rest if fields is not None else ANY
    return FieldType("object", fields={**always, **told.fields}, rest=rest)


def _type_of(place: _Place, *, closed: bool) -> FieldType:
    if place.element:
        return list_of(_type_of(place.element, closed=closed))
    field = place.field
    if field and not place.names and not place.each_key:
        known = _TYPES[field.type]
        return FieldType(known.kind, values=field.values) if field.values else known
    fields = {name: _type_of(inner, closed=closed) for name, inner in place.names.items()}
    if place.each_key:
        rest: FieldType | None = _type_of(place.each_key, closed=closed)
    else:
        rest = None if closed and not field else ANY
    return FieldType("object", fields=fields, rest=rest)
