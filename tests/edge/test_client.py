"""A server asks the edge with our client: typed answers, bounded waiting, no event twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from perso_core.client import Client, EdgeRefused, EdgeUnreachable
from perso_core.errors import BadAttributes, BadEvent
from tests.building import definitions
from tests.edge.running import RunningEdge, ordinary, running_edge

ADDED = {"eventType": "commerce.productListAdds"}


def client_of(edge: RunningEdge, **more: float) -> Client:
    return Client(f"{edge.url}/ee", "demo", **more)  # type: ignore[arg-type]  # the timeout alone


async def test_an_event_is_answered_with_what_it_decided() -> None:
    async with running_edge(definitions()) as edge, client_of(edge) as perso:
        answer = await perso.interact({"CRMID": "4711"}, ADDED)

        assert answer.audiences("cms") == {"basket"}
        assert answer.audiences("another") == frozenset()
        assert (answer.errors, answer.warnings) == ((), ())


async def test_a_refusal_says_which_one_it_is(edge: RunningEdge) -> None:
    async with Client(f"{edge.url}/ee", "nowhere") as perso:
        with pytest.raises(EdgeRefused) as refused:
            await perso.look_up({"CRMID": "4711"})

    assert refused.value.problem.code == "EXEG-0003-400"


async def test_a_wrong_key_is_refused_and_not_in_the_message(edge: RunningEdge) -> None:
    async with Client(f"{edge.url}/ee", "demo", api_key="a-secret") as perso:
        with pytest.raises(EdgeRefused) as refused:
            await perso.interact({"CRMID": "4711"}, ADDED)

    assert refused.value.problem.status == 401
    assert "a-secret" not in str(refused.value)


@asynccontextmanager
async def answering(
    *statuses: int, body: str = '{"requestId":"r","handle":[]}'
) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers so, one call after another, and the request ids that it saw."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.query["requestId"])
        status = statuses[min(len(seen), len(statuses)) - 1]
        return web.Response(status=status, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v2/interact", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/"), seen
    finally:
        await server.close()


async def test_a_busy_edge_is_asked_again_under_the_same_request_id() -> None:
    async with answering(503, 429, 200) as (url, seen), Client(url, "demo") as perso:
        answer = await perso.interact({"CRMID": "4711"}, ADDED)

    assert len(seen) == 3
    assert set(seen) == {answer.request_id}


async def test_an_edge_that_stays_busy_is_given_up_in_time_and_the_event_can_be_sent_again() -> (
    None
):
    async with answering(503) as (url, seen), Client(url, "demo", timeout_s=0.3) as perso:
        with pytest.raises(EdgeUnreachable, match="it answered 503") as given_up:
            await perso.interact({"CRMID": "4711"}, ADDED)

    assert seen[0] in given_up.value.fix


async def test_nobody_there_is_told_as_such() -> None:
    async with Client("http://127.0.0.1:9", "demo", timeout_s=0.2) as perso:
        with pytest.raises(EdgeUnreachable):
            await perso.look_up({"CRMID": "4711"})


async def test_a_long_answer_is_read_whole() -> None:
    segments = ",".join(f'{{"id":"audience-{number}"}}' for number in range(20_000))
    entry = f'{{"destinationId":"d","alias":"cms","segments":[{segments}]}}'
    body = f'{{"handle":[{{"type":"activation:pull","payload":[{entry}]}}]}}'

    async with answering(200, body=body) as (url, _), Client(url, "demo") as perso:
        answer = await perso.look_up({"CRMID": "4711"})

    assert len(answer.audiences("cms")) == 20_000


@pytest.mark.parametrize(
    "payload", ['[{"alias":"a"}]', "[5]", '{"a":1}', '[{"destinationId":1,"alias":"a"}]']
)
async def test_a_handle_that_is_none_is_told_as_such(payload: str) -> None:
    body = f'{{"handle":[{{"type":"activation:pull","payload":{payload}}}]}}'

    async with answering(200, body=body) as (url, _), Client(url, "demo") as perso:
        with pytest.raises(EdgeUnreachable, match="no edge"):
            await perso.look_up({"CRMID": "4711"})


async def test_what_is_no_edge_is_told_as_such() -> None:
    async with answering(200, body="<html>") as (url, _), Client(url, "demo") as perso:
        with pytest.raises(EdgeUnreachable, match="no edge"):
            await perso.look_up({"CRMID": "4711"})


async def test_a_batch_is_taken() -> None:
    async with running_edge(ordinary()) as edge, client_of(edge) as perso:
        collected = await perso.collect(
            [({"CRMID": "a"}, ADDED), ({"CRMID": "b"}, ADDED)], request_id="batch-1"
        )

    assert (collected.request_id, collected.errors) == ("batch-1", ())


async def test_what_json_cannot_say_is_named_and_not_sent() -> None:
    """A number that is none had been sent as null, which removes what it stands for."""
    async with answering(200) as (url, seen), Client(url, "demo") as perso:
        with pytest.raises(BadEvent, match=r"the call.event.xdm.points is not a finite number"):
            await perso.interact({"CRMID": "4711"}, {"points": float("nan")})
        with pytest.raises(BadEvent, match=r"has half a character"):
            await perso.collect([({"CRMID": "4711"}, {"name": "\ud800"})])
        with pytest.raises(BadAttributes, match=r"the row.attributes.points is not a finite"):
            await perso.import_attributes([("CRMID", "4711", {"points": float("nan")})])
        with pytest.raises(BadAttributes, match=r"the row.expires is not a finite number"):
            await perso.import_audience([{"id": "4711", "expires": float("nan")}])

        assert seen == []


async def test_dates_decimals_and_texts_of_a_class_are_sent_as_texts() -> None:
    class Name(str):
        __slots__ = ()

    rules = {"now": 'day = "2026-03-15"'}
    async with running_edge(definitions(rules)) as edge, client_of(edge) as perso:
        xdm = {"day": date(2026, 3, 15), "price": Decimal("1.5"), "name": Name("Ann")}
        answer = await perso.interact({"CRMID": "4711"}, xdm)

        assert answer.errors == ()


async def test_an_object_of_no_kind_that_json_has_is_told_as_such() -> None:
    async with answering(200) as (url, _), Client(url, "demo") as perso:
        with pytest.raises(BadEvent, match=r"the call cannot be sent: .*'object'"):
            await perso.interact({"CRMID": "4711"}, {"seen": object()})
