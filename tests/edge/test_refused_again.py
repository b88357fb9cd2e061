"""Who was refused is refused again as their bytes come, as the edge itself would, and nobody else
is."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from perso_core.decision.identity import Device
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge.abuse import Limits
from perso_core.edge.app import build_edge, refused_again, straight
from perso_core.edge.cookies import SOURCE_RANDOM, identity_cookies
from perso_core.edge.guard import Connection, GuardedRunner, Handler
from perso_core.edge.limits import Rate
from perso_core.edge.problem import Report
from perso_core.edge.refused_again import (
    ARMED_S,
    KEPT_HEADS,
    MAX_HEAD_BYTES,
    Refused,
    RefusedAgain,
    alone_in,
    is_all,
)
from perso_core.edge.services import EdgeServices
from perso_core.edge.turns import AFTER_REFUSALS, Turns
from perso_core.engine.engine import Answer as EngineAnswer
from perso_core.engine.engine import Interaction
from tests.building import NOON_MS, ORG
from tests.decision.test_tcf import NO_PURPOSE_1
from tests.edge.raw import EVENT, Answer, request
from tests.edge.running import KEYS, RunningEdge, cookie_header, ordinary, running_edge
from tests.edge.test_consent_standards import tc, with_strings

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
# the third is known by its cookies, and from then on connections are looked at.
READ = 4

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

    def counted(self, handler: Handler) -> Handler:
        async def answer(asked: web.Request) -> web.StreamResponse:
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
        app = web.Application()
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


@pytest.mark.parametrize(
    ("asked", "headers"),
    [
        (INTERACT.format("r-1"), b""),
        ("interact?requestId=r-1&configId=demo", b""),
        ("collect?configId=demo&requestId=r-1", b""),
        ("identity/acquire?configId=demo&requestId=r-1", b""),
        (INTERACT.format("r-1"), b"Origin: https://www.shop.test\r\n"),
        (INTERACT.format("r-1"), b"Connection: keep-alive\r\nX-Request-Id: other\r\n"),
        (INTERACT.format("r-1") + "&requestId=r-2", b""),
        ("interact?configId=demo", b""),
    ],
    ids=["plain", "id first", "beacon", "acquire", "page", "id twice", "another id", "no id"],
)
async def test_who_is_refused_as_their_bytes_come_is_told_what_the_edge_tells(
    asked: str, headers: bytes
) -> None:
    async with guarded(entropy=bytes) as edge, calling(edge) as caller:
        sent = event(asked, headers=headers)
        by_edge = await refused_by(edge, caller, sent)

        by_bytes = await caller.ask(sent)

        assert edge.read == READ
        assert comparable(by_bytes) == comparable(by_edge)


async def test_each_refusal_carries_the_id_of_its_own_request_whatever_its_body() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())

        longer = b'{"events":[{"xdm":{"eventType":"another"}}]}'
        told = await caller.ask(event(INTERACT.format("r-22"), longer))

        assert (edge.read, told.status) == (READ, 429)
        assert told.header("x-request-id") == told.sent["report"]["requestId"] == "r-22"


async def test_who_was_refused_is_refused_on_another_connection_that_had_an_answer() -> None:
    async with guarded() as edge, calling(edge) as caller, calling(edge) as other:
        await refused_by(edge, caller, event())

        told = [await other.ask(event()) for _ in range(2)]

        assert (edge.read, [one.status for one in told]) == (READ + 1, [429, 429])


async def test_once_they_may_call_again_they_are_answered() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        assert (await caller.ask(event())).status == 429
        edge.running.now_ms += 1_000

        told = [await caller.ask(event(INTERACT.format(f"r-{n}"))) for n in range(2, 5)]

        assert [one.status for one in told] == [200, 429, 429]


NAMED = b'{"xdm":{"identityMap":{"ECID":[{"id":"%s"}]}},"events":[]}' % ECIDS[1].encode()
SAID = json.dumps(with_strings(tc(NO_PURPOSE_1))).encode()


@pytest.mark.parametrize(
    "sent",
    [
        event(body=NAMED),
        event(body=EVENT.replace(b"eventType", b"\\u0065ventType")),
        event(body=SAID),
        event("interact?configId=demo&requestId=r%2D1"),
        event("interact?configId=demo&requestid=r-1"),
        event("collect?configId=demo&requestId=r-1"),
        event(headers=b"Origin: https://evil.test\r\n"),
        event(headers=b"Sec-GPC: 1\r\n"),
        event(body=EVENT + b" " * 65_536),
        event().replace(FLOODER, OTHER),
        event().replace(FLOODER, b""),
        event().replace(FLOODER, OTHER + FLOODER),
        event().replace(b"Host: edge.test", b"Host: other.test"),
        event().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=[
        "who is named",
        "a name may be spelled so",
        "a choice",
        "another spelling",
        "another spelling of the name",
        "another action",
        "another page",
        "another header",
        "too large",
        "another visitor",
        "nobody",
        "two visitors",
        "another host",
        "another version",
    ],
)
async def test_whatever_else_comes_is_the_edges_own_to_answer(sent: bytes) -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())

        await caller.ask(sent)

        assert edge.read == READ + 1


async def test_an_answer_waits_while_others_call_and_then_is_told() -> None:
    refusals = Turns(AFTER_REFUSALS, after_s=0.2)
    async with guarded(refusals=refusals) as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        refusals.another_calls()
        began_s = asyncio.get_running_loop().time()

        told = await caller.ask(event())

        assert (edge.read, told.status) == (READ, 429)
        assert asyncio.get_running_loop().time() - began_s >= 0.2


def staying_away(edge: Edge, after_s: float) -> None:
    """From now on others call all the time, and refusals wait for so long."""
    clock = itertools.count()
    refusals = Turns(AFTER_REFUSALS, lambda: next(clock) * -1.0, after_s=after_s)
    refusals.another_calls()
    object.__setattr__(edge.services, "refusals", refusals)


async def waiting_to_be_refused(edge: Edge, caller: Caller, after_s: float) -> None:
    await refused_by(edge, caller, event())
    staying_away(edge, after_s)
    await caller.send(event())
    await edge.waits()


async def test_answers_come_in_the_order_of_their_requests() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        staying_away(edge, 0.05)
        await caller.send(event(INTERACT.format("first")))
        await edge.waits()

        other = event(INTERACT.format("second")).replace(FLOODER, OTHER)
        told = [await caller.ask(other), await caller.told()]

        assert [one.status for one in told] == [429, 200]
        assert [one.header("x-request-id") for one in told] == ["first", "second"]


async def test_whoever_waits_to_be_refused_is_told_before_the_server_leaves() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await waiting_to_be_refused(edge, caller, 1_000)

        leaving = asyncio.create_task(edge.runner.leave(5))
        assert (await caller.told()).status == 429
        read = edge.read
        assert (await caller.ask(event().replace(FLOODER, OTHER))).status == 200
        assert edge.read == read + 1, "the last answer is the edge's, which says so"
        await leaving


async def test_who_hangs_up_keeps_nobody_else_from_being_told() -> None:
    async with guarded() as edge, calling(edge) as caller, calling(edge) as other:
        await refused_by(edge, caller, event())
        await other.ask(event())
        staying_away(edge, 0.05)
        await caller.send(event())
        await edge.waits()
        caller.writer.close()

        assert (await other.ask(event())).status == 429


@pytest.mark.parametrize(
    "parts",
    [
        (event()[:40], event()[40:]),
        (event()[:-10], event()[-10:]),
        (event() + event()[:30], event()[30:]),
        (event() + event(),),
        (event(body=EVENT + b" ")[:-1], b" "),
    ],
    ids=["half a head", "half a body", "one and a half", "two", "all but a byte"],
)
async def test_requests_in_other_pieces_are_the_edges_own(parts: tuple[bytes, ...]) -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        read = edge.read

        for part in parts:
            await caller.send(part)
            await rounds()
        assert (await caller.told()).status == 429
        assert edge.read > read


async def test_what_stands_behind_a_partial_head_is_part_of_it() -> None:
    """Else the bytes of one request could be taken for another's."""
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        partial = b"POST /ee/v1/interact?configId=demo HTTP/1.1\r\nX-Part: "
        good = event().replace(FLOODER, OTHER)

        await caller.send(good + partial)
        assert (await caller.told()).status == 200
        told = await caller.ask(event())

        assert edge.read == READ + 2
        assert told.header("x-request-id") != "r-1", "its first line is of the other head"


async def test_what_was_refused_of_a_partial_head_is_not_what_stood_behind_it() -> None:
    """Else whoever sends a stranger's bytes behind half a request of their own has the stranger
    refused."""
    stranger = event().replace(FLOODER, b"")
    for line in (
        b"POST /ee/v1/interact?configId=demo HTTP/1.1\r\n",
        stranger.partition(b"Host")[0],
    ):
        async with guarded() as edge, calling(edge) as caller:
            await refused_by(edge, caller, event())
            await caller.send(event().replace(FLOODER, OTHER) + line + FLOODER + b"X-Part: ")
            assert (await caller.told()).status == 200
            assert (await caller.ask(stranger)).status == 429

            assert (await caller.ask(stranger)).status == 200


async def test_a_refusal_does_not_overtake_the_answer_before_it() -> None:
    gate = asyncio.Event()
    gate.set()

    async with guarded() as edge, calling(edge) as caller:
        decide = edge.services.decide

        async def gated(interaction: Interaction) -> EngineAnswer:
            await gate.wait()
            return await decide(interaction)

        object.__setattr__(edge.services, "decide", gated)
        await refused_by(edge, caller, event())
        gate.clear()
        await caller.send(event().replace(FLOODER, OTHER))
        await until(lambda: edge.read > READ)
        await caller.send(event())
        await rounds()
        gate.set()

        assert [(await caller.told()).status for _ in range(2)] == [200, 429]


async def test_a_path_that_is_no_text_is_answered_as_ever() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())

        assert (
            await caller.ask(event().replace(b"&requestId", b"&x=\xff&requestId"))
        ).status == 400


async def test_who_does_not_read_their_answers_gets_no_more_of_them() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        (connection,) = edge.connections
        connection.pause_writing()
        await caller.send(event())
        await until(lambda: edge.read > READ)
        connection.resume_writing()

        assert (await caller.told()).status == 429


async def test_the_networks_limit_counts_them_too() -> None:
    async with guarded(address=Rate(per_s=1, burst=5)) as edge, calling(edge) as caller:
        headers = b"X-Forwarded-For: 192.0.2.7\r\n"
        await refused_by(edge, caller, event(headers=headers))

        told = [await caller.ask(event(headers=headers)) for _ in range(2)]

        assert edge.read == READ
        assert [one.sent["detail"].split(" calls")[0] for one in told] == [
            "This visitor",
            "The network of this address",
        ]


async def test_what_was_said_before_definitions_changed_is_not_said_again() -> None:
    in_force = [compile_snapshot(ordinary())]
    async with guarded(snapshot=lambda: in_force[0]) as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        in_force[0] = compile_snapshot(ordinary())

        await caller.ask(event())
        assert edge.read == READ + 1
        await caller.ask(event())
        assert edge.read == READ + 1


ASKED = [
    event(),
    event(INTERACT.format("r-22")),
    event(body=NAMED),
    event(body=EVENT + b" "),
    event("collect?configId=demo&requestId=r-1"),
    event().replace(FLOODER, OTHER),
    event("interact?configId=demo"),
    event("interact"),
    event(headers=b"X-A: a\r\n"),
]


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[tuple[bytes, bool]]]:
    """How many requests, and their bytes in pieces, each with whether all answers that are due are
    read before more is sent."""
    asked = draw(st.lists(st.sampled_from(ASKED), min_size=1, max_size=8))
    pieces: list[bytes] = []
    for one in asked:
        cut = draw(st.sampled_from([0, 0, 0, len(one) - 1, 20, one.index(b"\r\n\r\n")]))
        pieces += [one[:cut], one[cut:]] if cut else [one]
        if len(pieces) > 1 and draw(st.integers(0, 4)) == 0:
            last = pieces.pop()
            pieces[-1] += last
    return len(asked), [(piece, draw(st.booleans())) for piece in pieces]


async def answers(
    edge: Edge, count: int, pieces: list[tuple[bytes, bool]]
) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    told: list[Answer] = []
    async with calling(edge) as caller:
        await refused_by(edge, caller, event())
        came = b""
        for piece, waits in pieces:
            came += piece
            await caller.send(piece)
            while waits and len(told) < whole(came):
                told.append(await caller.told())
            await asyncio.sleep(0)
        while len(told) < count:
            told.append(await caller.told())
    return [comparable(one) for one in told]


def whole(came: bytes) -> int:
    """How many requests are whole in the bytes."""
    count = 0
    while (found := came.find(b"\r\n\r\n")) >= 0:
        length = int(came.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(came) < found + 4 + length:
            break
        came, count = came[found + 4 + length :], count + 1
    return count


@settings(max_examples=60, deadline=None)
@given(streams())
def test_a_connection_is_told_the_same_as_without_in_whatever_pieces_it_sends(
    stream: tuple[int, list[tuple[bytes, bool]]],
) -> None:
    async def both() -> tuple[list[Any], list[Any]]:
        async with guarded(entropy=bytes) as edge:
            known = await answers(edge, *stream)
        async with guarded(entropy=bytes) as edge:
            edge.again.refusal = lambda data, peer: None  # type: ignore[method-assign]
            return known, await answers(edge, *stream)

    known, unknown = asyncio.run(both())
    assert known == unknown


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\n",
        b"Proxy-Connection: close\r\n",
    ],
)
def test_a_request_whose_end_something_else_could_tell_is_not_known(headers: bytes) -> None:
    for sent in (
        event(headers=headers),
        event().replace(b"HTTP/1.1", b"HTTP/1.0"),
        event().replace(b"POST /", b"POST http://edge.test/"),
        event().replace(b"POST", b"PUT"),
    ):
        again = again_with([0.0])
        again.remember(as_read(sent), REFUSED, "r-1")
        assert len(again) == 0


@given(
    st.from_regex(rb"[ -~&?]{0,20}", fullmatch=True),
    st.from_regex(rb"[ -~]{0,20}", fullmatch=True),
    st.binary(max_size=30),
    st.integers(-1, 1),
)
@example(b"requestId=a?requestId=b ", b"", b"", 0)
def test_a_request_alone_is_all_of_the_bytes(
    asked: bytes, header: bytes, body: bytes, more: int
) -> None:
    line = b"POST /ee?" + asked + b" HTTP/1.1"
    sent = request(
        body, line=line, headers=b"X-A: " + header + b"\r\n", length=b"%d" % (len(body) + more)
    )

    found = alone_in(sent)

    assert (found is None) == (more != 0)
    if found is not None:
        named = (found.request_id or "").encode()
        before, between, after = found.head
        whole = before + named + between + b"%d" % len(body) + after + b"\r\n" + found.body
        assert whole == sent


def as_read(sent: bytes) -> RawRequestMessage:
    """As aiohttp reads it."""
    line, *lines = sent.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, path, version = line.decode().split(" ")
    raw = tuple((name, value) for name, _, value in (one.partition(b": ") for one in lines))
    number = HttpVersion11 if version == "HTTP/1.1" else HttpVersion10
    headers = CIMultiDictProxy(CIMultiDict([(a.decode(), b.decode()) for a, b in raw]))
    return RawRequestMessage(
        method, path, number, headers, raw, False, None, False, False, URL(path)
    )


def again_with(now_s: list[float]) -> RefusedAgain:
    async def nothing(_: Any) -> Any:
        raise NotImplementedError

    limits = Limits(visitor=ONE_A_SECOND)
    limits.count_visitor("a", 0)
    services = EdgeServices(
        decide=nothing,
        durable=nothing,
        snapshot=lambda: None,
        clock_ms=lambda: 0,
        entropy=bytes,
        keys=KEYS,
        limits=limits,
    )
    return RefusedAgain(services, elapsed_s=lambda: now_s[0])


CONNECT = b"CONNECT edge.test:80 HTTP/1.1"
LONGER = event(headers=b"X-Part: x\r\n")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (event(), event("collect?configId=demo&requestId=r-1")),
        (event(), LONGER),
        (request(line=CONNECT), request(line=CONNECT)),
        (event(headers=b"X-A: a\r\n b\r\n"), LONGER.replace(PLAIN, PLAIN + b"X-A: a b\r\n")),
        (event() + b" ", event()),
    ],
    ids=["another first line", "a header more", "a tunnel", "a line that is folded", "a byte more"],
)
def test_bytes_are_not_all_of_a_request_that_has_more_or_other_of_it(
    sent: bytes, read: bytes
) -> None:
    assert is_all(event(), as_read(event()))
    assert not is_all(sent, as_read(read))
    assert not is_all(event(), as_read(event())._replace(upgrade=True))


REFUSED = Refused("a", "demo", (), Report(), b"HTTP/1.1 429 Too Many Requests\r\n")


def test_connections_are_looked_at_for_as_long_as_somebody_is_refused() -> None:
    now_s = [0.0]
    again = again_with(now_s)
    assert not again.armed

    again.remember(as_read(event()), REFUSED, "r-1")
    assert again.armed
    now_s[0] = ARMED_S - 1
    assert again.refusal(event(), None) is not None
    now_s[0] = 2 * ARMED_S - 2
    assert again.armed
    assert len(again) == 1
    now_s[0] = 2 * ARMED_S
    assert not again.armed
    assert len(again) == 0


def test_no_more_requests_are_known_than_may_be() -> None:
    again = again_with([0.0])
    for number in range(KEPT_HEADS + 10):
        again.remember(as_read(event(headers=b"X-A: %d\r\n" % number)), REFUSED, "r-1")
    again.remember(as_read(event(headers=b"X-A: %s\r\n" % (b"a" * MAX_HEAD_BYTES))), REFUSED, "r-1")

    assert len(again) == KEPT_HEADS


@pytest.mark.parametrize(
    ("asked", "headers", "told"),
    [
        (INTERACT.format("r-1"), b"", "r-2"),
        ("interact?configId=demo&%72equestId=a&requestId=a", b"", "a"),
        ("interact?configId=demo&requestid=a&requestId=a", b"", "a"),
        ("interact?configId=demo&requestId=&requestId=a", b"X-Request-Id: a\r\n", "a"),
        ("interact?configId=demo&x=?requestId=a", b"X-Request-Id: a\r\n", "a"),
        ("interact?configId=demo#&requestId=a", b"X-Request-Id: a\r\n", "a"),
        ("x&requestId=a&/interact?configId=demo", b"X-Request-Id: a\r\n", "a"),
        ("interact?configId=demo", b"x-request-id: a\r\n", "a"),
        ("interact?configId=demo&%72equestId=a", b"", "a"),
        ("interact?configId=demo&requestId=a%41", b"", "aA"),
    ],
)
def test_a_request_whose_id_may_stand_elsewhere_is_not_known(
    asked: str, headers: bytes, told: str
) -> None:
    again = again_with([0.0])
    again.remember(as_read(event(asked, headers=headers)), REFUSED, told)

    assert len(again) == 0


async def test_an_answer_that_is_no_ascii_is_not_known() -> None:
    async with guarded() as edge, calling(edge) as caller:
        sent = event(headers=b"Origin: http://\xff\r\n").replace(b"Host: edge.test", b"Host: \xff")

        assert [(await caller.ask(sent)).status for _ in range(6)] == [200] + [429] * 5
        assert len(edge.again) == 0


async def test_half_closed_a_connection_is_told_what_it_waits_for() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        staying_away(edge, 0.05)
        await caller.send(event())
        caller.writer.write_eof()

        assert (await caller.told()).status == 429


async def test_whoever_waits_to_be_refused_is_told_where_the_server_stops_at_once() -> None:
    async with guarded() as edge, calling(edge) as caller:
        await waiting_to_be_refused(edge, caller, 1_000)
        edge.runner._shutdown_timeout = 0

        await edge.runner.cleanup()

        assert (await caller.told()).status == 429


async def test_what_a_tunnel_is_asked_for_begins_no_request() -> None:
    """aiohttp reads what stands behind CONNECT after its answer, whatever its length says."""
    behind = b"POST /ee/v1/interact?configId=demo&requestId=behind HTTP/1.1\r\nX-P: "
    asked = b"CONNECT edge.test:80 HTTP/1.1\r\nHost: edge.test\r\nContent-Length: %d\r\n\r\n"
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        assert (await caller.ask(asked % len(behind) + behind)).status == 404

        told = await caller.ask(event(INTERACT.format("mine")))

        assert told.header("x-request-id") == "behind"


async def test_of_one_connection_one_refusal_waits() -> None:
    """Else whoever sends more before they were answered would not be held back by that."""
    async with guarded() as edge, calling(edge) as caller:
        await refused_by(edge, caller, event())
        staying_away(edge, 0.05)
        began_s = asyncio.get_running_loop().time()
        for number in range(3):
            await caller.send(event(INTERACT.format(f"id-{number}")))
            await rounds()

        told = [await caller.told() for _ in range(3)]

        assert [one.header("x-request-id") for one in told] == ["id-0", "id-1", "id-2"]
        assert asyncio.get_running_loop().time() - began_s >= 0.1
