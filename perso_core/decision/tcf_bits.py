"""Bits of a TC string's segment, read one after the other."""

from __future__ import annotations

import base64
import re
from typing import Final

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class Unreadable(Exception):
    """Why a segment cannot be read. Raised and caught inside the decoder alone."""


class Bits:
    """A segment's bits from the first on. Every method raises Unreadable where too few are left."""

    __slots__ = ("_at", "_bytes", "_count")

    def __init__(self, text: str) -> None:
        """Raises Unreadable for text that is no base64url without padding characters."""
        if not _BASE64URL.fullmatch(text):
            raise Unreadable("it is not base64url")
        if len(text) % 4 == 1:
            raise Unreadable("no base64url text has this length")
        self._bytes = base64.urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._count = 6 * len(text)
        self._at = 0

    @property
    def left(self) -> int:
        return self._count - self._at

    def number(self, bits: int) -> int:
        """The next bits as an unsigned number, the first bit highest."""
        end = self._skip(bits)
        held = int.from_bytes(self._bytes[(end - bits) // 8 : (end + 7) // 8], "big")
        return held >> -end % 8 & (1 << bits) - 1

    def flag(self) -> bool:
        return self.number(1) == 1

    def letters(self) -> str:
        """Two letters of six bits each, as language and country are written."""
        codes = (self.number(6), self.number(6))
        if max(codes) > 25:
            raise Unreadable("a language or country is not made of letters")
        return "".join(chr(ord("A") + code) for code in codes)

    def numbered(self, bits: int) -> frozenset[int]:
        """Which of the next bits are set, the first being number 1."""
        held = self.number(bits)
        return frozenset(n for n in range(1, bits + 1) if held >> (bits - n) & 1)

    def _skip(self, bits: int) -> int:
        if bits > self.left:
            raise Unreadable("it is cut short")
        self._at += bits
        return self._at
