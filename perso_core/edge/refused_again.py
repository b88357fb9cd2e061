"""Whoever was refused is refused again as their bytes come.

To read a request, to run its handler and to write its answer took 320 µs of a refusal, and of a
thousand a second a third of the process's time; so it takes 140 (docs/decisions/0022). What is said
to a request that is the same but for its id and its body is known: the body is only looked through
for what could make it somebody else's (at_sight.py), and the limits are asked as ever. For one
event loop.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from cachetools import LRUCache
from msgspec import Struct, structs

from perso_core.definitions.snapshot import Snapshot
from perso_core.edge.at_sight import events_in, shown_in
from perso_core.edge.http_answer import Headers
from perso_core.edge.problem import Report, TooManyRequests
from perso_core.edge.request_id import made_request_id
from perso_core.edge.services import EdgeServices
from perso_core.edge.wire import encode_problem

# So many requests are known, each of at most so many bytes before its body.
KEPT_HEADS = 256
MAX_HEAD_BYTES = 4_096
# For so long after a refusal connections are looked at for another one.
ARMED_S = 10.0

_END = b"\r\n\r\n"
# In any other spelling it is no request that is known.
_REQUEST_ID = re.compile(rb"(?<=[?&]requestId=)[0-9A-Za-z-]{1,64}(?=[& ])")
_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )[0-9]{1,7}(?=\r\n)", re.IGNORECASE)
# With one of these where a request ends is no matter of its length alone, or its answer is the last
# one, or there is an interim one.
_OTHERWISE = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|(?:proxy-)?connection:(?! keep-alive\r\n))",
    re.IGNORECASE,
)
_ID = b"requestid"
_FOLDED = (b"\r\n ", b"\r\n\t")

# A head without what differs from one request of a page to the next: its id, and its length.
Head = tuple[bytes, bytes, bytes]


class Request(Struct, frozen=True):
    """One that stands in its bytes alone. request_id: None: there is none where we look."""

    head: Head
    request_id: str | None
    body: bytes


class _Parts(Struct, frozen=True):
    """length: of the body, as the head says."""

    head: Head
    request_id: str | None
    length: int


class Refused(Struct, frozen=True):
    """What was refused. shown: see at_sight.shown_in. answer_head: without what each answer has of
    its own."""

    profile_key: str
    shown: bytes
    datastream_id: str
    forwarded_for: tuple[str, ...]
    report: Report
    answer_head: bytes


def alone_in(data: bytes) -> Request | None:
    """The request, where the bytes are one from its first to its last; None: they may be not."""
    end = data.find(_END, 0, MAX_HEAD_BYTES)
    found = _parts(data[: end + 2]) if end >= 0 else None
    if found is None or found.length != len(data) - end - len(_END):
        return None
    return Request(found.head, found.request_id, data[end + len(_END) :])


def _parts(head: bytes) -> _Parts | None:
    """None: it does not say how long its body is, as we look for it."""
    length = _LENGTH.search(head)
    if length is None:
        return None
    named = _REQUEST_ID.search(head, 0, head.index(b"\r\n"))
    begin, further = named.span() if named else (0, 0)
    rest = (head[:begin], head[further : length.start()], head[length.end() :])
    return _Parts(rest, named[0].decode() if named else None, int(length[0]))


def is_all(data: bytes, read: RawRequestMessage) -> bool:
    """Whether these bytes are the request that was read of them, and nothing else. Where they stand
    behind a part of a head, that has another first line, or headers more."""
    if read.method != "POST" or read.upgrade or not data.startswith(_line(read)):
        return False
    head = data[: data.find(_END, 0, MAX_HEAD_BYTES) + 2]
    return (
        head.count(b"\r\n") == 1 + len(read.raw_headers)
        and not any(folded in head for folded in _FOLDED)
        and alone_in(data) is not None
    )


def _line(read: RawRequestMessage) -> bytes:
    version = read.version
    line = f"{read.method} {read.path} HTTP/{version.major}.{version.minor}\r\n"
    return line.encode(errors="surrogateescape")


def _head(read: RawRequestMessage) -> bytes | None:
    """As most clients write it; None: where its request ends, and that another may follow, is told
    by something else than its one Content-Length."""
    lines = b"".join([b"%b: %b\r\n" % pair for pair in read.raw_headers])
    head = _line(read) + lines
    plain = (
        head.startswith(b"POST /")
        and read.version == HttpVersion11
        and head.lower().count(b"\r\ncontent-length:") == 1
        and not _OTHERWISE.search(head)
    )
    return head if plain and len(head) <= MAX_HEAD_BYTES else None


def _known_by(read: RawRequestMessage, request_id: str) -> Head | None:
    """By what another request like this one is known, which was told this id; None: by nothing."""
    head = _head(read)
    found = _parts(head) if head is not None else None
    if head is None or found is None:
        return None
    rest, named = found.head, found.request_id
    lowered = head.lower()
    path, _, query = lowered[: head.index(b"\r\n")].partition(b"?")
    first = query.find(_ID)
    # Where the id might be spelled in another way as well, and that be the one that is told.
    before = query if named is None else query[:first]
    if b"#" in path + query or b"?" in query or b"%" in before or _ID in path:
        return None
    if named is None:
        return rest if first < 0 and b"\r\nx-request-id:" not in lowered else None
    stands = len(path) + 1 + first + len(_ID) + 1
    return rest if named == request_id and stands == len(rest[0]) else None


class RefusedAgain:
    """Requests that were refused, KEPT_HEADS at most, and what is told to who sends one again.
    elapsed_s: a clock that nobody can set."""

    def __init__(
        self, services: EdgeServices, elapsed_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = services
        self._elapsed_s = elapsed_s
        self._armed_until_s = 0.0
        # Of what was in force as they were refused.
        self._known: LRUCache[tuple[Head, bytes], Refused] = LRUCache(KEPT_HEADS)
        self._snapshot: Snapshot | None = None

    def __len__(self) -> int:
        """Requests that are known."""
        return len(self._known)

    @property
    def armed(self) -> bool:
        """Whether somebody was refused so lately that connections are to be looked at."""
        if self._armed_until_s and self._elapsed_s() >= self._armed_until_s:
            self._armed_until_s = 0.0
            self._forget(None)
        return self._armed_until_s > 0

    @property
    def waits_s(self) -> float:
        """How long a refusal waits until it is told."""
        return self._services.refusals.stays_away_s

    def remember(self, read: RawRequestMessage, refused: Refused, request_id: str) -> None:
        """read: the request that was refused. request_id: as it was told."""
        services = self._services
        self._armed_until_s = self._elapsed_s() + ARMED_S
        if services.snapshot() is not self._snapshot:
            self._forget(services.snapshot())
        head = _known_by(read, request_id)
        if head is not None and refused.answer_head.isascii():
            self._known[head, refused.shown] = refused

    def _forget(self, snapshot: Snapshot | None) -> None:
        self._known.clear()
        self._snapshot = snapshot

    def refusal(self, data: bytes, peer: str | None) -> bytes | None:
        """What is answered to these bytes, which begin a request on a connection from peer; None:
        that is not known. As the edge answers them, and counted for its network and datastream."""
        request = alone_in(data) if self._known else None
        if request is None:
            return None
        services = self._services
        shown = shown_in(request.body)
        refused = self._known.get((request.head, shown)) if shown is not None else None
        if (
            refused is None
            or self._snapshot is not services.snapshot()
            or len(request.body) > services.max_body_bytes
        ):
            return None
        error = self._error(refused, events_in(request.body), peer)
        if error is None:
            return None
        self._armed_until_s = self._elapsed_s() + ARMED_S
        return _encoded(refused, request.request_id or made_request_id(services.entropy), error)

    def _error(self, refused: Refused, events: int, peer: str | None) -> TooManyRequests | None:
        """None: this visitor may call again."""
        services = self._services
        now_ms = services.clock_ms()
        key = refused.profile_key
        error = services.heavy_senders.refused(key, events) or services.limits.refused(key, now_ms)
        if error is None:
            return None
        try:
            services.limits.count_call(peer, refused.forwarded_for, refused.datastream_id, now_ms)
        except TooManyRequests as of_more:
            return of_more
        return error


def answer_head_of(headers: Headers) -> bytes:
    """Of a refusal, with those of its headers that are the same in the next one."""
    own = ("x-request-id", "retry-after")
    lines = [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in own]
    head = f"HTTP/1.1 429 Too Many Requests\r\n{''.join(lines)}Server: {SERVER_SOFTWARE}\r\n"
    return head.encode(errors="surrogateescape")


def _encoded(refused: Refused, request_id: str, error: TooManyRequests) -> bytes:
    report = structs.replace(refused.report, request_id=request_id)
    body = encode_problem(error.problem(report))
    more = (
        f"x-request-id: {request_id}\r\nRetry-After: {error.retry_after_s}\r\n"
        f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
    )
    return b"".join((refused.answer_head, more.encode(), body))
