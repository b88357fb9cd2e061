"""A proven server dates its events; a browser dates nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from perso_core.pql.instants import iso_exact
from tests.building import DAY_MS, HOUR_MS, NOON_MS
from tests.edge.running import Browser, RunningEdge, page_view
from tests.edge.servers import asking, batch, server_call, server_edge, telling
from tests.edge.test_server_api import ADDED, ANNA, kept_events, key_of


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with server_edge() as running:
        yield running


def at(timestamp: Any, event_type: str = ADDED, customer: str = ANNA) -> dict[str, Any]:
    request = telling(event_type, CRMID=customer)
    request["event"]["xdm"]["timestamp"] = timestamp
    return request


async def stamps(edge: RunningEdge, customer: str = ANNA) -> list[int]:
    profile = await edge.profile(key_of("CRMID", customer))
    return [event.timestamp_ms for event in profile.events] if profile else []


async def test_a_window_counts_from_when_the_server_says_that_it_was(edge: RunningEdge) -> None:
    told = await server_call(edge, at(iso_exact(NOON_MS - HOUR_MS + 1_000)))
    edge.now_ms += 1_000
    last = await server_call(edge, asking(CRMID=ANNA))
    edge.now_ms += 1
    later = await server_call(edge, asking(CRMID=ANNA))

    assert (told.audiences, last.audiences, later.audiences) == (["basket"], ["basket"], [])


async def test_events_of_a_batch_stand_in_the_order_of_their_dates(edge: RunningEdge) -> None:
    dates = (NOON_MS - 1, NOON_MS - DAY_MS, NOON_MS - HOUR_MS)

    told = await server_call(edge, batch(*(at(iso_exact(one)) for one in dates)), "collect")

    assert told.status == 202
    assert await stamps(edge) == sorted(dates)


@pytest.mark.parametrize(
    ("written", "kept_ms"),
    [
        ("2026-03-15T11:59:59.999Z", NOON_MS - 1),
        ("2026-03-15T12:30:00+01:00", NOON_MS - HOUR_MS // 2),
        (iso_exact(NOON_MS + 300_000), NOON_MS),
        (iso_exact(NOON_MS - 35 * DAY_MS), NOON_MS - 35 * DAY_MS),
        (None, NOON_MS),
    ],
)
async def test_an_instant_is_kept_to_the_millisecond_and_never_lies_ahead(
    edge: RunningEdge, written: str | None, kept_ms: int
) -> None:
    await server_call(edge, at(written))

    assert await stamps(edge) == [kept_ms]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("yesterday", "no instant"),
        ("", "no instant"),
        (NOON_MS, "no instant"),
        ({}, "no instant"),
        (iso_exact(NOON_MS + 300_001), "lies ahead of 2026-03-15T12:00:00.000Z"),
        (iso_exact(NOON_MS - 35 * DAY_MS - 1), "kept for 35 days"),
        ("0001-01-01T00:00:00Z", "kept for 35 days"),
    ],
)
async def test_what_is_no_instant_of_the_time_that_is_kept_is_refused_whole(
    edge: RunningEdge, written: Any, why: str
) -> None:
    told = await server_call(edge, batch(at(iso_exact(NOON_MS)), at(written)), "collect")

    assert (told.status, told.code) == (400, "EXEG-0102-400")
    assert "'events[1].xdm.timestamp'" in told.sent["detail"]
    assert why in told.sent["detail"]
    assert await kept_events(edge, key_of("CRMID", ANNA)) == 0


async def test_a_retry_of_a_dated_event_counts_once(edge: RunningEdge) -> None:
    request = at(iso_exact(NOON_MS - HOUR_MS))
    for _ in range(2):
        await server_call(edge, request, request_id="once")
        edge.now_ms += 1_000

    assert await stamps(edge) == [NOON_MS - HOUR_MS]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_browsers_clock_dates_nothing(edge: RunningEdge, version: str) -> None:
    browser = Browser(edge)
    ecid = (await browser.send()).ecid
    sent = page_view(timestamp="2020-01-01T00:00:00Z")
    body = sent if version == "v1" else {"event": sent["events"][0]}

    told = await browser.send(body=body, version=version)

    profile = await edge.profile(f"ECID:{ecid}")
    assert told.status == 200
    assert profile
    assert {event.timestamp_ms for event in profile.events} == {NOON_MS}
