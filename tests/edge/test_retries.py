"""An event counts once, however often it is sent."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.building import NOON_MS, definitions
from tests.edge.running import (
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    page_view,
    running_edge,
)


async def known(edge: RunningEdge) -> tuple[Browser, str]:
    """A visitor with one event."""
    browser = Browser(edge)
    told = await browser.send()
    assert told.ecid is not None
    return browser, told.ecid


async def test_a_retry_with_the_same_request_id_counts_once(edge: RunningEdge) -> None:
    """alloy gives events no `_id`; it retries with the same request id and body."""
    browser, ecid = await known(edge)

    answers = [await browser.send(request_id="r-1") for _ in range(4)]

    assert await edge.events(ecid) == 2
    assert len({answer.body for answer in answers}) == 1


async def test_retries_at_the_same_time_count_once(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    await asyncio.gather(*(browser.send(request_id="r-1") for _ in range(8)))

    assert await edge.events(ecid) == 2


async def test_a_retry_that_queued_longer_counts_once(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    for queue_ms in (10, 4_000):
        body = page_view(more={"meta": {"queueTimeMillis": queue_ms}})
        await browser.send(body=body, request_id="r-1")

    assert await edge.events(ecid) == 2


async def test_a_retry_as_a_beacon_counts_once(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    await browser.send(request_id="r-1")
    await browser.send("collect", request_id="r-1")

    assert await edge.events(ecid) == 2


@pytest.mark.parametrize("stated", ["order 4711 of 15 März", "r" * 129])
async def test_a_retry_counts_once_also_under_a_request_id_that_is_not_told_back(
    edge: RunningEdge, stated: str
) -> None:
    """Of too many characters, or with others than an id has: a hash of it is told."""
    browser, ecid = await known(edge)

    first, again = [await browser.send(request_id=stated) for _ in range(2)]
    other = await browser.send(request_id=stated + "2")

    assert await edge.events(ecid) == 1 + 2
    told = [one.sent["requestId"] for one in (first, again, other)]
    assert told[0] == told[1] != told[2]


async def test_the_same_event_in_another_request_is_another_event(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    for request_id in ("r-1", "r-2"):
        await browser.send(request_id=request_id)

    assert await edge.events(ecid) == 3


@pytest.mark.parametrize(
    "second",
    [added_to_basket(), {"events": [{"xdm": page_view()["events"][0]["xdm"], "data": {"a": 1}}]}],
)
async def test_another_event_under_the_same_request_id_is_another_event(
    edge: RunningEdge, second: dict[str, Any]
) -> None:
    browser, ecid = await known(edge)
    await browser.send(request_id="r-1")
    await browser.send(body=second, request_id="r-1")

    assert await edge.events(ecid) == 3


async def test_a_view_and_an_addition_in_one_request_are_one_after_the_other() -> None:
    """Both had the request's millisecond, so that no audience saw their order."""
    chain = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "{}"), B: WHAT(eventType = "{}")])'
    view, add = "web.webpagedetails.pageViews", "commerce.productListAdds"
    rules = {"view-add": chain.format(view, add), "add-view": chain.format(add, view)}
    both = {"events": [*page_view()["events"], *added_to_basket()["events"]]}
    async with running_edge(definitions(rules)) as edge:
        browser = Browser(edge)

        answers = [await browser.send(body=both, request_id="r-1") for _ in range(2)]

        profile = await edge.profile(f"ECID:{answers[0].ecid}")
        assert profile is not None
        assert [event.timestamp_ms for event in profile.events] == [NOON_MS - 1, NOON_MS]
        told = answers[0].payload("activation:pull")
        assert [[one["id"] for one in each["segments"]] for each in told] == [[], ["view-add"]]


async def test_the_same_event_twice_in_one_request_is_two_events(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    await browser.send(body={"events": page_view()["events"] * 2}, request_id="r-1")

    assert await edge.events(ecid) == 3


async def test_an_event_with_an_id_counts_once_in_any_request(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    for request_id in ("r-1", "r-2", "r-3"):
        await browser.send(body=page_view(_id="e-1"), request_id=request_id)

    assert await edge.events(ecid) == 2


async def test_one_id_under_two_visitors_is_two_events(edge: RunningEdge) -> None:
    (one, first), (two, second) = await known(edge), await known(edge)
    for browser in (one, two):
        await browser.send(body=page_view(_id="e-1"))

    assert (await edge.events(first), await edge.events(second)) == (2, 2)


async def test_one_request_id_under_two_visitors_is_two_events(edge: RunningEdge) -> None:
    ids = set()
    for browser, ecid in (await known(edge), await known(edge)):
        await browser.send(request_id="r-1")
        profile = await edge.profile(f"ECID:{ecid}")
        assert profile is not None
        assert len(profile.events) == 2
        ids.add(profile.events[-1].id)

    assert len(ids) == 2


@pytest.mark.parametrize("unkept", ["x" * 129, "x" * 40_000, "a\x00b", "a\u202eb", "\n", "é\x85"])
async def test_an_id_that_is_not_kept_as_it_is_counts_once_in_any_request(
    edge: RunningEdge, unkept: str
) -> None:
    browser, ecid = await known(edge)
    for request_id, stated in (("r-1", unkept), ("r-2", unkept), ("r-3", f"{unkept}y")):
        await browser.send(body=page_view(_id=stated), request_id=request_id)

    profile = await edge.profile(f"ECID:{ecid}")
    assert profile is not None
    of_ours = [event.id for event in profile.events[1:]]
    assert [bool(re.fullmatch("blake2b:[0-9a-f]{64}", one)) for one in of_ours] == [True, True]
    assert [event.xdm["_id"] for event in profile.events[1:]] == of_ours


async def test_an_event_is_known_by_the_id_that_an_export_shows(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=page_view(_id="x" * 129))
    profile = await edge.profile(f"ECID:{ecid}")
    assert profile is not None

    await browser.send(body=page_view(_id=profile.events[-1].id))

    assert await edge.events(ecid) == 2


@pytest.mark.parametrize("fine", ["e", "x" * 128, "order 4711/é", "blake2b:1"])
async def test_an_id_of_up_to_128_characters_that_can_be_seen_is_kept(
    edge: RunningEdge, fine: str
) -> None:
    browser, ecid = await known(edge)

    await browser.send(body=page_view(_id=fine))

    profile = await edge.profile(f"ECID:{ecid}")
    assert profile is not None
    assert profile.events[-1].id == fine


@pytest.mark.parametrize("no_id", ["", 5, 5.0, True, None, {}, ["e-1"]])
async def test_what_is_no_text_is_no_id_and_the_event_is_known_by_its_request(
    edge: RunningEdge, no_id: object
) -> None:
    browser, ecid = await known(edge)
    for request_id in ("r-1", "r-1", "r-2"):
        await browser.send(body=page_view(_id=no_id), request_id=request_id)

    assert await edge.events(ecid) == 3


@pytest.mark.parametrize("unusable", ["", 5, None, {}])
async def test_an_unusable_id_is_replaced_by_one_of_ours(
    edge: RunningEdge, unusable: object
) -> None:
    browser, ecid = await known(edge)

    await browser.send(body=page_view(_id=unusable), request_id="r-1")
    await browser.send(body=page_view(_id=unusable), request_id="r-1")

    profile = await edge.profile(f"ECID:{ecid}")
    assert profile is not None
    assert [len(event.id) for event in profile.events] == [64, 64]


async def test_what_an_id_reports_later_is_added_to_the_event(edge: RunningEdge) -> None:
    """The page's server recorded the visit; the SDK knows more of it."""
    browser, ecid = await known(edge)
    await browser.send(body=page_view(_id="e-1"))
    told: Told = await browser.send(body=page_view(_id="e-1", device={"screenWidth": 1280}))

    profile = await edge.profile(f"ECID:{ecid}")
    assert told.status == 200
    assert profile is not None
    assert profile.events[-1].xdm["device"] == {"screenWidth": 1280}
    assert len(profile.events) == 2
