"""Connections that hold on without asking anything are closed; the others do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from perso_core.edge.guard import GuardedRunner
from tests.edge.listening import listening

HEAD_WITHIN_S = 0.2


async def _hello(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="hello")


@asynccontextmanager
async def guarded(**bounds: float) -> AsyncIterator[int]:
    """The port of an application whose connections are guarded."""
    app = web.Application()
    app.router.add_route("*", "/", _hello)
    runner = GuardedRunner(app, **{"head_within_s": HEAD_WITHIN_S, **bounds})  # type: ignore[arg-type]  # the numbers are of each bound's kind
    async with listening(runner) as port:
        yield port


async def sent(port: int, *parts: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"GET / HT",),
        (b"GET / HTTP/1.1\r\nHost: x\r\n",),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: 1\r\n", b"X-B: 2\r\n"),
    ],
    ids=["nothing", "half a line", "no end", "line after line"],
)
async def test_a_head_that_does_not_arrive_ends_its_connection(parts: tuple[bytes, ...]) -> None:
    async with guarded() as port:
        assert await sent(port, *parts) == b""


async def test_a_second_request_has_its_own_time() -> None:
    async with guarded() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"hello")
        writer.write(b"GET / HT")

        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_asked_may_wait_for_its_next_request() -> None:
    async with guarded(idle_s=0.4) as port:
        began = asyncio.get_running_loop().time()

        told = await sent(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert told.endswith(b"hello")
        assert asyncio.get_running_loop().time() - began > HEAD_WITHIN_S


async def test_a_body_is_no_head() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
    async with guarded() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"abc")
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), HEAD_WITHIN_S * 2)
        writer.write(b"def")
        assert (await reader.read()).endswith(b"hello")
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with guarded(idle_s=0.3) as port:
        assert (await sent(port, whole * 5)).count(b"hello") == 5


async def test_connections_beyond_the_limit_are_closed_and_those_within_it_served() -> None:
    async with guarded(max_connections=2, head_within_s=5) as port:
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, refused = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        refused.close()
        waiting[0][1].close()
        await waiting[0][1].wait_closed()

        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/") as ok:
            assert await ok.text() == "hello"
        waiting[1][1].close()
