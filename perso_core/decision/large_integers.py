"""Integers of any size in MessagePack, whose own have 64 bits: JSON knows no bound. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

# Larger ones go as this extension type, two's complement, big-endian. The number is part of what is
# on disk.
_LARGE_INTEGER: Final = 1
_INTEGERS: Final = range(-(2**63), 2**64)


def with_large_integers(value: Any) -> Any:
    """The value with integers beyond 64 bits as extensions.

    Loops, not comprehensions: one frame for each level, as deep as a decoder has let in.
    """
    if isinstance(value, int) and value not in _INTEGERS:
        size = value.bit_length() // 8 + 1
        return msgspec.msgpack.Ext(_LARGE_INTEGER, value.to_bytes(size, "big", signed=True))
    if isinstance(value, Mapping):
        changed = {}
        for name, inner in value.items():
            changed[name] = with_large_integers(inner)
        return changed
    if isinstance(value, (list, tuple)):
        members = []
        for inner in value:
            members.append(with_large_integers(inner))
        return members
    return value


def large_integer(code: int, content: memoryview) -> Any:
    """What was put in as an extension: a decoder's ext_hook."""
    if code == _LARGE_INTEGER:
        return int.from_bytes(content, "big", signed=True)
    raise ValueError(f"unknown extension {code}")


# As MessagePack. Raises OverflowError for an integer of more than 64 bits, TypeError for what no
# JSON is.
packed_plainly = msgspec.msgpack.Encoder().encode


def packed(value: Any) -> bytes:
    """The same, with integers of any size."""
    try:
        return packed_plainly(value)
    except OverflowError:
        return packed_plainly(with_large_integers(value))
