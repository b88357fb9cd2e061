"""Pages that are rendered by the site's own server: one visit, in process, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from perso_core import Identity, PageRequest
from perso_core.assembly import DATABASE
from perso_core.definitions.datastream import DefaultConsent
from tests.building import definitions
from tests.decision.test_tcf import AGREED, NO_PURPOSE_1
from tests.edge.rendered import FPID, held, opened, page
from tests.edge.running import NAMES, cookie_header
from tests.edge.test_consent_standards import ads, tc


async def test_a_page_shows_advertising_nothing_of_a_browser_that_signals_gpc_and_says_why(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, ads()) as perso:
        first = await perso.visit(page({}))
        cookies = {one.name: one.value for one in first.cookies}
        assert "basket" in first

        second = await perso.visit(page(cookies, gpc=True, xdm=None))

        assert "basket" not in second
        why = second.reason("basket", "cms")
        assert why.held_back
        assert why.sentence == (
            "In, but the browser signals since 15 Mar 2026, 12:00 UTC that nothing be shared"
            " (Global Privacy Control), and this destination is advertising."
        )


async def test_a_reason_for_any_destination_says_that_all_are_told_nothing(tmp_path: Path) -> None:
    """A page without an alias was in no audience, and its reason said that it was in."""
    async with opened(tmp_path, ads()) as perso:
        held_back = await perso.visit(page({}, gpc=True))

        assert "basket" not in held_back
        why = held_back.reason("basket")
        assert (why.holds, why.held_back) == (True, True)
        assert "Global Privacy Control" in why.sentence


@pytest.mark.parametrize("alias", [None, "cms"])
async def test_a_reason_says_that_an_audience_is_activated_nowhere(
    alias: str | None, tmp_path: Path
) -> None:
    async with opened(tmp_path, definitions(activations=())) as perso:
        shown = await perso.visit(page({}))

        why = shown.reason("basket", alias)
        assert "basket" not in shown
        assert (why.holds, why.held_back) == (True, True)
        assert why.sentence == "In, but no activation tells this destination of it."


async def test_a_page_hears_a_browsers_own_refusal_where_the_store_has_no_word_of_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}))
        cookies = {one.name: one.value for one in first.cookies}

        second = await perso.visit(page({**cookies, NAMES.consent: "general=out"}))

        assert second.state == "no-consent"
        assert (await perso.visit(page(cookies))).state == "no-consent"


async def test_a_page_whose_visit_cannot_be_stored_shows_what_was_decided_and_reports_it_again(
    tmp_path: Path,
) -> None:
    """The page's own script reports the visit under the same id."""
    async with opened(tmp_path, definitions()) as perso:
        (tmp_path / DATABASE).unlink()

        visitor = await perso.visit(page({}))

        assert "basket" in visitor
        assert visitor.event_id
        assert visitor.cookies


# ---- consent strings on the visit ------------------------------------------------


def stating(text: str, **more: Any) -> PageRequest:
    """A page whose consent tool knows this TC string."""
    xdm = {"eventType": "commerce.productListAdds", "consentStrings": [tc(text)]}
    return page({}, xdm=xdm, **more)


def browser_of(cookies: Mapping[str, str], request: PageRequest) -> PageRequest:
    return structs.replace(request, cookie_header=cookie_header(cookies))


async def test_a_refusal_on_the_visit_keeps_nothing_and_tells_the_browser(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        visitor = await perso.visit(stating(NO_PURPOSE_1))

    assert (visitor.state, visitor.ecid, visitor.event_id) == ("no-consent", None, None)
    assert {one.name: one.value for one in visitor.cookies} == {NAMES.consent: "general=out"}


async def test_a_known_visitor_who_refuses_on_the_visit_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}))
        cookies = {one.name: one.value for one in first.cookies}

        await perso.visit(browser_of(cookies, stating(NO_PURPOSE_1)))

        later = await perso.visit(page(cookies))
        assert "basket" in first
        assert (later.state, "basket" in later) == ("no-consent", False)


async def test_a_string_that_cannot_be_read_is_no_consent(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        visitor = await perso.visit(stating("CO052l"))

    assert (visitor.state, visitor.cookies) == ("no-consent", ())


@pytest.mark.parametrize(("opt_in", "state"), [(True, "known"), (False, "no-consent")])
async def test_an_agreement_on_the_visit_counts_where_the_datastream_takes_it(
    opt_in: bool, state: str, tmp_path: Path
) -> None:
    in_force = definitions(default_consent="pending", consent_strings_opt_in=opt_in)
    async with opened(tmp_path, in_force) as perso:
        visitor = await perso.visit(stating(AGREED))

        cookies = {one.name: one.value for one in visitor.cookies}
        assert visitor.state == state
        assert ("basket" in await perso.visit(page(cookies))) is opt_in


async def test_an_agreement_on_the_visit_does_not_undo_a_refusal(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions(consent_strings_opt_in=True)) as perso:
        known = {one.name: one.value for one in (await perso.visit(page({}))).cookies}
        await perso.visit(browser_of(known, stating(NO_PURPOSE_1)))

        held = {NAMES.consent: "general=out"}
        assert (await perso.visit(browser_of(known, stating(AGREED)))).state == "no-consent"
        assert (await perso.visit(browser_of(held, stating(AGREED)))).state == "no-consent"


# ---- what a rule about this very page may ask ------------------------------------


async def test_the_browsers_language_is_known_on_the_page_that_its_server_renders(
    tmp_path: Path,
) -> None:
    rule = 'xEvent.exists(environment.browserDetails.acceptLanguage.startsWith("de", false))'
    async with opened(tmp_path, definitions({"german": rule})) as perso:
        german = await perso.visit(page({}, accept_language="de-CH,de;q=0.9,en;q=0.8"))
        english = await perso.visit(page({}, accept_language="en,de;q=0.5"))

    assert ("german" in german, "german" in english) == (True, False)


# ---- an event that the site makes --------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    return {"more": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"agent": "\ud800"}, "xdm.agent has half a character in it"),
        ({"at": object()}, "xdm.at is a object, which JSON does not have"),
        ({"at": datetime(2026, 3, 15, tzinfo=UTC)}, "xdm.at is a datetime"),
        ({"web": {"count": 1 << 64}}, "xdm.web.count is a number beyond 64 bits"),
        ({"web": [float("nan")]}, "xdm.web[0] is not a finite number"),
        ({1: "x"}, "xdm has a name that is not text"),
        (nested(40), "more than 32 levels deep"),
        ({"identityMap": {"Email": [{"id": ""}]}}, "xdm.identityMap.Email[0].id"),
    ],
)
async def test_a_visit_that_cannot_be_kept_shows_the_pages_defaults_and_costs_nobody_else_theirs(
    tmp_path: Path, fields: dict[Any, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as of a header whose bytes are no text, in an event of the site's own."""
    async with opened(tmp_path, definitions()) as perso:
        before, bad, after = await asyncio.gather(
            perso.visit(page({})),
            perso.visit(page({}, xdm={"eventType": "x", **fields})),
            perso.visit(page({})),
        )

        assert (bad.state, bad.event_id) == ("unavailable", None)
        assert why in caplog.text
        assert "Traceback" not in caplog.text
        for visitor in (before, after):
            kept = await perso.profile(Identity("ECID", str(visitor.ecid)))
            assert kept is not None
            assert len(kept.events) == 1


async def test_a_visit_that_is_no_object_shows_the_pages_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        shown = await perso.visit(page({}, xdm=["commerce.productListAdds"]))

        assert shown.state == "unavailable"
        assert "xdm is a list, not an object" in caplog.text


async def test_an_identity_on_the_visit_is_kept_as_a_claim_as_on_a_pages_own_event(
    tmp_path: Path,
) -> None:
    xdm = {"eventType": "x", "identityMap": {"Email": [{"id": "anna@shop.test"}]}}
    async with opened(tmp_path, definitions({"mail": "identityMap.Email.exists()"})) as perso:
        first = await perso.visit(page({}, xdm=xdm))
        later = await perso.visit(page(held(first), xdm={"eventType": "y"}))

    assert ("mail" in first, "mail" in later) == (True, True)


async def test_where_the_datastream_does_not_evaluate_each_event_neither_does_the_page(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(edge_segmentation=False)) as perso:
        visited = await perso.visit(page({}))
        later = await perso.visit(page(held(visited), xdm={"eventType": "x"}))

    assert ("basket" in visited, "basket" in later) == (False, True)


# ---- the site's own device id ------------------------------------------------------


async def test_a_page_gives_a_device_id_of_the_site_the_ecid_that_the_edge_gives_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(fpid_cookie="shop_id")) as perso:
        first = await perso.visit(page(FPID))
        again = await perso.visit(page(FPID))
        known = await perso.visit(page(held(first, FPID), xdm=None))

        assert first.ecid == again.ecid == known.ecid
        # It is a name, and no proof.
        assert "basket" not in await perso.visit(page(FPID, xdm={"eventType": "x"}))
        assert "basket" in known


@pytest.mark.parametrize("default", ["in", "pending"])
async def test_a_page_finds_a_trusted_device_again_after_its_other_cookies_are_gone(
    default: DefaultConsent, tmp_path: Path
) -> None:
    trusting = definitions(fpid_cookie="shop_id", trust_fpid_cookie=True, default_consent=default)
    async with opened(tmp_path, trusting) as perso:
        await (await perso.visit(page(FPID))).choose_consent("in")
        await perso.visit(page(FPID))

        back = await perso.visit(page(FPID, xdm=None))
        stranger = await perso.visit(page({"shop_id": "another"}, xdm=None))
        assert "basket" in back
        assert stranger.state in ("new", "no-consent")

        await back.choose_consent("out")
        assert (await perso.visit(page(FPID))).state == "no-consent"
