"""What the edge answers, as aiohttp's response or as the bytes that go to the connection. Pure."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from msgspec import Struct
from multidict import CIMultiDict

# Name and value of each, in order; one name may be there more than once.
Headers = tuple[tuple[str, str], ...]
_BREAK = "\r\n"
_PRINTABLE = bytes(range(0x20, 0x7F))  # of ASCII
_SERVER, _CLOSE = f"Server: {SERVER_SOFTWARE}", ("Connection: close",)
_FIRST_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}


class HttpAnswer(Struct, frozen=True):
    """headers: without what every answer of aiohttp's has. body: b"" with 204 alone."""

    status: int
    headers: Headers
    body: bytes = b""

    def response(self) -> web.Response:
        body = self.body or None
        return web.Response(status=self.status, body=body, headers=CIMultiDict(self.headers))

    def encoded(self, *, last: bool) -> bytes:
        """For HTTP/1.1, as aiohttp sends the response. last: the connection closes after it.
        Raises ValueError where a header is no text of one line."""
        lines = [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += (f"Date: {rfc822_formatted_time()}", _SERVER, *(_CLOSE if last else ()))
        lines += ("", "")
        head = f"{_FIRST_LINES[self.status]}{_BREAK.join(lines)}".encode(errors="ignore")
        if not _is_text(head, len(lines)):
            raise ValueError("a header of the answer is no text of one line.")
        return head + self.body


def _is_text(head: bytes, lines: int) -> bool:
    """Whether it is so many lines of printable text. What was no UTF-8 as it came was left out of
    it before, as aiohttp does."""
    others = head.translate(None, _PRINTABLE)
    if others == b"\r\n" * lines:
        return True
    text = head.decode()
    return text.count(_BREAK) == lines and text.replace(_BREAK, "").isprintable()
