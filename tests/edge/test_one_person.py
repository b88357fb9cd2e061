"""A server says which identities are one person's: they are one profile from then on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from perso_core import PageRequest
from perso_core.client import Client
from perso_core.decision.caps import DEFAULT_CAPS
from perso_core.decision.consent import Consent, sharing_refused
from perso_core.decision.graph import MAX_IDENTITIES, canonical_first, rank
from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.document import Definitions
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Change, ConsentChosen, Forgotten
from perso_core.errors import StoreUnavailable
from tests.building import ORG
from tests.edge.running import (
    RunningEdge,
    Told,
    cookie_header,
    full_after,
    page_view,
    running_edge,
    state,
)
from tests.edge.servers import (
    JSON,
    api_key,
    asking,
    batch,
    server_call,
    shown_key,
    telling,
    with_attributes,
    written_key,
)
from tests.edge.test_identity_assertions import (
    assertion,
    defined,
    known,
    on_sharing,
    saying,
    two_processes,
)

ADDED = "commerce.productListAdds"


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with running_edge(defined()) as running:
        yield running


def key(namespace: str, name: str, datastream: str = "demo") -> str:
    return server_key(Identity(namespace, name), org=ORG, datastream_id=datastream)


def event(*identities: str, event_type: str = "page", **more: Any) -> dict[str, Any]:
    """Of somebody who has all of these identities (`CRMID:1`), the first one flagged as primary,
    by the word of the server all authenticated."""
    identity_map: dict[str, list[dict[str, Any]]] = {}
    for index, identity in enumerate(identities):
        namespace, _, name = identity.partition(":")
        entry = {"id": name, "authenticatedState": "authenticated", "primary": not index}
        identity_map.setdefault(namespace, []).append(entry)
    return {"event": {"xdm": {"eventType": event_type, "identityMap": identity_map, **more}}}


async def told_of(edge: RunningEdge, identity: str) -> list[str]:
    """The audiences of one identity alone."""
    namespace, _, name = identity.partition(":")
    told = await server_call(edge, asking(**{namespace: name}))
    return told.audiences if told.payload("activation:pull") else []


async def count(edge: RunningEdge, namespace: str, name: str) -> int:
    profile = await edge.profile(key(namespace, name))
    return len(profile.events) if profile else 0


async def stored_events(edge: RunningEdge, namespace: str, name: str) -> int:
    """As any process has them that reads the profile now."""
    profile = (await edge.store.load(key(namespace, name))).profile
    return len(profile.events) if profile else 0


async def leads_to(edge: RunningEdge, namespace: str, name: str) -> str:
    return (await edge.store.load(key(namespace, name))).linked_to


async def said(edge: RunningEdge, profile_key: str, change: Change) -> None:
    asked = Interaction(profile_key=profile_key, datastream_id=OPERATOR, changes=(change,))
    await edge.drain.durable((await edge.admission.decided(asked)).sequence)


async def test_two_identities_are_one_profile_whichever_is_named_later(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, Email="anna@shop.test"))
    await server_call(edge, telling("page", CRMID="1"))

    told = await server_call(edge, event("CRMID:1", "Email:anna@shop.test"))

    assert told.audiences == ["basket"]
    assert (
        await told_of(edge, "Email:anna@shop.test") == ["basket"] == await told_of(edge, "CRMID:1")
    )
    assert await count(edge, "CRMID", "1") == 3
    await server_call(edge, telling("page", Email="anna@shop.test"))
    assert await count(edge, "CRMID", "1") == 4
    assert await count(edge, "Email", "anna@shop.test") == 0


async def test_the_profile_is_kept_under_the_customers_id_whichever_is_flagged(
    edge: RunningEdge,
) -> None:
    await server_call(edge, event("Email:a", "CRMID:1"))

    assert await leads_to(edge, "Email", "a") == key("CRMID", "1")
    assert await leads_to(edge, "CRMID", "1") == ""


async def test_a_datastream_says_which_namespaces_come_first() -> None:
    whole = defined()
    first = structs.replace(whole.datastreams[0], identity_priority=("Loyalty", "CRMID"))
    async with running_edge(structs.replace(whole, datastreams=(first,))) as edge:
        await server_call(edge, event("CRMID:1", "Loyalty:7"))

        assert await leads_to(edge, "CRMID", "1") == key("Loyalty", "7")


async def test_identities_that_nobody_authenticated_stay_claims(edge: RunningEdge) -> None:
    await server_call(edge, telling(ADDED, CRMID="1"))
    sure_of_one = event("CRMID:1", "Email:a")
    del sure_of_one["event"]["xdm"]["identityMap"]["Email"][0]["authenticatedState"]
    unsure_of_the_primary = event("CRMID:1", "Email:a")
    entry = unsure_of_the_primary["event"]["xdm"]["identityMap"]["CRMID"][0]
    entry["authenticatedState"] = "loggedOut"

    for body in (sure_of_one, unsure_of_the_primary, asking(CRMID="1", Email="a")):
        await server_call(edge, body)

    assert await leads_to(edge, "Email", "a") == ""
    assert await told_of(edge, "Email:a") == []


async def test_a_browsers_word_links_nobody(edge: RunningEdge) -> None:
    body = event("CRMID:1", "Email:a")

    await edge.call(body={"events": [body["event"]]})
    await edge.call(body=body, version="v2", headers=JSON)

    assert await leads_to(edge, "Email", "a") == ""


async def test_an_address_that_is_another_customers_by_now_leads_there_and_mixes_nobody(
    edge: RunningEdge,
) -> None:
    await server_call(edge, event("Email:a", event_type=ADDED))
    await server_call(edge, event("CRMID:1", "Email:a"))

    told = await server_call(edge, event("CRMID:2", "Email:a"))

    assert told.payload("activation:pull")[0]["segments"] == []
    assert await leads_to(edge, "Email", "a") == key("CRMID", "2")
    assert await told_of(edge, "CRMID:1") == ["basket"], "what was merged stays"


async def test_identities_that_were_one_already_come_along(edge: RunningEdge) -> None:
    await server_call(edge, event("Email:a", "Phone:17", event_type=ADDED))
    await server_call(edge, event("CRMID:1", "Email:a"))

    assert await leads_to(edge, "Phone", "17") == key("CRMID", "1")
    assert await told_of(edge, "Phone:17") == ["basket"]


async def test_a_graph_never_goes_round(edge: RunningEdge) -> None:
    names = ["CRMID:1", "Email:a", "Phone:17"]
    for first in names:
        for second in names:
            await server_call(edge, event(first, second))

    leads = [await leads_to(edge, *name.split(":")) for name in names]
    assert leads == ["", key("CRMID", "1"), key("CRMID", "1")]
    assert await count(edge, "CRMID", "1") == 9


async def test_what_is_said_again_costs_one_write_and_no_link() -> None:
    async with running_edge(defined()) as edge:
        for _ in range(3):
            await server_call(edge, event("CRMID:1", "Email:a"))

        (link,) = await edge.store.links(key("CRMID", "1"))
        assert link.key == key("Email", "a")
        assert await count(edge, "CRMID", "1") == 3


async def test_an_event_that_is_retried_after_its_identity_was_linked_counts_once(
    edge: RunningEdge,
) -> None:
    alone: dict[str, Any] = {"body": telling(ADDED, Email="a"), "request_id": "r1"}
    await server_call(edge, **alone)
    await server_call(edge, event("CRMID:1", "Email:a"))
    await server_call(edge, **alone)

    assert await count(edge, "CRMID", "1") == 2


@pytest.mark.parametrize("by", ["its _id", "what it says"])
async def test_an_event_that_is_retried_after_its_identity_became_anothers_counts_once(
    by: str, edge: RunningEdge
) -> None:
    """Also where the other one passes it on."""
    alone: dict[str, Any] = {"body": telling(ADDED, Email="a"), "request_id": "r1"}
    if by == "its _id":
        alone["body"]["event"]["xdm"]["_id"] = "e1"
    await server_call(edge, event("CRMID:1", "Email:a"))
    await server_call(edge, **alone)
    for other in ("2", "3"):
        await server_call(edge, event(f"CRMID:{other}", "Email:a"))
        assert await leads_to(edge, "Email", "a") == key("CRMID", other)

        await server_call(edge, **alone)

        assert await told_of(edge, f"CRMID:{other}") == []
        assert await count(edge, "CRMID", other) == 1
    assert await count(edge, "CRMID", "1") == 2
    await server_call(edge, telling(ADDED, Email="a"))
    assert await told_of(edge, "CRMID:3") == ["basket"], "another event is one"


async def test_an_event_that_is_retried_after_its_identity_made_room_counts_once(
    edge: RunningEdge,
) -> None:
    alone: dict[str, Any] = {"body": telling(ADDED, Email="00"), "request_id": "r1"}
    await server_call(edge, event("CRMID:1", "Email:00"))
    await server_call(edge, **alone)
    for number in range(1, MAX_IDENTITIES):
        edge.now_ms += 1
        await server_call(edge, event("CRMID:1", f"Email:{number:02}"))
    assert await leads_to(edge, "Email", "00") == ""

    await server_call(edge, **alone)

    assert await count(edge, "Email", "00") == 0
    await server_call(edge, telling(ADDED, Email="00"))
    assert await count(edge, "Email", "00") == 1


@pytest.mark.parametrize("after", ["nothing", "another event"])
async def test_nor_does_it_count_where_that_identity_is_said_to_be_another_persons_then(
    after: str,
) -> None:
    alone: dict[str, Any] = {"body": telling(ADDED, Email="a"), "request_id": "r1"}
    async with running_edge(defined(), caps=structs.replace(DEFAULT_CAPS, identities=2)) as edge:
        await server_call(edge, event("CRMID:1", "Email:a"))
        await server_call(edge, **alone)
        edge.now_ms += 1
        await server_call(edge, event("CRMID:1", "Email:b"))
        assert await leads_to(edge, "Email", "a") == ""
        if after == "another event":
            await server_call(edge, telling("page", Email="a"))
        kept = 2 if after == "another event" else 1

        await server_call(edge, event("CRMID:2", "Email:a"))
        await server_call(edge, **alone)

        assert await count(edge, "CRMID", "2") == kept
        await server_call(edge, telling(ADDED, Email="a"))
        assert await count(edge, "CRMID", "2") == kept + 1


async def test_in_one_batch_an_identity_that_was_linked_by_an_earlier_event_is_the_persons(
    edge: RunningEdge,
) -> None:
    await server_call(
        edge, batch(event("CRMID:1", "Email:a"), telling("page", Email="a")), "collect"
    )

    assert await count(edge, "CRMID", "1") == 2


async def test_a_refusal_of_sharing_that_was_taken_back_is_not_brought_again_by_a_further_link(
    edge: RunningEdge,
) -> None:
    browser, ecid = await known(edge)

    async def says(word: str, customer: Identity) -> Consent | None:
        await browser.send("privacy/set-consent", on_sharing(word))
        said = assertion(ecid, identity={"namespace": customer.namespace, "id": customer.id})
        await browser.send(body=saying(said))
        return (await edge.store.load(key("CRMID", "1"))).consent

    await says("n", Identity("Email", "anna@example.com"))
    await server_call(edge, event("CRMID:1", "Email:anna@example.com"))
    taken_back = await says("y", Identity("CRMID", "1"))
    assert taken_back is not None
    assert sharing_refused(taken_back) is None

    await server_call(edge, event("CRMID:1", "Email:anna@example.com", "Loyalty:5"))

    assert (await edge.store.load(key("CRMID", "1"))).consent == taken_back


async def test_who_refused_under_one_identity_is_kept_under_none_of_them(
    edge: RunningEdge,
) -> None:
    await server_call(edge, telling("page", CRMID="1"))
    await said(edge, key("Email", "a"), ConsentChosen("out"))

    told = await server_call(edge, event("CRMID:1", "Email:a"))

    assert told.warnings == ["EXEG-0301-200"]
    assert await leads_to(edge, "Email", "a") == ""
    assert await count(edge, "CRMID", "1") == 1


async def test_whoever_agreed_under_one_identity_is_in_under_the_other() -> None:
    async with running_edge(defined(default_consent="pending")) as edge:
        await said(edge, key("Email", "a"), ConsentChosen("in"))

        told = await server_call(edge, event("CRMID:1", "Email:a"))
        elsewhere = await server_call(edge, telling("page", CRMID="1"))

    assert "EXEG-0301-200" not in [*told.warnings, *elsewhere.warnings]


async def test_where_nobody_agreed_nothing_is_linked() -> None:
    async with running_edge(defined(default_consent="pending")) as edge:
        told = await server_call(edge, event("CRMID:1", "Email:a"))

        assert told.warnings == ["EXEG-0301-200"]
        assert await leads_to(edge, "Email", "a") == ""


async def test_more_identities_than_a_graph_holds_push_the_oldest_out(edge: RunningEdge) -> None:
    for number in range(MAX_IDENTITIES + 1):
        edge.now_ms += 1
        await server_call(edge, event("CRMID:1", f"Email:{number:02}"))

    assert len(await edge.store.links(key("CRMID", "1"))) == MAX_IDENTITIES - 1
    assert await leads_to(edge, "Email", "00") == await leads_to(edge, "Email", "01") == ""
    assert await edge.graph.canonical(key("Email", "01")) == key("Email", "01")


async def test_a_page_may_name_the_linked_identity(edge: RunningEdge) -> None:
    await server_call(edge, event("CRMID:1", "Email:a", event_type=ADDED))
    browser, ecid = await known(edge)
    named = assertion(ecid, identity={"namespace": "Email", "id": "a"})

    told = await browser.send(body=saying(named))

    assert told.audiences == ["basket"]
    assert await count(edge, "CRMID", "1") == 3


async def test_whoever_is_erased_is_linked_to_nobody(edge: RunningEdge) -> None:
    await server_call(edge, event("CRMID:1", "Email:a", event_type=ADDED))
    for profile_key in (key("Email", "a"), key("CRMID", "1")):
        await said(edge, profile_key, Forgotten())

    assert await told_of(edge, "Email:a") == []
    await server_call(edge, telling("page", Email="a"))
    assert await count(edge, "Email", "a") == 1


async def test_the_typed_client_says_that_it_has_authenticated_somebody() -> None:
    whole = with_attributes(api_keys=(api_key(),))
    async with running_edge(whole) as edge:
        async with Client(f"{edge.url}/ee", "demo", api_key=written_key()) as perso:
            await perso.interact({"Email": "a"}, {"eventType": ADDED})
            unsure = await perso.interact({"CRMID": "1", "Email": "a"}, {"eventType": "page"})
            sure = await perso.interact(
                {"CRMID": "1", "Email": "a"}, {"eventType": "page"}, authenticated=True
            )
            mine = [({"CRMID": "1", "Phone": "17"}, {"eventType": "page"})]
            await perso.collect(mine, authenticated=True)

        assert "basket" not in unsure.audiences("cms")
        assert "basket" in sure.audiences("cms")
        assert await leads_to(edge, "Phone", "17") == key("CRMID", "1")


# ---- tenants and processes -------------------------------------------------------


def two_tenants() -> Definitions:
    keys = (api_key("b" * 12, datastreams=("shop",)),)
    return with_attributes(datastreams=("demo", "shop"), issuers=defined().issuers, api_keys=keys)


async def test_what_one_datastream_links_is_nothing_to_another() -> None:
    async with running_edge(two_tenants()) as edge:

        async def at_shop(body: dict[str, Any]) -> Told:
            headers = shown_key(written_key("b" * 12))
            return await server_call(edge, body, headers=headers, config="shop")

        await server_call(edge, event("CRMID:1", "Email:a", event_type=ADDED))
        await at_shop(telling("page", Email="a"))
        told = await at_shop(asking(Email="a"))

        assert (await edge.store.load(key("Email", "a", "shop"))).linked_to == ""
        assert told.payload("activation:pull")[0]["segments"] == []
        assert await count(edge, "CRMID", "1") == 1


async def test_another_process_follows_a_link_once_it_hears_of_it_and_loses_nothing() -> None:
    async with two_processes(defined()) as (one, other):
        await server_call(other, telling("page", Email="a"), request_id="r1")
        await server_call(one, event("CRMID:1", "Email:a"), request_id="r2")
        # It has not heard of the link yet.
        await server_call(other, telling(ADDED, Email="a"), request_id="r3")
        for linked in (key("Email", "a"), key("CRMID", "1")):
            await other.admission.take_over(linked)

        told = await server_call(other, event("Email:a", "CRMID:1"), request_id="r4")

        assert told.audiences == ["basket"]
        assert await count(one, "CRMID", "1") == 4
        assert await count(one, "Email", "a") == 0


@pytest.mark.parametrize("said", [{}, {"authenticatedState": "authenticated"}])
async def test_an_event_after_a_link_that_was_not_heard_of_is_the_persons_whoever_authenticated(
    said: dict[str, str],
) -> None:
    def of_address(event_id: str) -> dict[str, Any]:
        address = {"id": "a", "primary": True, **said}
        return {"event": {"xdm": {"_id": event_id, "identityMap": {"Email": [address]}}}}

    async with two_processes(defined()) as (here, there):
        await server_call(there, of_address("e1"))
        await server_call(here, event("CRMID:1", "Email:a", _id="e2"))

        await server_call(there, of_address("e3"))

        assert await count(here, "CRMID", "1") == 3
        assert await count(here, "Email", "a") == 0


@pytest.mark.parametrize("before", ["nothing", "an event"])
@pytest.mark.parametrize("by", ["a page", "a server", "a batch"])
async def test_what_comes_where_a_link_was_not_heard_of_yet_is_the_persons_at_once(
    by: str, before: str
) -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(other)
        if before == "an event":
            await server_call(other, telling("page", Email="a"), request_id="r0")
        assert await told_of(other, "Email:a") == []
        await server_call(one, event("CRMID:1", "Email:a", event_type=ADDED), request_id="r1")
        kept = await stored_events(one, "CRMID", "1")

        if by == "a page":
            named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
            told = await browser.send(body=saying(named), request_id="r2")
            assert told.audiences == ["basket"]
        elif by == "a server":
            told = await server_call(other, telling("page", Email="a"), request_id="r2")
            assert told.audiences == ["basket"]
        else:
            await server_call(other, batch(telling("page", Email="a")), "collect")

        came = 2 if by == "a page" else 1  # with what the device did before
        assert await stored_events(one, "CRMID", "1") == kept + came
        assert await stored_events(one, "Email", "a") == 0


async def test_so_is_what_a_rendered_page_tells() -> None:
    async with two_processes(defined()) as (one, other):
        assert await told_of(other, "Email:a") == []
        await server_call(one, event("CRMID:1", "Email:a", event_type=ADDED))
        visit = PageRequest(
            datastream_id="demo",
            customer=Identity("Email", "a"),
            xdm={"eventType": "page"},
            wait_ms=10_000,
        )

        visitor = await other.rendered().visit(visit)

        assert "basket" in visitor
        assert await stored_events(one, "CRMID", "1") == 2
        assert await stored_events(one, "Email", "a") == 0


async def test_a_rendered_page_shows_whoever_was_told_of_the_person_the_persons_profile() -> None:
    """Also where nothing is kept of the visit."""
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        assert await told_of(other, "Email:a") == []
        await server_call(one, event("CRMID:1", "Email:a", event_type=ADDED), request_id="r1")
        named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
        assert (await browser.send(body=saying(named))).audiences == ["basket"]
        looked = PageRequest(
            datastream_id="demo",
            cookie_header=cookie_header(browser.cookies),
            customer=Identity("Email", "a"),
            wait_ms=10_000,
        )

        assert "basket" in await other.rendered().visit(looked)


async def test_so_is_a_server_answered_that_forwards_the_cookies_of_such_a_page() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        assert await told_of(other, "Email:a") == []
        await server_call(one, event("CRMID:1", "Email:a", event_type=ADDED), request_id="r1")
        named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
        await browser.send(body=saying(named))

        asked = {**asking(Email="a"), "meta": {"state": state(browser.cookies)}}

        assert (await server_call(other, asked)).audiences == ["basket"]


async def test_so_is_what_a_rendered_page_keeps_of_a_customer_whom_it_showed_before() -> None:
    async with two_processes(defined()) as (one, other):
        visit = PageRequest(
            datastream_id="demo", customer=Identity("Email", "a"), xdm={}, wait_ms=10_000
        )
        visitor = await other.rendered().visit(visit)
        await server_call(one, event("CRMID:1", "Email:a"))

        await visitor.update({"loyalty": {"tier": "gold"}})

        kept = (await one.store.load(key("CRMID", "1"))).profile
        assert kept is not None
        assert "gold" in kept.memberships


async def test_a_browser_that_was_told_of_the_persons_profile_is_told_of_it_everywhere() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
        browser.edge = other
        await browser.send(body=saying(named), request_id="r1")
        browser.edge = one
        linked = event("CRMID:1", "Email:a", event_type=ADDED)
        await server_call(one, linked, request_id="r2")
        await browser.send(body=saying(named), request_id="r3")
        browser.edge = other

        told = await browser.send(body=saying(named), request_id="r4")

        assert told.audiences == ["basket"]
        assert await count(one, "Email", "a") == 0


async def test_a_server_sees_what_left_the_device_wherever_it_asks() -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        await browser.send(body=page_view(eventType=ADDED))
        await server_call(other, telling("page", CRMID="1"), request_id="r1")
        mine = {**event("CRMID:1")}
        mine["event"]["xdm"]["identityMap"]["ECID"] = [{"id": ecid}]
        await server_call(one, mine, request_id="r2")

        told = await server_call(other, asking(CRMID="1", ECID=ecid), request_id="r3")

        assert told.audiences == ["basket"]


async def test_who_is_forgotten_on_a_page_is_asked_anew_under_each_of_her_identities() -> None:
    async with running_edge(defined(default_consent="pending")) as edge:
        await said(edge, key("Email", "a"), ConsentChosen("in"))
        await server_call(edge, event("CRMID:1", "Email:a", event_type=ADDED))
        signed_in = PageRequest(
            datastream_id="demo", customer=Identity("CRMID", "1"), wait_ms=10_000
        )
        visitor = await edge.rendered().visit(signed_in)
        assert "basket" in visitor

        await visitor.forget()

        edge.now_ms += 1
        for identity in ("CRMID:1", "Email:a"):
            told = await server_call(edge, event(identity))
            assert told.warnings == ["EXEG-0301-200"]
            namespace, _, name = identity.partition(":")
            assert (await edge.store.load(key(namespace, name))).consent is None


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_who_is_forgotten_again_after_that_broke_off_is_so_as_one_person(
    monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    async with running_edge(defined()) as edge:
        await server_call(edge, event("CRMID:1", "Email:a", event_type=ADDED))
        signed_in = PageRequest(
            datastream_id="demo", customer=Identity("Email", "a"), wait_ms=10_000
        )
        visitor = await edge.rendered().visit(signed_in)
        with monkeypatch.context() as patched:
            patched.setattr(edge.store, "commit", full_after(kept, edge.store))
            with pytest.raises(StoreUnavailable):
                await visitor.forget()

        await (await edge.rendered().visit(signed_in)).forget()

        assert (await edge.store.load(key("CRMID", "1"))).profile is None
        assert "basket" not in await edge.rendered().visit(signed_in)


# ---- which one names the profile -------------------------------------------------


def test_namespaces_have_an_order() -> None:
    names = ["ECID", "Phone", "Email_LC_SHA256", "Email", "email", "zeta", "alpha", "CRMID"]

    assert sorted(names, key=rank) == [
        *("CRMID", "alpha", "zeta"),
        *("Email", "Email_LC_SHA256", "Phone", "email"),
        "ECID",
    ]
    assert sorted(names, key=lambda one: rank(one, ("zeta", "Email")))[:3] == [
        "zeta",
        "Email",
        "CRMID",
    ]


def test_of_two_in_one_namespace_the_flagged_one_names_the_profile_then_the_first() -> None:
    one, two, mail = Identity("CRMID", "1"), Identity("CRMID", "2"), Identity("Email", "a")

    assert canonical_first((one, mail, two, one), two) == (two, one, mail)
    assert canonical_first((mail, one, two), mail) == (one, two, mail)
