"""The [schema] of a definitions file: its lines read into fields, and written back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from perso_core.definitions.finding import Finding, kind_of, nearest, seen, shown
from perso_core.definitions.schema import Field, FieldWord, Schema
from perso_core.definitions.toml_places import Path

WORDS: tuple[FieldWord, ...] = get_args(FieldWord)

# What other systems call our types.
SYNONYMS: Mapping[str, FieldWord] = {
    "string": "text",
    "str": "text",
    "double": "number",
    "float": "number",
    "decimal": "number",
    "int": "integer",
    "long": "integer",
    "short": "integer",
    "byte": "integer",
    "whole": "integer",
    "bool": "boolean",
    "flag": "boolean",
    "date-time": "datetime",
    "timestamp": "datetime",
    "time": "datetime",
    "map": "object",
}
LISTS = ("list", "array")


def fields_in(given: Mapping[str, Any], path: Path) -> Iterator[Field | Finding]:
    """The fields of [schema.profile] or [schema.event], or what is wrong with a line.

    A name may stand in quotes as a whole, or have its parts as tables of TOML: both are one path.
    """
    # A stack of our own: the depth is a stranger's.
    waiting: list[tuple[tuple[str, ...], Any]] = [((), given)]
    while waiting:
        names, value = waiting.pop()
        at = (*path, *names)
        if isinstance(value, dict) and not ("values" in value and names):
            waiting.extend(reversed([((*names, name), inner) for name, inner in value.items()]))
        else:
            yield _field(".".join(names), value, at)


def _field(name: str, value: Any, path: Path) -> Field | Finding:
    if isinstance(value, str):
        if value in WORDS:
            return Field(path=name, type=value)
        return _no_type(name, value, path)
    if isinstance(value, list) and value:
        return _values(name, value, path)
    kind = kind_of(value)
    what = seen(value)
    return Finding(
        path=path,
        detail=f"{shown(name)} is {what if what == kind else f'{what}, {kind}'}; a type belongs"
        " here.",
        fix=f'Write "{_cut(name)}" = "text", or the values it can have: ["gold", "silver"].',
    )


def _no_type(name: str, word: str, path: Path) -> Finding:
    if word.split(" ")[0].lower() in LISTS:
        fix = f'Write [] after the name: "{_cut(name)}[]" = "text".'
    else:
        near = SYNONYMS.get(word.lower()) or nearest(word, WORDS)
        fix = f'Write "{near}".' if near else f"Write one of {', '.join(WORDS)}."
    return Finding(path=path, detail=f"There is no type {shown(word)}.", fix=fix)


def _values(name: str, values: list[Any], path: Path) -> Field | Finding:
    texts = all(isinstance(one, str) for one in values)
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
    # nan and the infinities are TOML, and no JSON that a profile could hold.
    finite = numbers and all(one - one == 0 for one in values)
    if not texts and not finite:
        return Finding(
            path=path,
            detail=f"The values of {shown(name)} are not all texts, nor all numbers.",
            fix='Write ["gold", "silver"] or [1, 2, 3].',
        )
    return Field(path=name, type="text" if texts else "number", values=tuple(values))


def _cut(name: str) -> str:
    return name if len(name) <= 60 else name[:59] + "…"


def schema_to_table(schema: Schema) -> dict[str, Any]:
    """What stands below [schema]; nothing of it where the file needs none."""
    table: dict[str, Any] = {"closed": True} if schema.closed else {}
    for side, fields in (("profile", schema.profile), ("event", schema.event)):
        if fields is not None:
            table[side] = {one.path: list(one.values) or one.type for one in fields}
    return table
