"""A site's own device id: the same one names the same visitor, and proves nothing by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.identity import Identity, is_ecid
from perso_core.definitions.document import Definitions
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.fpid import ecid_of, fpid_claimed, fpid_in_cookie, trusted_device
from tests.building import ORG, definitions
from tests.edge.running import NAMES, Browser, RunningEdge, added_to_basket, page_view, running_edge
from tests.edge.servers import JSON, server_call, server_edge, with_attributes
from tests.edge.test_consent import said

NAMING = bytes(range(32))
UUID = "7d9a5d0e-7f0e-4a0b-8f1d-0f3e5a1c2b3d"


@given(st.text(min_size=1, max_size=256))
def test_an_fpid_always_gives_the_same_ecid(fpid: str) -> None:
    ecid = ecid_of(fpid, org=ORG, naming=NAMING)

    assert is_ecid(ecid)
    assert ecid == ecid_of(fpid, org=ORG, naming=NAMING)


def test_organisations_and_keys_name_an_fpid_differently() -> None:
    own = ecid_of(UUID, org=ORG, naming=NAMING)

    assert own != ecid_of(UUID, org="OTHER@AdobeOrg", naming=NAMING)
    assert own != ecid_of(UUID, org=ORG, naming=bytes(32))


def test_no_two_pairs_of_organisation_and_fpid_are_one() -> None:
    assert ecid_of("bc", org="a", naming=NAMING) != ecid_of("c", org="ab", naming=NAMING)


def test_a_trusted_fpid_selects_a_profile_that_no_named_ecid_has() -> None:
    device = trusted_device(UUID, org=ORG, naming=NAMING)

    assert device == trusted_device(UUID, org=ORG, naming=NAMING)
    assert device.ecid == ecid_of(UUID, org=ORG, naming=NAMING)
    assert len(device.suffix) == 16
    assert not device.new
    # The profile's name cannot be told from the visitor's.
    assert device.suffix not in device.ecid


def test_the_cookie_is_read_from_the_header_by_its_name() -> None:
    assert fpid_in_cookie(f"a=b; myFpid={UUID}; c=d", "myFpid") == UUID
    assert fpid_in_cookie(f"a=b; myFpid={UUID}", "FPID") is None
    assert fpid_in_cookie("", "FPID") is None


def test_two_different_cookies_of_the_name_are_nobodys() -> None:
    assert fpid_in_cookie("FPID=a; FPID=b", "FPID") is None
    assert fpid_in_cookie("FPID=a; FPID=a", "FPID") == "a"


def test_an_unusable_text_is_no_fpid() -> None:
    assert fpid_in_cookie("FPID=", "FPID") is None
    assert fpid_in_cookie(f"FPID={'a' * 257}", "FPID") is None
    assert fpid_in_cookie("FPID=a\x07b", "FPID") is None


def test_an_fpid_among_the_claims_is_found_and_two_are_none() -> None:
    one, other = Identity("FPID", "a"), Identity("FPID", "b")

    assert fpid_claimed([Identity("CRMID", "c"), one]) == "a"
    assert fpid_claimed([one, other]) is None
    assert fpid_claimed([]) is None


def test_names_outlive_the_keys_that_sign() -> None:
    before = CookieKeys(1, {1: bytes(range(32))})
    renewed = CookieKeys(2, {1: bytes(range(32)), 2: bytes(range(32, 64))})
    written = CookieKeys(2, {2: bytes(range(32, 64))}, naming=bytes(range(32)))

    assert before.naming_key == renewed.naming_key == written.naming_key


# ---- over HTTP ----------------------------------------------------------------

MAP = {"FPID": [{"id": UUID}]}


async def test_a_visitor_without_cookies_is_named_by_its_fpid_each_time(edge: RunningEdge) -> None:
    first = await edge.call(body=page_view(more={"xdm": {"identityMap": MAP}}))
    again = await edge.call(body=page_view(identityMap=MAP))
    acquired = await edge.call("identity/acquire", {"xdm": {"identityMap": MAP}})

    assert first.ecid is not None
    assert first.ecid == again.ecid == acquired.ecid


async def test_an_fpid_names_a_visitor_and_selects_no_profile() -> None:
    async with running_edge(definitions()) as edge:
        body = added_to_basket(xdm={"identityMap": MAP})
        buyer = await edge.call(body=body)

        guesser = await edge.call(body=page_view(identityMap=MAP))

        assert buyer.ecid == guesser.ecid
        assert (buyer.audiences, guesser.audiences) == (["basket"], [])


async def test_who_came_with_an_fpid_is_known_by_its_cookies_from_then_on() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket(xdm={"identityMap": MAP}))

        later = await browser.send(body=page_view(identityMap={"FPID": [{"id": "another"}]}))

        assert later.audiences == ["basket"]


async def test_the_sites_cookie_names_the_visitor_where_the_datastream_knows_its_name() -> None:
    async with running_edge(definitions({}, fpid_cookie="shop_id")) as edge:
        by_map = await edge.call(body=page_view(identityMap=MAP))
        by_cookie = await edge.call(cookie=f"shop_id={UUID}")
        both = await edge.call(body=page_view(identityMap=MAP), cookie="shop_id=another")
        by_another = await edge.call(cookie=f"FPID={UUID}")

        assert by_map.ecid == by_cookie.ecid == both.ecid
        assert by_another.ecid != by_map.ecid


OWN = f"shop_id={UUID}"


def trusting() -> Definitions:
    return definitions(fpid_cookie="shop_id", trust_fpid_cookie=True)


async def test_a_trusted_cookie_finds_the_profile_again_after_the_other_cookies_are_gone() -> None:
    async with running_edge(trusting()) as edge:
        bought = await edge.call(body=added_to_basket(), cookie=OWN)

        back = await edge.call(cookie=OWN)
        stranger = await edge.call(body=page_view(identityMap=MAP))
        in_body = {"state": {"entries": [{"key": "shop_id", "value": UUID}]}}
        scripted = await edge.call(body=page_view(more={"meta": in_body}))

        assert bought.ecid == back.ecid
        assert back.audiences == ["basket"]
        # Neither a map nor a script's word is the cookie.
        assert (stranger.audiences, scripted.audiences) == ([], [])


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_a_refusal_under_a_trusted_cookie_holds_for_whoever_comes_by_a_link(
    action: str,
) -> None:
    """As where a browser has dropped what scripts wrote: the link's ECID is new, the no is not."""
    async with running_edge(trusting()) as edge:
        await edge.call("privacy/set-consent", said("out"), cookie=OWN)
        linked = added_to_basket(xdm={"identityMap": {"ECID": [{"id": "3" * 38}]}})

        told = await edge.call(action, linked, cookie=OWN)

        assert told.warnings == ["EXEG-0301-200"]
        assert told.handles("activation:pull") == []


async def test_who_refuses_where_a_link_led_has_refused_as_the_device_that_is_proven() -> None:
    async with running_edge(trusting()) as edge:
        await edge.call(body=added_to_basket(), cookie=OWN)
        browser = Browser(edge)
        elsewhere = (await browser.send(body=added_to_basket())).ecid
        refused = said("out", identityMap={"ECID": [{"id": "3" * 38}]})

        by_link = await edge.call("privacy/set-consent", refused, cookie=OWN)
        await browser.send("privacy/set-consent", refused)

        assert (by_link.ecid, by_link.cookies[NAMES.consent]) == ("3" * 38, "general=out")
        assert (await edge.call(cookie=OWN)).warnings == ["EXEG-0301-200"]
        assert await edge.events(str(elsewhere)) == 0


async def test_naming_the_ecid_that_a_trusted_cookie_has_selects_its_profile() -> None:
    """As the SDK does that has the ECID from an older cookie."""
    async with running_edge(trusting()) as edge:
        bought = await edge.call(body=added_to_basket(), cookie=OWN)

        same = page_view(more={"xdm": {"identityMap": {"ECID": [{"id": bought.ecid}]}}})
        back = await edge.call(body=same, cookie=OWN)
        stranger = await edge.call(body=same)

        assert back.ecid == stranger.ecid == bought.ecid
        assert (back.audiences, stranger.audiences) == (["basket"], [])


async def test_a_server_that_forwards_a_trusted_cookie_means_its_device() -> None:
    whole = with_attributes()
    trusts = tuple(
        structs.replace(one, fpid_cookie="shop_id", trust_fpid_cookie=True)
        for one in whole.datastreams
    )
    async with server_edge(structs.replace(whole, datastreams=trusts)) as edge:
        await edge.call(body=added_to_basket(), cookie=OWN)

        looked = await server_call(edge, {"event": {"xdm": {}}}, cookie=OWN)
        as_browser = await server_call(edge, {"event": {"xdm": {}}}, cookie=OWN, headers=JSON)
        nobody = await server_call(edge, {"event": {"xdm": {}}}, cookie="shop_id=another")

        assert looked.audiences == as_browser.audiences == ["basket"]
        assert nobody.payload("activation:pull") == []
