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
        text = _BREAK.join(lines)
        if text.count(_BREAK) >= len(lines) or not _is_text(text.replace(_BREAK, "")):
            raise ValueError("a header of the answer is no text of one line.")
        head = f"{_FIRST_LINES[self.status]}{text}{_BREAK}{_BREAK}"
        return head.encode(errors="ignore") + self.body


def _is_text(headers: str) -> bool:
    """Bytes that were no UTF-8 as they came are left out, as aiohttp does."""
    return headers.isprintable() or headers.encode(errors="ignore").decode().isprintable()
