"""JSON as the edge takes it: UTF-8, no name twice in an object, no endless nesting. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from perso_core.edge.problem import FieldBad, JsonBad, shown

MAX_DEPTH = 32  # levels of objects and arrays

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_BYTE = re.compile(r"\(byte (\d+)\)")
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
    if not _fits(value, MAX_DEPTH):
        raise _too_deep()
    # What was decoded has no name twice. If it encodes to the very body, but for white space, the
    # body had none either: so it is with what JSON.stringify and json.dumps wrote, and the slow
    # look is for the rest.
    encoded = _encode(value)
    if encoded != body and encoded != msgspec.json.format(body, indent=-1):
        _refuse_deep(body)  # of a name that stands twice the first value was never seen
        json.loads(body.decode(), object_pairs_hook=_without_duplicates, parse_int=str)
    return value


def _fits(value: Any, levels: int) -> bool:
    """Whether there are no more levels of objects and arrays in it."""
    if type(value) is dict:
        return _object_fits(value, levels)
    return type(value) is not list or _array_fits(value, levels)


def _object_fits(members: dict[str, Any], levels: int) -> bool:
    if not levels:
        return False
    for one in members.values():
        if type(one) is dict:
            if not _object_fits(one, levels - 1):
                return False
        elif type(one) is list and not _array_fits(one, levels - 1):
            return False
    return True


def _array_fits(members: list[Any], levels: int) -> bool:
    if not levels:
        return False
    for one in members:
        if type(one) is dict:
            if not _object_fits(one, levels - 1):
                return False
        elif type(one) is list and not _array_fits(one, levels - 1):
            return False
    return True


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
