"""Who signs in on a device takes along what was done on it; the device begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from perso_core.decision.identity import Identity
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched, ConsentChosen, Forgotten
from perso_core.stores.memory import MemoryStore
from tests.building import NOON_MS
from tests.edge.running import NAMES, Browser, RunningEdge, page_view, running_edge
from tests.edge.servers import (
    api_key,
    asking,
    attributes,
    server_call,
    shown_key,
    telling,
    with_attributes,
    written_key,
)
from tests.edge.test_identity_assertions import (
    ANNA,
    advertising,
    assertion,
    consenting,
    defined,
    gold,
    key,
    known,
    saying,
    segments,
    two_processes,
)
from tests.worker.stack import WatchedStore, broken

BERT = "4712"
ADDED = "commerce.productListAdds"


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with running_edge(defined()) as running:
        yield running


def added(**more: Any) -> dict[str, Any]:
    return page_view(eventType=ADDED, more=more)


def signed_in(ecid: str, customer: str = ANNA, *, event_type: str = "page") -> dict[str, Any]:
    return saying(assertion(ecid, customer), event_type=event_type)


async def ids(edge: RunningEdge, profile_key: str) -> list[str]:
    """Of the events on disk."""
    profile = await edge.profile(profile_key)
    return [one.id for one in profile.events] if profile else []


# ---- what moves, and when ------------------------------------------------------


async def test_a_basket_filled_before_signing_in_is_the_customers_at_the_first_answer(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())

    told = await browser.send(body=signed_in(ecid))

    assert segments(told) == ["basket"]
    assert (len(await ids(edge, key(ANNA))), await edge.events(ecid)) == (3, 0)


async def test_after_signing_out_the_device_is_answered_from_what_it_does_then(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())
    await browser.send(body=signed_in(ecid))

    assert segments(await browser.send()) == []
    assert segments(await browser.send(body=added())) == ["basket"]
    assert await edge.events(ecid) == 2


async def test_who_signs_in_later_on_a_shared_device_gets_nothing_of_the_first(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())
    await browser.send(body=signed_in(ecid))

    assert segments(await browser.send(body=signed_in(ecid, BERT))) == []
    await browser.send(body=added())
    assert segments(await browser.send(body=signed_in(ecid, BERT))) == ["basket"]
    assert len(await ids(edge, key(ANNA))) == 3


async def test_two_devices_of_one_customer_come_together_in_her_profile(edge: RunningEdge) -> None:
    one, ecid = await known(edge)
    other, other_ecid = await known(edge)
    await one.send(body=added())

    await one.send(body=signed_in(ecid))
    told = await other.send(body=signed_in(other_ecid))

    assert segments(told) == ["basket"]
    assert len(await ids(edge, key(ANNA))) == 5


async def test_since_when_somebody_is_in_an_audience_does_not_begin_anew(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())
    edge.now_ms += 60_000

    await browser.send(body=signed_in(ecid))

    profile = edge.engine.profile(key(ANNA), now_ms=edge.now_ms)
    assert profile
    assert profile.memberships["basket"].since_ms == NOON_MS  # type: ignore[union-attr]  # it is in memory


async def test_what_the_site_said_of_the_device_fills_gaps_of_the_customer(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    said = AttributesPatched({"loyalty": {"tier": "none", "points": 3}})
    asked = Interaction(profile_key=f"ECID:{ecid}", datastream_id=OPERATOR, changes=(said,))
    await edge.drain.durable((await edge.admission.decided(asked)).sequence)
    await gold(edge, ANNA)

    told = await browser.send(body=signed_in(ecid))

    assert segments(told) == ["gold"]
    server = await server_call(edge, asking(CRMID=ANNA))
    assert attributes(server)["points"] == {"value": 3}


async def test_a_page_that_tells_nothing_moves_nothing(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    off = {"configOverrides": {"com_adobe_experience_platform": {"enabled": False}}}

    await browser.send(body={**signed_in(ecid), "meta": off})

    assert await edge.events(ecid) == 1


async def test_what_moves_costs_one_write_and_nothing_afterwards() -> None:
    watched = WatchedStore(MemoryStore())
    async with running_edge(defined(), store=watched) as edge:
        browser, ecid = await known(edge)
        await browser.send(body=signed_in(ecid))
        loads, batches = len(watched.loads), len(watched.batches)
        for _ in range(3):
            await browser.send(body=signed_in(ecid))

        assert (len(watched.loads), len(watched.batches)) == (loads, batches + 3)


async def test_where_the_store_fails_the_call_is_not_answered_as_if_it_had_moved() -> None:
    watched = WatchedStore(MemoryStore())
    async with running_edge(defined(), store=watched) as edge:
        browser, ecid = await known(edge)
        await browser.send(body=added())
        await browser.send(body=signed_in(ecid, BERT))
        await browser.send(body=added())
        watched.failing = broken()
        told = await browser.send(body=signed_in(ecid))
        watched.failing = None
        again = await browser.send(body=signed_in(ecid))

    assert (told.status, told.payload("activation:pull")) == (207, [])
    assert segments(again) == ["basket"]


async def test_tabs_that_sign_in_at_once_move_everything_once(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())

    told = await asyncio.gather(*(browser.send(body=signed_in(ecid)) for _ in range(5)))

    assert all(segments(one) == ["basket"] for one in told)
    assert len(set(await ids(edge, key(ANNA)))) == len(await ids(edge, key(ANNA))) == 7


# ---- exactly once ----------------------------------------------------------------


async def test_an_event_that_is_reported_again_after_it_moved_counts_nowhere_again(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    once: dict[str, Any] = {"body": added(), "request_id": "r1"}
    named: dict[str, Any] = {"body": page_view(eventType=ADDED, _id="own")}
    await browser.send(**once)
    await browser.send(**named)
    await browser.send(body=signed_in(ecid))
    before = await ids(edge, key(ANNA))

    for again in (once, named):
        assert segments(await browser.send(**again)) == []
    await browser.send(body=signed_in(ecid), request_id="r2")

    assert await edge.events(ecid) == 0
    assert len(await ids(edge, key(ANNA))) == len(before) + 1


async def test_what_came_with_an_event_that_moved_is_not_the_devices_again(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    claiming = page_view(identityMap={"Email": [{"id": "a@b.test"}]})
    await browser.send(body=claiming, request_id="r1")
    await browser.send(body=signed_in(ecid))

    await browser.send(body=claiming, request_id="r1")
    await browser.send(body=signed_in(ecid, BERT))

    profile = await edge.profile(key(BERT))
    assert profile
    assert Identity("Email", "a@b.test") not in profile.claims


async def test_a_sign_in_that_is_retried_counts_once(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    for _ in range(2):
        await browser.send(body=signed_in(ecid), request_id="r1")

    assert len(await ids(edge, key(ANNA))) == 2


async def test_an_event_that_first_came_as_the_devices_alone_is_the_same_one_later(
    edge: RunningEdge,
) -> None:
    """As where the issuer's keys could not be fetched at the first try."""
    browser, ecid = await known(edge)
    event = signed_in(ecid)
    now_ms, edge.now_ms = edge.now_ms, edge.now_ms + 400_000  # it has expired by this clock
    first = await browser.send(body=event, request_id="r1")
    edge.now_ms = now_ms
    second = await browser.send(body=event, request_id="r1")

    assert (first.warnings, second.warnings) == (["urn:perso:edge.assertion-ignored"], [])
    assert len(await ids(edge, key(ANNA))) == 2


# ---- consent ---------------------------------------------------------------------


async def test_who_refused_takes_nothing_from_the_device(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    first, first_ecid = await known(edge)
    await first.send(body=signed_in(first_ecid))
    out = Interaction(profile_key=key(ANNA), datastream_id="demo", changes=(ConsentChosen("out"),))
    await edge.drain.durable((await edge.admission.decided(out)).sequence)

    told = await browser.send(body=signed_in(ecid))

    assert told.warnings == ["EXEG-0301-200"]
    assert (await edge.events(ecid), await ids(edge, key(ANNA))) == (1, [])


async def test_a_device_that_refused_sharing_brings_that_word_along() -> None:
    async with running_edge(advertising()) as edge:
        await gold(edge, ANNA)
        browser, ecid = await known(edge)
        await browser.send(headers={"Sec-GPC": "1"})

        told = await browser.send(body=signed_in(ecid))
        elsewhere = await server_call(edge, asking(CRMID=ANNA))

    assert (segments(told), segments(elsewhere)) == ([], [])


async def test_a_refusal_after_signing_in_is_the_devices_and_leaves_the_customer(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=signed_in(ecid))
    await browser.send("privacy/set-consent", consenting("out"))

    assert (await browser.send()).warnings == ["EXEG-0301-200"]
    assert len(await ids(edge, key(ANNA))) == 2


# ---- several processes -----------------------------------------------------------


async def test_what_moved_at_one_process_is_in_the_answers_of_another() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        browser.edge = other
        await browser.send(body=signed_in(ecid))
        browser.edge = one
        await browser.send(body=added())
        await browser.send(body=signed_in(ecid))
        browser.edge = other

        assert segments(await browser.send()) == [], "the device has begun anew"
        assert segments(await browser.send(body=signed_in(ecid))) == ["basket"]


async def test_a_browser_that_lost_its_token_moves_nothing_twice() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        await browser.send(body=added())
        browser.edge = other
        await browser.send(request_id="r1")
        browser.edge = one
        await browser.send(body=signed_in(ecid), request_id="r2")
        browser.cookies.pop(NAMES.version)
        browser.edge = other

        # It holds the device's profile as it was, and the customer's not at all.
        assert segments(await browser.send(body=signed_in(ecid))) == ["basket"]
        assert len(await ids(one, key(ANNA))) == 5
        browser.cookies.pop(NAMES.version)
        assert segments(await browser.send()) == []


async def test_who_knows_that_the_device_was_left_answers_by_what_left_it() -> None:
    """Between hearing of the one profile and hearing of the other."""
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        browser.edge = other
        await browser.send(body=signed_in(ecid))
        browser.edge = one
        await browser.send(body=added())
        await browser.send(body=signed_in(ecid))
        browser.cookies.pop(NAMES.version)
        await other.admission.take_over(f"ECID:{ecid}")
        browser.edge = other

        assert segments(await browser.send(body=signed_in(ecid))) == ["basket"]


async def test_an_event_that_another_process_was_about_to_keep_stays_the_devices() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        browser.edge = other
        await browser.send(request_id="r1")
        browser.edge = one
        await browser.send(body=signed_in(ecid), request_id="r2")
        browser.cookies.pop(NAMES.version)
        browser.edge = other

        told = await browser.send(body=added(), request_id="r3")

        assert (told.errors, segments(told)) == ([], ["basket"])
        assert len(await ids(one, f"ECID:{ecid}")) == 1
        assert len(await ids(one, key(ANNA))) == 3


async def test_erasing_the_customer_erases_what_moved(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())
    await browser.send(body=signed_in(ecid))
    gone = Interaction(profile_key=key(ANNA), datastream_id=OPERATOR, changes=(Forgotten(),))
    await edge.drain.durable((await edge.admission.decided(gone)).sequence)

    assert await edge.profile(key(ANNA)) is None
    assert await edge.events(ecid) == 0
    assert segments(await browser.send(body=signed_in(ecid))) == []


# ---- servers ---------------------------------------------------------------------


def authenticated(event_type: str, **ids: str) -> dict[str, Any]:
    """An event of somebody whom the server has authenticated."""
    body = telling(event_type, **ids)
    for namespace, entries in body["event"]["xdm"]["identityMap"].items():
        if namespace != "ECID":
            for entry in entries:
                entry["authenticatedState"] = "authenticated"
    return body


async def test_a_server_that_has_authenticated_somebody_on_a_device_moves_it_too(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())

    told = await server_call(edge, authenticated("page", CRMID=ANNA, ECID=ecid))

    assert segments(told) == ["basket"]
    assert await edge.events(ecid) == 0


async def test_a_server_that_only_asks_or_is_not_sure_moves_nothing(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=added())
    asks = asking(CRMID=ANNA, ECID=ecid)
    asks["event"]["xdm"]["identityMap"]["CRMID"][0]["authenticatedState"] = "authenticated"

    for body in (asks, telling("page", CRMID=ANNA, ECID=ecid)):
        assert segments(await server_call(edge, body)) == []
    assert await edge.events(ecid) == 2


async def test_a_server_moves_no_device_that_its_datastream_has_not_seen() -> None:
    keys = (api_key("b" * 12, datastreams=("shop",)),)
    async with running_edge(with_attributes(datastreams=("demo", "shop"), api_keys=keys)) as edge:
        browser, ecid = await known(edge)
        await browser.send(body=added())
        shown = shown_key(written_key("b" * 12))

        body = authenticated("page", CRMID=ANNA, ECID=ecid)
        told = await server_call(edge, body, headers=shown, config="shop")

        assert segments(told) == []
        assert await edge.events(ecid) == 2


async def test_claims_of_the_device_are_known_of_the_customer(edge: RunningEdge) -> None:
    browser = Browser(edge)
    ecid = (await browser.send(body=page_view(identityMap={"Email": [{"id": "a@b.test"}]}))).ecid
    assert ecid
    await browser.send(body=signed_in(ecid))

    profile = await edge.profile(key(ANNA))
    assert profile
    assert {Identity("Email", "a@b.test"), Identity("ECID", ecid)} <= set(profile.claims)
