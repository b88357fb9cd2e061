"""Writes TC strings by the specification's tables, bit by bit as text: nothing is shared with the
decoder under test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# 12 June 2020, in deciseconds: before TCF 2.3.
MADE_DS = 15_919_966_590
Padding = Literal["characters", "bytes", "24"]
Limit = tuple[int, int, Sequence[tuple[int, int]]]  # purpose, kind, ranges


def number(value: int, bits: int) -> str:
    assert 0 <= value < 2**bits
    return bin(value)[2:].zfill(bits)


def letters(text: str) -> str:
    return "".join(number(ord(letter) - 65, 6) for letter in text)


def flags(chosen: Iterable[int], bits: int) -> str:
    held = set(chosen)
    assert all(1 <= one <= bits for one in held)
    return "".join("1" if one in held else "0" for one in range(1, bits + 1))


def ranges(pairs: Sequence[tuple[int, int]]) -> str:
    text = number(len(pairs), 12)
    for first, last in pairs:
        text += "0" + number(first, 16)
        if last != first:
            text = text[:-17] + "1" + number(first, 16) + number(last, 16)
    return text


def vendors(ids: Iterable[int], *, as_ranges: bool = False, most: int | None = None) -> str:
    held = sorted(ids)
    highest = (held[-1] if held else 0) if most is None else most
    if not as_ranges:
        return number(highest, 16) + "0" + flags(held, highest)
    pairs: list[tuple[int, int]] = []
    for one in held:
        if pairs and pairs[-1][1] == one - 1:
            pairs[-1] = (pairs[-1][0], one)
        else:
            pairs.append((one, one))
    return number(highest, 16) + "1" + ranges(pairs)


def core(**over: Any) -> str:
    """The core segment's bits, unpadded. over: fields of the table below, or ready-made bits."""
    field: dict[str, Any] = {
        "version": 2,
        "created": MADE_DS,
        "updated": MADE_DS,
        "language": "EN",
        "policy": 2,
        "purposes": (1,),
        "purposes_legitimate": (),
        "country": "DE",
        "vendors": (565,),
        "vendors_legitimate": (),
        "as_ranges": False,
        "limits": (),
        **over,
    }
    limits: Sequence[Limit] = field["limits"]
    as_ranges = field["as_ranges"]
    return "".join(
        (
            number(field["version"], 6),
            number(field["created"], 36),
            number(field["updated"], 36),
            number(198, 12),
            number(1, 12),
            number(3, 6),
            letters(field["language"]),
            number(117, 12),
            number(field["policy"], 6),
            "00",
            flags((), 12),
            flags(field["purposes"], 24),
            flags(field["purposes_legitimate"], 24),
            "0",
            letters(field["country"]),
            field.get("vendor_bits") or vendors(field["vendors"], as_ranges=as_ranges),
            vendors(field["vendors_legitimate"], as_ranges=as_ranges),
            number(len(limits), 12),
            *(number(p, 6) + number(kind, 2) + ranges(pairs) for p, kind, pairs in limits),
        )
    )


def disclosed(ids: Iterable[int], *, kind: int = 1, as_ranges: bool = True) -> str:
    return number(kind, 3) + vendors(ids, as_ranges=as_ranges)


def publisher(customs: int = 0) -> str:
    purposes = flags((1, 2), 24) + flags((), 24)
    return number(3, 3) + purposes + number(customs, 6) + "1" * customs + "0" * customs


def text(bits: str, *, padding: Padding = "bytes") -> str:
    """One segment, padded as encoders in the field do it."""
    if padding == "bytes":
        bits += "0" * (-len(bits) % 8)
    if padding == "24":
        bits += "0" * (24 - len(bits) % 24)
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def tc_string(*others: str, padding: Padding = "bytes", **over: Any) -> str:
    return ".".join(text(bits, padding=padding) for bits in (core(**over), *others))
