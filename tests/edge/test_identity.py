"""Which profile a call touches: the one its cookies prove, and no other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from perso_core.decision.identity import Identity
from perso_core.edge.caller import caller_from
from perso_core.edge.cookies import (
    SOURCE_RANDOM,
    SOURCE_RECEIVED_IN_REQUEST,
    cookie_names,
    identity_cookies,
    proven_device,
)
from tests.building import DAY_MS, HOUR_MS, ORG, definitions
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    cookie_header,
    page_view,
    running_edge,
    state,
)
from tests.edge.test_cookies import flips

VICTIM = "3" * 38


def named(ecid: str, **more: Any) -> dict[str, Any]:
    """A request whose own identity map names an ECID, as alloy adds one from `adobe_mc`."""
    return page_view(more={"xdm": {"identityMap": {"ECID": [{"id": ecid}]}}}, **more)


def proof_in(told: Told) -> Any:
    received = {name: (value,) for name, value in told.cookies.items()}
    return proven_device(received, org=ORG, keys=KEYS)


# ---- cookies -----------------------------------------------------------------


async def test_a_visitor_who_brings_nothing_is_new_each_time(edge: RunningEdge) -> None:
    ecids = [(await edge.call()).ecid for _ in range(5)]

    assert len(set(ecids)) == 5


async def test_the_cookie_header_is_believed_as_the_body_is(edge: RunningEdge) -> None:
    first = await edge.call()

    by_header = await edge.call(cookie=cookie_header(first.cookies))
    by_body = await edge.call(body=page_view(more={"meta": {"state": state(first.cookies)}}))

    assert by_header.ecid == by_body.ecid == first.ecid


async def test_cookies_in_the_header_hide_those_in_the_body(edge: RunningEdge) -> None:
    mine, other = await edge.call(), await edge.call()

    told = await edge.call(
        body=page_view(more={"meta": {"state": state(other.cookies)}}),
        cookie=cookie_header(mine.cookies),
    )

    assert told.ecid == mine.ecid


async def test_an_identity_in_the_header_with_its_proof_in_the_body_is_believed(
    edge: RunningEdge,
) -> None:
    """Each name by itself: a browser may send one cookie and have another cut off."""
    first = await edge.call()
    proof = {NAMES.mac: first.cookies[NAMES.mac]}

    told = await edge.call(
        body=page_view(more={"meta": {"state": state(proof)}}),
        cookie=cookie_header({NAMES.identity: first.cookies[NAMES.identity]}),
    )

    assert told.ecid == first.ecid


async def test_cookies_of_two_visitors_are_those_of_nobody(edge: RunningEdge) -> None:
    one, two = await edge.call(), await edge.call()
    both = [*one.cookies.items(), *two.cookies.items()]

    told = await edge.call(cookie=cookie_header(both))

    assert told.status == 200
    assert told.ecid not in (one.ecid, two.ecid)


async def test_swapped_proofs_make_two_new_visitors(edge: RunningEdge) -> None:
    one, two = await edge.call(), await edge.call()
    swapped = {**one.cookies, NAMES.mac: two.cookies[NAMES.mac]}

    told = await edge.call(cookie=cookie_header(swapped))

    assert told.ecid not in (one.ecid, two.ecid)


async def test_a_cookie_of_another_organisation_makes_a_new_visitor(edge: RunningEdge) -> None:
    first = await edge.call()
    device = proof_in(first).device
    theirs = identity_cookies(
        device, org="OTHER@AdobeOrg", keys=KEYS, now_ms=edge.now_ms, source=0, created_ms=0
    )
    ours = {NAMES.identity: theirs[0].value, NAMES.mac: theirs[1].value}
    as_they_are = {cookie.name: cookie.value for cookie in theirs}

    assert cookie_names("OTHER@AdobeOrg").mac in as_they_are
    for cookies in (ours, as_they_are):
        told = await edge.call(cookie=cookie_header(cookies))
        assert told.status == 200
        assert told.ecid != first.ecid


@pytest.mark.parametrize("name", [NAMES.identity, NAMES.mac])
async def test_any_flipped_bit_of_a_cookie_makes_a_new_visitor_and_no_error(name: str) -> None:
    """Every bit in the body; every bit that HTTP can carry in the header."""
    async with running_edge(definitions()) as edge:
        first = await edge.call(body=added_to_basket())
        key = f"ECID:{first.ecid}"
        before = await edge.profile(key)
        for flipped in flips(first.cookies[name]):
            cookies = {**first.cookies, name: flipped}
            sent = page_view(more={"meta": {"state": state(cookies)}})
            answers = [await edge.call(body=sent)]
            if flipped.isprintable() and flipped.isascii():
                answers.append(await edge.call(cookie=cookie_header(cookies)))
            for told in answers:
                assert told.status == 200
                assert told.ecid != first.ecid
                assert told.audiences == []
        assert await edge.profile(key) == before


async def test_cookies_are_written_once_and_again_after_a_day(edge: RunningEdge) -> None:
    browser = Browser(edge)
    first = await browser.send()

    edge.now_ms += DAY_MS - 1
    same_day = await browser.send()
    edge.now_ms += 1
    next_day = await browser.send()
    hour_later = await browser.send(headers={"x-request-id": "later"})

    assert set(same_day.cookies) == {NAMES.cluster}
    assert set(next_day.cookies) == {NAMES.identity, NAMES.mac, NAMES.cluster}
    assert set(hour_later.cookies) == {NAMES.cluster}
    assert proof_in(next_day).device == proof_in(first).device
    assert proof_in(next_day).created_ms == proof_in(first).created_ms
    assert proof_in(next_day).source == SOURCE_RANDOM


# ---- an ECID that the request names ------------------------------------------


async def test_a_named_ecid_names_the_visitor(edge: RunningEdge) -> None:
    """`adobe_mc` in a link, or a cookie of Adobe's older library."""
    browser = Browser(edge)

    told = await browser.send(body=named(VICTIM))
    again = await browser.send()

    assert told.ecid == again.ecid == VICTIM
    assert proof_in(told).source == SOURCE_RECEIVED_IN_REQUEST


async def test_a_named_ecid_never_selects_its_owners_profile() -> None:
    async with running_edge(definitions()) as edge:
        owner = Browser(edge)
        own = await owner.send(body=added_to_basket())
        assert own.ecid is not None

        thief = Browser(edge)
        taken = [await thief.send(body=named(own.ecid)) for _ in range(3)]

        assert [told.ecid for told in taken] == [own.ecid] * 3
        assert [told.audiences for told in taken] == [[], [], []]
        assert await edge.events(own.ecid) == 1
        assert (await owner.send()).audiences == ["basket"]


async def test_a_named_ecid_has_a_profile_of_its_own_from_then_on() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await browser.send(body=named(VICTIM))
        await browser.send(body=added_to_basket())

        told = await browser.send()

        assert told.ecid == VICTIM
        assert told.audiences == ["basket"]
        assert await edge.events(VICTIM) == 0


async def test_two_who_name_the_same_ecid_share_nothing() -> None:
    async with running_edge(definitions()) as edge:
        one, two = Browser(edge), Browser(edge)
        await one.send(body=named(VICTIM, eventType="commerce.productListAdds"))

        assert (await two.send(body=named(VICTIM))).audiences == []
        assert (await one.send()).audiences == ["basket"]


def test_no_randomness_makes_a_named_device_that_of_its_owner() -> None:
    """A suffix of zeros would stand for an ECID that we made."""
    caller = caller_from({}, VICTIM, org=ORG, keys=KEYS, entropy=bytes)

    assert caller.device.profile_key != f"ECID:{VICTIM}"
    identity, mac = caller.cookies(org=ORG, keys=KEYS, now_ms=0)
    proof = proven_device(
        {identity.name: (identity.value,), mac.name: (mac.value,)}, org=ORG, keys=KEYS
    )
    assert proof is not None
    assert proof.device.profile_key == caller.device.profile_key


async def test_naming_the_ecid_that_is_proven_changes_nothing(edge: RunningEdge) -> None:
    browser = Browser(edge)
    first = await browser.send()
    assert first.ecid is not None

    told = await browser.send(body=named(first.ecid))

    assert set(told.cookies) == {NAMES.cluster}
    assert await edge.events(first.ecid) == 2


async def test_naming_another_ecid_overrides_the_cookies(edge: RunningEdge) -> None:
    browser = Browser(edge)
    await browser.send()

    told = await browser.send(body=named(VICTIM))

    assert told.ecid == VICTIM
    assert (await browser.send()).ecid == VICTIM


async def test_an_ecid_in_an_events_identity_map_selects_nobody(edge: RunningEdge) -> None:
    told = await edge.call(body=page_view(identityMap={"ECID": [{"id": VICTIM}]}))

    assert told.ecid != VICTIM


# ---- claims ------------------------------------------------------------------


async def test_a_claimed_identity_is_kept_and_selects_nothing() -> None:
    async with running_edge(definitions()) as edge:
        claim = {"CRMID": [{"id": "c-1", "authenticatedState": "authenticated", "primary": True}]}
        victim = await edge.call(
            body=page_view(identityMap=claim, eventType="commerce.productListAdds")
        )

        attacker = await edge.call(
            body=page_view(identityMap=claim, more={"xdm": {"identityMap": claim}})
        )

        assert attacker.ecid != victim.ecid
        assert attacker.audiences == []
        profile = await edge.profile(f"ECID:{attacker.ecid}")
        assert profile is not None
        assert profile.claims == (Identity("CRMID", "c-1"),)
        assert await edge.profile("CRMID:c-1") is None


async def test_any_subset_of_anothers_identities_changes_no_answer() -> None:
    """Metamorphic: the answer with a victim's identities is the answer without them."""
    async with running_edge(definitions()) as edge:
        ids = {
            "CRMID": [{"id": "c-1", "authenticatedState": "authenticated", "primary": True}],
            "Email_LC_SHA256": [{"id": "e" * 64}],
            "FPID": [{"id": "f-1"}],
        }
        browser = Browser(edge)
        await browser.send()
        victim = await browser.send(
            body=page_view(identityMap=ids, eventType="commerce.productListAdds")
        )
        assert victim.audiences == ["basket"]
        for subset in range(8):
            chosen = {
                namespace: entries
                for place, (namespace, entries) in enumerate(ids.items())
                if subset >> place & 1
            }
            told = await edge.call(
                body=page_view(identityMap=chosen, more={"xdm": {"identityMap": chosen}})
            )
            assert told.audiences == []
        assert victim.ecid is not None
        assert await edge.events(victim.ecid) == 2


# ---- two visitors ------------------------------------------------------------


async def test_two_visitors_interleaved_a_thousand_times_never_mix() -> None:
    async with running_edge(definitions()) as edge:
        buyer, reader = Browser(edge), Browser(edge)
        await buyer.send(body=added_to_basket())
        await reader.send()
        buyers, readers = set(), set()
        for turn in range(1_000):
            if turn % 100 == 0:  # within the rule's hour, and past a day for the cookies
                edge.now_ms += HOUR_MS if turn == 500 else 1
                await buyer.send(body=added_to_basket())
            bought, read = await buyer.send(), await reader.send()
            assert (bought.audiences, read.audiences) == (["basket"], [])
            buyers.add(bought.ecid)
            readers.add(read.ecid)

    assert len(buyers) == len(readers) == 1
    assert buyers.isdisjoint(readers)


async def test_ecids_are_never_given_twice(edge: RunningEdge) -> None:
    ecids = sorted([(await edge.call("identity/acquire", {})).ecid or "" for _ in range(200)])

    assert all(one != other for one, other in pairwise(ecids))
    assert all(len(ecid) == 38 and ecid.isdigit() for ecid in ecids)
