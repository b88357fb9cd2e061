"""Which requests are known again by their bytes: those that can mean nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from perso_core.edge.abuse import Limits
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
from tests.edge.raw import request
from tests.edge.refusing import (
    INTERACT,
    ONE_A_SECOND,
    PLAIN,
    calling,
    event,
    guarded,
)
from tests.edge.running import KEYS


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


REFUSED = Refused("a", b"", "demo", (), Report(), b"HTTP/1.1 429 Too Many Requests\r\n")


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
