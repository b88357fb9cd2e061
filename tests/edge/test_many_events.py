"""A call with many events that takes long: others are answered meanwhile, and it is one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from perso_core.decision.identity import Identity, server_key
from perso_core.edge.services import EdgeServices
from tests.building import NOON_MS, ORG
from tests.edge.running import Browser, RunningEdge, Told, running_edge
from tests.edge.servers import batch, server_call, telling
from tests.edge.test_identity_assertions import ANNA, assertion, defined, key, known, saying

MANY = 40
EVENT = "web.webpagedetails.pageViews"


class Clock:
    """By which each event takes longer than others are to wait; none where it stands still."""

    def __init__(self) -> None:
        self._s = 0.0
        self.stands_still = False

    def __call__(self) -> float:
        self._s += 0 if self.stands_still else 0.01
        return self._s


@asynccontextmanager
async def slow_edge(clock: Clock | None = None, **services: Any) -> AsyncIterator[RunningEdge]:
    def given(edge: RunningEdge) -> EdgeServices:
        return edge.services(**services)

    clock = clock or Clock()
    async with running_edge(defined(), services=given, elapsed_s=clock) as edge:
        yield edge


def of_a_page(count: int = MANY) -> dict[str, Any]:
    return {"events": [{"xdm": {"eventType": EVENT, "_id": f"e{at}"}} for at in range(count)]}


def of_a_server(count: int = MANY) -> dict[str, Any]:
    sent = batch(*(telling(CRMID="1") for _ in range(count)))
    for at, event in enumerate(sent["events"]):
        event["xdm"]["_id"] = f"e{at}"
    return sent


async def until_working(edge: RunningEdge) -> None:
    async with asyncio.timeout(10):
        while not edge.admission.parts.working:  # noqa: ASYNC110  round by round
            await asyncio.sleep(0)


async def in_order(edge: RunningEdge, many: Awaitable[Told], one: Browser) -> list[str]:
    """Who is answered first."""
    answered: list[str] = []

    async def waits(who: str, call: Awaitable[Told]) -> None:
        told = await call
        assert told.status in (200, 202), told.sent
        answered.append(who)

    task = asyncio.create_task(waits("many", many))
    await until_working(edge)
    await waits("one", one.send())
    await task
    return answered


async def test_another_visitor_is_answered_while_a_page_has_many_events_decided() -> None:
    async with slow_edge() as edge:
        (anna, _), (bert, _) = await known(edge), await known(edge)

        order = await in_order(edge, anna.send(body=of_a_page()), bert)

        assert order == ["one", "many"]


async def test_another_visitor_is_answered_while_a_servers_many_events_are_decided() -> None:
    async with slow_edge() as edge:
        bert, _ = await known(edge)

        order = await in_order(edge, server_call(edge, of_a_server(), "collect"), bert)

        assert order == ["one", "many"]


async def test_each_of_many_events_has_its_destinations_in_order() -> None:
    async with slow_edge() as edge:
        anna, _ = await known(edge)
        sent = of_a_page(5)
        sent["events"][2]["xdm"]["eventType"] = "commerce.productListAdds"

        told = await anna.send(body=sent)

        pulled = told.handles("activation:pull")
        assert [handle["eventIndex"] for handle in pulled] == [0, 1, 2, 3, 4]
        basket = [len(handle["payload"][0]["segments"]) for handle in pulled]
        assert basket == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("server", [False, True])
async def test_a_call_whose_time_is_up_meanwhile_says_so_and_sent_again_finds_all(
    server: bool,
) -> None:
    clock = Clock()
    async with slow_edge(clock, answer_within_ms=200) as edge:
        anna, ecid = await known(edge)

        async def sends() -> Told:
            if server:
                return await server_call(edge, of_a_server(), "collect")
            return await anna.send(body=of_a_page())

        told = await sends()
        assert (told.status, told.errors) == (207, ["EXEG-0201-503"])
        await asyncio.wait(edge.admission.parts.working)
        clock.stands_still = True
        told = await sends()

        assert told.status == (202 if server else 200)
        key = server_key(Identity("CRMID", "1"), org=ORG, datastream_id="demo")
        profile = await edge.profile(key if server else f"ECID:{ecid}")
        assert profile is not None
        assert len(profile.events) == MANY + (not server)
        assert profile.version == NOON_MS + MANY - server  # each changed it once


@pytest.mark.parametrize("signed_in", [False, True])
async def test_who_signs_in_meanwhile_has_each_event_once(signed_in: bool) -> None:
    """Beside many events of the device, and with many of their own."""
    async with slow_edge() as edge:
        anna, ecid = await known(edge)
        many = of_a_page()
        if signed_in:
            many["events"][0]["data"] = saying(assertion(ecid))["events"][0]["data"]
        task = asyncio.create_task(anna.send(body=many))
        await until_working(edge)

        for _ in range(3):
            assert (await anna.send(body=saying(assertion(ecid)))).status == 200
        assert (await task).status == 200
        await anna.send(body=saying(assertion(ecid)))

        profile = await edge.profile(key(ANNA))
        assert profile is not None
        kept = [one.id for one in profile.events]
        assert len(kept) == len({*kept}) == MANY + 1 + 4
        assert await edge.events(ecid) == 0
