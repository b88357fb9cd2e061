"""JSON as the edge takes it: UTF-8, no name twice in an object, no endless nesting. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from perso_core.edge.problem import FieldBad, JsonBad, shown

MAX_DEPTH = 32  # levels of objects and arrays

# Also one that does not end: looked for from each of its quotes, it took 13 s of 60 KB.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_TOO_DEEP = -1
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def parsed(body: bytes) -> Any:
    """The value in a body. Raises JsonBad, with the byte where reading stopped, and FieldBad for an
    integer of thousands of digits."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        _refuse_deep(body)
        raise _json_fault(body, fault) from None
    strings = _strings(value, MAX_DEPTH)
    if strings == _TOO_DEEP:
        raise _too_deep()
    # What was decoded has no name twice. If it has as many strings as the body, where nothing is
    # escaped, the body had none either.
    if b"\\" not in body and body.count(b'"') == 2 * strings:
        return value
    # Nor had it if what was decoded encodes to the very body, but for white space: so it is with
    # what JSON.stringify and json.dumps wrote, and the slow look is for the rest.
    encoded = _encode(value)
    if encoded != body and encoded != msgspec.json.format(body, indent=-1):
        _refuse_deep(body)  # of a name that stands twice the first value was never seen
        json.loads(body.decode(), object_pairs_hook=_without_duplicates, parse_int=str)
    return value


def _strings(value: Any, levels: int) -> int:
    """How many strings there are in it, names among them; _TOO_DEEP: it has more levels of objects
    and arrays."""
    if type(value) is dict:
        return _strings_of_object(value, levels)
    if type(value) is list:
        return _strings_of_array(value, levels)
    return 1 if type(value) is str else 0


def _strings_of_object(members: dict[str, Any], levels: int) -> int:
    if not levels:
        return _TOO_DEEP
    strings = len(members)
    for one in members.values():
        if type(one) is str:
            strings += 1
        elif type(one) is dict or type(one) is list:
            inner = _strings(one, levels - 1)
            if inner == _TOO_DEEP:
                return _TOO_DEEP
            strings += inner
    return strings


def _strings_of_array(members: list[Any], levels: int) -> int:
    if not levels:
        return _TOO_DEEP
    strings = 0
    for one in members:
        inner = _strings(one, levels - 1)
        if inner == _TOO_DEEP:
            return _TOO_DEEP
        strings += inner
    return strings


def _refuse_deep(body: bytes) -> None:
    """Raises JsonBad for a body with too many levels, be it JSON or not."""
    # There can be no more levels than opening brackets: most bodies need no scan.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise _too_deep()


def _too_deep() -> JsonBad:
    return JsonBad(f"It is nested deeper than {MAX_DEPTH} levels.", fix="Send flatter objects.")


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise JsonBad(
                f"The name '{shown(name)}' stands twice in one object.",
                fix="Send each name once.",
            )
        names.add(name)


def _json_fault(body: bytes, fault: Exception) -> JsonBad | FieldBad:
    try:
        body.decode()
    except UnicodeDecodeError as not_text:
        return JsonBad(f"Byte {not_text.start} is not UTF-8.", fix="Send UTF-8.")
    # More digits than Python reads. Smaller ones are refused where they stand in a field.
    if str(fault).startswith("Integer value out of range"):
        return FieldBad("It holds an integer of more than 64 bits.", fix="Send it as a string.")
    place = _BYTE.search(str(fault))
    # Without a place the text ended too soon, or inside a broken character escape.
    at = int(place[1]) if place else len(body)
    if str(fault).startswith("Number out of range"):
        return JsonBad(
            f"It holds a number larger than 1.8e308 before byte {at}.", fix="Send it as a string."
        )
    return JsonBad(f"It cannot be read at byte {at}.", fix="Send one JSON object.")
