"""All that a server of this process says is searched for canaries: every byte of every connection,
every log record, and what the process prints."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from aiohttp import web, web_fileresponse
from aiohttp.web_protocol import RequestHandler
from msgspec import structs

from perso_core.edge.asked import WholeRequest
from perso_core.edge.connection import Connection
from perso_core.edge.http_answer import HttpAnswer
from tests.canaries.ledger import noted
from tests.canaries.planting import CANARY, taken_out


def _spelt(canary: bytes) -> Iterator[bytes]:
    """As it is, and inside base64 wherever it begins."""
    yield canary
    for skipped in range(3):
        encoded = base64.b64encode(b"\x00" * skipped + canary)
        yield encoded[4 if skipped else 0 : len(encoded) // 4 * 4 - 4]


# Ours, and the one that a test of tenants plants by itself.
SPELT = (*_spelt(CANARY.encode()), b"CANARY-7f3a")

LEAKS: list[str] = []  # of this process: where they were


def _leaked(size: int, where: str) -> None:
    LEAKS.append(where)
    noted("leak", size, where)


def holds_one(said: bytes) -> bool:
    return any(spelt in said for spelt in SPELT)


def watch() -> None:
    """From now on, in this process."""
    handler: Any = RequestHandler
    handler.connection_made = _connection_made
    handler.finish_response = _finish_response
    handler.connection_lost = _connection_lost
    straight: Any = Connection
    straight._tell = _tell
    # So that files too are written through the transport.
    setattr(web_fileresponse, "NOSENDFILE", True)  # noqa: B010 - its name says it is final
    logging.getLogger().addHandler(_Searched())


def watch_prints() -> None:
    """What this process prints too; pytest's own output is none of a server's."""
    sys.stdout = _Stream(sys.stdout)
    sys.stderr = _Stream(sys.stderr)


# ---- connections ---------------------------------------------------------------


class _Transport:
    """A transport that keeps what was written since it was last searched."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: Any) -> None:
        self.written += data
        self._transport.write(data)

    def writelines(self, parts: Any) -> None:
        parts = list(parts)
        for part in parts:
            self.written += part
        self._transport.writelines(parts)


_ORIGINAL = (
    RequestHandler.connection_made,
    RequestHandler.finish_response,
    RequestHandler.connection_lost,
)
_ORIGINAL_TELL = Connection._tell
_OPEN: dict[int, _Transport] = {}  # by id of the handler, as long as its connection lasts


def _connection_made(self: RequestHandler, transport: Any) -> None:
    _OPEN[id(self)] = watched = _Transport(transport)
    original: Any = _ORIGINAL[0]  # which wants a transport by name; ours does all that one does
    original(self, watched)


async def _finish_response(
    self: RequestHandler, request: web.BaseRequest, answer: Any, *more: Any
) -> Any:
    proven = isinstance(answer, web.Response) and _proven(request, answer)
    if proven and holds_one(answer.body):
        noted("proven", len(answer.body))
        answer.body = taken_out(answer.body)
    try:
        return await _ORIGINAL[1](self, request, answer, *more)
    finally:
        _searched(self, f"{request.method} {request.path}", proven=proven)


def _tell(self: Connection, request: WholeRequest, told: HttpAnswer, *, last: bool) -> None:
    proven = _proven(request, told)
    if proven and holds_one(told.body):
        noted("proven", len(told.body))
        told = structs.replace(told, body=taken_out(told.body))
    _ORIGINAL_TELL(self, request, told, last=last)
    _searched(self, f"POST {request.path}", proven=proven)


def _searched(handler: RequestHandler, asked: str, *, proven: bool) -> None:
    if proven and id(handler) in _OPEN:
        _OPEN[id(handler)].written.clear()
    _search(handler, asked)


def _connection_lost(self: RequestHandler, exc: BaseException | None) -> None:
    request = self._current_request
    _search(self, f"{request.method} {request.path}" if request else "a connection")
    _OPEN.pop(id(self), None)
    _ORIGINAL[2](self, exc)


def _proven(request: web.BaseRequest | WholeRequest, answer: web.Response | HttpAnswer) -> bool:
    """Whether the answer is one in which attributes may stand."""
    # Another x-api-key is Adobe's client id, and proves nothing.
    key = request.headers.get("x-api-key", "")
    shown = "Authorization" in request.headers or key.startswith("perso_")
    return (
        "/v2/" in request.path
        and shown
        and answer.status in (200, 207)
        and isinstance(answer.body, bytes)
    )


def _search(handler: RequestHandler, asked: str) -> None:
    transport = _OPEN.get(id(handler))
    if transport is None or not transport.written:
        return
    said = bytes(transport.written)
    transport.written.clear()
    noted("answer", len(said))
    if holds_one(said):
        _leaked(len(said), f"in the answer to {asked}")


# ---- logs and prints -------------------------------------------------------------


class _Searched(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        said = self.format(record).encode("utf-8", "replace")
        noted("log", len(said))
        if holds_one(said):
            _leaked(len(said), f"in the log of {record.name}")
        # Without any handler the record would have gone there; we are none.
        last = logging.lastResort
        if logging.getLogger().handlers == [self] and last and record.levelno >= last.level:
            last.handle(record)


class _Stream:
    """What is printed goes on to where it went."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        said = text.encode("utf-8", "replace")
        noted("stream", len(said))
        if holds_one(said):
            _leaked(len(said), "in what a process prints")
        return self._stream.write(text)
