"""Heads that came before, and are not read again.

A browser sends the same headers with each request of a page, a server with all of its requests:
other are the first line and how long the body is. Where a request came whole and its headers are,
byte for byte, some that aiohttp read before, what they say is known (header_facts.py), and there is
left the first line, in which nothing but plain text is read here. All else is aiohttp's to read.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from aiohttp import hdrs
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from msgspec import Struct, structs
from multidict import CIMultiDict, CIMultiDictProxy

from perso_core.edge.header_facts import HeaderFacts

# Of the bytes before the body, which may be as many of a head that is known.
MAX_HEAD_BYTES = 4_096
# Of heads that are known, by what they weigh: some 5,000 of browsers, whichever connection their
# next requests come on.
KEPT_BYTES = 16 * 1_024 * 1_024
# To keep one takes 6 µs, and who sends another with each request has none of them kept: so many
# hashes tell which came before.
CAME_ONCE = 8_192

# Nothing stands in it but what means itself, in a path and in a query.
_LINE = re.compile(rb"POST (/[\w./~-]*)(?:\?([\w.~:=&-]*))? HTTP/1\.1\r\n")
_BREAK, _END = b"\r\n", b"\r\n\r\n"
# As nearly all write it. aiohttp takes no second one, in whatever spelling.
_LENGTH, _LENGTH_IN_SMALL = b"\r\nContent-Length: ", b"\r\ncontent-length: "
_MAX_DIGITS = 7
# What a known head weighs beside its bytes, which are there twice: as they are, and as text.
_WEIGHT, _WEIGHT_OF_A_HEADER = 500, 65
# One character beyond ASCII makes four bytes of each in its text, and several cookies stand in it
# once more together: 16 MB had weighed 66.
_WIDEST = 8


class Whole(Struct, frozen=True, gc=False):
    """Bytes that look like one request with its body. fields: its headers as they came, without the
    body's length: others with the same say the same. line, head: how many bytes the first line has,
    and all that is before the body."""

    data: bytes
    fields: bytes
    line: int
    head: int

    @property
    def body(self) -> bytes:
        return self.data[self.head :]


class Line(Struct, frozen=True, gc=False):
    """The first line of a POST whose headers are known. path, query: as they stand in it, where
    nothing is escaped; query: "" where there is none. head: all bytes before the body."""

    path: str
    query: str
    head: bytes


def whole_in(data: bytes) -> Whole | None:
    """What bytes look like that begin a request. None: they may be more than one, or less, or be
    written in another way than nearly all clients have. To be believed only where aiohttp read them
    as that (was_read), or read the same fields before: a head that ends before the place which its
    length tells has fields that it never reads."""
    if not data.startswith(b"POST /") or not isinstance(data, bytes):  # a bytearray on Windows
        return None
    line = data.find(_BREAK)
    begin = data.find(_LENGTH, line, MAX_HEAD_BYTES)
    if begin < 0:
        begin = data.find(_LENGTH_IN_SMALL, line, MAX_HEAD_BYTES)
        if begin < 0:
            return None
    begin += len(_LENGTH)
    behind = data.find(_BREAK, begin)
    digits = data[begin:behind]
    if behind < 0 or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    head = len(data) - int(digits)
    end = head - len(_END)
    if end < behind or head > MAX_HEAD_BYTES or data[end:head] != _END:
        return None
    return Whole(data, data[line:begin] + data[behind:end], line, head)


def line_of(whole: Whole) -> Line | None:
    """None: there is something in the first line that aiohttp has to read."""
    found = _LINE.match(whole.data, 0, whole.line + len(_BREAK))
    if found is None:
        return None
    path, query = found.groups(b"")
    return Line(path.decode(), query.decode(), whole.data[: whole.head])


def was_read(whole: Whole, message: RawRequestMessage, body: StreamReader) -> bool:
    """Whether that is what aiohttp read of bytes that began a request: then whatever comes next
    begins another one. body: has ended."""
    return (
        body.total_bytes == len(whole.data) - whole.head
        and len(message.raw_headers) == whole.fields.count(b"\n")  # none of them is folded
        and not message.chunked
        and not message.upgrade
    )


class KnownHeads:
    """What headers say that requests had before: the last ones that came more than once, as far as
    most_bytes go. Whoever sends the same says the same: of a visitor nothing is kept but what they
    sent, of definitions nothing."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[bytes, HeaderFacts] = OrderedDict()
        self._came_once = [0] * CAME_ONCE  # by their hashes

    def __len__(self) -> int:
        return len(self._known)

    def facts(self, fields: bytes) -> HeaderFacts | None:
        """fields: see Whole. None: they are not known."""
        known = self._known.get(fields)
        if known is not None:
            self._known.move_to_end(fields)
        return known

    def came(self, fields: bytes, facts: HeaderFacts) -> None:
        """facts: of a request with these fields, which asked for nothing but an answer, and after
        which its connection goes on."""
        if fields in self._known:  # its first line was not plain
            return
        came = hash(fields)
        place = came % CAME_ONCE
        if self._came_once[place] != came:
            self._came_once[place] = came
            return
        headers = CIMultiDict(facts.headers)
        headers.pop(hdrs.CONTENT_LENGTH, None)  # that is another one's
        self._known[fields] = structs.replace(facts, headers=CIMultiDictProxy(headers))
        self._bytes += _weight(fields)
        while self._bytes > self._most_bytes:
            self._bytes -= _weight(self._known.popitem(last=False)[0])


def _weight(fields: bytes) -> int:
    text = 1 if fields.isascii() else _WIDEST
    return _WEIGHT + (1 + text) * len(fields) + _WEIGHT_OF_A_HEADER * fields.count(b"\n")
