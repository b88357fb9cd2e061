"""What belongs to another datastream looks like what does not exist."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.identity import Device, Identity, identity_of, server_key
from perso_core.definitions.document import Definitions
from perso_core.edge.app import ACTIONS
from tests.edge.running import Browser, RunningEdge, Told, page_view, state
from tests.edge.servers import (
    JSON,
    api_key,
    asking,
    attributes,
    batch,
    bearer,
    server_call,
    server_edge,
    shown_key,
    telling,
    with_attributes,
    written_key,
)
from tests.edge.test_server_api import key_of, put

ADDED = "commerce.productListAdds"
TENANTS = ("demo", "shop", "bank")
KEY_IDS = {"demo": "a" * 12, "shop": "b" * 12, "bank": "c" * 12}
PAIRS = [*itertools.permutations(TENANTS, 2)]
NOBODY = "9" * 38


def three() -> Definitions:
    keys = tuple(api_key(KEY_IDS[name], datastreams=(name,)) for name in TENANTS)
    return with_attributes(datastreams=TENANTS, api_keys=keys)


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with server_edge(three()) as running:
        yield running


async def ask(edge: RunningEdge, tenant: str, body: Any, action: str = "interact") -> Told:
    """By the tenant's own server."""
    return await server_call(
        edge,
        body,
        action,
        headers=shown_key(written_key(KEY_IDS[tenant])),
        config=tenant,
        request_id="r",
    )


async def owned(edge: RunningEdge, tenant: str) -> tuple[str, str]:
    """A visitor of the tenant's pages, and a customer of its server; their ids."""
    browser = Browser(edge)
    ecid = (await browser.send(body=page_view(eventType=ADDED), config=tenant)).ecid
    assert ecid
    customer = f"customer-of-{tenant}"
    await ask(edge, tenant, telling(ADDED, CRMID=customer))
    for key in (f"ECID:{ecid}", key_of("CRMID", customer, tenant)):
        await put(edge, key, person={"name": {"firstName": "CANARY"}})
    return ecid, customer


@pytest.mark.parametrize(("owner", "other"), PAIRS)
async def test_another_tenants_people_are_to_a_server_as_people_who_do_not_exist(
    edge: RunningEdge, owner: str, other: str
) -> None:
    ecid, customer = await owned(edge, owner)

    for foreign, missing in (
        ({"CRMID": customer}, {"CRMID": f"nobody-of-{owner}"}),
        ({"ECID": ecid}, {"ECID": NOBODY}),
        ({"CRMID": customer, "ECID": ecid}, {"CRMID": f"nobody-of-{owner}", "ECID": NOBODY}),
    ):
        asked = [await ask(edge, other, asking(**ids)) for ids in (foreign, missing)]
        told = [one.body.decode().replace(ecid, NOBODY) for one in asked]
        assert told[0] == told[1]
        assert attributes_of(asked[0]) == []


@pytest.mark.parametrize(("owner", "other"), PAIRS)
@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_another_tenants_server_writes_to_nobody_of_ours(
    edge: RunningEdge, owner: str, other: str, action: str
) -> None:
    ecid, customer = await owned(edge, owner)
    keys = (f"ECID:{ecid}", key_of("CRMID", customer, owner))
    before = [await edge.profile(key) for key in keys]

    for ids in ({"ECID": ecid}, {"CRMID": customer}):
        body = telling(ADDED, **ids)
        told = await ask(edge, other, body if action == "interact" else batch(body), action)
        assert told.status in (200, 202)

    assert [await edge.profile(key) for key in keys] == before


@pytest.mark.parametrize(("owner", "other"), PAIRS)
async def test_a_tenants_key_opens_no_other_datastream(
    edge: RunningEdge, owner: str, other: str
) -> None:
    await owned(edge, owner)
    headers = shown_key(written_key(KEY_IDS[other]))

    for action, body in (("interact", asking(CRMID="a")), ("collect", batch(telling(CRMID="a")))):
        told = await server_call(edge, body, action, headers=headers, config=owner)
        assert told.code == "EXEG-0505-401"


@pytest.mark.parametrize("tenant", TENANTS)
async def test_each_tenant_finds_its_own_people(edge: RunningEdge, tenant: str) -> None:
    ecid, customer = await owned(edge, tenant)

    for ids in ({"ECID": ecid}, {"CRMID": customer}):
        told = await ask(edge, tenant, asking(**ids))
        assert told.audiences == ["basket"]
        assert attributes(told)["firstName"] == {"value": "CANARY"}


def attributes_of(told: Told) -> list[Any]:
    return [one.get("attributes") for one in told.payload("activation:pull")]


# ---- keys --------------------------------------------------------------------------

ORGS = st.text(alphabet="ab._-@", min_size=1, max_size=4)  # what an org may hold
PARTS = st.text(alphabet="ab:~/_-.@É", min_size=1, max_size=4)
NAMES = st.text(alphabet="abC_-", min_size=1, max_size=5)
IDS = st.text(alphabet="ab:~ /é", min_size=1, max_size=5)


@given(st.tuples(ORGS, PARTS, NAMES, IDS), st.tuples(ORGS, PARTS, NAMES, IDS))
def test_two_people_never_share_a_key(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    keys = [
        server_key(Identity(namespace, name), org=org, datastream_id=datastream)
        for org, datastream, namespace, name in (one, other)
    ]

    assert (keys[0] == keys[1]) == (one == other)


@given(ORGS, PARTS, NAMES, IDS)
def test_a_key_tells_whose_it_is(org: str, stream: str, namespace: str, name: str) -> None:
    identity = Identity(namespace, name)

    assert identity_of(server_key(identity, org=org, datastream_id=stream)) == identity
    assert identity_of(identity.profile_key) == identity or namespace == "ECID"


def test_no_servers_key_is_a_devices() -> None:
    device = Device(NOBODY)
    server = server_key(Identity("ECID", NOBODY), org="o", datastream_id="d")

    assert server != device.profile_key
    assert identity_of(Device(NOBODY, "00ff").profile_key) == Identity("ECID", NOBODY)


# ---- canaries ------------------------------------------------------------------------

CANARY = "CANARY-7f3a"


async def known_to_all(edge: RunningEdge) -> tuple[Browser, str]:
    """Anna, as a device and as a customer, with canaries in every attribute and audience gold."""
    browser = Browser(edge)
    ecid = (await browser.send(body=page_view(eventType=ADDED))).ecid
    assert ecid
    values: dict[str, Any] = {
        "person": {"name": {"firstName": CANARY}},
        "loyalty": {"points": f"{CANARY}-points", "tier": "gold"},
        "flags": {"vip": f"{CANARY}-vip"},
        CANARY: {CANARY: CANARY},
    }
    await server_call(edge, telling(ADDED, CRMID="anna"))
    for key in (f"ECID:{ecid}", key_of("CRMID", "anna")):
        await put(edge, key, **values)
    return browser, ecid


def unauthenticated_calls(ecid: str, browser: Browser) -> list[tuple[str, str, Any]]:
    meta = {"state": state(browser.cookies)}
    people = [{}, {"CRMID": "anna"}, {"ECID": ecid}, {"CRMID": "anna", "ECID": ecid}]
    calls: list[tuple[str, str, Any]] = []
    for ids, more in itertools.product(people, ({}, {"meta": meta})):
        calls.append(("v2", "interact", {**asking(**ids), **more}))
        calls.append(("v2", "interact", {**telling(ADDED, **ids), **more}))
        calls.append(("v2", "collect", {**batch(telling(ADDED, **ids)), **more}))
        identity_map = telling(**ids)["event"]["xdm"]["identityMap"]
        calls.append(("v1", "interact", {**page_view(identityMap=identity_map), **more}))
        calls.append(("v1", "collect", {**page_view(identityMap=identity_map), **more}))
    calls += [("v1", action, {**page_view(), "meta": meta}) for action in ACTIONS]
    calls.append(("v2", "interact", {**telling(ADDED, CRMID="anna"), "attributes": ["firstName"]}))
    calls.append(("v2", "interact", b"{"))
    return calls


BAD_HEADERS: dict[str, dict[str, str]] = {
    "none": JSON,
    "garbage": bearer("garbage"),
    "a wrong key": shown_key(written_key(secret="x")),
    "a client id": {**JSON, "x-api-key": "abc"},
    "the words of a proxy": {**JSON, "X-Authenticated": "true", "X-Forwarded-User": "admin"},
}


@pytest.mark.parametrize("shown", BAD_HEADERS)
async def test_without_proof_no_byte_of_an_attribute_is_in_answer_header_or_log(
    shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "perso")
    async with server_edge() as edge:
        browser, ecid = await known_to_all(edge)
        proven = await server_call(edge, asking(CRMID="anna"))
        answers = [
            await edge.call(action, body, version=version, headers=BAD_HEADERS[shown])
            for version, action, body in unauthenticated_calls(ecid, browser)
        ]

    assert proven.body.count(CANARY.encode()) == 3
    for told in answers:
        assert CANARY.encode() not in told.body
        assert CANARY not in repr(told.headers)
    assert CANARY not in caplog.text


async def test_a_failure_logs_no_attribute(caplog: pytest.LogCaptureFixture) -> None:
    async with server_edge() as edge:
        await known_to_all(edge)

        async def breaks(_: int) -> None:
            raise RuntimeError("a fault of ours")

        decide = edge.admission.decided
    async with server_edge(decide=decide, durable=breaks) as failing:
        told = await server_call(failing, telling(ADDED, CRMID="anna"))

    assert (told.status, told.errors) == (207, ["EXEG-0001-500"])
    assert "a fault of ours" in caplog.text
    assert CANARY not in caplog.text + told.body.decode()


def without_attributes(definitions: Definitions) -> Definitions:
    """The same, with every destination of the kind that carries none."""
    return structs.replace(
        definitions,
        destinations=tuple(
            structs.replace(one, kind="custom-personalization", attributes=())
            for one in definitions.destinations
        ),
    )


CALLS = st.tuples(
    st.sampled_from(["v1", "v2"]),
    st.sampled_from(["interact", "collect"]),
    st.sampled_from([{}, {"CRMID": "anna"}, {"CRMID": "bob"}, {"EMAIL": "a", "CRMID": "anna"}]),
    st.sampled_from([ADDED, "web.webpagedetails.pageViews", ""]),
    st.booleans(),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=st.lists(CALLS, min_size=1, max_size=6))
async def test_without_proof_an_answer_is_that_of_a_destination_without_attributes(
    calls: list[tuple[str, str, dict[str, str], str, bool]],
) -> None:
    """The law: byte for byte, headers too, whoever is asked for and whatever is sent."""
    told = []
    for definitions in (with_attributes(), without_attributes(with_attributes())):
        async with server_edge(definitions) as edge:
            browser, _ = await known_to_all(edge)
            told.append([await made(edge, browser, *call) for call in calls])

    assert told[0] == told[1]


async def made(
    edge: RunningEdge,
    browser: Browser,
    version: str,
    action: str,
    ids: dict[str, str],
    event_type: str,
    with_cookies: bool,
) -> tuple[int, list[tuple[str, str]], bytes]:
    request = telling(event_type, **ids) if event_type else asking(**ids)
    single = version == "v2" and action == "interact"
    body = request if single else batch(request)
    if with_cookies:
        body = {**body, "meta": {"state": state(browser.cookies)}}
    told = await edge.call(
        action, body, version=version, headers=JSON, request_id="r", origin="https://www.shop.test"
    )
    headers = [(name, value) for name, value in told.headers.items() if name != "Date"]
    return told.status, headers, told.body


async def test_an_answer_with_proof_does_differ() -> None:
    """So that the law above is one that can fail."""
    told = []
    for definitions in (with_attributes(), without_attributes(with_attributes())):
        async with server_edge(definitions) as edge:
            await known_to_all(edge)
            told.append((await server_call(edge, asking(CRMID="anna"), request_id="r")).body)

    assert told[0] != told[1]
