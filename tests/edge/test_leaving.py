"""A server whose successor listens already: its callers go there, and none of their requests
breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from aiohttp import web
from msgspec import Struct

from perso_core.edge.guard import GuardedRunner
from tests.edge.listening import listening, reset

PATIENT_S = 10
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOTHING_MORE: Mapping[str, Handler] = MappingProxyType({})
ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SENDING = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


class Caller(Struct, frozen=True):
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def told(self) -> tuple[bytes, bool]:
        """The next answer's body, and whether it says that it is the last."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        return await self.reader.readexactly(len(b"hello")), b"Connection: close" in head

    async def ended(self) -> bool:
        return await self.reader.read() == b""


@asynccontextmanager
async def served(more: Mapping[str, Handler] = NOTHING_MORE) -> AsyncIterator[GuardedRunner]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def told(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_post("/", told)
    for path, handler in more.items():
        app.router.add_get(path, handler)
    runner = GuardedRunner(app, shutdown_timeout=PATIENT_S)
    async with listening(runner), asyncio.timeout(PATIENT_S):
        yield runner


@asynccontextmanager
async def calling(runner: GuardedRunner, *, asks: bool = True) -> AsyncIterator[Caller]:
    """Whose connection is accepted. asks: had an answer already."""
    one = Caller(*await asyncio.open_connection("127.0.0.1", runner.addresses[0][1]))
    if asks:
        one.writer.write(ASKED)
        assert await one.told() == (b"hello", False)
    try:
        yield one
    finally:
        one.writer.close()


async def test_who_keeps_a_connection_is_answered_once_more_and_told_that_it_is_the_last() -> None:
    async with served() as runner, calling(runner) as visitor:
        leaving = asyncio.create_task(runner.leave(PATIENT_S))
        await asyncio.sleep(0)

        visitor.writer.write(ASKED)

        assert await visitor.told() == (b"hello", True)
        assert await visitor.ended()
        await leaving


async def test_who_has_connected_and_not_asked_yet_is_answered() -> None:
    async with (
        served() as runner,
        calling(runner) as before,
        calling(runner, asks=False) as visitor,
    ):
        before.writer.write(ASKED)
        await before.told()  # so the connection after it is accepted, too
        leaving = asyncio.create_task(runner.leave(PATIENT_S))
        await asyncio.sleep(0)

        visitor.writer.write(ASKED)
        before.writer.write(ASKED)

        assert await visitor.told() == (b"hello", True)
        assert await before.told() == (b"hello", True)
        await leaving


async def test_of_requests_that_come_together_each_is_answered() -> None:
    async with served() as runner, calling(runner) as visitor:
        leaving = asyncio.create_task(runner.leave(PATIENT_S))
        await asyncio.sleep(0)

        visitor.writer.write(ASKED * 3)

        last = [(await visitor.told())[1] for _ in range(3)]
        assert last == [False, False, True]
        await leaving


async def test_who_asks_nothing_is_not_waited_for() -> None:
    async with served() as runner, calling(runner) as visitor:
        await runner.leave(0.04)
        await runner.cleanup()

        assert await visitor.ended()


async def test_who_went_away_before_the_answer_keeps_nobody_from_theirs() -> None:
    asked, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await may_go_on.wait()
        return web.Response(text="hello")

    async with served({"/slow": slow}) as runner, calling(runner) as visitor:
        async with calling(runner) as gone:
            gone.writer.write(ASKED.replace(b"/ ", b"/slow ", 1))
            await asked.wait()
            reset(gone.writer)
        for _ in range(3):  # so the server has seen it
            visitor.writer.write(ASKED)
            await visitor.told()
        leaving = asyncio.create_task(runner.leave(PATIENT_S))
        await asyncio.sleep(0)

        visitor.writer.write(ASKED)

        assert await visitor.told() == (b"hello", True)
        may_go_on.set()
        await leaving


async def test_who_is_sending_as_a_server_stops_is_answered() -> None:
    async with served() as runner, calling(runner) as visitor:
        visitor.writer.write(SENDING)
        assert await visitor.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        visitor.writer.write(b"he")
        stopping = asyncio.create_task(runner.cleanup())
        for _ in range(20):  # until it has begun to stop
            await asyncio.sleep(0)

        visitor.writer.write(b"llo")

        assert (await visitor.told())[0] == b"hello"
        assert await visitor.ended()
        await stopping
