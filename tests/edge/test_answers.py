"""What the edge answers to events: the handles that the SDK reads."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.definitions.activation import Activation
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.document import Definitions
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched
from tests.building import BASKET_RULE, DAY_MS, GOLD_RULE, NOON_MS, definitions
from tests.edge.running import (
    NAMES,
    Browser,
    RunningEdge,
    added_to_basket,
    page_view,
    running_edge,
)

ACTIONS = ["interact", "collect", "identity/acquire"]


async def test_an_event_is_answered_on_the_same_page() -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=added_to_basket(), request_id="r-1")

        assert told.status == 200
        assert told.headers["Content-Type"] == "application/json"
        assert told.sent["requestId"] == told.headers["x-request-id"] == "r-1"
        assert told.handles("activation:pull") == [
            {
                "type": "activation:pull",
                "eventIndex": 0,
                "payload": [
                    {
                        "type": "profileLookup",
                        "destinationId": "d-cms",
                        "alias": "cms",
                        "segments": [{"id": "basket", "namespace": "ups"}],
                    }
                ],
            }
        ]


async def test_a_visitor_in_no_audience_has_an_entry_with_no_segments(edge: RunningEdge) -> None:
    told = await edge.call()

    assert told.payload("activation:pull") == [
        {"type": "profileLookup", "destinationId": "d-cms", "alias": "cms", "segments": []}
    ]


async def test_the_answer_holds_the_four_handles(edge: RunningEdge) -> None:
    told = await edge.call()

    assert [handle["type"] for handle in told.sent["handle"]] == [
        "identity:result",
        "activation:pull",
        "locationHint:result",
        "state:store",
    ]
    assert told.payload("locationHint:result") == [
        {"scope": "EdgeNetwork", "hint": "perso", "ttlSeconds": 1800}
    ]
    assert set(told.sent) == {"requestId", "handle"}


async def test_a_first_answer_sets_identity_proof_and_cluster(edge: RunningEdge) -> None:
    told = await edge.call()

    lifetimes = {item["key"]: item["maxAge"] for item in told.payload("state:store")}
    assert lifetimes == {
        NAMES.identity: 34_128_000,
        NAMES.mac: 34_128_000,
        NAMES.cluster: 1_800,
    }
    assert told.cookies[NAMES.cluster] == "perso"


async def test_the_next_page_knows_what_this_one_qualified_for() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send(body=added_to_basket())

        second = await browser.send()

        assert second.audiences == ["basket"]
        assert second.ecid == first.ecid


async def test_the_next_day_knows_what_no_longer_holds() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket())
        edge.now_ms += DAY_MS

        assert (await browser.send()).audiences == []


async def test_events_of_one_request_are_answered_in_order_each_by_its_index() -> None:
    async with running_edge(definitions()) as edge:
        view, basket = page_view()["events"], added_to_basket()["events"]

        told = await edge.call(body={"events": [*view, *basket, *view]})

        pulls = told.handles("activation:pull")
        assert [pull["eventIndex"] for pull in pulls] == [0, 1, 2]
        assert [len(pull["payload"][0]["segments"]) for pull in pulls] == [0, 1, 1]
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 3


async def test_every_destination_of_the_datastream_has_its_entry() -> None:
    async with running_edge(two_destinations()) as edge:
        told = await edge.call(body=added_to_basket())

        entries = told.payload("activation:pull")
        assert [(entry["alias"], len(entry["segments"])) for entry in entries] == [
            ("cms", 1),
            ("ads", 0),
        ]


async def test_attributes_never_go_to_a_browser() -> None:
    """The canary is in the profile, in a mapped attribute, and in no byte of any answer."""
    async with running_edge(two_destinations()) as edge:
        browser = Browser(edge)
        told = await browser.send(body=added_to_basket())
        patched = await edge.admission.decided(
            Interaction(
                profile_key=f"ECID:{told.ecid}",
                datastream_id=OPERATOR,
                changes=(AttributesPatched({"loyalty": {"tier": "CANARY"}}),),
            )
        )
        await edge.drain.durable(patched.sequence)
        profile = await edge.profile(f"ECID:{told.ecid}")
        assert profile is not None
        assert profile.attributes["loyalty"]["tier"] == "CANARY"

        answers = [await browser.send(action) for action in ACTIONS]

        assert all(answer.status in (200, 204) for answer in answers)
        assert [answer for answer in answers if b"CANARY" in answer.body] == []


# ---- what a request or a datastream switches off -------------------------------


def overriding(**edge_services: bool) -> dict[str, Any]:
    """A basket event under `meta.configOverrides`, by product key or by the edge's own parts."""
    platform: dict[str, Any] = {
        f"com_adobe_edge_{part}": {"enabled": on}
        for part, on in edge_services.items()
        if part != "enabled"
    }
    if "enabled" in edge_services:
        platform["enabled"] = edge_services["enabled"]
    overrides = {"com_adobe_experience_platform": platform, "com_adobe_analytics": {"x": 1}}
    return added_to_basket(meta={"configOverrides": overrides})


async def test_a_request_may_do_without_destinations() -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=overriding(destinations=False))

        assert told.handles("activation:pull") == []
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 1


async def test_a_request_may_do_without_segmentation() -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=overriding(segmentation=False))

        assert told.audiences == []
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 1


async def test_a_request_may_do_without_the_platform_and_is_then_not_recorded() -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=overriding(enabled=False))

        assert told.status == 200
        assert told.handles("activation:pull") == []
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 0


async def test_an_override_that_switches_on_changes_nothing() -> None:
    async with running_edge(definitions(edge_segmentation=False)) as edge:
        told = await edge.call(body=overriding(segmentation=True, destinations=True))

        assert told.audiences == []


async def test_a_datastream_without_segmentation_records_and_does_not_evaluate() -> None:
    async with running_edge(definitions(edge_segmentation=False)) as edge:
        told = await edge.call(body=added_to_basket())

        assert told.audiences == []
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 1


async def test_a_datastream_without_destinations_answers_without_them() -> None:
    async with running_edge(definitions(personalization_destinations=False)) as edge:
        told = await edge.call(body=added_to_basket())

        assert told.status == 200
        assert told.handles("activation:pull") == []


# ---- collect and acquire -----------------------------------------------------


async def test_a_beacon_of_a_known_visitor_is_answered_with_nothing() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send()

        told = await browser.send("collect", added_to_basket())

        assert (told.status, told.body) == (204, b"")
        assert "Content-Type" not in told.headers
        assert first.ecid is not None
        assert await edge.events(first.ecid) == 2
        assert (await browser.send()).audiences == ["basket"]


async def test_a_collect_of_a_new_visitor_is_answered_with_its_cookies(edge: RunningEdge) -> None:
    browser = Browser(edge)

    told = await browser.send("collect")
    again = await browser.send("collect")

    assert told.status == 200
    assert set(told.cookies) == {NAMES.identity, NAMES.mac}
    assert again.status == 204


async def test_acquire_tells_who_the_visitor_is_and_writes_no_profile(edge: RunningEdge) -> None:
    browser = Browser(edge)
    asked = {"query": {"identity": {"fetch": ["ECID"]}}}

    told = await browser.send("identity/acquire", asked)
    again = await browser.send("identity/acquire", asked)

    assert told.status == 200
    assert [handle["type"] for handle in told.sent["handle"]] == [
        "identity:result",
        "locationHint:result",
        "state:store",
    ]
    assert told.ecid == again.ecid
    assert set(again.cookies) == {NAMES.cluster}
    assert edge.drain.commits == 0


async def test_an_acquired_identity_is_that_of_the_events_after_it(edge: RunningEdge) -> None:
    browser = Browser(edge)
    acquired = await browser.send("identity/acquire", {"meta": {}})

    told = await browser.send()

    assert told.ecid == acquired.ecid
    assert told.ecid is not None
    assert await edge.events(told.ecid) == 1


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_namespace_that_cannot_be_fetched_is_told_as_a_warning(
    edge: RunningEdge, action: str
) -> None:
    asked = page_view(more={"query": {"identity": {"fetch": ["ECID", "CORE"]}}})

    told = await edge.call(action, asked, request_id="r-1")

    assert told.status == 200
    assert told.warnings == ["EXEG-0303-200"]
    warning = told.sent["warnings"][0]
    assert warning["status"] == 200
    assert "CORE" in warning["detail"]
    assert "ECID, CORE" not in warning["detail"]
    assert warning["report"]["requestId"] == "r-1"


# ---- the call itself ---------------------------------------------------------


@pytest.mark.parametrize("hint", ["/perso", "/or2", "/t35", "/irl1"])
async def test_any_location_hint_may_stand_before_the_version(edge: RunningEdge, hint: str) -> None:
    for action in ACTIONS:
        assert (await edge.call(action, hint=hint)).status == 200


async def test_the_region_of_the_edge_is_in_a_header(edge: RunningEdge) -> None:
    assert (await edge.call()).headers["x-adobe-edge"] == "PERSO;9"


async def test_no_answer_is_kept_by_a_cache(edge: RunningEdge) -> None:
    for action in ACTIONS:
        told = await edge.call(action)

        assert told.headers["Cache-Control"] == "private, no-store"
        assert told.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_id_may_come_in_a_header(edge: RunningEdge) -> None:
    told = await edge.call(headers={"x-request-id": "from-header"})

    assert told.sent["requestId"] == "from-header"


@pytest.mark.parametrize("stated", ["", "x" * 129, "a b", "a\tb", "é"])
async def test_an_unusable_request_id_is_replaced(edge: RunningEdge, stated: str) -> None:
    told = await edge.call(request_id=stated)

    assert told.sent["requestId"] not in ("", stated)
    assert len(told.sent["requestId"]) == 36


async def test_fields_that_we_do_not_know_are_passed_over(edge: RunningEdge) -> None:
    """As alloy sends them (protocol.md, 2.1)."""
    body = {
        "events": [
            {
                "xdm": {
                    "eventType": "web.webpagedetails.pageViews",
                    "timestamp": "2026-11-23T22:27:50.994Z",
                    "web": {"webPageDetails": {"URL": "https://www.shop.test/"}},
                    "implementationDetails": {"name": "alloy", "version": "2.32.0"},
                    "identityMap": {
                        "Email": [
                            {"id": "0c7e", "authenticatedState": "authenticated", "primary": True}
                        ]
                    },
                },
                "data": {"__adobe": {"target": {}}},
                "query": {"personalization": {"schemas": ["x"], "decisionScopes": ["__view__"]}},
            }
        ],
        "query": {"identity": {"fetch": ["ECID"]}},
        "meta": {
            "queueTimeMillis": 31,
            "state": {"domain": "shop.test", "cookiesEnabled": True},
            "sdkConfig": {"datastream": {"original": "demo"}},
            "unheardOf": [1],
        },
        "unheardOf": {"a": None},
    }

    assert (await edge.call(body=body)).status == 200


@pytest.mark.parametrize(
    ("queue_ms", "waited_ms"),
    [(31, 31), (0, 0), (-5, 0), (299_999.5, 299_999), (300_001, 300_000), (1e300, 300_000)],
)
async def test_an_event_is_dated_by_our_clock_less_the_time_it_queued(
    edge: RunningEdge, queue_ms: float, waited_ms: int
) -> None:
    body = page_view(more={"meta": {"queueTimeMillis": queue_ms}}, timestamp="2020-01-01T00:00:00Z")

    told = await edge.call(body=body)

    profile = await edge.profile(f"ECID:{told.ecid}")
    assert profile is not None
    assert profile.events[0].timestamp_ms == NOON_MS - waited_ms
    assert profile.events[0].client_timestamp == "2020-01-01T00:00:00Z"


def two_destinations() -> Definitions:
    """Audiences basket and gold: `cms` may be told both, `ads` only gold, with an attribute."""
    base = definitions({"basket": BASKET_RULE, "gold": GOLD_RULE})
    ads = Destination(
        id="d-ads",
        kind="custom-personalization-with-attributes",
        name="Ads",
        integration_alias="ads",
        datastream="demo",
        attributes=(AttributeMapping(source="loyalty.tier", target="tier"),),
    )
    return Definitions(
        org=base.org,
        datastreams=base.datastreams,
        destinations=(*base.destinations, ads),
        audiences=base.audiences,
        activations=(*base.activations, Activation(audience="gold", destination="d-ads")),
    )
