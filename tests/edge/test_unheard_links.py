"""Links of identities that another process has made, and this one has not heard of yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from perso_core import PageRequest
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.edge.services import EdgeServices
from perso_core.engine.journal import Entry
from perso_core.stores.links import Joined, Joining
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Committed
from tests.building import definitions
from tests.edge.running import Browser, RunningEdge, Told, cookie_header, running_edge
from tests.edge.servers import asking, batch, issuer, server_call, telling
from tests.edge.test_identity_assertions import (
    advertising,
    assertion,
    defined,
    gold,
    known,
    saying,
    segments,
    two_processes,
)
from tests.edge.test_one_person import (
    ADDED,
    event,
    key,
    stored_events,
    told_of,
)


async def events_at(edge: RunningEdge, profile_key: str) -> Sequence[Event]:
    profile = (await edge.store.load(profile_key)).profile
    return tuple(profile.events) if profile is not None else ()


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_what_comes_is_the_persons_where_the_profile_it_led_to_became_part_of_another(
    action: str,
) -> None:
    async with two_processes(defined()) as (one, other):
        await server_call(one, event("Email:a", "Phone:1", event_type=ADDED), request_id="r1")
        assert await told_of(other, "Phone:1") == ["basket"]
        await server_call(one, event("CRMID:1", "Email:a"), request_id="r2")

        body = telling("page", Phone="1")
        if action == "interact":
            assert (await server_call(other, body, request_id="r3")).audiences == ["basket"]
        else:
            await server_call(other, batch(body), "collect", request_id="r3")

        assert await stored_events(one, "CRMID", "1") == 3
        assert await told_of(other, "Phone:1") == ["basket"]


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_a_second_report_of_what_became_part_of_another_completes_it_there(
    action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_processes(defined()) as (one, other):
        await server_call(other, event("Email:a", _id="e1", sku="x"), request_id="r1")
        commit, decided, linked = other.store.commit, asyncio.Event(), asyncio.Event()

        async def late(entries: Sequence[Entry], *, announce: bool = False) -> Committed:
            decided.set()
            await linked.wait()
            return await commit(entries, announce=announce)

        monkeypatch.setattr(other.store, "commit", late)
        more = event("Email:a", _id="e1", price=3)
        body = more if action == "interact" else batch(more)
        report = asyncio.create_task(server_call(other, body, action, request_id="r3"))
        async with asyncio.timeout(10):
            await decided.wait()
            await server_call(one, event("CRMID:1", "Email:a"), request_id="r2")
            linked.set()
            await report

        profile = (await one.store.load(key("CRMID", "1"))).profile
        assert profile is not None
        (completed,) = (one.xdm for one in profile.events if one.id == "e1")
        assert (completed["sku"], completed["price"]) == ("x", 3)


@pytest.mark.parametrize("by", ["a page", "a server"])
async def test_a_stuck_disk_is_not_waited_for_because_of_a_link(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(answer_within_ms=100)

    database = MemoryDatabase()
    signer = issuer(may=("events", "identities"))
    in_force = structs.replace(definitions(), issuers=(signer,))
    async with (
        running_edge(in_force, store=MemoryStore(database)) as one,
        running_edge(in_force, store=MemoryStore(database), services=hurried) as other,
    ):
        browser, ecid = await known(other)
        assert await told_of(other, "Email:a") == []
        await server_call(one, event("CRMID:1", "Email:a"), request_id="r1")
        commit, stuck = other.store.commit, asyncio.Event()

        async def once(entries: Sequence[Entry], *, announce: bool = False) -> Committed:
            if any(entry.linked for entry in entries):
                await stuck.wait()
            return await commit(entries, announce=announce)

        monkeypatch.setattr(other.store, "commit", once)

        async with asyncio.timeout(10):
            if by == "a page":
                named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
                told = await browser.send(body=saying(named), request_id="r2")
            else:
                told = await server_call(other, telling("page", Email="a"), request_id="r2")
        stuck.set()

        assert told.errors == ["EXEG-0201-503"]
        assert told.handles("activation:pull")


@pytest.mark.parametrize("says", ["update", "refuse", "forget"])
async def test_what_a_rendered_page_says_of_a_customer_is_of_the_whole_person(
    says: str,
) -> None:
    async with two_processes(defined()) as (one, other):
        visit = PageRequest(
            datastream_id="demo", customer=Identity("Email", "a"), xdm={}, wait_ms=10_000
        )
        visitor = await other.rendered().visit(visit)
        await server_call(one, event("CRMID:1", "Email:a", event_type=ADDED), request_id="r1")

        if says == "update":
            visitor = await visitor.update({"loyalty": {"tier": "gold"}})
            assert {"basket", "gold"} <= visitor.audiences
        elif says == "refuse":
            await visitor.choose_consent("out")
            consent = (await one.store.load(key("CRMID", "1"))).consent
            assert consent is not None
            assert consent.general == "out"
        else:
            await visitor.forget()
        if says != "update":
            assert (await one.store.load(key("CRMID", "1"))).profile is None


@pytest.mark.parametrize("by", ["a server that links", "a script that signs in"])
async def test_what_becomes_part_of_a_profile_while_a_page_forgets_it_is_forgotten(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At another process, before the commit: what was erased was empty by then."""
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(other)
        await server_call(one, event("Email:a", event_type=ADDED, _id="e1"), request_id="r1")
        visit = PageRequest(
            datastream_id="demo",
            cookie_header=cookie_header(browser.cookies),
            customer=Identity("Email", "a"),
            wait_ms=10_000,
        )
        visitor = await other.rendered().visit(visit)
        before = {"e1", *(kept.id for kept in await events_at(one, visitor.device_key))}
        commit, came, may_go_on = other.store.commit, asyncio.Event(), asyncio.Event()

        async def late(entries: Sequence[Entry], *, announce: bool = False) -> Committed:
            awaited = visitor.profile_key if by == "a server that links" else visitor.device_key
            if any(entry.key == awaited for entry in entries):
                came.set()
                await may_go_on.wait()
            return await commit(entries, announce=announce)

        monkeypatch.setattr(other.store, "commit", late)
        forgetting = asyncio.create_task(visitor.forget())
        async with asyncio.timeout(10):
            await came.wait()
            if by == "a server that links":
                await server_call(one, event("CRMID:1", "Email:a", _id="n"), request_id="r2")
            else:
                browser.edge = one
                named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
                await browser.send(body=saying(named), request_id="r2")
            may_go_on.set()
            await forgetting

        for person in (key("CRMID", "1"), key("Email", "a"), visitor.device_key):
            assert not before & {kept.id for kept in await events_at(one, person)}


@pytest.mark.parametrize("by", ["its script", "its template"])
async def test_who_was_told_of_another_person_since_is_told_of_that_one_everywhere(by: str) -> None:
    async with two_processes(defined()) as (one, other):
        browser, ecid = await known(one)
        named = assertion(ecid, identity={"namespace": "Email", "id": "a"})
        await server_call(other, event("CRMID:1", "Email:a"), request_id="r1")
        await server_call(one, event("CRMID:2", "Email:a", event_type=ADDED), request_id="r2")
        await browser.send(body=saying(named), request_id="r3")
        browser.edge = other

        if by == "its script":
            told = (await browser.send(body=saying(named), request_id="r4")).audiences
        else:
            page = PageRequest(
                datastream_id="demo",
                cookie_header=cookie_header(browser.cookies),
                customer=Identity("Email", "a"),
                wait_ms=10_000,
            )
            told = sorted((await other.rendered().visit(page)).audiences)

        assert told == ["basket"]
        assert await stored_events(one, "CRMID", "1") == 1


@pytest.mark.parametrize("by", ["a server", "a template"])
async def test_what_comes_is_one_persons_where_its_identity_is_another_persons_by_then(
    by: str,
) -> None:
    async with two_processes(defined()) as (one, other):
        await server_call(one, event("Email:a", "Phone:1"), request_id="r1")
        assert await told_of(other, "Phone:1") == []
        await server_call(one, event("CRMID:1", "Email:a"), request_id="r2")
        await server_call(one, event("CRMID:2", "Phone:1"), request_id="r3")

        if by == "a server":
            await server_call(other, telling("page", Phone="1"), request_id="r4")
        else:
            phone = Identity("Phone", "1")
            visit = PageRequest(datastream_id="demo", customer=phone, xdm={}, wait_ms=10_000)
            await other.rendered().visit(visit)

        kept = [await stored_events(one, "CRMID", number) for number in "12"]
        assert sum(kept) == 4, kept


async def test_what_another_process_kept_before_an_identity_became_anothers_counts_once() -> None:
    async with two_processes(defined()) as (one, other):
        await server_call(one, event("CRMID:1", "Email:a"), request_id="r1")
        assert await told_of(other, "Email:a") == []
        await server_call(one, telling(ADDED, Email="a"), request_id="r2")
        await server_call(other, event("CRMID:2", "Email:a"), request_id="r3")

        await server_call(other, telling(ADDED, Email="a"), request_id="r2")

        kept = [await stored_events(one, "CRMID", number) for number in "12"]
        assert kept == [2, 1]


@pytest.mark.parametrize("by", ["a page", "a server"])
async def test_a_signal_comes_along_with_what_another_process_kept_of_the_device(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_processes(advertising()) as (one, other):
        await gold(one, "1")
        browser, ecid = await known(one)
        browser.edge = other
        await browser.send()
        take = other.store.join
        signalled: list[Told] = []

        async def late(joining: Joining) -> Joined:
            if not signalled:
                browser.edge = one
                signalled.append(await browser.send(headers={"Sec-GPC": "1"}))
            return await take(joining)

        monkeypatch.setattr(other.store, "join", late)
        if by == "a page":
            page = Browser(other)
            page.cookies = {**browser.cookies}
            told = await page.send(body=saying(assertion(ecid, customer="1")))
        else:
            body = event("CRMID:1")
            body["event"]["xdm"]["identityMap"]["ECID"] = [{"id": ecid}]
            told = await server_call(other, body)

        assert signalled
        assert segments(told) == []
        assert segments(await server_call(other, asking(CRMID="1"))) == []


async def test_a_word_against_sharing_comes_along_with_an_identity_that_is_linked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_processes(advertising()) as (one, other):
        await gold(one, "1")
        await server_call(other, event("Email:a"))
        browser, ecid = await known(one)
        take = other.store.join
        refused: list[Told] = []

        async def late(joining: Joining) -> Joined:
            if not refused:
                await browser.send(headers={"Sec-GPC": "1"})
                body = event("Email:a")
                body["event"]["xdm"]["identityMap"]["ECID"] = [{"id": ecid}]
                refused.append(await server_call(one, body))
            return await take(joining)

        monkeypatch.setattr(other.store, "join", late)
        told = await server_call(other, event("CRMID:1", "Email:a"))

        assert refused
        assert segments(told) == []
        assert segments(await server_call(other, asking(CRMID="1"))) == []
