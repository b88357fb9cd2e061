"""A POST that came whole is answered straight from what was read: nothing else of a connection may
be otherwise for that."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec import Struct

from perso_core.edge.asked import Asked
from perso_core.edge.connection import Connection
from perso_core.edge.guard import GuardedRunner
from perso_core.edge.http_answer import HttpAnswer
from tests.edge.listening import listening, reset

PATIENT_S = 10
NAMED = (("Content-Type", "text/plain"),)
ROUTED = b"GET /routed HTTP/1.1\r\nHost: x\r\n\r\n"


def post(body: bytes, *more: bytes) -> bytes:
    head = (b"POST /straight HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *more)
    return b"\r\n".join((*head, b"", body))


class Served(Struct):
    """Where a POST's own body is its answer, once it may go on. asked: bodies, as they came."""

    runner: GuardedRunner
    asked: asyncio.Queue[bytes]
    may_go_on: asyncio.Event
    routed: int = 0

    @property
    def connections(self) -> list[Connection]:
        assert self.runner.server is not None
        return [one for one in self.runner.server.connections if isinstance(one, Connection)]

    @property
    def connection(self) -> Connection:
        (one,) = self.connections
        return one


class Caller(Struct, frozen=True):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def told(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def ended(self) -> bool:
        return await self.reader.read() == b""


class Told(asyncio.Transport):
    """What is written to it."""

    def __init__(self, **more: object) -> None:
        super().__init__({"peername": ("203.0.113.7", 50_000), **more})
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


@asynccontextmanager
async def served(
    *, stops_within_s: float = PATIENT_S, access_log: logging.Logger | None = None
) -> AsyncIterator[tuple[Served, Caller]]:
    """And somebody who is connected."""
    asked, may_go_on = asyncio.Queue[bytes](), asyncio.Event()

    async def answer(request: Asked) -> HttpAnswer:
        body = request.content.read_nowait()
        asked.put_nowait(body)
        if body == b"fails":
            raise LookupError("nothing is there")
        await may_go_on.wait()
        named = (("X", "\n"),) if body == b"no answer" else NAMED
        return HttpAnswer(200, named, body)

    async def routed(_: web.Request) -> web.Response:
        server.routed += 1
        return web.Response(text="routed")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", routed)
    runner = GuardedRunner(
        app,
        straight={"/straight": answer},
        access_log=access_log,
        shutdown_timeout=stops_within_s,
    )
    server = Served(runner, asked, may_go_on)
    async with listening(runner) as port, asyncio.timeout(PATIENT_S):
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield server, caller
        finally:
            may_go_on.set()
            caller.writer.close()


async def test_one_after_the_other_is_answered_on_one_connection() -> None:
    async with served() as (server, caller):
        server.may_go_on.set()
        for number in range(3):
            caller.writer.write(post(b"%d" % number))
            assert await caller.told() == (200, b"%d" % number)
            caller.writer.write(ROUTED)
            assert await caller.told() == (200, b"routed")

    assert server.routed == 3, "no POST went by its route"


async def test_what_comes_meanwhile_is_answered_behind_it() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"first"))
        await server.asked.get()
        caller.writer.write(ROUTED + post(b"third")[:60])
        caller.writer.write(post(b"third")[60:])
        while server.connection._request_count < 3:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        server.may_go_on.set()

        assert await caller.told() == (200, b"first")
        assert await caller.told() == (200, b"routed")
        assert await caller.told() == (200, b"routed"), "in pieces it takes its route"


async def test_of_requests_that_came_together_each_is_answered_in_turn() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"first") + ROUTED)

        assert await caller.told() == (200, b"routed"), "not alone it takes its route"
        assert await caller.told() == (200, b"routed")
        assert server.asked.empty()


@pytest.mark.parametrize("more", [b"Expect: 100-continue", b"Connection: Upgrade\r\nUpgrade: h2c"])
async def test_what_asks_for_more_than_an_answer_takes_its_route(more: bytes) -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"", more))

        await caller.reader.readuntil(b"routed")
        assert server.asked.empty()


async def test_where_there_is_an_access_log_each_request_is_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "access"):
        async with served(access_log=logging.getLogger("access")) as (_, caller):
            caller.writer.write(post(b"told"))
            assert await caller.told() == (200, b"routed")

    assert "POST /straight" in caplog.text


async def test_whoever_wants_the_connection_closed_has_it_closed() -> None:
    async with served() as (server, caller):
        server.may_go_on.set()
        caller.writer.write(post(b"last", b"Connection: close"))

        head = await caller.reader.readuntil(b"\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in head
        assert await caller.reader.read() == b"last"


async def test_whoever_sends_no_more_is_answered() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"last"))
        await server.asked.get()
        caller.writer.write_eof()
        await asyncio.sleep(0)
        server.may_go_on.set()

        assert await caller.told() == (200, b"last")
        assert await caller.ended()


async def test_a_fault_is_logged_and_told_as_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "asyncio"), caplog.at_level(logging.ERROR):
        async with served() as (_, caller):
            caller.writer.write(post(b"fails"))

            status, body = await caller.told()
            assert (status, b"nothing is there" in body) == (500, False)
            assert await caller.ended()

    assert "LookupError: nothing is there" in caplog.text


async def test_a_connection_is_not_idle_while_it_is_answered() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"slow"))
        await server.asked.get()
        server.connection._next_keepalive_close_time = 0.0
        server.connection._process_keepalive()
        server.may_go_on.set()

        assert await caller.told() == (200, b"slow")
        server.connection._next_keepalive_close_time = 0.0
        server.connection._process_keepalive()
        assert await caller.ended(), "then it is"


async def test_whoever_went_away_is_answered_to_nobody() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"gone"))
        await server.asked.get()
        answering = server.connection._answering
        assert answering is not None
        reset(caller.writer)
        while server.connections:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        server.may_go_on.set()
        await answering


async def test_whoever_is_gone_as_soon_as_they_asked_is_known_by_their_address() -> None:
    async with served() as (server, _):
        connection = server.connection
        connection.data_received(post(b"gone"))
        connection.connection_lost(None)
        request = connection._straight
        assert request is not None
        assert (await server.asked.get(), request.remote) == (b"gone", "127.0.0.1")


async def test_a_server_that_stops_answers_what_is_under_way() -> None:
    async with served() as (server, caller):
        caller.writer.write(post(b"last"))
        await server.asked.get()
        stopping = asyncio.create_task(server.runner.cleanup())
        await asyncio.sleep(0.1)
        server.may_go_on.set()

        assert await caller.told() == (200, b"last")
        assert await caller.ended()
        await stopping


async def test_a_server_that_stops_waits_no_longer_than_it_may() -> None:
    async with served(stops_within_s=0.05) as (server, caller):
        caller.writer.write(post(b"never"))
        await server.asked.get()
        answering = server.connection._answering
        assert answering is not None
        await server.runner.cleanup()

        assert await caller.ended()
        assert answering.cancelled()


@pytest.mark.parametrize(
    "value",
    ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\r\n", "a\0", "a\x7f", "\xe4\r\nb", "\xe4\n", "\u2028"],
)
def test_no_header_is_more_than_text_of_one_line(value: str) -> None:
    with pytest.raises(ValueError, match="no text of one line"):
        HttpAnswer(200, (("X", value),)).encoded(last=False)


@pytest.mark.parametrize(
    ("value", "told"), [("\xe4 b", b"\xc3\xa4 b"), ("a\udcff", b"a"), ("", b"")]
)
def test_a_header_is_told_as_text_without_what_is_none(value: str, told: bytes) -> None:
    assert b"\r\nX: %b\r\n" % told in HttpAnswer(200, (("X", value),)).encoded(last=False)


async def test_an_answer_that_cannot_be_told_is_a_fault_of_ours() -> None:
    async with served() as (server, caller):
        server.may_go_on.set()
        caller.writer.write(post(b"no answer"))

        assert (await caller.told())[0] == 500
        assert await caller.ended()


async def test_a_connections_first_request_goes_straight_too() -> None:
    """uvloop reads it before aiohttp's task has begun."""
    async with served() as (server, _):
        assert server.runner.server is not None
        connection, told = server.runner.server(), Told()
        assert isinstance(connection, Connection)
        connection.connection_made(told)
        connection.data_received(post(b"first"))
        server.may_go_on.set()
        assert await server.asked.get() == b"first"
        while not told.written:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        connection.data_received(ROUTED)
        while b"routed" not in told.written:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        connection.connection_lost(None)

    assert told.written.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("more", "scheme"), [({}, "http"), ({"sslcontext": ssl.create_default_context()}, "https")]
)
async def test_by_which_scheme_it_came_is_known_also_of_whoever_is_gone(
    more: dict[str, object], scheme: str
) -> None:
    """Else what a page of the edge's own host sends as it is left would be refused."""
    async with served() as (server, _):
        assert server.runner.server is not None
        connection = server.runner.server()
        assert isinstance(connection, Connection)
        connection.connection_made(Told(**more))
        connection.data_received(post(b"asked"))
        request = connection._straight
        connection.connection_lost(None)

    assert request is not None
    assert request.scheme == scheme


@pytest.mark.parametrize("gone", [False, True])
async def test_what_comes_before_aiohttp_begins_is_answered_behind_the_first(gone: bool) -> None:
    """uvloop reads on as long as its buffer is filled."""
    async with served() as (server, _):
        assert server.runner.server is not None
        connection, told = server.runner.server(), Told()
        assert isinstance(connection, Connection)
        connection.connection_made(told)
        connection.data_received(post(b"first"))
        connection.data_received(ROUTED)
        assert await server.asked.get() == b"first"
        await rounds()
        assert not told.written
        if gone:
            connection.connection_lost(None)
        server.may_go_on.set()
        await rounds()
        connection.connection_lost(None)

    answers = told.written.split(b"HTTP/1.1 ")[1:]
    assert [one.splitlines()[-1] for one in answers] == ([] if gone else [b"first", b"routed"])


async def test_whoever_is_gone_as_aiohttp_is_to_go_on_is_no_fault() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    async with served() as (server, _):
        assert server.runner.server is not None
        connection = server.runner.server()
        connection.connection_made(Told())
        await rounds()
        connection.data_received(ROUTED)
        connection.connection_lost(None)
        await rounds()
        del connection
        gc.collect()

    assert (faults, server.routed) == ([], 0)


async def rounds() -> None:
    """Of the loop: whatever waits for nothing is done."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_ended_connection_is_no_circle() -> None:
    async with served() as (server, _):
        server.may_go_on.set()
        assert server.runner.server is not None
        connection, told = server.runner.server(), Told()
        connection.connection_made(told)
        connection.data_received(post(b"last"))
        while not told.written:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        gc.collect()
        gc.disable()
        try:
            connection.connection_lost(None)
            del connection
            for _ in range(5):
                await asyncio.sleep(0)
            alive = [one for one in gc.get_objects() if isinstance(one, Connection)]
            assert alive == server.connections
        finally:
            gc.enable()
