"""An edge as `perso serve` runs it, and a visitor whom it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from perso_core.decision.identity import Device
from perso_core.edge.abuse import Limits
from perso_core.edge.app import build_edge, refused_again, straight
from perso_core.edge.asked import Asked
from perso_core.edge.connection import Connection, Straight
from perso_core.edge.cookies import SOURCE_RANDOM, identity_cookies
from perso_core.edge.guard import GuardedRunner
from perso_core.edge.http_answer import HttpAnswer
from perso_core.edge.limits import Rate
from perso_core.edge.refused_again import (
    RefusedAgain,
)
from perso_core.edge.services import EdgeServices
from perso_core.edge.turns import AFTER_REFUSALS, Turns
from tests.building import NOON_MS, ORG
from tests.edge.raw import EVENT, Answer, request
from tests.edge.running import KEYS, RunningEdge, cookie_header, ordinary, running_edge

LINE = "POST /ee/v1/{} HTTP/1.1"
INTERACT = "interact?configId=demo&requestId={}"
PLAIN = b"Content-Type: text/plain\r\n"
ONE_A_SECOND = Rate(per_s=1, burst=1)
LOOPBACK = (ip_network("127.0.0.0/8"),)
ECIDS = [f"{number:038d}" for number in (1, 2)]


def cookies_of(ecid: str) -> bytes:
    made = identity_cookies(
        Device(ecid), org=ORG, keys=KEYS, now_ms=NOON_MS, source=SOURCE_RANDOM, created_ms=NOON_MS
    )
    return f"Cookie: {cookie_header({one.name: one.value for one in made})}\r\n".encode()


# So many the edge reads itself: the first is answered, of the second the body tells whose it is,
# the third is known by its cookies.
READ = 3

FLOODER, OTHER = map(cookies_of, ECIDS)


class Edge:
    """read: requests that the edge itself was given."""

    def __init__(self, running: RunningEdge, services: EdgeServices) -> None:
        self.running = running
        self.services = services
        self.read = 0
        self.runner: GuardedRunner
        self.again: RefusedAgain
        self.port = 0

    @web.middleware
    async def routed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.read += 1
        return await handler(request)

    def counted(self, handler: Straight) -> Straight:
        async def answer(asked: Asked) -> HttpAnswer:
            self.read += 1
            return await handler(asked)

        return answer

    async def waits(self) -> None:
        """Returns once somebody waits to be refused."""
        await until(lambda: any(one._refusal for one in self.connections))

    @property
    def connections(self) -> list[Connection]:
        assert self.runner.server is not None
        return [one for one in self.runner.server.connections if isinstance(one, Connection)]


@asynccontextmanager
async def guarded(*, address: Rate | None = None, **more: Any) -> AsyncIterator[Edge]:
    """An edge as `perso serve` runs it, that tells a refusal at once."""
    async with running_edge(ordinary()) as running:
        limits = Limits(visitor=ONE_A_SECOND, address=address, trusted=LOOPBACK)
        own = {"limits": limits, "refusals": Turns(AFTER_REFUSALS), **more}
        edge = Edge(running, running.services(**own))
        app = web.Application(middlewares=[edge.routed])
        built = build_edge(edge.services)
        app.add_subapp("/ee", built)
        paths = {path: edge.counted(one) for path, one in straight(built, "/ee").items()}
        edge.again = refused_again(built)
        edge.runner = GuardedRunner(
            app, straight=paths, again=edge.again, access_log=None, shutdown_timeout=1
        )
        await edge.runner.setup()
        try:
            await web.TCPSite(edge.runner, "127.0.0.1", 0).start()
            edge.port = edge.runner.addresses[0][1]
            yield edge
        finally:
            await edge.runner.cleanup()


async def rounds() -> None:
    """Of the loop: what was sent is read."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    """Rounds of the loop."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def told(self) -> Answer:
        async with asyncio.timeout(10):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            pairs = [line.partition(": ") for line in lines]
            headers = tuple((name.lower(), value) for name, _, value in pairs)
            length = int(dict(headers).get("content-length", "0"))
            return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, *parts: bytes) -> Answer:
        await self.send(*parts)
        return await self.told()


@asynccontextmanager
async def calling(edge: Edge) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


def event(asked: str = INTERACT.format("r-1"), body: bytes = EVENT, headers: bytes = b"") -> bytes:
    line = LINE.format(asked).encode()
    return request(body, line=line, headers=PLAIN + FLOODER + headers)


async def refused_by(edge: Edge, caller: Caller, sent: bytes) -> Answer:
    """The edge's own refusal, after which it knows the request."""
    told = [await caller.ask(sent) for _ in range(READ)]
    assert {one.status for one in told[1:]} == {429}
    assert (edge.read, len(edge.again)) == (READ, 1)
    return told[-1]


def comparable(told: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    return told.status, sorted(pair for pair in told.headers if pair[0] != "date"), told.body
