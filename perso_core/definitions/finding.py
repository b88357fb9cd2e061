"""One fault in definitions, and the words that faults are told in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from difflib import get_close_matches

from msgspec import Struct

from perso_core.definitions.toml_places import Path


class Finding(Struct, frozen=True, kw_only=True):
    """One fault, at a path of the definitions: ("audience", 3, "pql").

    rule_index: which character of the rule at path is meant, from 0; None: the whole definition.
    of: where the other one stands, of two that clash.
    """

    path: Path
    detail: str
    fix: str
    rule_index: int | None = None
    of: Path | None = None


def unknown(path: Path, noun: str, given: str, known: Iterable[str]) -> Finding:
    """A reference to an id that nothing has."""
    near = nearest(given, known)
    return Finding(
        path=path,
        detail=f"No {noun} has the id {shown(given)}.",
        fix=f'Write "{near}".' if near else f"Add a [[{noun}]] with this id, or name another.",
    )


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None where none is near."""
    if len(given) > 128:  # the comparison takes the product of the lengths
        return None
    return next(iter(get_close_matches(given, list(known), n=1, cutoff=0.6)), None)


def shown(text: str) -> str:
    """The text in quotes, cut to 80 characters, with control characters escaped."""
    cut = text if len(text) <= 80 else text[:79] + "…"
    return f"“{''.join(one if one.isprintable() else ascii(one)[1:-1] for one in cut)}”"


def index_in(rule: str, line: int, column: int) -> int:
    """The index of the character of a rule at line and column, both 1-based."""
    lines = rule.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column - 1


# TOML's kinds of values, the narrower first: a bool is an int, a datetime is a date.
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (datetime, "a date with a time"),
    (date, "a date"),
    (time, "a time"),
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a table"),
)


def kind_of(value: object) -> str:
    """What a TOML value is, in words; of a value that a program gives its class."""
    known = (words for kind, words in _KINDS if isinstance(value, kind))
    return next(known, f"a {type(value).__name__}")


def seen(value: object) -> str:
    """A TOML value as it is told to its writer: itself where it is short, else its kind.

    repr is not for these: it fails on hostile depth and on whole numbers of 4,300 digits.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, (date, float)) or (isinstance(value, int) and abs(value) < 10**20):
        return str(value)
    return kind_of(value)
