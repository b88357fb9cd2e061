"""Where the rows of CSV end: a line break in quotes is part of its cell (RFC 4180).

Of quotes that are amiss, as in "a" b", nobody knows what was meant: that the line alone is spoilt,
that the cell goes on to its delimiter, or that the quotes go on. A row has ended where it has by
each of these readings, so that what may be part of a cell is never read as a row.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from msgspec import Struct

# Where a reading of a text may be, each a bit: several are several readings.
START = 1  # of a cell, or of a row
IN_CELL = 2  # which has no quotes
QUOTED = 4
QUOTE = 8  # after a quote in quotes: it ends them, or is the first of two that mean one
RETURN = 16  # after a carriage return outside quotes
LOST = 32  # after a fault, up to the end of the line
_READINGS = (START, IN_CELL, QUOTED, QUOTE, RETURN, LOST)

_Sign = Literal["quote", "delimiter", "return", "feed", "other"]
_SIGNS: dict[int, _Sign] = {ord('"'): "quote", ord("\r"): "return", ord("\n"): "feed"}
_IN_QUOTES = re.compile(rb'(?:[^"]++|"")*+')
_OUTSIDE: dict[_Sign, int] = {
    "quote": QUOTED,
    "delimiter": START,
    "return": RETURN,
    "feed": START,
    "other": IN_CELL,
}


class Ended(Struct, frozen=True):
    """What is known of a line that was too long to be kept: its readings at its end, of one that
    begins outside and of one that begins in quotes."""

    outside: int
    quoted: int


class Traced(Struct, frozen=True):
    """Whether a line ends in quotes. opened: at which byte of it these were opened; None: in a line
    before, or there are none. amiss: at which byte the first quote stands that ends a cell which
    goes on; None: there is none."""

    quoted: bool
    opened: int | None = None
    amiss: int | None = None


class Quotes:
    """Of a file with this delimiter."""

    def __init__(self, delimiter: str) -> None:
        self._signs = {**_SIGNS, ord(delimiter): "delimiter"}
        self._delimiter = delimiter.encode()
        self._others = re.compile(b'[^"\r\n' + re.escape(delimiter.encode()) + b"]*+")

    def after_line(self, readings: int, line: bytes | Ended) -> int:
        """The readings at its end. START: by each of them a row has ended there."""
        if not isinstance(line, Ended):
            return self.after(readings, line, whole=True)
        return (line.outside if readings & START else 0) | (line.quoted if readings & QUOTED else 0)

    def after(self, readings: int, text: bytes, *, whole: bool) -> int:
        """The same of a piece of a line, which may end anywhere. whole: the line ends with it, also
        where it is the last one and has no line feed."""
        at, end = 0, len(text)
        while at < end:
            if readings == QUOTED and (passed := _IN_QUOTES.match(text, at)):
                at = passed.end()
            elif (passed := self._others.match(text, at)) and passed.end() > at:
                readings = _after(readings, "other")
                at = passed.end()
            if at < end:
                readings = _after(readings, self._signs.get(text[at], "other"))
                at += 1
        return _after(readings, "feed") if whole and not text.endswith(b"\n") else readings

    def traced(self, line: bytes, *, quoted: bool) -> Traced:
        """What a reader comes to who takes each quote for what RFC 4180 makes of it. quoted: the
        line begins in quotes. Of the rest of a line with a quote that is amiss nothing is known."""
        opened, at = None, 0
        while at < len(line):
            if quoted:
                passed = _IN_QUOTES.match(line, at)
                at = passed.end() if passed else at
                if at == len(line):
                    return Traced(True, opened=opened)
                quoted = False
                if line[at + 1 : at + 2] not in (self._delimiter, b"\r", b"\n", b""):
                    return Traced(False, amiss=at)
            elif line.startswith(b'"', at):
                quoted, opened = True, at
                at += 1
                continue
            following = line.find(self._delimiter, at)
            if following < 0:
                break
            at = following + 1
        return Traced(quoted, opened=opened if quoted else None)


@cache
def _after(readings: int, sign: _Sign) -> int:
    found = 0
    for reading in _READINGS:
        if readings & reading:
            found |= _one_after(reading, sign)
    return found


def _one_after(reading: int, sign: _Sign) -> int:
    if reading == QUOTED:
        return QUOTE if sign == "quote" else QUOTED
    if reading == QUOTE and sign == "other":
        return LOST | IN_CELL | QUOTED
    if reading == LOST and sign != "feed":
        return LOST
    if reading == IN_CELL and sign == "quote":
        return IN_CELL
    if reading == RETURN and sign not in ("return", "feed"):
        return LOST | _OUTSIDE[sign]
    return _OUTSIDE[sign]
