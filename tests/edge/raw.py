"""Bytes on a bare connection to a real server, for what no HTTP library would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

WAIT_S = 20
TARGET = "/ee/v1/interact?configId=demo"
# What the datastream of the server allows.
LISTED = (
    "https://shop.example",
    "https://www.shop.test",
    "https://shop.test:8443",
    "http://localhost:8080",
    "http://127.0.0.1:8080",
    "https://192.0.2.7",
    "https://xn--bcher-kva.example",
)
EVENT = b'{"events":[{"xdm":{"eventType":"a"}}]}'


class Answer(Struct, frozen=True):
    """One answer as it came. headers: (name in small letters, value), in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def header(self, name: str) -> str | None:
        """The only one of a name; None: there is none."""
        found = self.all(name)
        assert len(found) < 2, f"{name} stands {len(found)} times"
        return found[0] if found else None

    @property
    def sent(self) -> dict[str, Any]:
        """The JSON; {} for any other body."""
        if "json" not in (self.header("content-type") or ""):
            return {}
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def code(self) -> str:
        """Of a problem: the end of its type, such as EXEG-0101-400; "": it is none."""
        told: str = self.sent.get("type", "")
        return told.removeprefix("https://ns.adobe.com/aep/errors/").removeprefix("urn:perso:")


class Connection:
    """A socket that reads answers one after the other."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._read = b""
        self.head = False  # the answers are to HEAD: they have no body

    def send(self, written: bytes) -> None:
        # The server may have closed already; what it answered is still to be read.
        with suppress(ConnectionError):
            self._socket.sendall(written)

    def no_more(self) -> None:
        """Nothing is sent from here on; answers are still read."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer | None:
        """The next final answer; None: the server closed the connection instead."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            status, headers = _head(head)
            if status >= 200:
                return Answer(status, headers, self._body(status, dict(headers)))

    def interim(self) -> int | None:
        """The status of the next head, whose body is not read; None: closed."""
        head = self._until(b"\r\n\r\n")
        return None if head is None else _head(head)[0]

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status == 204 or self.head:
            return b""
        length = int(headers["content-length"])
        while len(self._read) < length and self._more():
            pass
        body, self._read = self._read[:length], self._read[length:]
        assert len(body) == length, "the answer broke off"
        return body

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._read:
            if not self._more():
                assert not self._read, f"half an answer: {self._read[:200]!r}"
                return None
        found, _, self._read = self._read.partition(end)
        return found

    def _more(self) -> bool:
        try:
            came = self._socket.recv(65_536)
        except ConnectionResetError:
            return False
        self._read += came
        return bool(came)


def _head(head: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), tuple(
        (name.lower(), value.strip()) for name, _, value in pairs
    )


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """url: any address of the server."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port or 80), timeout=WAIT_S) as opened:
        yield Connection(opened)


def request(
    body: bytes | None = EVENT,
    *,
    line: bytes = b"POST " + TARGET.encode() + b" HTTP/1.1",
    headers: bytes = b"Content-Type: text/plain\r\n",
    host: bytes = b"Host: edge.test\r\n",
    length: bytes | None = None,
) -> bytes:
    """A request as bytes. headers: whole lines. length: the value of Content-Length, if not the
    body's own. body None: no body and no length."""
    if length is None and body is not None:
        length = b"%d" % len(body)
    stated = b"" if length is None else b"Content-Length: %s\r\n" % length
    return line + b"\r\n" + host + headers + stated + b"\r\n" + (body or b"")


GOOD = request()


def still_answers(to: Connection) -> bool:
    """Whether another request on the same connection gets its own answer."""
    to.send(GOOD)
    told = to.answer()
    assert told is None or told.status == 200
    return told is not None
