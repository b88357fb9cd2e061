"""A request as the edge reads it: aiohttp's own, or one that is all here and needs no more."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import hdrs
from aiohttp.http import HttpRequestParser
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy, MultiDict, MultiMapping

from perso_core.edge.header_facts import HeaderFacts, facts_of
from perso_core.edge.known_heads import Line


class Content(Protocol):
    """What is read of a body; `StreamReader` has all of it."""

    def is_eof(self) -> bool: ...
    def read_nowait(self) -> bytes: ...
    async def readany(self) -> bytes: ...


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
    def content(self) -> Content: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def protocol(self) -> RequestHandler: ...


class Here:
    """A body that is here."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def is_eof(self) -> bool:
        return True

    def read_nowait(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def readany(self) -> bytes:
        return self.read_nowait()


class WholeRequest:
    """A request that came in one piece with its body, so that nothing of it is waited for.
    read: as aiohttp read it, with a Host; or its first line, where it is known what the others say.
    content: has ended. protocol: its connection, which is open as yet. remote, scheme: who sent it,
    and how, also once they are gone. last: the connection closes after the answer."""

    __slots__ = ("_read", "content", "facts", "last", "protocol", "remote", "scheme")

    def __init__(
        self,
        read: RawRequestMessage | Line,
        facts: HeaderFacts,
        content: Content,
        protocol: RequestHandler,
    ) -> None:
        self._read = read
        self.facts = facts
        self.content = content
        self.protocol = protocol
        self.last = not isinstance(read, Line) and read.should_close
        peer = protocol.peername
        first = peer[0] if isinstance(peer, (list, tuple)) else peer
        self.remote = None if first is None else str(first)
        self.scheme = "https" if protocol.ssl_context else "http"

    @property
    def message(self) -> RawRequestMessage:
        """As aiohttp reads it."""
        read = self._read
        return _read_again(read, self.protocol) if isinstance(read, Line) else read

    @property
    def path(self) -> str:
        """Decoded."""
        read = self._read
        return read.path if isinstance(read, Line) else read.url.path

    @property
    def query(self) -> MultiMapping[str]:
        return MultiDict(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """Of the query, in order."""
        read = self._read
        if not isinstance(read, Line):
            return list(read.url.query.items())
        parts = [one.partition("=") for one in read.query.split("&") if one]
        return [(name, value) for name, _, value in parts]

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """Without Content-Length, if they came before."""
        return self.facts.headers

    @property
    def host(self) -> str:
        return self.facts.host

    @property
    def content_length(self) -> int | None:
        stated = self.message.headers.get(hdrs.CONTENT_LENGTH)
        return None if stated is None else int(stated)


def query_in(request: Asked) -> dict[str, str]:
    """What its query says. Names in any case, and of one name sent twice the first: documents spell
    it three ways."""
    one = request
    pairs = one.pairs() if isinstance(one, WholeRequest) else list(one.query.items())
    return {name.lower(): value for name, value in reversed(pairs)}


def facts_in(request: Asked) -> HeaderFacts:
    if isinstance(request, WholeRequest):
        return request.facts
    return facts_of(request.headers, request.host)


def _read_again(line: Line, protocol: RequestHandler) -> RawRequestMessage:
    loop: Any = protocol._loop
    parser = HttpRequestParser(
        protocol,
        loop,
        0,
        max_line_size=protocol.max_line_size,
        max_headers=protocol.max_headers,
        max_field_size=protocol.max_field_size,
    )
    ((message, _),), _, _ = parser.feed_data(line.head)
    return message
