"""A request as the targets write one: a path, headers, an empty line, a body.

So a kept input can be read and changed by hand. What frames a request in HTTP is added here, and
so is whatever else makes it arrive at the code that is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

_PATH = re.compile(rb"[^\x21-\x7e]+")
# No parser takes these in a header, so they would never arrive.
_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What says where the body ends, and whether the connection stays, is not for an input to say.
_FRAMING = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)
# aiohttp takes 9 KiB, the name included.
MOST_HEADER_BYTES = 9_000
MOST_HEADERS = 100


class Request(Struct, frozen=True):
    """path: what stands behind /ee/, with its query. headers: (name, value)."""

    path: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""

    def written(self) -> bytes:
        """As an input of a target."""
        lines = [self.path, *(name + b": " + value for name, value in self.headers)]
        return b"\n".join(lines) + b"\n\n" + self.body

    def as_http(self, *, stays: bool = False) -> bytes:
        """As it goes over the wire. stays: its connection may have another one."""
        headers = [
            (b"Host", b"edge.shop.test"),
            (b"Connection", b"keep-alive" if stays else b"close"),
            (b"Content-Length", b"%d" % len(self.body)),
            *_sendable(self.headers),
        ]
        if not any(name.lower() == b"content-type" for name, _ in headers):
            headers.append((b"Content-Type", b"text/plain"))
        path = _PATH.sub(b"", self.path)[: MOST_HEADER_BYTES - 1_000]
        lines = [
            b"POST /ee/" + path + b" HTTP/1.1",
            *(name + b": " + value for name, value in headers),
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def request_in(data: bytes) -> Request:
    """Any bytes at all are one. Lines of the head that are no header are passed over."""
    head, _, body = data.partition(b"\n\n")
    path, *lines = head.split(b"\n")
    pairs = (line.partition(b":") for line in lines)
    headers = tuple((name, value.strip()) for name, colon, value in pairs if colon)
    return Request(path, headers, body)


def request_of(path: str, body: Any, headers: Mapping[str, str] | None = None) -> Request:
    """path: behind /ee/. body: as JSON."""
    written = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    pairs = tuple((name.encode(), value.encode()) for name, value in (headers or {}).items())
    return Request(path.encode(), pairs, written)


def _sendable(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (name, _HEADER.sub(b"", value)[: MOST_HEADER_BYTES - len(name)])
        for name, value in headers[:MOST_HEADERS]
        if _NAME.fullmatch(name) and len(name) < 200 and name.lower() not in _FRAMING
    ]
