"""Rows of attributes: who, and a merge patch. Any bytes are rows or refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from perso_core.decision.attributes import MAX_DEPTH, RESERVED, check_attributes
from perso_core.errors import BadAttributes, BadImportFile
from perso_core.imports.identity import row_problem
from perso_core.imports.json_fault import json_fault
from perso_core.imports.refusal import RowRefused, shown
from perso_core.imports.table import Header, refuse_missing, refuse_twice
from perso_core.imports.twice import refuse_named_twice
from perso_core.pql.fields import FieldType, field

WHO = ("namespace", "id")
PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")
KINDS = ("text", "number", "boolean", "json")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

# namespace, id, merge patch (RFC 7396).
Patch = tuple[str, str, Mapping[str, Any]]


def patch_of(namespace: str, identity: str, attributes: Mapping[str, Any]) -> Patch:
    """Raises RowRefused."""
    problem = row_problem(namespace, identity)
    if problem:
        raise RowRefused(problem)
    try:
        check_attributes(attributes)
    except BadAttributes as error:
        raise RowRefused(f"attributes: {error.detail} {error.fix}") from None
    return namespace, identity, attributes


class Column(Struct, frozen=True):
    """Where a cell goes. path: names, outermost first. kind: how it is read."""

    path: tuple[str, ...]
    kind: str


def columns_of(names: Sequence[str], profile: FieldType) -> list[Column | None]:
    """None for namespace and id. A column is a dotted path, with `:number` or another kind after
    it; else the schema tells the kind, and where that knows nothing it is text.
    Raises BadImportFile."""
    found = [None if name.lower() in WHO else _column(name, profile) for name in names]
    paths = [column.path for column in found if column]
    if not paths:
        raise BadImportFile("There is no column of an attribute.", fix="Add one, loyalty.tier.")
    # Whatever is below a path comes right after it.
    for path, after in pairwise(sorted(paths)):
        if after[: len(path)] == path:
            raise BadImportFile(
                f"The column {shown('.'.join(path))} stands twice, or is part of another.",
                fix="Keep one of the two.",
            )
    return found


def _column(name: str, profile: FieldType) -> Column:
    path, colon, kind = name.partition(":")
    first = path.partition(".")[0]
    if first in RESERVED:
        raise BadImportFile(
            f"The column {shown(path)} is of {first}, which is a reserved name.",
            fix="Take it out: Perso itself writes it.",
        )
    if not PATH.fullmatch(path):
        raise BadImportFile(
            f"The column {shown(path)} is no path of an attribute.",
            fix="Write names with dots between, e.g. loyalty.tier.",
        )
    if path.count(".") >= MAX_DEPTH:
        raise BadImportFile(
            f"The column {shown(path)} lies more than {MAX_DEPTH} levels deep.",
            fix=f"Nest at most {MAX_DEPTH} objects.",
        )
    if colon and kind not in KINDS:
        raise BadImportFile(
            f"The column {shown(name)} has no kind {shown(kind)}.",
            fix=f"Write one of {', '.join(KINDS)} after the colon.",
        )
    return Column(tuple(path.split(".")), kind or _kind(path, profile))


def _kind(path: str, profile: FieldType) -> str:
    known: FieldType | None = profile
    for name in path.split("."):
        known = field(known, name) if known else None
    if known is None:
        return "text"
    of_schema = {"number": "number", "integer": "number", "flag": "boolean"}
    of_schema |= {"list": "json", "object": "json"}
    return of_schema.get(known.kind, "text")


def patch_in_csv(header: Header, profile: FieldType, namespace: str) -> Callable[[bytes], Patch]:
    """How a line states a patch. An empty cell says nothing of its attribute. namespace: where
    there is no such column. Raises BadImportFile."""
    who = _who(header.columns, namespace)
    of_namespace, of_id = who.get("namespace"), who["id"]
    columns = columns_of(header.columns, profile)

    def patch(line: bytes) -> Patch:
        cells = header.cells(line)
        stated = namespace if of_namespace is None else cells[of_namespace] or namespace
        attributes: dict[str, Any] = {}
        for column, cell in zip(columns, cells, strict=True):
            if column is not None and cell:
                _put(attributes, column, value_of(column, cell))
        return patch_of(stated, cells[of_id], attributes)

    return patch


def patch_in_columns(
    names: Sequence[str], profile: FieldType, namespace: str
) -> Callable[[Mapping[str, Any]], Patch]:
    """The same of a row of a Parquet file, whose values have their kinds; a text is read as a cell.
    Raises BadImportFile."""
    who = {name: names[place] for name, place in _who(names, namespace).items()}
    columns = dict(zip(names, columns_of(names, profile), strict=True))

    def patch(row: Mapping[str, Any]) -> Patch:
        attributes: dict[str, Any] = {}
        for name, column in columns.items():
            value = row.get(name)
            if column is None or value is None:
                continue
            if isinstance(value, str) and column.kind != "text":
                if value:
                    _put(attributes, column, value_of(column, value))
            else:
                plain = value.isoformat() if hasattr(value, "isoformat") else value
                _put(attributes, column, plain)
        stated = (row[who["namespace"]] if "namespace" in who else "") or namespace
        identity = row[who["id"]]
        if not isinstance(stated, str) or not isinstance(identity, str):
            raise RowRefused(
                f"namespace and id are {shown(stated)} and {shown(identity)}: no text."
            )
        return patch_of(stated, identity, attributes)

    return patch


def _who(names: Sequence[str], namespace: str) -> dict[str, int]:
    """Where namespace and id stand; namespace is absent where it is given instead.
    Raises BadImportFile."""
    lower = [name.lower() for name in names]
    refuse_twice([name for name in lower if name in WHO])
    refuse_missing(lower, {"namespace": namespace, "id": ""})
    return {name: lower.index(name) for name in WHO if name in lower}


def value_of(column: Column, cell: str) -> Any:
    """Raises RowRefused."""
    name = ".".join(column.path)
    if column.kind == "number":
        if not _NUMBER.fullmatch(cell):
            raise RowRefused(
                f"{name} is {shown(cell)}, which is no number. Write one as JSON has it, 12.5."
            )
        return _decoded(name, cell)
    if column.kind == "boolean":
        if cell.lower() not in ("true", "false"):
            raise RowRefused(f"{name} is {shown(cell)}, which is neither true nor false.")
        return cell.lower() == "true"
    if column.kind == "json":
        return _decoded(name, cell)
    return cell


def _decoded(name: str, cell: str) -> Any:
    try:
        value = msgspec.json.decode(cell)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise RowRefused(json_fault(cell, error, cell=name)) from None
    if isinstance(value, (dict, list)):
        refuse_named_twice(cell)
    return value


def _put(attributes: dict[str, Any], column: Column, value: Any) -> None:
    inner = attributes
    for name in column.path[:-1]:
        inner = inner.setdefault(name, {})
    inner[column.path[-1]] = value


class _Identity(Struct, forbid_unknown_fields=True):
    namespace: str
    id: str


class _Row(Struct, forbid_unknown_fields=True):
    identity: _Identity
    attributes: dict[str, Any]


_decoder = msgspec.json.Decoder(_Row)


def patch_in_json(line: bytes) -> Patch:
    """{"identity": {"namespace": …, "id": …}, "attributes": {…}}, as `perso profile put` takes.
    Raises RowRefused."""
    try:
        row = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RowRefused(json_fault(line, error)) from None
    refuse_named_twice(line)
    return patch_of(row.identity.namespace, row.identity.id, row.attributes)
