"""A request as the edge reads it: aiohttp's own, or one that is all here and needs no more."""

from __future__ import annotations

from typing import Protocol

from aiohttp import StreamReader, hdrs
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy, MultiMapping


class Asked(Protocol):
    """What is read of a request; `web.Request` has all of it."""

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def query(self) -> MultiMapping[str]: ...
    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def remote(self) -> str | None: ...
    @property
    def content(self) -> StreamReader: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def protocol(self) -> RequestHandler: ...


class WholeRequest:
    """A request that came in one piece with its body, so that nothing of it is waited for.
    message: has a Host. content: has ended. protocol: its connection, which is open as yet.
    remote: who sent it, also once they are gone."""

    __slots__ = ("content", "headers", "message", "protocol", "remote")

    def __init__(
        self, message: RawRequestMessage, content: StreamReader, protocol: RequestHandler
    ) -> None:
        self.message = message
        self.headers = message.headers
        self.content = content
        self.protocol = protocol
        peer = protocol.peername
        first = peer[0] if isinstance(peer, (list, tuple)) else peer
        self.remote = None if first is None else str(first)

    @property
    def path(self) -> str:
        """Decoded."""
        return self.message.url.path

    @property
    def query(self) -> MultiMapping[str]:
        return self.message.url.query

    @property
    def scheme(self) -> str:
        return "https" if self.protocol.ssl_context else "http"

    @property
    def host(self) -> str:
        return self.headers[hdrs.HOST]

    @property
    def content_length(self) -> int | None:
        stated = self.headers.get(hdrs.CONTENT_LENGTH)
        return None if stated is None else int(stated)
