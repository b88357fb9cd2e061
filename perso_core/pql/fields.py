"""What is known of the values a rule reads: the types of fields, and of what is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

Value = str | int | float | bool

# "date" and "datetime" are fields: text as ISO 8601 has it, a datetime also epoch milliseconds.
# "instant": epoch milliseconds alone, as Perso itself writes them. "time" is a time that the rule
# itself makes: date(...), now, this week.
Kind = Literal[
    "any",
    "text",
    "number",
    "integer",
    "flag",
    "date",
    "datetime",
    "instant",
    "time",
    "list",
    "object",
]

# What a value of each kind may be once it is read from JSON.
FORMS: Mapping[Kind, frozenset[str]] = {
    "any": frozenset(("text", "number", "flag", "list", "object", "time")),
    "text": frozenset(("text",)),
    "number": frozenset(("number",)),
    "integer": frozenset(("number",)),
    "flag": frozenset(("flag",)),
    "date": frozenset(("text",)),
    "datetime": frozenset(("text", "number")),
    "instant": frozenset(("number",)),
    "time": frozenset(("time",)),
    "list": frozenset(("list",)),
    "object": frozenset(("object",)),
}

INFINITY = float("inf")


class FieldType(Struct, frozen=True, eq=False):
    """What a value can be where there is one.

    values: all that it can be; () for anything of its kind. least, most: the bounds of a number,
    both included. of: what a list holds. fields, rest: what an object has under these names, and
    under every other one; rest None: it has no other.
    """

    kind: Kind
    values: tuple[Value, ...] = ()
    least: float = -INFINITY
    most: float = INFINITY
    of: FieldType | None = None
    fields: Mapping[str, FieldType] = {}
    rest: FieldType | None = None

    @property
    def element(self) -> FieldType:
        """What each element of it is; a value that is no list is a list of itself."""
        if self.kind == "any":
            return ANY
        return self if self.kind != "list" else self.of or ANY

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number it can be."""
        if not self.values:
            return self.least, self.most
        numbers = [value for value in self.values if not isinstance(value, str)]
        return min(numbers, default=INFINITY), max(numbers, default=-INFINITY)


ANY = FieldType("any")
TEXT = FieldType("text")
NUMBER = FieldType("number")
INTEGER = FieldType("integer")
FLAG = FieldType("flag")
DATE = FieldType("date")
DATETIME = FieldType("datetime")
INSTANT = FieldType("instant")
TIME = FieldType("time")
OBJECT = FieldType("object", rest=ANY)
COUNT = FieldType("integer", least=0)
MONTH = FieldType("integer", least=1, most=12)
DAY_OF_MONTH = FieldType("integer", least=1, most=31)


def list_of(element: FieldType) -> FieldType:
    return FieldType("list", of=element)


LIST = list_of(ANY)


class FieldTypes(Struct, frozen=True, eq=False):
    """The fields that rules may read. profile, event: objects.

    Two of them are equal when they are one object: definitions make one for each schema.
    """

    profile: FieldType
    event: FieldType


# ---- fields that are there without a schema ---------------------------------

_IDENTITIES = list_of(
    FieldType("object", fields={"id": TEXT, "primary": FLAG, "authenticatedState": TEXT}, rest=ANY)
)
IDENTITY_MAP = FieldType("object", rest=_IDENTITIES)
# Adobe's three: exports test `status in ["realized", "existing"]` (reference pql.md, 8).
_STATUS = FieldType("text", values=("realized", "existing", "exited"))
_MEMBERSHIP = FieldType(
    "object", fields={"status": _STATUS, "lastQualificationTime": DATETIME}, rest=ANY
)
SEGMENT_MEMBERSHIP = FieldType("object", rest=FieldType("object", rest=_MEMBERSHIP))
# What was imported of each external audience, by its id.
_IMPORTED = FieldType("object", fields={"since": INSTANT, "until": INSTANT})
EXTERNAL_AUDIENCE = FieldType("object", rest=_IMPORTED)

EVENT_FIELDS: Mapping[str, FieldType] = {
    "_id": TEXT,
    "eventType": TEXT,
    "identityMap": IDENTITY_MAP,
    "timestamp": INSTANT,
}
PROFILE_FIELDS: Mapping[str, FieldType] = {
    "identityMap": IDENTITY_MAP,
    "segmentMembership": SEGMENT_MEMBERSHIP,
    "externalAudience": EXTERNAL_AUDIENCE,
}

# Nothing but what is always known.
KNOWN = FieldTypes(
    profile=FieldType("object", fields=PROFILE_FIELDS, rest=ANY),
    event=FieldType("object", fields=EVENT_FIELDS, rest=ANY),
)

# ---- what stands at a path --------------------------------------------------


def field(known: FieldType, name: str) -> FieldType | None:
    """`known.name`; None where nothing can be. Over a list: the list of what its elements have
    there, with lists in it opened once."""
    if known.kind == "object":
        return known.fields.get(name, known.rest)
    if known.kind == "any":
        return ANY
    if known.kind != "list":
        return None
    found = field(known.element, name)
    return found if found is None or found.kind == "list" else list_of(found)


def names_in(known: FieldType) -> Iterator[str]:
    """The names a field of it can have, as far as they are known."""
    if known.kind == "list":
        yield from names_in(known.element)
    yield from known.fields


def either(one: FieldType, other: FieldType) -> FieldType:
    """What is known of a value that is one or the other."""
    if one is other:
        return one
    kind = one.kind
    if kind != other.kind and {kind, other.kind} == {"number", "integer"}:
        kind = "number"
    elif kind != other.kind or kind in ("list", "object"):
        return ANY
    values = one.values + other.values if one.values and other.values else ()
    if kind not in ("number", "integer"):
        return FieldType(kind, values=values)
    least, most = min(one.bounds[0], other.bounds[0]), max(one.bounds[1], other.bounds[1])
    return FieldType(kind, values=values, least=least, most=most)
