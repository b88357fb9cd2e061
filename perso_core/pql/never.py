"""Comparisons that hold for no value, from what is known of their sides. All of it errs on the
side of holding: what is not certain is possible."""

from __future__ import annotations

from collections.abc import Callable

from perso_core.pql.fields import FORMS, FieldType, Value
from perso_core.pql.instants import instant_of
from perso_core.pql.values import NUMBERS

TIMES = frozenset(("date", "datetime", "time"))
# A typed time is compared with what can be read as one.
READABLE = frozenset(("text", "number", "time"))
FLAG_WORDS = ("true", "false")


def fits(value: Value, known: FieldType) -> bool:
    """Whether a value so described can be this one."""
    kind = known.kind
    if kind == "any":
        return True
    if isinstance(value, str):
        right = kind == "text" or (kind in TIMES and instant_of(value) is not None)
    elif isinstance(value, bool):
        right = kind == "flag"
    else:
        right = kind in ("number", "integer", "datetime", "instant", "time")
        right = right and known.least <= value <= known.most
        right = right and (kind != "integer" or value == int(value))
    return right and (not known.values or any(_same(value, one) for one in known.values))


def _same(one: Value, other: Value) -> bool:
    return one == other and (type(one) is type(other) or {type(one), type(other)} <= NUMBERS)


def can_be_text(known: FieldType) -> bool:
    return "text" in FORMS[known.kind]


def can_be_number(known: FieldType) -> bool:
    return "number" in FORMS[known.kind]


def can_be_time(known: FieldType) -> bool:
    """Whether it can name a time: `occurs` takes any element of a list."""
    if known.kind == "list":
        known = known.element
    if known.kind == "list" or not FORMS[known.kind] & READABLE:
        return False
    return not known.values or any(instant_of(value) is not None for value in known.values)


def opened(one: FieldType, other: FieldType) -> tuple[FieldType, FieldType]:
    """The two as a comparison looks at them: of one list, its elements."""
    if one.kind == "list" and other.kind not in ("list", "any"):
        return one.element, other
    if other.kind == "list" and one.kind not in ("list", "any"):
        return one, other.element
    return one, other


def can_equal(one: FieldType, other: FieldType, *, loosely: bool = False) -> bool:
    """Whether the two can be the same. loosely: as `=` has it, where the texts "true" and
    "false" are compared with flags as well."""
    one, other = opened(one, other)
    if one.kind == "any" or other.kind == "any":
        return True
    if not one.values:
        one, other = other, one
    if one.values:
        return any(
            fits(value, other) or (loosely and value in FLAG_WORDS and other.kind == "flag")
            for value in one.values
        )
    if "time" in (one.kind, other.kind):
        return can_be_time(one) and can_be_time(other)
    if not FORMS[one.kind] & FORMS[other.kind]:
        return False
    # What has no order has endless bounds.
    return one.least <= other.most and other.least <= one.most


def can_be_ordered(op: str, one: FieldType, other: FieldType) -> bool:
    """Whether `one op other` can hold for numbers; op is <, <=, > or >=."""
    if one.kind == "any" or other.kind == "any":
        return all(known.kind == "any" or can_be_number(known.element) for known in (one, other))
    one, other = opened(one, other)
    if not can_be_number(one) or not can_be_number(other):
        return False
    if op in (">", ">="):
        one, other = other, one
    least, most = one.bounds[0], other.bounds[1]
    return least < most if op in ("<", ">") else least <= most


def matching(known: FieldType, test: Callable[[Value], bool]) -> bool:
    """Whether a text test can hold: it is asked of each value where all are known."""
    known = known.element
    if not can_be_text(known):
        return False
    return not known.values or any(test(value) for value in known.values)
