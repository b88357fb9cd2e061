"""Packed events that lie together, compressed: events of one visitor are much alike. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

# Events are put together by so many; by as many as LARGE where there are enough at once.
SMALL, LARGE = 16, 64
# Measured for such rows: higher levels take twice as long for 4 % less; a code that is made for
# each block saves 5 % and makes reading it half as fast again; a window of 4 KB holds a block.
_LEVEL, _WINDOW_BITS, _MEMORY = 3, -12, 5


def compressed(content: bytes) -> bytes:
    """For a few kilobytes of one visitor."""
    packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zlib.Z_FIXED)
    return packing.compress(content) + packing.flush()


def expanded(content: bytes) -> bytes:
    """What `compressed` was given."""
    return zlib.decompress(content, _WINDOW_BITS)


class Block(Struct, frozen=True, gc=False):
    """Rows of events, compressed. count: how many of them there are, from the first on; what comes
    after those is no event of its own."""

    count: int
    compressed: bytes

    def rows(self) -> list[bytes]:
        return self._everything()[: self.count]

    def after(self) -> list[bytes]:
        """What lies with them."""
        return self._everything()[self.count :]

    def _everything(self) -> list[bytes]:
        return _decode(expanded(self.compressed))


def block_of(rows: Sequence[bytes], after: Sequence[bytes] = ()) -> Block:
    """after: what is to lie with them."""
    return Block(len(rows), compressed(_encode([*rows, *after])))


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
