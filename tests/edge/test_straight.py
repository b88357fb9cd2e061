"""What answers at the edge's usual paths without a look at the routes, answers as they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from perso_core.edge.app import build_edge, straight
from perso_core.edge.guard import GuardedRunner
from tests.building import definitions
from tests.edge.listening import listening
from tests.edge.running import running_edge
from tests.edge.test_answered_straight import Told

BODY = b'{"events":[{"xdm":{"eventType":"a","_id":"1"}}]}'
HEAD = b"Host: edge.test\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
SENT = HEAD % len(BODY) + b"\r\n" + BODY
QUERY = b"?configId=demo&requestId=r-1"
HINTS = [b"", b"/perso", b"/other"]
ACTIONS = [
    b"/v1/interact",
    b"/v1/collect",
    b"/v1/identity/acquire",
    b"/v2/interact",
    b"/v2/collect",
]
LINES = [
    *(b"POST /ee%s%s%s HTTP/1.1\r\n" % (hint, one, QUERY) for hint in HINTS for one in ACTIONS),
    b"GET /ee/v1/interact HTTP/1.1\r\n",
    b"HEAD /ee/v1/interact HTTP/1.1\r\n",
    b"OPTIONS /ee/perso/v1/interact HTTP/1.1\r\nOrigin: https://www.shop.test\r\n",
    b"POST /ee/v1/interact HTTP/1.1\r\n",
    b"POST /ee/v1/interact/%s HTTP/1.1\r\n" % QUERY,
    b"POST /ee/v1/%%69nteract%s HTTP/1.1\r\n" % QUERY,
    b"POST /v1/interact%s HTTP/1.1\r\n" % QUERY,
    b"POST http://edge.test/ee/v1/interact%s HTTP/1.1\r\n" % QUERY,
    b"POST /ee/v1/interact%s HTTP/1.1\r\nExpect: 100-continue\r\n" % QUERY,
    b"POST /ee/v1/interact%s HTTP/1.1\r\nExpect: nothing\r\n" % QUERY,
    b"POST /ee/v1/interact%s HTTP/1.0\r\n" % QUERY,
]


@asynccontextmanager
async def served(*, by_path: bool) -> AsyncIterator[int]:
    """The port of an edge whose time stands still and whose chance is none."""
    async with running_edge(definitions()) as running:
        edge = build_edge(running.services(entropy=bytes))
        app = web.Application()
        app.add_subapp("/ee", edge)
        paths = straight(edge, "/ee") if by_path else {}
        runner = GuardedRunner(app, straight=paths, access_log=None)
        async with listening(runner) as port:
            yield port


async def answered(port: int, sent: bytes) -> bytes:
    """All that comes back, without the line that says when."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(20):
        told = await reader.read()
    writer.close()
    return b"\r\n".join(one for one in told.split(b"\r\n") if not one.startswith(b"Date: "))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.splitlines()[0].decode())
async def test_a_path_with_its_handler_answers_as_its_route_does(line: bytes) -> None:
    async with served(by_path=True) as port:
        by_path = await answered(port, line + SENT)
    async with served(by_path=False) as port:
        by_route = await answered(port, line + SENT)

    assert by_path == by_route
    assert by_path.startswith(b"HTTP/1.")


async def test_the_usual_paths_are_found_without_a_look_at_the_routes() -> None:
    async with running_edge(definitions()) as running:
        found = straight(build_edge(running.services(location_hint="here")), "/ee")

    assert {"/ee/v1/interact", "/ee/here/v1/interact", "/ee/here/v2/collect"} <= found.keys()


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"])
async def test_whoever_is_gone_before_they_are_heard_is_no_fault(
    more: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They could fill the log by that."""
    async with running_edge(definitions()) as running:
        app = web.Application()
        app.add_subapp("/ee", build_edge(running.services()))
        runner = GuardedRunner(app, access_log=None)
        async with listening(runner):
            assert runner.server is not None
            connection = runner.server()
            connection.connection_made(Told())
            await asyncio.sleep(0)
            connection.data_received(LINES[0] + more + SENT[:-1])
            await asyncio.sleep(0)  # aiohttp has begun with it
            connection.connection_lost(None)
            for _ in range(20):
                await asyncio.sleep(0)

    assert not caplog.records


async def test_what_is_expected_that_is_no_text_is_a_request_that_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(by_path=True) as port:
        told = await answered(port, LINES[0] + b"Expect: \xf6\r\n" + SENT)

    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"application/problem+json" in told
    assert not caplog.records


@pytest.mark.parametrize("how", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_that_the_site_s_own_middleware_has_read_is_read_all_the_same(
    how: bytes,
) -> None:
    @web.middleware
    async def reading(request: web.Request, handler: Handler) -> web.StreamResponse:
        read.append(await request.read())
        return await handler(request)

    read: list[bytes] = []
    async with running_edge(definitions()) as running:
        app = web.Application(middlewares=[reading])
        app.add_subapp("/ee", build_edge(running.services(entropy=bytes)))
        async with listening(GuardedRunner(app, access_log=None)) as port:
            head, _, body = SENT.partition(b"\r\n\r\n")
            sent = head + b"\r\n\r\n" + body
            if how:
                kept = [one for one in head.split(b"\r\n") if not one.startswith(b"Content-Length")]
                chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                sent = b"\r\n".join(kept) + b"\r\n" + how + b"\r\n" + chunks
            told = await answered(port, LINES[0] + sent)

    assert read == [body]
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
