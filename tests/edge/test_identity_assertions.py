"""A site says whose a device is: signed assertions that its pages send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from msgspec import structs

from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.document import Definitions
from perso_core.edge.problem import IssuerUnreachable
from perso_core.edge.services import EdgeServices
from perso_core.engine.engine import Interaction
from perso_core.engine.journal import AttributesPatched
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from tests.building import ORG
from tests.edge.running import (
    NAMES,
    PAGE,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    page_view,
    running_edge,
)
from tests.edge.servers import (
    ISS,
    NOW_S,
    asking,
    bearer,
    ec_key,
    issuer,
    part,
    rsa_key,
    server_call,
    token,
    with_attributes,
)

ANNA = "4711"
IGNORED = "urn:perso:edge.assertion-ignored"


def defined(**more: Any) -> Definitions:
    site = issuer(may=("events", "attributes", "identities"))
    return with_attributes(**{"issuers": (site,), **more})


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with running_edge(defined()) as running:
        await gold(running, ANNA)
        yield running


def advertising() -> Definitions:
    """Both destinations advertise."""
    whole = defined()
    ads = tuple(structs.replace(one, advertising=True) for one in whole.destinations)
    return structs.replace(whole, destinations=ads)


async def gold(edge: RunningEdge, customer: str) -> None:
    """The customer has a card, as `perso profile put` keeps it."""
    patch = AttributesPatched({"loyalty": {"tier": "gold"}})
    asked = Interaction(profile_key=key(customer), datastream_id="demo", changes=(patch,))
    await edge.drain.durable((await edge.admission.decided(asked)).sequence)


async def events_of(edge: RunningEdge, customer: str = ANNA) -> int:
    """How many events of the customer are on disk."""
    profile = await edge.profile(key(customer))
    return len(profile.events) if profile else 0


def key(customer: str, datastream: str = "demo") -> str:
    return server_key(Identity("CRMID", customer), org=ORG, datastream_id=datastream)


def assertion(
    ecid: str,
    customer: str = ANNA,
    *,
    signed_by: Any = None,
    head: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """As a site signs it; a claim of None is left out."""
    claims = {
        "iss": ISS,
        "aud": "demo",
        "sub": ecid,
        "iat": NOW_S,
        "exp": NOW_S + 300,
        "identity": {"namespace": "CRMID", "id": customer},
        **more,
    }
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        signed_by or rsa_key("k1"),
        algorithm="RS256",
        headers={"kid": "k1", "typ": "perso-identity+jwt", **(head or {})},
    )


def saying(*assertions: object, event_type: str = "page") -> dict[str, Any]:
    """An event for each, with its assertion."""
    return {
        "events": [
            {"xdm": {"eventType": event_type}, "data": {"__perso": {"identityAssertion": one}}}
            for one in assertions
        ]
    }


async def known(edge: RunningEdge) -> tuple[Browser, str]:
    """A browser that has been here, and its ECID."""
    browser = Browser(edge)
    ecid = (await browser.send()).ecid
    assert ecid
    return browser, ecid


def segments(told: Told) -> list[str]:
    return told.audiences if told.payload("activation:pull") else []


# ---- what it is for ------------------------------------------------------------


async def test_a_visitor_whom_the_site_signed_in_is_answered_as_the_customer(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)

    before = await browser.send()
    signed_in = await browser.send(body=saying(assertion(ecid)))

    assert (segments(before), segments(signed_in)) == ([], ["gold"])
    assert (signed_in.warnings, signed_in.ecid) == ([], ecid)


async def test_what_a_customer_does_in_the_page_is_the_customers_and_not_the_devices(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)

    told = await browser.send(body=saying(assertion(ecid), event_type="commerce.productListAdds"))
    elsewhere = await server_call(edge, asking(CRMID=ANNA))

    assert set(segments(told)) == {"basket", "gold"} == set(segments(elsewhere))
    assert await edge.events(ecid) == 0
    assert await events_of(edge) == 2, "with what the device did before"


async def test_the_next_call_without_an_assertion_is_of_the_device_again(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(body=saying(assertion(ecid)))

    assert segments(await browser.send()) == []


async def test_a_beacon_may_carry_one_too(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    told = await browser.send("collect", saying(assertion(ecid)))

    assert told.status == 204
    assert await events_of(edge) == 2, "with what the device did before"


async def test_a_server_that_forwards_a_browsers_cookies_may_send_one(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    event = saying(assertion(ecid))["events"][0]

    told = await browser.send(body={"event": event}, version="v2")

    assert segments(told) == ["gold"]


async def test_an_assertion_brings_no_attributes(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    told = await browser.send(body=saying(assertion(ecid)))

    assert all("attributes" not in entry for entry in told.payload("activation:pull"))


# ---- consent -------------------------------------------------------------------


async def test_a_device_that_said_no_is_answered_nothing_of_the_customer(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    out = {"standard": "Adobe", "version": "1.0", "value": {"general": "out"}}
    await browser.send("privacy/set-consent", {"consent": [out]})

    told = await browser.send(body=saying(assertion(ecid)))

    assert told.warnings == ["EXEG-0301-200"]
    assert told.payload("activation:pull") == []
    assert await events_of(edge) == 0


async def test_what_the_device_agreed_to_counts_for_a_customer_who_has_not_chosen() -> None:
    async with running_edge(defined(default_consent="pending")) as edge:
        browser = Browser(edge)
        agreed = {"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}
        ecid = (await browser.send("privacy/set-consent", {"consent": [agreed]})).ecid
        assert ecid

        told = await browser.send(body=saying(assertion(ecid)))

        assert told.warnings == []
        assert await events_of(edge) == 1


@pytest.mark.parametrize("says", ["share", "gpc"])
async def test_a_device_that_refused_sharing_holds_back_what_the_customer_would_share(
    says: str,
) -> None:
    async with running_edge(advertising()) as edge:
        await gold(edge, ANNA)
        browser, ecid = await known(edge)
        if says == "share":
            value = {"collect": {"val": "y"}, "share": {"val": "n"}}
            said = {"standard": "Adobe", "version": "2.0", "value": value}
            await browser.send("privacy/set-consent", {"consent": [said]})
        else:
            await browser.send(headers={"Sec-GPC": "1"})

        told = await browser.send(body=saying(assertion(ecid)))

    assert (told.warnings, segments(told)) == ([], [])


@pytest.mark.parametrize("says", ["share", "gpc"])
async def test_a_refusal_of_sharing_that_a_device_brought_is_taken_back_there_and_on_no_other(
    says: str,
) -> None:
    signal = {"Sec-GPC": "1"} if says == "gpc" else {}
    async with running_edge(advertising()) as edge:
        await gold(edge, ANNA)
        (phone, of_phone), (laptop, of_laptop) = await known(edge), await known(edge)
        if says == "share":
            await phone.send("privacy/set-consent", on_sharing("n"))
        told = await phone.send(body=saying(assertion(of_phone)), headers=signal)
        assert segments(told) == []

        await laptop.send("privacy/set-consent", on_sharing("y"))
        told = await laptop.send(body=saying(assertion(of_laptop)))
        assert segments(told) == []

        await phone.send("privacy/set-consent", on_sharing("y"), headers=signal)
        for _ in range(2):
            edge.now_ms += 1
            told = await phone.send(body=saying(assertion(of_phone)), headers=signal)
            assert segments(told) == ["gold"]
        told = await laptop.send(body=saying(assertion(of_laptop)))
        assert segments(told) == ["gold"]


async def test_a_signal_while_somebody_is_signed_in_holds_on_the_device_once_they_left() -> None:
    """Whoever is on the device next had been told to advertising until the browser said it again:
    a page's script that a proxy stripped of the header, or a server that forwards cookies."""
    async with running_edge(advertising()) as edge:
        browser, ecid = await known(edge)
        await browser.send(body=saying(assertion(ecid)), headers={"Sec-GPC": "1"})

        signed_out = await browser.send(body=added_to_basket())

        assert segments(signed_out) == []
        await browser.send("privacy/set-consent", on_sharing("y"))
        assert segments(await browser.send()) == ["basket"]


async def test_a_browser_that_holds_a_refusal_is_refused_though_the_store_has_a_signal_alone(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)
    await browser.send(headers={"Sec-GPC": "1"})
    browser.cookies[NAMES.consent] = "general=out"

    told = await browser.send(body=saying(assertion(ecid)))

    assert told.warnings == ["EXEG-0301-200"]
    assert await events_of(edge) == 0


def on_sharing(word: str) -> dict[str, Any]:
    said = {"standard": "Adobe", "version": "2.0", "value": {"share": {"val": word}}}
    return {"consent": [said]}


@asynccontextmanager
async def two_processes(
    in_force: Definitions,
) -> AsyncIterator[tuple[RunningEdge, RunningEdge]]:
    """On one database; neither hears what the other writes but by version tokens."""
    database = MemoryDatabase()

    def with_tokens(edge: RunningEdge) -> EdgeServices:
        return edge.services(seen=edge.engine.seen)

    async with (
        running_edge(in_force, store=MemoryStore(database), services=with_tokens) as one,
        running_edge(in_force, store=MemoryStore(database), services=with_tokens) as other,
    ):
        yield one, other


def consenting(general: str) -> dict[str, Any]:
    said = {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
    return {"consent": [said]}


async def test_a_choice_that_was_withdrawn_at_another_process_makes_no_customer_in() -> None:
    async with two_processes(defined(default_consent="pending")) as (one, other):
        browser = Browser(one)
        ecid = (await browser.send("privacy/set-consent", consenting("in"))).ecid
        assert ecid
        browser.edge = other
        await browser.send()
        browser.edge = one
        one.now_ms += 1
        await browser.send("privacy/set-consent", consenting("out"))
        browser.edge = other

        told = await browser.send(body=saying(assertion(ecid)))

        assert told.warnings == ["EXEG-0301-200"]
        assert (await other.store.load(key(ANNA))).consent is None


async def test_device_and_customer_are_both_answered_by_what_each_was_told() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        browser.edge = other
        await browser.send()
        await browser.send(body=saying(assertion(ecid)))
        browser.edge = one
        added = saying(assertion(ecid), event_type="commerce.productListAdds")
        await browser.send(body=added)
        await browser.send(body=page_view(eventType="commerce.productListAdds"))
        browser.edge = other

        assert segments(await browser.send()) == ["basket"]
        assert segments(await browser.send(body=saying(assertion(ecid)))) == ["basket"]


# ---- what is not believed ------------------------------------------------------


def rows(ecid: str) -> dict[str, object]:
    """What an attacker or a mistake sends, who has the device's cookies."""
    return {
        "is no text": 1,
        "is empty": "",
        "is no token": "x.y.z",
        "is of another device": assertion("0" * 38),
        "names no device": assertion(ecid, sub=None),
        "is signed by a stranger": assertion(ecid, signed_by=rsa_key("attacker")),
        "names another key than it is signed with": assertion(ecid, head={"kid": "k2"}),
        "is for another datastream": assertion(ecid, aud="other"),
        "is for the server API": assertion(ecid, aud="perso"),
        "has no audience": assertion(ecid, aud=None),
        "is of an unknown issuer": assertion(ecid, iss="https://evil.test"),
        "has no issuer": assertion(ecid, iss=None),
        "has expired": assertion(ecid, iat=NOW_S - 400, exp=NOW_S - 100),
        "never expires": assertion(ecid, exp=None),
        "is good for an hour": assertion(ecid, exp=NOW_S + 3_600),
        "has no beginning": assertion(ecid, iat=None),
        "begins tomorrow": assertion(ecid, iat=NOW_S + 86_400, exp=NOW_S + 86_500),
        "is a bearer token": assertion(ecid, head={"typ": "JWT"}),
        "has no typ": assertion(ecid, head={"typ": None}),
        "names nobody": assertion(ecid, identity=None),
        "names somebody by a text": assertion(ecid, identity="CRMID:4711"),
        "names a device as the person": assertion(
            ecid, identity={"namespace": "ECID", "id": "1" * 38}
        ),
        "names a device in small letters": assertion(
            ecid, identity={"namespace": "ecid", "id": "1" * 38}
        ),
        "names the site's own device id": assertion(
            ecid, identity={"namespace": "FPID", "id": "f"}
        ),
        "names a number as the id": assertion(ecid, identity={"namespace": "CRMID", "id": 4711}),
        "names an empty id": assertion(ecid, customer=""),
        "has a namespace with a space": assertion(
            ecid, identity={"namespace": "demo CRMID", "id": ANNA}
        ),
        "has a namespace with a colon": assertion(
            ecid, identity={"namespace": "CRMID:4711", "id": ANNA}
        ),
        "says that it needs no signature": ".".join(
            (
                part({"alg": "none", "kid": "k1", "typ": "perso-identity+jwt"}),
                *assertion(ecid).split(".")[1:],
            )
        ),
        "is signed with an algorithm that is not the issuer's": jwt.encode(
            {"iss": ISS, "sub": ecid},
            ec_key(),
            algorithm="ES256",
            headers={"kid": "e1", "typ": "perso-identity+jwt"},
        ),
        "is too long": assertion(ecid, more="x" * 9_000),
    }


@pytest.mark.parametrize("what", rows(""))
async def test_what_is_not_good_leaves_the_visitor_the_device_and_says_why(
    edge: RunningEdge, what: str
) -> None:
    browser, ecid = await known(edge)

    told = await browser.send(body=saying(rows(ecid)[what]))

    assert (told.status, told.warnings, segments(told)) == (200, [IGNORED], [])
    assert await edge.events(ecid) == 2
    assert await events_of(edge) == 0


async def test_a_stolen_assertion_is_worth_nothing_without_the_devices_cookies(
    edge: RunningEdge,
) -> None:
    _, ecid = await known(edge)
    stolen = assertion(ecid)
    thief, own = await known(edge)
    assert own != ecid
    named = {**saying(stolen), "xdm": {"identityMap": {"ECID": [{"id": ecid}]}}}

    for told in (
        await Browser(edge).send(body=saying(stolen)),
        await Browser(edge).send(body=named),
        await thief.send(body=saying(stolen)),
        await thief.send(body=named),
    ):
        assert (told.warnings, segments(told)) == ([IGNORED], [])


async def test_two_assertions_in_one_request_are_none(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)

    two = await browser.send(body=saying(assertion(ecid), assertion(ecid, "4712")))
    twice = await browser.send(body=saying(assertion(ecid), assertion(ecid)))

    assert (two.warnings, segments(two)) == ([IGNORED], [])
    assert (twice.warnings, segments(twice)) == ([], ["gold"])


async def test_an_assertion_is_no_bearer_token(edge: RunningEdge) -> None:
    _, ecid = await known(edge)

    for audience in ("demo", "perso"):
        told = await server_call(
            edge, asking(CRMID=ANNA), headers=bearer(assertion(ecid, aud=audience))
        )
        assert (told.status, told.code) == (401, "EXEG-0500-401")


async def test_a_bearer_token_is_no_assertion(edge: RunningEdge) -> None:
    browser, ecid = await known(edge)
    identity = {"namespace": "CRMID", "id": ANNA}

    told = await browser.send(body=saying(token(aud="demo", sub=ecid, identity=identity)))

    assert (told.warnings, segments(told)) == ([IGNORED], [])


@pytest.mark.parametrize(
    "site", [issuer(), issuer(may=("identities",), datastreams=("other",))], ids=["may", "stream"]
)
async def test_an_issuer_says_who_somebody_is_only_where_it_was_let(site: Any) -> None:
    streams = ("demo", "other")
    async with running_edge(defined(issuers=(site,), datastreams=streams)) as edge:
        await gold(edge, ANNA)
        browser, ecid = await known(edge)

        told = await browser.send(body=saying(assertion(ecid)))

    assert (told.warnings, segments(told)) == ([IGNORED], [])


async def test_an_issuer_that_is_down_costs_the_page_nothing_but_the_customer() -> None:
    async def down(*_: object) -> None:
        raise IssuerUnreachable("Down.", fix="Wait.")

    async with running_edge(
        defined(), services=lambda running: running.services(issuer_key=down)
    ) as edge:
        browser, ecid = await known(edge)
        told = await browser.send(body=saying(assertion(ecid)))

    assert (told.status, told.warnings) == (200, [IGNORED])
    assert "cannot be fetched now" in told.sent["warnings"][0]["detail"]


async def test_a_visitor_of_another_datastream_is_another_customer() -> None:
    site = issuer(may=("identities",), datastreams=("demo", "other"))
    async with running_edge(defined(issuers=(site,), datastreams=("demo", "other"))) as edge:
        await gold(edge, ANNA)
        browser, ecid = await known(edge)

        told = await browser.send(body=saying(assertion(ecid, aud="other")), config="other")

    assert (told.warnings, segments(told)) == ([], [])


async def test_other_data_of_a_page_is_no_assertion(edge: RunningEdge) -> None:
    browser, _ = await known(edge)
    event = page_view()["events"][0]

    others: tuple[dict[str, Any], ...] = ({}, {"__perso": 1}, {"__perso": {}}, {"__adobe": {}})
    for data in others:
        told = await browser.send(body={"events": [{**event, "data": data}]}, origin=PAGE)
        assert (told.status, told.warnings) == (200, [])
