"""Show, export and erase over HTTP: a server that may asks for its own datastream's visitors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from perso_core.client import Client, EdgeRefused
from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.permission import Permission
from perso_core.engine.engine import Answer, Interaction
from perso_core.errors import NotHeardEverywhere, StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import Whole
from perso_core.worker.everywhere import Everywhere
from tests.building import NOON_MS, ORG
from tests.canaries.planting import without_canaries
from tests.edge.running import Browser, RunningEdge, Told, full_after, page_view, running_edge
from tests.edge.servers import (
    api_key,
    asking,
    server_call,
    server_edge,
    shown_key,
    telling,
    with_attributes,
    written_key,
)
from tests.edge.test_identity_assertions import assertion, defined, known, saying
from tests.edge.test_one_person import event

ANNA = {"identity": {"namespace": "CRMID", "id": "anna"}}


def may(*permissions: Permission) -> Any:
    return with_attributes(api_keys=(api_key(may=permissions),))


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with server_edge(may("events", "attributes", "privacy")) as running:
        yield running


async def asked(edge: RunningEdge, verb: str, body: Any = ANNA, **more: Any) -> Told:
    return await server_call(edge, body, f"privacy/{verb}", headers=shown_key(), **more)


async def bought(edge: RunningEdge, name: str = "anna") -> None:
    await server_call(edge, telling("commerce.purchases", CRMID=name), headers=shown_key())


def ecid(of: str) -> dict[str, Any]:
    return {"identity": {"namespace": "ECID", "id": of}}


def own_key(name: str) -> str:
    return server_key(Identity("CRMID", name), org=ORG, datastream_id="demo")


async def test_an_export_holds_all_that_is_kept_of_a_customer(edge: RunningEdge) -> None:
    await bought(edge)

    (kept,) = (await asked(edge, "export")).sent["profiles"]

    assert kept["key"] == own_key("anna")
    assert [event["xdm"]["eventType"] for event in kept["events"]] == ["commerce.purchases"]
    assert kept["claims"] == [{"namespace": "CRMID", "id": "anna"}]
    assert kept["datastreams"] == ["demo"]
    assert without_canaries(kept["attributes"]) == {}
    assert kept["touched_ms"] == NOON_MS
    assert kept["quarantine"] == []


async def test_what_is_shown_is_short(edge: RunningEdge) -> None:
    await bought(edge)

    told = await asked(edge, "show")

    (kept,) = told.sent["profiles"]
    assert told.sent["identity"] == ANNA["identity"]
    assert kept["events"] == 1


async def test_an_erasure_says_what_it_took_and_leaves_a_stranger(edge: RunningEdge) -> None:
    await bought(edge)
    await bought(edge, "bert")

    told = await asked(edge, "erase")

    counts = {"profiles": 1, "events": 1, "consents": 0, "quarantined": 0}
    assert told.sent["erased"] == counts
    assert (await asked(edge, "export")).sent["profiles"] == []
    assert (await edge.store.load(own_key("anna"))).erased_ms == NOON_MS
    assert (await edge.store.load(own_key("bert"))).profile is not None
    again = await asked(edge, "erase")
    assert again.sent["erased"] == dict.fromkeys(counts, 0)


async def test_a_request_that_is_sent_again_does_not_bring_back_what_was_erased(
    edge: RunningEdge,
) -> None:
    browser = Browser(edge)
    visitor = (await browser.send()).ecid
    assert visitor is not None
    page = page_view(_id="page-1")
    await browser.send(body=page)
    await browser.send(request_id="request-2")
    await asked(edge, "erase", ecid(visitor))
    edge.now_ms += 2_000

    again = [await browser.send(body=page), await browser.send(request_id="request-2")]
    assert [told.status for told in again] == [200, 200]
    assert (await edge.profile(f"ECID:{visitor}")) is None
    await browser.send(body=page_view(_id="page-2"))
    assert await edge.events(visitor) == 1
    await browser.send(body=page)
    assert await edge.events(visitor) == 1


@pytest.mark.parametrize("event_id", ["order-1", None], ids=["with an id", "without"])
async def test_what_a_server_says_again_of_a_device_does_not_bring_back_what_was_erased(
    edge: RunningEdge, event_id: str | None
) -> None:
    """The device, which is not known any more, is named as one of the datastream's own then."""
    visitor = (await Browser(edge).send()).ecid
    assert visitor is not None
    order = telling("commerce.purchases", ECID=visitor)
    if event_id:
        order["event"]["xdm"]["_id"] = event_id
    await server_call(edge, order, headers=shown_key(), request_id="order")
    await asked(edge, "erase", ecid(visitor))
    edge.now_ms += 2_000

    again = await server_call(edge, order, headers=shown_key(), request_id="order")

    assert again.status == 200
    assert (await asked(edge, "export", ecid(visitor))).sent["profiles"] == []
    await server_call(edge, order, headers=shown_key(), request_id="order-2")
    kept = (await asked(edge, "export", ecid(visitor))).sent["profiles"]
    assert len(kept) == (0 if event_id else 1)


def signed_in(*identities: str) -> dict[str, Any]:
    """By the word of the server all are one person's, the first one flagged as primary."""
    return event(*identities, event_type="login", _id="L1")


@pytest.mark.parametrize("by", ["Email", "CRMID", "Phone"])
@pytest.mark.parametrize(
    "login",
    [
        signed_in("CRMID:anna", "Email:a@e", "Phone:17"),
        signed_in("Email:a@e", "CRMID:anna", "Phone:17"),
        signed_in("Phone:17", "Email:a@e", "CRMID:anna"),
    ],
    ids=["by the customer's id", "by the address", "by the telephone"],
)
async def test_nothing_that_is_sent_again_brings_back_a_person_of_several_identities(
    edge: RunningEdge, login: Any, by: str
) -> None:
    names = {"CRMID": "anna", "Email": "a@e", "Phone": "17"}
    sent = [event(f"{space}:{name}", _id=space) for space, name in names.items()]
    for body in (*sent, login):
        await server_call(edge, body, headers=shown_key())
    await asked(edge, "erase", {"identity": {"namespace": by, "id": names[by]}})
    edge.now_ms += 2_000

    for body in (login, *sent, login):
        assert (await server_call(edge, body, headers=shown_key())).status == 200

    for space, name in names.items():
        identity = {"identity": {"namespace": space, "id": name}}
        assert (await asked(edge, "export", identity)).sent["profiles"] == []
    await server_call(edge, {**login, **event("CRMID:anna", "Email:a@e")}, headers=shown_key())
    assert len((await asked(edge, "export")).sent["profiles"]) == 2, "what is new is kept"


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("by", ["Email", "CRMID", "Phone"])
async def test_an_erasure_that_broke_off_is_made_whole_by_asking_again(
    edge: RunningEdge, monkeypatch: pytest.MonkeyPatch, by: str, kept: int
) -> None:
    names = {"CRMID": "anna", "Email": "a@e", "Phone": "17"}
    sent = [event(f"{space}:{name}", _id=space) for space, name in names.items()]
    for body in (*sent, signed_in("CRMID:anna", "Email:a@e", "Phone:17")):
        await server_call(edge, body, headers=shown_key())
    asking_for = {"identity": {"namespace": by, "id": names[by]}}
    with monkeypatch.context() as patched:
        patched.setattr(edge.store, "commit", full_after(kept, edge.store))
        assert (await asked(edge, "erase", asking_for)).status == 207
    assert (await asked(edge, "erase", asking_for)).status == 200

    for space, name in names.items():
        identity = {"identity": {"namespace": space, "id": name}}
        assert (await asked(edge, "export", identity)).sent["profiles"] == []


async def test_an_export_has_what_becomes_part_of_another_profile_meanwhile(
    edge: RunningEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server_call(edge, event("Email:a@e", _id="E1"), headers=shown_key())
    store = edge.store
    assert isinstance(store, MemoryStore)
    whole = store.whole

    async def once_it_is_linked(key: str) -> Whole:
        monkeypatch.undo()
        login = signed_in("CRMID:anna", "Email:a@e")
        assert (await server_call(edge, login, headers=shown_key())).status == 200
        return await whole(key)

    monkeypatch.setattr(store, "whole", once_it_is_linked)
    told = await asked(edge, "export", {"identity": {"namespace": "Email", "id": "a@e"}})

    events = [one["id"] for profile in told.sent["profiles"] for one in profile["events"]]
    assert sorted(events) == ["E1", "L1"]


async def test_an_erasure_finds_what_becomes_part_of_another_profile_meanwhile(
    edge: RunningEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("Email:a@e", "Phone:17", "CRMID:anna"):
        await server_call(edge, event(one), headers=shown_key())
    await server_call(edge, signed_in("Email:a@e", "Phone:17"), headers=shown_key())
    decided = edge.admission.decided

    async def and_then_linked(interaction: Interaction) -> Answer:
        answer = await decided(interaction)
        monkeypatch.undo()  # once
        await edge.drain.durable(answer.sequence)
        more = event("CRMID:anna", "Email:a@e", _id="L2")
        assert (await server_call(edge, more, headers=shown_key())).status == 200
        return answer

    monkeypatch.setattr(edge.admission, "decided", and_then_linked)
    await asked(edge, "erase", {"identity": {"namespace": "Email", "id": "a@e"}})

    for space, name in (("CRMID", "anna"), ("Email", "a@e"), ("Phone", "17")):
        identity = {"identity": {"namespace": space, "id": name}}
        assert (await asked(edge, "export", identity)).sent["profiles"] == []


@pytest.mark.parametrize("dated", [False, True], ids=["as it comes", "dated before"])
async def test_nor_does_it_once_the_identity_is_part_of_another_profile(
    edge: RunningEdge, dated: bool
) -> None:
    more = {"timestamp": "2026-03-15T11:59:59Z"} if dated else {}
    erased = event("Loyalty:17", _id="before", **more)
    await server_call(edge, erased, headers=shown_key())
    await asked(edge, "erase", {"identity": {"namespace": "Loyalty", "id": "17"}})
    edge.now_ms += 2_000
    new = event("CRMID:anna", "Loyalty:17", _id="new")
    await server_call(edge, new, headers=shown_key())

    for _ in range(2):
        assert (await server_call(edge, erased, headers=shown_key())).status == 200

    kept = (await edge.store.load(own_key("anna"))).profile
    assert kept is not None
    assert [one.id for one in kept.events] == ["new"]


AGREED = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]}
NOT_SHARED = {
    "consent": [{"standard": "Adobe", "version": "2.0", "value": {"share": {"val": "n"}}}]
}


@pytest.mark.parametrize("chosen", [AGREED, NOT_SHARED], ids=["agreed", "refused to share"])
@pytest.mark.parametrize("dated", [False, True], ids=["known again", "dated before"])
@pytest.mark.parametrize(
    "identities", [("CRMID:anna",), ("CRMID:anna", "Email:a@e")], ids=["alone", "of two"]
)
async def test_what_a_device_chose_does_not_come_back_by_an_erased_login(
    edge: RunningEdge, identities: tuple[str, ...], dated: bool, chosen: Any
) -> None:
    browser = Browser(edge)
    await browser.send("privacy/set-consent", chosen)
    device = (await browser.send()).ecid
    more = {"timestamp": "2026-03-15T11:59:59Z"} if dated else {}
    login = event(*identities, _id="L1", **more)
    login["event"]["xdm"]["identityMap"]["ECID"] = [{"id": device}]
    await server_call(edge, login, headers=shown_key())
    (told,) = [one for one in (await asked(edge, "export")).sent["profiles"] if one["consent"]]
    assert told["key"] == own_key("anna"), "as long as nobody was erased it holds for the person"
    await asked(edge, "erase")
    edge.now_ms += 2_000
    await browser.send()
    if dated:
        login["event"]["xdm"]["_id"] = "L1 under another id"

    for _ in range(2):
        assert (await server_call(edge, login, headers=shown_key())).status == 200

    assert (await asked(edge, "export")).sent["profiles"] == []
    assert (await edge.store.load(own_key("anna"))).consent is None
    new = event(*identities, _id="L2")
    new["event"]["xdm"]["identityMap"]["ECID"] = [{"id": device}]
    await server_call(edge, new, headers=shown_key())
    assert (await edge.store.load(own_key("anna"))).consent is not None, "a new login says it"


async def test_nor_by_an_erased_page_that_says_who_is_signed_in() -> None:
    async with running_edge(defined(api_keys=(api_key(may=("events", "privacy")),))) as edge:
        browser, device = await known(edge)
        await browser.send("privacy/set-consent", AGREED)
        page = saying(assertion(device, "anna"))
        page["events"][0]["xdm"]["_id"] = "page-1"
        await browser.send(body=page)
        assert (await edge.store.load(own_key("anna"))).consent is not None
        await asked(edge, "erase")
        edge.now_ms += 2_000

        assert (await browser.send(body=page)).status == 200

        assert (await edge.store.load(own_key("anna"))).consent is None
        await browser.send(body=saying(assertion(device, "anna")))
        assert (await edge.store.load(own_key("anna"))).consent is not None, "a new page says it"


async def test_an_export_tells_of_links_to_an_identity_of_which_nothing_else_is_kept(
    edge: RunningEdge,
) -> None:
    await edge.graph.link([own_key("anna"), own_key("anna").replace("CRMID", "Email")])

    keys = [one["key"] for one in (await asked(edge, "export")).sent["profiles"]]
    assert keys == [own_key("anna").replace("CRMID", "Email"), own_key("anna")]


async def test_the_visitor_of_a_device_is_found_by_its_ecid(edge: RunningEdge) -> None:
    browser = Browser(edge)
    visitor = (await browser.send()).ecid
    assert visitor is not None

    (kept,) = (await asked(edge, "export", ecid(visitor))).sent["profiles"]
    await asked(edge, "erase", ecid(visitor))

    assert kept["key"] == f"ECID:{visitor}"
    assert (await edge.profile(f"ECID:{visitor}")) is None


async def test_a_device_of_another_datastream_is_nobody_here_and_stays() -> None:
    keys = (api_key(datastreams=("another",), may=("privacy",)),)
    both = with_attributes(datastreams=("demo", "another"), api_keys=keys)
    async with server_edge(both) as edge:
        visitor = (await Browser(edge).send()).ecid
        assert visitor is not None

        told = await asked(edge, "export", ecid(visitor), config="another")
        erased = await asked(edge, "erase", ecid(visitor), config="another")

        assert told.sent["profiles"] == []
        assert erased.sent["erased"]["profiles"] == 0
        assert await edge.profile(f"ECID:{visitor}") is not None


@pytest.mark.parametrize("verb", ["show", "export", "erase"])
async def test_nobody_asks_without_a_credential_nor_without_the_permission(verb: str) -> None:
    async with server_edge(may("events", "attributes")) as edge:
        await bought(edge)

        nobody = await edge.call(f"privacy/{verb}", ANNA, version="v2")
        refused = await asked(edge, verb)

        assert (nobody.status, nobody.code) == (401, "EXEG-0500-401")
        assert (refused.status, refused.code) == (403, "urn:perso:edge.privacy-refused")
        assert (await edge.store.load(own_key("anna"))).profile is not None


@pytest.mark.parametrize(
    ("namespace", "name", "code"),
    [
        ("ECID", "17", "EXEG-0305-400"),
        ("CRM ID", "anna", "EXEG-0102-400"),
        ("CRM:ID", "anna", "EXEG-0102-400"),
        ("", "anna", "EXEG-0102-400"),
        ("CRMID", "", "EXEG-0305-400"),
        ("CRMID", "a" * 257, "EXEG-0305-400"),
    ],
)
async def test_an_identity_that_is_none_is_told(
    edge: RunningEdge, namespace: str, name: str, code: str
) -> None:
    told = await asked(edge, "erase", {"identity": {"namespace": namespace, "id": name}})

    assert (told.status, told.code) == (400, code)


async def test_a_typed_client_shows_exports_and_erases(edge: RunningEdge) -> None:
    await bought(edge)
    url = f"{edge.url}/ee"

    async with Client(url, "demo", api_key=written_key()) as perso:
        shown = await perso.show("CRMID", "anna")
        exported = await perso.export("CRMID", "anna")
        erased = await perso.erase("CRMID", "anna")
        after = await perso.export("CRMID", "anna")
        with pytest.raises(EdgeRefused, match="400"):
            await perso.erase("ECID", "17")

    assert shown.profiles[0]["events"] == 1
    assert len(exported.profiles[0]["events"]) == 1
    assert (erased.profiles, erased.events, erased.errors) == (1, 1, ())
    assert after.profiles == ()
    assert (await server_call(edge, asking(CRMID="anna"), headers=shown_key())).status == 200


async def test_erasures_at_the_same_time_share_an_announcement(tmp_path: Any) -> None:
    told, going_on = [], asyncio.Event()

    async def announce() -> int | None:
        told.append(1)
        await going_on.wait()
        return len(told)

    everywhere = Everywhere(tmp_path, announce)
    first = asyncio.create_task(everywhere.heard())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Each of these wrote after the first was announced: that says nothing of them.
    later = [asyncio.create_task(everywhere.heard()) for _ in range(5)]
    await asyncio.sleep(0)
    going_on.set()
    await asyncio.gather(first, *later)

    assert len(told) == 2


async def test_an_erasure_that_no_room_is_left_to_announce_is_told_as_done(tmp_path: Any) -> None:
    """It had been answered that nothing is known to be stored."""

    async def announce() -> int | None:
        raise StoreUnavailable("the disk is full.", fix="Make room.")

    with pytest.raises(NotHeardEverywhere, match="cannot be told now"):
        await Everywhere(tmp_path, announce).heard()
