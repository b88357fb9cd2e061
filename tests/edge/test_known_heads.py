"""A head that came before is not read again: nobody may tell by their answers."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs
from multidict import CIMultiDict, CIMultiDictProxy

from perso_core.edge.asked import Asked, WholeRequest, facts_in
from perso_core.edge.connection import Connection
from perso_core.edge.guard import GuardedRunner, GuardedServer
from perso_core.edge.header_facts import HeaderFacts, facts_of
from perso_core.edge.http_answer import HttpAnswer
from perso_core.edge.known_heads import KnownHeads, _weight, line_of, was_read, whole_in
from tests.edge.listening import listening

PATIENT_S = 10
HEADERS = (
    b"Host: edge.test",
    b"Content-Length: %d",
    b"Content-Type: text/plain",
    b"Cookie: a=b",
    b"X-Request-Id: x",
)


def post(
    body: bytes = b"hello", *, asked: bytes = b"?requestId=1", headers: tuple[bytes, ...] = HEADERS
) -> bytes:
    lines = b"\r\n".join((b"POST /straight" + asked + b" HTTP/1.1", *headers, b"", b""))
    return lines.replace(b"%d", b"%d" % len(body)) + body


# ---- what a request is known by ------------------------------------------------


def read(sent: bytes) -> list[tuple[RawRequestMessage, StreamReader]]:
    """As aiohttp reads it."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        return list(parser.feed_data(sent)[0])
    finally:
        loop.close()


def as_known(sent: bytes) -> WholeRequest | None:
    """The request, read where the fields of `post` are known; None: it is aiohttp's to read."""
    whole = whole_in(sent)
    line = line_of(whole) if whole is not None and whole.fields == KNOWN else None
    if line is None:
        return None
    loop = asyncio.new_event_loop()
    try:
        server: Any = web.Server(None, loop=loop)  # type: ignore[arg-type]  # it answers nothing
        facts = facts_of(CIMultiDictProxy(CIMultiDict()), "")
        made = WholeRequest(line, facts, StreamReader(BaseProtocol(loop), 1, loop=loop), server())
        assert made.message.raw_headers, "it can be read again"
        return made
    finally:
        loop.close()


BYTES = st.sampled_from(
    [b"", b"\r\n", b"\n", b" ", b":", b"0", b"7", b"a", b"%41", b"+", b"?", b"#"]
)


def fields_of(sent: bytes) -> bytes | None:
    whole = whole_in(sent)
    return whole.fields if whole is not None else None


KNOWN = fields_of(post())


@settings(max_examples=600)
@given(
    st.binary(max_size=12) | st.sampled_from([b"a" * 60, b"\r\n\r\n", b"x\r\n\r\nPOST / HTTP/1.1"]),
    st.from_regex(rb"(\?[!-~]{0,12})?", fullmatch=True),
    st.integers(0, 150),
    st.integers(0, 2),
    BYTES,
)
def test_what_is_known_is_what_aiohttp_reads(
    body: bytes, asked: bytes, at: int, dropped: int, put: bytes
) -> None:
    whole = post(body, asked=asked)
    sent = whole[:at] + put + whole[at + dropped :]
    found = as_known(sent)
    assume(found is not None)
    assert found is not None
    kept = whole_in(sent)
    assert kept is not None

    ((message, content),) = read(sent)

    assert (message.method, message.version, message.should_close) == ("POST", (1, 1), False)
    assert found.path == message.url.path
    assert list(found.query.items()) == list(message.url.query.items())
    assert found.message.path == message.path
    assert found.message.raw_headers == message.raw_headers
    assert content.is_eof()
    assert kept.body == content.read_nowait()
    assert was_read(kept, message, content) or not kept.body
    others = [pair for pair in message.raw_headers if pair[0] != b"Content-Length"]
    ((first, _),) = read(post())
    assert others == [pair for pair in first.raw_headers if pair[0] != b"Content-Length"]


@pytest.mark.parametrize(
    "sent",
    [
        post() + b"x",
        post()[:-1],
        post(headers=(b"Host: x", b"Transfer-Encoding: chunked")),
        post(headers=(b"Host: x", b"Content-Length: +5")),
        post(headers=(b"Host: x", b"Content-Length: 5 ")),
        post(headers=(b"Host: x", b"Content-Length:5")),
        post(headers=(*HEADERS, b"X: " + b"x" * 4_096)),
        post().replace(b"POST", b"PUT"),
        b"\r\n" + post(),
        b"GET /straight HTTP/1.1\r\nHost: x\r\n\r\n",
        b"",
    ],
)
def test_bytes_that_may_be_another_request_or_more_of_them_are_not_looked_for(sent: bytes) -> None:
    assert whole_in(sent) is None


@pytest.mark.parametrize(
    "line",
    [
        b"POST /straight?a=%41 HTTP/1.1",
        b"POST /straight?a=+ HTTP/1.1",
        b"POST /straight?a=1#b HTTP/1.1",
        b"POST /straight?a=\xc3\xa4 HTTP/1.1",
        b"POST /stra ight HTTP/1.1",
        b"POST /straight HTTP/1.0",
        b"POST /straight  HTTP/1.1",
        b"POST /straight HTTP/1.1 ",
        b"POST /straight\nX: y HTTP/1.1",
    ],
)
def test_a_first_line_that_is_not_plain_is_aiohttps_to_read(line: bytes) -> None:
    whole = whole_in(post().replace(b"POST /straight?requestId=1 HTTP/1.1", line))

    assert whole is not None
    assert line_of(whole) is None


def test_how_long_the_body_is_makes_no_other_head_and_any_other_byte_does() -> None:
    same = [post(b"x" * length, asked=b"?a=%d" % length) for length in (0, 9, 10, 2_000)]
    assert {fields_of(one) for one in same} == {KNOWN}

    begin, end = post().index(b"Host"), post().index(b"\r\n\r\n")
    for at in range(begin, end):
        other = post()[:at] + b"~" + post()[at + 1 :]
        assert fields_of(other) != KNOWN


def test_of_several_requests_together_none_has_the_fields_of_one() -> None:
    for sent in (post() + post(), post() + post(b""), post() + b"POST / HTTP/1.1\r\n\r\n"):
        assert fields_of(sent) != KNOWN


def test_a_head_whose_end_is_not_where_its_length_says_is_none_that_was_read() -> None:
    """Else what stands in a body could count as headers."""
    inner = b"X: \r\nContent-Length: 3\r\n\r\nabc"
    sent = b"POST /straight HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + inner
    whole = whole_in(sent)
    assert whole is not None, "it looks like a request"
    chunked = sent.replace(inner, b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner))

    ((message, content),) = read(chunked)

    assert content.is_eof()
    assert not was_read(whole, message, content)


def test_what_was_read_is_no_other_request_than_the_bytes_look_like() -> None:
    whole = whole_in(post())
    assert whole is not None
    ((message, content),) = read(post())
    assert was_read(whole, message, content)

    ((_, longer),) = read(post(b"longer"))
    assert not was_read(whole, message, longer)
    folded = message.raw_headers[:-1]
    for more in ({"raw_headers": folded}, {"chunked": True}, {"upgrade": True}):
        assert not was_read(whole, message._replace(**more), content)


# ---- what is kept --------------------------------------------------------------


def facts(**more: str) -> HeaderFacts:
    return facts_of(CIMultiDictProxy(CIMultiDict({"Content-Length": "5", **more})), "x")


def test_what_came_once_is_not_kept_and_what_came_twice_is() -> None:
    known = KnownHeads()
    known.came(b"a", facts())
    assert known.facts(b"a") is None

    known.came(b"a", facts(Cookie="b"))
    kept = known.facts(b"a")
    assert kept is not None
    assert (kept.cookie_header, dict(kept.headers)) == ("b", {"Cookie": "b"})


def test_those_that_came_last_are_kept_as_far_as_there_is_room() -> None:
    known = KnownHeads(most_bytes=3_100)
    for number in range(20):
        for _ in range(2):
            known.came(b"%d" % number, facts())
        assert known.facts(b"0") is not None, "it was asked for"
    assert known.facts(b"1") is None
    assert known.facts(b"19") is not None
    assert len(known) == 6

    for _ in range(2):
        known.came(b"a" * 10_000, facts())
    assert len(known) == 0
    assert known._bytes == 0


async def test_who_is_known_and_has_another_kind_of_line_weighs_once() -> None:
    async with served() as server:
        await told(server, [post()] * 3 + [post(asked=b"?a=%41")] * 9 + [post()], 13)
        known = server.guarded.known

        assert len(known) == 1
        assert known._bytes == _weight(KNOWN or b"")


def test_text_beyond_ascii_counts_for_what_it_takes() -> None:
    known = KnownHeads(most_bytes=1_000_000)
    tracemalloc.start()
    try:
        for number in range(100):
            cookie = f"{number}{'a' * 1_900}\U0001f600"
            sent = post(headers=(*HEADERS, *(f"Cookie: {cookie}".encode(),) * 2))
            for _ in range(2):
                ((message, _),) = read(sent)
                fields = fields_of(sent)
                assert fields is not None
                known.came(fields, facts_of(message.headers, "edge.test"))
        del message
        gc.collect()
        weighs = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert 800_000 < weighs < 1_300_000
    assert len(known) < 40


def test_nobody_sees_what_was_kept_of_somebody() -> None:
    assert "secret" not in repr(facts(Cookie="secret"))


# ---- a connection --------------------------------------------------------------


class Way(Struct, frozen=True):
    """How requests are answered. known: also by what their heads are known to say."""

    straight: bool = True
    known: bool = True


WAYS = (Way(), Way(known=False), Way(straight=False))


class Server(Struct):
    """known: requests whose headers were known. routed: those that aiohttp's routes led on."""

    port: int
    guarded: GuardedServer
    known: int = 0
    routed: int = 0

    @property
    def connection(self) -> Connection:
        (one,) = self.guarded.connections
        assert isinstance(one, Connection)
        return one


async def echo(request: Asked) -> HttpAnswer:
    """All that was read of it."""
    said = facts_in(request)
    headers = [pair for pair in said.headers.items() if pair[0].lower() != "content-length"]
    told = structs.asdict(said) | {"headers": headers}
    content = request.content
    body = content.read_nowait() if content.is_eof() else b"".join([await content.readany()])
    while not content.is_eof():
        body += await content.readany()
    line = (list(request.query.items()), request.remote, request.host, request.scheme)
    answer = repr((line, told, body)).encode(errors="backslashreplace")
    return HttpAnswer(200, (("Content-Type", "text/plain"),), answer)


@asynccontextmanager
async def served(way: Way = WAYS[0], *, max_line_size: int = 8_190) -> AsyncIterator[Server]:
    async def routed(request: web.Request) -> web.Response:
        server.routed += 1
        if request.path not in ("/straight", "/other") or request.method != "POST":
            return web.Response(text="routed")
        return (await echo(request)).response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", routed)
    paths: dict[str, Callable[[Asked], Awaitable[HttpAnswer]]] = {"/straight": echo, "/other": echo}
    straight = paths if way.straight else {}
    runner = GuardedRunner(
        app,
        straight=straight,
        access_log=None,
        shutdown_timeout=PATIENT_S / 10,
        max_line_size=max_line_size,
    )
    async with listening(runner) as port, asyncio.timeout(PATIENT_S):
        assert isinstance(runner.server, GuardedServer)
        server = Server(port, runner.server)
        facts = runner.server.known.facts

        def counted(fields: bytes) -> HeaderFacts | None:
            found = facts(fields) if way.known else None
            server.known += found is not None
            return found

        runner.server.known.facts = counted  # type: ignore[method-assign]
        yield server


class Told(Struct, frozen=True):
    """All that came back, without when. left: how the connection was left."""

    answers: tuple[bytes, ...]
    left: tuple[object, ...]


async def told(server: Server, pieces: list[bytes], count: int) -> Told:
    """What a connection is told that sends these pieces, and waits in between for all answers that
    are due, of so many in all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answers: list[bytes] = []
    try:
        sent = b""
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            sent += piece
            await rounds()
            while len(answers) < min(due(sent), count):
                answers.append(await answer(reader))
        left = how(server.connection)
    finally:
        writer.close()
    return Told(tuple(answers), left)


def how(one: Connection) -> tuple[object, ...]:
    """A connection was left, for its timers and whatever it does next."""
    timers = (one._deadline is None, one._keepalive_handle is None, one._keepalive)
    waits = (one._idle, one.receiving, one._request_in_progress, one._current_request)
    return one._request_count, one._close, *timers, *waits


def due(sent: bytes) -> int:
    """How many requests are whole in the bytes, each with one length."""
    count = 0
    while (end := sent.find(b"\r\n\r\n")) >= 0:
        length = int(
            sent[:end].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0
        )
        if len(sent) < end + 4 + length:
            break
        sent, count = sent[end + 4 + length :], count + 1
    return count


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    lines = [one for one in head.split(b"\r\n") if not one.startswith(b"Date: ")]
    return b"\r\n".join(lines) + await reader.readexactly(length)


async def test_the_third_request_with_the_same_headers_is_not_read() -> None:
    async with served() as server:
        many = [post(b"x" * (9 + at), asked=b"?requestId=%d&b=" % at) for at in range(5)]
        answers = (await told(server, many, 5)).answers

        assert server.known == 3
        assert server.guarded.requests_count == 5
        assert [f"'requestId', '{at}'".encode() in one for at, one in enumerate(answers)] == [
            True
        ] * 5
        assert [b"x" * (9 + at) + b"'" in one for at, one in enumerate(answers)] == [True] * 5


async def test_who_says_the_same_on_another_connection_is_known_there_at_once() -> None:
    async with served() as server:
        ever = await told(server, [post()], 1)
        assert await told(server, [post()], 1) == ever
        assert server.known == 0

        assert await told(server, [post()], 1) == ever
        assert server.known == 1


VARIED = {
    "other length": [post(b"other body")],
    "no body": [post(b"")],
    "other line": [post(asked=b"?a=b&c"), post(asked=b"")],
    "other path": [post().replace(b"/straight", b"/other"), post().replace(b"/straight", b"/no")],
    "escapes": [post(asked=b"?a=%41+b"), post(asked=b"?a=b#c")],
    "other byte of a header": [post().replace(b"a=b", b"a=c")],
    "in small": [post().replace(b"Content-Length", b"content-length")] * 4,
    "two together": [post() + post(b"second")],
    "one and a half": [post() + post(b"second")[:30], post(b"second")[30:]],
    "half a head": [post()[:40], post()[40:]],
    "half a head that is a whole one": [b"POST /straight HTTP/1.1\r\nX: ", post()],
    "half a body": [post()[:-2], post()[-2:]],
    "all but a line": [post()[: post().index(b"hello")], b"hello"],
    "get": [b"GET /straight HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
    "old": [post().replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive")],
    "an empty line before": [b"\r\n" + post()],
    "zeros": [post().replace(b": 5", b": 005")],
}


@pytest.mark.parametrize("name", VARIED)
async def test_whatever_comes_next_is_answered_as_ever(name: str) -> None:
    pieces = [post()] * 3 + VARIED[name] + [post(b"and then")] * 3
    ways = []
    for way in WAYS:
        async with served(way) as server:
            ways.append(await told(server, pieces, due(b"".join(pieces))))
            assert bool(server.known) == (way == WAYS[0])

    assert ways[0] == ways[1] == ways[2]


LAST = {
    "no length": post(headers=(b"Host: x",)),
    "two lengths": post(headers=(*HEADERS, b"content-length: 5")),
    "a wrong length": post().replace(b": 5", b": 5x"),
    "chunked as well": post(headers=(*HEADERS, b"Transfer-Encoding: chunked")),
    "no request": b"POST /straight\r\n\r\n",
    "no host": post(headers=HEADERS[1:]),
    "the last": post(headers=(*HEADERS, b"Connection: close")),
    "too much of a header": post(headers=(*HEADERS, b"X: " + b"x" * 20_000)),
    "too long a line": post(asked=b"?" + b"a" * 9_000),
}


@pytest.mark.parametrize("name", LAST)
async def test_what_ends_a_connection_ends_it_as_ever(name: str) -> None:
    ways = []
    for way in WAYS:
        async with served(way) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                writer.write(post())
                await answer(reader)
            writer.write(LAST[name])
            writer.write_eof()
            came = await reader.read()
            ways.append([one for one in came.split(b"\r\n") if not one.startswith(b"Date: ")])
            writer.close()

    assert ways[0] == ways[1] == ways[2]


async def test_a_line_that_is_longer_than_a_server_takes_is_refused_as_ever() -> None:
    long = post(asked=b"?a=" + b"a" * 200)
    for way in WAYS:
        async with served(way, max_line_size=100) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                writer.write(post())
                await answer(reader)
            writer.write(long)

            assert (await answer(reader)).split()[1] == b"400"
            writer.close()


async def test_a_length_within_a_body_is_none_of_the_request() -> None:
    """Else whoever sends it could have what stands behind it taken for another's request."""
    for way in WAYS:
        async with served(way) as server:
            inner = b"X: \r\nContent-Length: %d\r\n\r\n"
            body = inner % 3 + b"abc"
            outer = post(body, headers=(b"Host: x", b"CONTENT-LENGTH: %d"))
            more = outer.replace(body, inner % 4 + b"abcd")
            answers = (await told(server, [outer] * 4, 4)).answers

            assert [b"Content-Length: 3\\r" in one for one in answers] == [True] * 4
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(more)
            assert b"abcd" not in await answer(reader), "the last byte is behind it"
            writer.close()


async def test_who_wants_each_connection_closed_has_it_closed() -> None:
    last = post(headers=(*HEADERS, b"Connection: close"))
    async with served() as server:
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(last)
            assert b"\r\nConnection: close\r\n" in await answer(reader)
            assert await reader.read() == b""
            writer.close()


async def test_of_a_server_that_leaves_the_next_answer_is_the_last() -> None:
    for way in WAYS:
        async with served(way) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                writer.write(post())
                await answer(reader)
            server.guarded._answer_once_more()
            writer.write(post())

            assert b"Connection: close" in await answer(reader)
            assert await reader.read() == b""
            writer.close()


async def test_who_does_not_read_their_answers_is_answered_by_the_route() -> None:
    async with served() as server:
        await told(server, [post()] * 3, 3)
        assert server.known == 1
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await rounds()
        server.connection.pause_writing()
        writer.write(post())
        await rounds()
        server.connection.resume_writing()

        assert b"hello" in await answer(reader)
        assert server.routed == 1
        writer.close()


async def test_a_connection_that_closes_hears_of_nothing_more() -> None:
    async with served() as server:
        await told(server, [post()] * 3, 3)
        for close in (Connection.close, Connection.force_close):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await rounds()
            connection = server.connection
            close(connection)
            connection.data_received(post())
            assert (connection._straight, connection._request_count) == (None, 0)
            writer.close()
            await rounds()


async def rounds() -> None:
    """Of the loop: what was sent is read."""
    for _ in range(20):
        await asyncio.sleep(0)


REQUESTS = [
    one
    for one in (post(), *itertools.chain.from_iterable(VARIED.values()))
    if due(one) == 1 and not due(one[:-1]) and one.startswith(b"POST")
]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Requests in pieces, some of them together."""
    pieces: list[bytes] = []
    for one in draw(st.lists(st.sampled_from(REQUESTS), min_size=3, max_size=8)):
        cut = draw(st.sampled_from([0, 0, 0, len(one) - 1, 20, one.index(b"\r\n\r\n")]))
        pieces += [one[:cut], one[cut:]] if cut else [one]
        if len(pieces) > 1 and draw(st.integers(0, 4)) == 0:
            last = pieces.pop()
            pieces[-1] += last
    return pieces


@settings(max_examples=60, deadline=None)
@given(streams())
def test_in_whatever_pieces_requests_come_a_connection_is_told_the_same(
    pieces: list[bytes],
) -> None:
    async def all_ways() -> list[Told]:
        found = []
        for way in WAYS:
            async with served(way) as server:
                for _ in range(2):
                    await told(server, [post()], 1)
                found.append(await told(server, pieces, due(b"".join(pieces))))
        return found

    known, unknown, routed = asyncio.run(all_ways())
    assert known == unknown == routed
