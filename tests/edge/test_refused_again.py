"""Who was refused is refused again as their bytes come, as the edge itself would, and nobody else
is."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge.limits import Rate
from perso_core.edge.turns import AFTER_REFUSALS, Turns
from perso_core.engine.engine import Answer as EngineAnswer
from perso_core.engine.engine import Interaction
from tests.decision.test_tcf import NO_PURPOSE_1
from tests.edge.raw import EVENT, Answer
from tests.edge.refusing import (
    ECIDS,
    FLOODER,
    INTERACT,
    OTHER,
    READ,
    Caller,
    Edge,
    calling,
    comparable,
    event,
    guarded,
    refused_by,
    rounds,
    until,
)
from tests.edge.running import ordinary
from tests.edge.test_consent_standards import tc, with_strings


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


def carrying(cookies: bytes, body: bytes = EVENT) -> bytes:
    """The event of a page on another site, which carries the cookies in its body."""
    pairs = cookies.decode().strip().partition(" ")[2].split("; ")
    entries = [
        {"key": key, "value": value} for key, _, value in (one.partition("=") for one in pairs)
    ]
    state = json.dumps({"entries": entries}, separators=(",", ":")).encode()
    return event(body=body[:-1] + b',"meta":{"state":%s}}' % state).replace(FLOODER, b"")


async def test_who_is_refused_by_the_cookies_in_their_bodies_is_and_nobody_else() -> None:
    async with guarded() as edge, calling(edge) as caller:
        by_edge = await refused_by(edge, caller, carrying(FLOODER))

        told = await caller.ask(carrying(FLOODER, EVENT.replace(b'"a"', b'"another"')))
        assert edge.read == READ
        assert comparable(told) == comparable(by_edge)

        for sent in (carrying(OTHER), event().replace(FLOODER, b"")):
            assert (await caller.ask(sent)).status == 200
        named = EVENT[:-1] + b',"xdm":{"identityMap":{"ECID":[{"id":"%s"}]}}}' % ECIDS[1].encode()
        await caller.ask(carrying(FLOODER, named))
        assert edge.read == READ + 3


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

        async def gated(interaction: Interaction) -> EngineAnswer:
            await gate.wait()
            return await edge.running.admission.decided(interaction)

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
    async with guarded(address=Rate(per_s=1, burst=READ + 1)) as edge, calling(edge) as caller:
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
