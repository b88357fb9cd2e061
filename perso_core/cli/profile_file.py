"""A file of profile attributes: JSON text into records, or every fault of it at its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from perso_core.decision.attributes import check_attributes, whole_number
from perso_core.decision.identity import Identity
from perso_core.definitions.finding import nearest, shown
from perso_core.errors import BadAttributes
from perso_core.imports.identity import identity_problem

_BLANK = re.compile(r"[ \t\r\n]*")
_SHAPE = '{"identity": {"namespace": "ECID", "id": "…"}, "attributes": {…}}'


class ProfilePatch(Struct, frozen=True):
    """One record: attributes to merge into one identity's profile. line: where it begins."""

    line: int
    identity: Identity
    attributes: Mapping[str, Any]


class RecordFault(Struct, frozen=True):
    """One fault. line: 1-based, of the fault in bad JSON, else of the record's beginning."""

    line: int
    detail: str
    fix: str


def patches_from_json(text: str, *, max_bytes: int) -> tuple[list[ProfilePatch], list[RecordFault]]:
    """The records of one JSON object, one JSON array, or JSON lines; and every fault.

    A record with a fault is not among the records. Bad JSON ends an array's reading, as nothing
    after it has a sure meaning; among lines the others are still read. max_bytes: of one record's
    attributes, see check_attributes. Cost: O(size).
    """
    text = text.removeprefix("\ufeff")
    patches: list[ProfilePatch] = []
    faults: list[RecordFault] = []
    for line, record in _records(text):
        found = [record] if isinstance(record, RecordFault) else [*_faults(line, record, max_bytes)]
        faults.extend(found)
        if not found:
            identity = Identity(**record["identity"])
            patches.append(ProfilePatch(line, identity, record["attributes"]))
    return patches, faults


def _records(text: str) -> Iterator[tuple[int, Any]]:
    """(line, record), or (line, RecordFault) for what is not JSON or says one name twice."""
    start = _after_blank(text, 0)
    if start == len(text):
        yield 1, RecordFault(1, "The file is empty.", f"Write records: {_SHAPE}.")
    elif text[start] == "[":
        yield from _array(text, start)
    elif len(re.findall(r"^\{", text, re.MULTILINE)) > 1 and not _is_one_value(text):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield from _whole(line, number)
    else:
        yield from _whole(text, 1)


def _is_one_value(text: str) -> bool:
    try:
        json.loads(text, parse_int=whole_number)
    except (ValueError, RecursionError):
        return False
    return True


def _whole(text: str, first_line: int) -> Iterator[tuple[int, Any]]:
    """The one record that a text holds."""
    start = _after_blank(text, 0)
    line = first_line + text.count("\n", 0, start)
    end, found = _one(text, start, line, first_line)
    yield from ((line, one) for one in found)
    rest = _after_blank(text, len(text) if end is None else end)
    if rest < len(text):
        place = first_line + text.count("\n", 0, rest)
        detail = "More follows after the record."
        yield place, RecordFault(place, detail, "Write one record per line, or a list in [ ].")


def _array(text: str, start: int) -> Iterator[tuple[int, Any]]:
    """The records of a list, up to the first bad JSON."""
    at = _after_blank(text, start + 1)
    line = 1 + text.count("\n", 0, at)
    while not text.startswith("]", at):
        end, found = _one(text, at, line, 1)
        yield from ((line, one) for one in found)
        if end is None:
            return
        after = _after_blank(text, end)
        following = after
        if text.startswith(",", after):
            following = _after_blank(text, after + 1)
        line += text.count("\n", at, following)
        if text.startswith("]", following) == (following > after):
            detail = "The list has no comma between two records, or one too many, or no end."
            yield line, RecordFault(line, detail, "Write , between records and ] after the last.")
            return
        at = following
    rest = _after_blank(text, at + 1)
    if rest < len(text):
        place = 1 + text.count("\n", 0, rest)
        yield place, RecordFault(place, "More follows the list.", "Put all records into the list.")


def _one(text: str, start: int, line: int, first_line: int) -> tuple[int | None, list[Any]]:
    """Where the value at start ends (None: bad JSON), and the value, or its faults."""
    faults: list[RecordFault] = []
    try:
        record, end = _decoder(line, faults).raw_decode(text, start)
    except json.JSONDecodeError as error:
        place = first_line + error.lineno - 1
        detail = f"This is not JSON: {error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})."
        return None, [RecordFault(place, detail, "Mend the JSON there.")]
    except RecursionError:
        return None, [RecordFault(line, "This cannot be read: it nests too deeply.", "Shorten it.")]
    return end, [*faults] or [record]


def _decoder(line: int, faults: list[RecordFault]) -> json.JSONDecoder:
    def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            for name in dict.fromkeys(names):
                if names.count(name) > 1:
                    detail = f"The name {shown(name)} stands twice in one object."
                    faults.append(RecordFault(line, detail, "Keep one of the two."))
        return record

    def no_constant(word: str) -> None:
        fix = "Write a number, or null to remove the field."
        faults.append(RecordFault(line, f"{word} is no JSON value.", fix))

    return json.JSONDecoder(
        object_pairs_hook=unrepeated, parse_constant=no_constant, parse_int=whole_number
    )


def _faults(line: int, record: Any, max_bytes: int) -> Iterator[RecordFault]:
    if not isinstance(record, dict):
        yield RecordFault(line, "A record is not an object.", f"Write {_SHAPE}.")
        return
    yield from _keys(line, "A record", record, ("identity", "attributes"))
    if "identity" in record:
        yield from _identity(line, record["identity"])
    if "attributes" in record:
        try:
            check_attributes(record["attributes"], max_bytes=max_bytes)
        except BadAttributes as problem:
            yield RecordFault(line, f"attributes: {problem.detail}", problem.fix)


def _identity(line: int, identity: Any) -> Iterator[RecordFault]:
    if not isinstance(identity, dict):
        yield RecordFault(line, "identity is not an object.", f"Write {_SHAPE}.")
        return
    yield from _keys(line, "identity", identity, ("namespace", "id"))
    for key in ("namespace", "id"):
        value = identity.get(key, "")
        if not isinstance(value, str):
            yield RecordFault(line, f"The {key} is not text.", f'Write "{key}": "…", in quotes.')
            return
    if {"namespace", "id"} <= identity.keys():
        problem = identity_problem(identity["namespace"], identity["id"])
        if problem:
            yield RecordFault(line, *problem)


def _keys(
    line: int, noun: str, given: Mapping[str, Any], known: tuple[str, ...]
) -> Iterator[RecordFault]:
    for key in known:
        if key not in given:
            yield RecordFault(line, f"{noun} has no {key}.", f"Write {_SHAPE}.")
    for key in given:
        if key not in known:
            near = nearest(key, known)
            fix = f"Write {near}." if near else f"Take it out; known here: {', '.join(known)}."
            yield RecordFault(line, f"{noun} has an unknown key {shown(key)}.", fix)


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank, "the pattern matches nothing, too"
    return blank.end()
