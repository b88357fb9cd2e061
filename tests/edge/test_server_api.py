"""The server API over HTTP: what a server that proves itself may ask and tell, and what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from perso_core.decision.identity import Identity, server_key
from perso_core.decision.profile import Profile
from perso_core.definitions.activation import Activation
from perso_core.definitions.destination import AttributeMapping
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched
from perso_core.engine.keeping import Keeping
from perso_core.errors import StoreUnavailable
from tests.building import HOUR_MS, ORG
from tests.edge.running import (
    NAMES,
    Browser,
    RunningEdge,
    added_to_basket,
    cookie_header,
    page_view,
    state,
)
from tests.edge.servers import (
    JSON,
    api_key,
    asking,
    attributes,
    batch,
    bearer,
    identities,
    server_call,
    server_edge,
    shown_key,
    telling,
    with_attributes,
)

ADDED = "commerce.productListAdds"
ANNA = "anna-4711"


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with server_edge() as running:
        yield running


def key_of(namespace: str, name: str, datastream_id: str = "demo") -> str:
    return server_key(Identity(namespace, name), org=ORG, datastream_id=datastream_id)


async def kept_events(edge: RunningEdge, profile_key: str) -> int:
    profile = await edge.profile(profile_key)
    return len(profile.events) if profile else 0


async def put(edge: RunningEdge, profile_key: str, **values: Any) -> None:
    """What the site says of a profile."""
    answer = await edge.admission.decided(
        Interaction(
            profile_key=profile_key, datastream_id=OPERATOR, changes=(AttributesPatched(values),)
        )
    )
    await edge.drain.durable(answer.sequence)


async def known(edge: RunningEdge) -> None:
    """Anna: a name, points that are a list, and gold."""
    await put(
        edge,
        key_of("CRMID", ANNA),
        person={"name": {"firstName": "Anna"}},
        loyalty={"points": [1, 2], "tier": "gold"},
    )


# ---- interact ------------------------------------------------------------------


@pytest.mark.parametrize("hint", ["", "/or2"])
@pytest.mark.parametrize("name", ["dataStreamId", "datastreamId", "datastreamid", "configId"])
async def test_the_datastream_may_be_named_in_every_documented_spelling(
    edge: RunningEdge, name: str, hint: str
) -> None:
    told = await server_call(edge, asking(CRMID=ANNA), config=None, query={name: "demo"}, hint=hint)

    assert (told.status, told.payload("activation:pull")) == (200, [])


async def test_an_event_of_a_named_person_is_kept_and_answered_with_what_it_decided(
    edge: RunningEdge,
) -> None:
    told = await server_call(edge, telling(ADDED, CRMID=ANNA))

    assert told.audiences == ["basket"]
    assert await kept_events(edge, key_of("CRMID", ANNA)) == 1


async def test_a_call_with_identities_alone_looks_up_and_keeps_nothing(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, CRMID=ANNA))

    told = await server_call(edge, asking(CRMID=ANNA))

    assert told.audiences == ["basket"]
    assert await kept_events(edge, key_of("CRMID", ANNA)) == 1


async def test_of_a_person_nobody_knows_the_handle_is_there_and_empty(edge: RunningEdge) -> None:
    told = await server_call(edge, asking(CRMID="nobody"))

    (handle,) = told.handles("activation:pull")
    assert handle == {"type": "activation:pull", "payload": [], "eventIndex": 0}
    assert await edge.profile(key_of("CRMID", "nobody")) is None


async def test_a_person_of_one_namespace_is_not_that_of_another(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, CRMID=ANNA))

    assert (await server_call(edge, asking(LOYALTY=ANNA))).payload("activation:pull") == []


async def test_the_primary_identity_selects_and_the_others_are_claims(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, CRMID=ANNA, EMAIL="a@shop.test"))

    profile = await edge.profile(key_of("CRMID", ANNA))
    assert profile is not None
    assert Identity("EMAIL", "a@shop.test") in profile.claims
    assert await edge.profile(key_of("EMAIL", "a@shop.test")) is None


@pytest.mark.parametrize(
    ("identity_map", "code"),
    [
        (None, "EXEG-0306-400"),
        ({}, "EXEG-0306-400"),
        ({"CRMID": []}, "EXEG-0306-400"),
        ({"CRMID": [{"id": "a"}]}, "EXEG-0306-400"),
        ({"CRMID": [{"id": "a", "primary": False}]}, "EXEG-0306-400"),
        ({"FPID": [{"id": "a"}], "EMAIL": [{"id": "b"}]}, "EXEG-0306-400"),
        ({"CRMID": [{"id": "a", "primary": "true"}]}, "EXEG-0102-400"),
        ({"CRMID": [{"id": "a", "primary": 1}]}, "EXEG-0102-400"),
        ({"CRMID": [{"primary": True}]}, "EXEG-0103-400"),
        ({"CRMID": [{"id": "", "primary": True}]}, "EXEG-0305-400"),
        ({"CRMID": [{"id": "a", "primary": True}, {"id": "b", "primary": True}]}, "EXEG-0304-400"),
        (identities(CRMID="a") | {"EMAIL": [{"id": "b", "primary": True}]}, "EXEG-0304-400"),
        ({"ECID": [{"id": "12", "primary": True}]}, "EXEG-0305-400"),
        ({"A B": [{"id": "a", "primary": True}]}, "EXEG-0102-400"),
        ({"A:B": [{"id": "a", "primary": True}]}, "EXEG-0102-400"),
        ([], "EXEG-0102-400"),
    ],
)
@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_an_event_without_one_sound_primary_identity_is_refused_whole(
    edge: RunningEdge, action: str, identity_map: Any, code: str
) -> None:
    xdm: dict[str, Any] = {"eventType": ADDED}
    if identity_map is not None:
        xdm["identityMap"] = identity_map
    bad = {"event": {"xdm": xdm}}
    body = bad if action == "interact" else batch(telling(ADDED, CRMID=ANNA), bad)

    told = await server_call(edge, body, action)

    assert (told.code, len(edge.engine)) == (code, 0)


async def test_an_ecid_is_primary_where_no_identity_says_so(edge: RunningEdge) -> None:
    browser = Browser(edge)
    ecid = (await browser.send(body=page_view(eventType=ADDED))).ecid
    body = {"event": {"xdm": {"identityMap": {"ECID": [{"id": ecid}], "CRMID": [{"id": ANNA}]}}}}

    told = await server_call(edge, body)

    assert (told.ecid, told.audiences) == (ecid, ["basket"])


@pytest.mark.parametrize(
    "body",
    [{}, {"events": []}, {"event": []}, {"event": {"xdm": 1}}, {"events": [{"xdm": {}}]}],
    ids=str,
)
async def test_interact_takes_one_event_as_an_object(edge: RunningEdge, body: Any) -> None:
    told = await server_call(edge, body)

    assert told.code in ("EXEG-0103-400", "EXEG-0102-400")


async def test_a_retry_with_the_same_request_id_counts_once(edge: RunningEdge) -> None:
    for _ in range(3):
        await server_call(edge, telling(ADDED, CRMID=ANNA), request_id="r-1")

    assert await kept_events(edge, key_of("CRMID", ANNA)) == 1


async def test_an_id_of_many_characters_counts_once_in_any_request(edge: RunningEdge) -> None:
    one = telling(ADDED, CRMID=ANNA)
    one["event"]["xdm"]["_id"] = "x" * 40_000
    for request_id, action, body in (("r-1", "interact", one), ("r-2", "collect", batch(one))):
        await server_call(edge, body, action, request_id=request_id)

    assert await kept_events(edge, key_of("CRMID", ANNA)) == 1


async def test_overrides_switch_off_as_for_a_page(edge: RunningEdge) -> None:
    off = {"com_adobe_experience_platform": {"com_adobe_edge_destinations": {"enabled": False}}}
    body = {**telling(ADDED, CRMID=ANNA), "meta": {"configOverrides": off}}

    assert (await server_call(edge, body)).handles("activation:pull") == []


async def test_a_store_that_fails_gives_207_and_no_attribute(edge: RunningEdge) -> None:
    async def fails(_: Interaction) -> Any:
        raise StoreUnavailable("down", fix="wait")

    async with server_edge(decide=fails) as failing:
        for action, body in (
            ("interact", telling(CRMID=ANNA)),
            ("interact", asking(CRMID=ANNA)),
            ("collect", batch(telling(CRMID=ANNA))),
        ):
            told = await server_call(failing, body, action)
            assert (told.status, told.errors) == (207, ["EXEG-0201-503"])


# ---- devices ---------------------------------------------------------------------


async def test_a_server_asks_for_the_visitor_of_its_own_pages_by_ecid(edge: RunningEdge) -> None:
    browser = Browser(edge)
    ecid = (await browser.send(body=page_view(eventType=ADDED))).ecid
    assert ecid

    assert (await server_call(edge, asking(ECID=ecid))).audiences == ["basket"]


async def test_the_servers_event_of_a_device_is_in_force_on_its_next_page(
    edge: RunningEdge,
) -> None:
    browser = Browser(edge)
    ecid = (await browser.send()).ecid
    assert ecid
    await server_call(edge, telling(ADDED, ECID=ecid))

    assert (await browser.send()).audiences == ["basket"]


async def test_forwarded_cookies_prove_the_device_where_no_identity_is_named(
    edge: RunningEdge,
) -> None:
    browser = Browser(edge)
    await browser.send(body=page_view(eventType=ADDED))
    body = {"event": {"xdm": {}}, "meta": {"state": state(browser.cookies)}}

    assert (await server_call(edge, body)).audiences == ["basket"]


async def test_a_server_is_given_no_cookies_that_would_prove_a_device(edge: RunningEdge) -> None:
    ecid = (await Browser(edge).send()).ecid
    assert ecid

    told = await server_call(edge, asking(ECID=ecid))

    assert [name.rpartition("_")[2] for name in told.cookies] == ["cluster"]


async def test_a_visitor_who_refused_on_the_device_is_refused_to_the_server_too() -> None:
    async with server_edge() as edge:
        browser = Browser(edge)
        ecid = (await browser.send(body=page_view(eventType=ADDED))).ecid
        assert ecid
        out = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "out"}}]}
        await browser.send("privacy/set-consent", out)

        for ids in ({"ECID": ecid}, {"CRMID": ANNA, "ECID": ecid}):
            told = await server_call(edge, telling(ADDED, **ids))
            assert (told.warnings, told.handles("activation:pull")) == (["EXEG-0301-200"], [])
        assert await kept_events(edge, key_of("CRMID", ANNA)) == 0


async def test_a_server_is_told_what_it_can_do_where_nobody_has_asked_a_customer() -> None:
    async with server_edge(with_attributes(default_consent="pending")) as edge:
        told = await server_call(edge, asking(CRMID=ANNA))
        nobody = await server_call(edge, asking(CRMID=ANNA), headers={})

    assert told.warnings == nobody.warnings == ["EXEG-0301-200"]
    assert 'default_consent = "in"' in told.sent["warnings"][0]["detail"]
    assert "default_consent" not in nobody.sent["warnings"][0]["detail"]


async def test_a_refusal_that_the_forwarded_cookies_alone_hold_is_heard_of_whoever_is_named() -> (
    None
):
    async with server_edge() as edge:
        browser = Browser(edge)
        ecid = (await browser.send()).ecid
        assert ecid
        refusing = cookie_header({**browser.cookies, NAMES.consent: "general=out"})

        for body in (telling(ADDED, ECID=ecid), telling(ADDED, CRMID=ANNA), asking(CRMID=ANNA)):
            told = await server_call(edge, body, cookie=refusing)
            assert (told.warnings, told.handles("activation:pull")) == (["EXEG-0301-200"], [])
        assert await edge.events(ecid) == 1
        assert await kept_events(edge, key_of("CRMID", ANNA)) == 0


async def test_what_a_visitor_agreed_to_on_the_device_holds_for_the_person_named_with_it() -> None:
    async with server_edge(with_attributes(default_consent="pending")) as edge:
        browser = Browser(edge)
        agreed = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]}
        await browser.send("privacy/set-consent", agreed)
        ecid = (await browser.send()).ecid
        assert ecid
        alone = await server_call(edge, telling(ADDED, CRMID=ANNA))

        together = await server_call(edge, telling(ADDED, CRMID=ANNA, ECID=ecid))

        assert (alone.warnings, together.audiences) == (["EXEG-0301-200"], ["basket"])


async def test_a_device_that_refuses_now_holds_back_a_person_who_agreed_before() -> None:
    async with server_edge() as edge:
        browser = Browser(edge)
        ecid = (await browser.send()).ecid
        assert ecid
        for general in ("in", "out"):
            value = {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
            await browser.send("privacy/set-consent", {"consent": [value]})
            told = [
                await server_call(edge, telling(ADDED, CRMID=ANNA, ECID=ecid)),
                await server_call(edge, asking(CRMID=ANNA, ECID=ecid)),
            ]

        assert [one.warnings for one in told] == [["EXEG-0301-200"]] * 2
        assert await kept_events(edge, key_of("CRMID", ANNA)) == 1


# ---- collect -----------------------------------------------------------------------


async def test_a_batch_of_several_people_is_taken_with_202_and_kept_for_each(
    edge: RunningEdge,
) -> None:
    body = batch(*(telling(ADDED, CRMID=name) for name in ("a", "b", "a")))

    told = await server_call(edge, body, "collect", request_id="r-7")

    assert (told.status, told.sent) == (202, {"requestId": "r-7"})
    kept = [await kept_events(edge, key_of("CRMID", name)) for name in ("a", "b")]
    assert kept == [2, 1]


@pytest.mark.parametrize("place", ["xdm", "data"])
async def test_a_batch_that_is_refused_for_a_number_in_it_keeps_none_of_its_events(
    edge: RunningEdge, place: str
) -> None:
    large = telling("x", CRMID="bert")
    large["event"].setdefault(place, {})["count"] = 2**70

    told = await server_call(edge, batch(telling(ADDED, CRMID=ANNA), large), "collect")
    alone = await server_call(edge, large)

    assert (told.code, alone.code) == ("EXEG-0102-400", "EXEG-0102-400")
    assert told.sent["detail"].startswith("'events[1]'")
    assert alone.sent["detail"].startswith("'event'")
    assert await kept_events(edge, key_of("CRMID", ANNA)) == 0


async def test_a_silent_batch_is_taken_with_204(edge: RunningEdge) -> None:
    told = await server_call(
        edge, batch(telling(ADDED, CRMID="a")), "collect", query={"silent": "true"}
    )

    assert (told.status, told.body) == (204, b"")
    assert await kept_events(edge, key_of("CRMID", "a")) == 1


async def test_a_batch_says_how_many_events_consent_forbade() -> None:
    async with server_edge(with_attributes(default_consent="pending")) as edge:
        told = await server_call(edge, batch(telling(CRMID="a"), telling(CRMID="b")), "collect")

    assert (told.status, told.warnings) == (202, ["EXEG-0301-200"])
    assert told.sent["warnings"][0]["detail"].startswith("2 of the events were not kept")


async def test_a_browsers_batch_is_taken_as_its_own_events_alone(edge: RunningEdge) -> None:
    told = await server_call(edge, batch(telling(ADDED, CRMID=ANNA)), "collect", headers=JSON)

    assert told.status == 202
    assert await edge.profile(key_of("CRMID", ANNA)) is None


# ---- without authentication ---------------------------------------------------------


async def test_without_proof_a_named_person_selects_nothing(edge: RunningEdge) -> None:
    await known(edge)
    await server_call(edge, telling(ADDED, CRMID=ANNA))

    told = await server_call(edge, asking(CRMID=ANNA), headers=JSON)

    assert (told.status, told.payload("activation:pull"), told.warnings) == (200, [], [])


async def test_without_proof_the_cookies_select_as_on_v1(edge: RunningEdge) -> None:
    browser = Browser(edge)
    first = await browser.send(body=page_view(eventType=ADDED))

    told = await browser.send(body={"event": {"xdm": {}}}, version="v2", headers=JSON)

    assert (told.ecid, told.audiences) == (first.ecid, ["basket"])


async def test_a_server_that_asks_without_proof_makes_no_profile(edge: RunningEdge) -> None:
    await server_call(edge, asking(CRMID=ANNA), headers=JSON)

    assert len(edge.engine) == 0


async def test_an_authenticated_datastream_refuses_whoever_proves_nothing() -> None:
    async with server_edge(with_attributes(access_type="authenticated")) as edge:
        refused = [
            await server_call(edge, asking(CRMID=ANNA), headers=JSON),
            await server_call(edge, batch(telling(CRMID=ANNA)), "collect", headers=JSON),
            *[await edge.call(action) for action in ("interact", "collect", "identity/acquire")],
        ]
        answered = await server_call(edge, asking(CRMID=ANNA))

    assert [told.code for told in refused] == ["EXEG-0500-401"] * 5
    assert [told.headers["WWW-Authenticate"] for told in refused] == ["Bearer"] * 5
    assert answered.status == 200


async def test_on_v1_a_credential_opens_an_authenticated_datastream_and_nothing_else() -> None:
    async with server_edge(with_attributes(access_type="authenticated")) as edge:
        await known(edge)
        body = page_view(identityMap=identities(CRMID=ANNA))

        told = await edge.call(body=body, headers=bearer())

    assert (told.status, attributes(told), told.ecid is not None) == (200, None, True)


# ---- attributes and warnings ---------------------------------------------------------


async def test_mapped_attributes_come_by_target_name_to_the_destination_that_takes_them(
    edge: RunningEdge,
) -> None:
    await put(
        edge,
        key_of("CRMID", ANNA),
        person={"name": {"firstName": "Anna", "lastName": "Kareva"}},
        loyalty={"points": 12.5},
        flags={"vip": False},
    )

    told = await server_call(edge, asking(CRMID=ANNA))

    assert attributes(told) == {
        "firstName": {"value": "Anna"},
        "points": {"value": 12.5},
        "vip": {"value": False},
    }
    assert attributes(told, "cms") is None
    assert told.warnings == []


async def test_collect_and_a_failed_answer_carry_no_attributes(edge: RunningEdge) -> None:
    await known(edge)

    told = await server_call(edge, batch(telling(CRMID=ANNA)), "collect")

    assert b"Anna" not in told.body


async def test_what_is_missing_or_no_single_value_is_withheld_and_said(edge: RunningEdge) -> None:
    await known(edge)

    told = await server_call(edge, asking(CRMID=ANNA))

    assert attributes(told) == {"firstName": {"value": "Anna"}}
    assert [(w["type"], w["status"], w["title"]) for w in told.sent["warnings"]] == [
        ("urn:perso:edge.attribute-withheld", 200, "An attribute was withheld")
    ] * 2
    assert [w["detail"].partition(":")[0] for w in told.sent["warnings"]] == [
        "'server' is not told 'vip'",
        "'server' is not told 'points'",
    ]
    assert told.sent["warnings"][0]["report"] == {
        "requestId": told.sent["requestId"],
        "configId": "demo",
        "orgId": ORG,
    }


async def test_a_destination_with_no_mapping_says_so() -> None:
    async with server_edge(with_attributes(mapped=())) as edge:
        await known(edge)
        told = await server_call(edge, asking(CRMID=ANNA))

    assert attributes(told) == {}
    assert told.sent["warnings"][0]["detail"].startswith("No attribute is mapped to 'server'.")


async def test_a_key_that_may_not_receive_attributes_is_told_that_it_may_not() -> None:
    async with server_edge(with_attributes(api_keys=(api_key(may=("events",)),))) as edge:
        await known(edge)
        told = await server_call(edge, asking(CRMID=ANNA), headers=shown_key())

    assert attributes(told) is None
    assert "the credential may not receive attributes" in told.sent["warnings"][0]["detail"]


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ({"start_date": date(2026, 12, 1)}, "its activation has not started"),
        ({"end_date": date(2026, 1, 1)}, "its activation has ended"),
    ],
)
async def test_an_audience_that_is_held_back_is_named_with_the_reason(
    days: dict[str, Any], why: str
) -> None:
    held = Activation(audience="gold", destination="d-server", **days)
    mapped = (AttributeMapping(source="person.name.firstName", target="firstName"),)
    async with server_edge(with_attributes(activations=(held,), mapped=mapped)) as edge:
        await known(edge)
        told = await server_call(edge, asking(CRMID=ANNA))
        unproven = await server_call(edge, asking(CRMID=ANNA), headers=JSON)

    assert told.warnings == ["urn:perso:edge.audience-withheld"]
    assert (
        f"'server' is not told that the visitor is in 'gold': {why}"
        in (told.sent["warnings"][0]["detail"])
    )
    assert unproven.warnings == []


async def test_attributes_of_an_answer_are_those_of_now_and_not_of_a_kept_one(
    edge: RunningEdge,
) -> None:
    await known(edge)
    await server_call(edge, asking(CRMID=ANNA))
    await put(edge, key_of("CRMID", ANNA), person={"name": {"firstName": "Berta"}})

    assert attributes(await server_call(edge, asking(CRMID=ANNA)))["firstName"] == {
        "value": "Berta"
    }


async def test_an_audience_that_ends_with_time_ends_for_servers_too(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, CRMID=ANNA))
    edge.now_ms += HOUR_MS + 1
    fresh = shown_key()  # the token of the tests has expired by then

    assert (await server_call(edge, asking(CRMID=ANNA), headers=fresh)).audiences == []


async def test_a_look_up_with_forwarded_cookies_is_a_visit_of_the_device() -> None:
    """Whoever returns in time, if only to look, stays; also by way of the site's server."""
    async with server_edge() as edge:
        edge.engine.keeping = Keeping(HOUR_MS, edge.engine.snapshot)
        browser = Browser(edge)
        await browser.send(body=added_to_basket())
        await server_call(edge, asking(CRMID="4711"), cookie=cookie_header(browser.cookies))
        edge.now_ms += HOUR_MS + 1

        device = (await browser.send("identity/acquire")).ecid
        kept = edge.engine.profile(f"ECID:{device}", now_ms=edge.now_ms)

    assert isinstance(kept, Profile)
    assert len(kept.events) == 1
