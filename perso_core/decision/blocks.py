"""Packed events that lie together, compressed: events of one visitor are much alike. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

# Events are put together by so many; by as many as LARGE where there are enough at once.
SMALL, LARGE = 16, 64
# Of zlib's levels the first: the others take twice as long for 4 % less. A window of 4 KB holds a
# block, and takes a quarter less time to set up than the usual one.
_LEVEL, _WINDOW_BITS = 1, -12


class Block(Struct, frozen=True, gc=False):
    """Rows of events, compressed. count: how many of them there are, from the first on; what comes
    after those is no event of its own."""

    count: int
    compressed: bytes

    def rows(self) -> list[bytes]:
        return self.everything()[: self.count]

    def everything(self) -> list[bytes]:
        """The rows, and what comes after them."""
        return _decode(zlib.decompress(self.compressed, _WINDOW_BITS))


def block_of(rows: Sequence[bytes], after: Sequence[bytes] = ()) -> Block:
    """after: what is to lie with them."""
    packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS)
    compressed = packing.compress(_encode([*rows, *after])) + packing.flush()
    return Block(len(rows), compressed)


def blocks_of(rows: Sequence[bytes]) -> list[Block]:
    """As many whole blocks as there are rows for, from the first on; the last rows are in none."""
    blocks, at = [], 0
    while len(rows) - at >= SMALL:
        size = LARGE if len(rows) - at >= LARGE else SMALL
        blocks.append(block_of(rows[at : at + size]))
        at += size
    return blocks


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode
