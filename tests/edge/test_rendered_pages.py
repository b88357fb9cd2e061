"""Pages that are rendered by the site's own server: one visit, in process, on a real store."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import pytest
from msgspec import structs

from perso_core import Identity, PageRequest, Visitor
from perso_core.assembly import DATABASE, Perso, open_perso
from perso_core.definitions.datastream import DefaultConsent
from perso_core.definitions.document import Definitions
from perso_core.edge.site import MOST_TOLD
from perso_core.engine.engine import Answer, Interaction
from perso_core.errors import BadAttributes, BadChoice, BadIdentity, StoreUnavailable
from perso_core.settings import Settings
from tests.building import NOON_MS, definitions
from tests.decision.test_tcf import AGREED, NO_PURPOSE_1
from tests.edge.running import NAMES, cookie_header
from tests.edge.test_consent_standards import ads, tc


@asynccontextmanager
async def opened(directory: Path, in_force: Definitions, **more: Any) -> AsyncIterator[Perso]:
    settings = Settings(data_dir=str(directory), **more)
    async with open_perso(settings, clock_ms=lambda: NOON_MS) as perso:
        await perso.apply(in_force)
        yield perso


def page(cookies: Mapping[str, str], **more: Any) -> PageRequest:
    xdm = {"eventType": "commerce.productListAdds"}
    request = PageRequest(
        datastream_id="demo", cookie_header=cookie_header(cookies), xdm=xdm, wait_ms=10_000
    )
    return structs.replace(request, **more)


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


FPID = {"shop_id": "7d9a5d0e-7f0e-4a0b-8f1d-0f3e5a1c2b3d"}


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


async def test_who_agrees_on_a_page_is_named_by_the_device_id_of_the_site(tmp_path: Path) -> None:
    waiting = definitions(fpid_cookie="shop_id", default_consent="pending")
    async with opened(tmp_path, waiting) as perso:
        asked = await perso.visit(page(FPID))
        agreed = await asked.choose_consent("in")
        elsewhere = await (await perso.visit(page(FPID))).choose_consent("in")
        shown = await perso.visit(page(held(agreed, FPID)))

        assert (asked.state, asked.ecid) == ("no-consent", None)
        assert agreed.ecid == elsewhere.ecid == shown.ecid
        assert "basket" in shown


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


ANNA = Identity("CRMID", "c-17")


def held(visitor: Visitor, before: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The browser's cookies after a page."""
    return {**before, **{one.name: one.value for one in visitor.cookies}}


async def test_a_page_shows_a_signed_in_customer_what_was_done_on_the_device_before(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))

        signed_in = await perso.visit(page(cookies, customer=ANNA, xdm={"eventType": "x"}))
        again = await perso.visit(page(cookies, customer=ANNA, xdm=None))
        signed_out = await perso.visit(page(cookies, xdm=None))

        assert "basket" in signed_in
        assert "basket" in again
        assert "basket" not in signed_out, "what was done is the customer's now"


async def test_a_customer_is_known_on_another_device_and_to_the_sites_servers(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}, customer=ANNA))
        await first.update({"loyalty": {"tier": "gold"}})

        other = await perso.visit(page({}, customer=ANNA, xdm={"eventType": "x"}))
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert first.ecid != other.ecid
        assert {"basket", "gold"} <= other.audiences
        assert kept is not None
        assert kept.attributes["loyalty"] == {"tier": "gold"}


async def test_a_page_and_the_operator_write_as_much_of_a_customer_as_the_setting_says(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(), max_record_bytes=300_000) as perso:
        visitor = await perso.visit(page({}, customer=ANNA))
        await visitor.update({"page": "x" * 140_000})
        await perso.put_profile(ANNA, {"operator": "y" * 140_000})

        for write in (visitor.update, partial(perso.put_profile, ANNA)):
            with pytest.raises(BadAttributes, match=r"300,000 is the limit.*max_record_bytes"):
                await write({"more": "z" * 300_000})
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert kept is not None
        assert {"page", "operator", "more"} & set(kept.attributes) == {"page", "operator"}


async def test_a_page_shows_nobody_elses_audiences_to_who_signs_in_next_on_one_device(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({}, customer=ANNA)))

        other = await perso.visit(
            page(cookies, customer=Identity("CRMID", "c-18"), xdm={"eventType": "x"})
        )

        assert "basket" not in other


async def test_a_devices_no_holds_for_whoever_is_signed_in_on_it(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}, customer=ANNA))
        cookies = held(first)
        said_no = await first.choose_consent("out")

        after = await perso.visit(page(held(said_no, cookies), customer=ANNA))
        elsewhere = await perso.visit(page({}, customer=ANNA))

        assert after.state == "no-consent"
        assert elsewhere.state == "no-consent", "it was the customer's choice as well"


@pytest.mark.parametrize(("word", "state"), [("in", "known"), ("out", "no-consent")])
async def test_what_a_customer_chooses_on_a_new_device_is_the_devices_once_they_sign_out(
    word: Literal["in", "out"], state: str, tmp_path: Path
) -> None:
    """The choice was kept of a device whose cookies nobody got."""
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        asked = await perso.visit(page({}, customer=ANNA))

        cookies = held(await asked.choose_consent(word))

        signed_out = await perso.visit(page(cookies))
        assert (asked.state, asked.cookies) == ("no-consent", ())
        assert signed_out.state == state
        assert NAMES.identity in cookies
        assert f"ECID:{asked.ecid}" == (signed_out.profile_key)


async def test_so_it_is_of_a_new_device_that_the_sites_own_id_names_and_of_one_that_had_refused(
    tmp_path: Path,
) -> None:
    waiting = definitions(fpid_cookie="shop_id", default_consent="pending")
    async with opened(tmp_path, waiting) as perso:
        for before in (FPID, {NAMES.consent: "general=out"}):
            asked = await perso.visit(page(before, customer=ANNA))

            cookies = held(await asked.choose_consent("in"), before)

            signed_out = await perso.visit(page(cookies))
            assert (asked.state, signed_out.state) == ("no-consent", "known")
            assert asked.device_key == signed_out.profile_key


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_refusal_that_the_browser_alone_holds_shows_nothing_and_takes_no_customer_anything(
    agreed: bool, tmp_path: Path
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        signed_in = await perso.visit(page({}, customer=ANNA))
        if agreed:
            await signed_in.choose_consent("in")
        another = held(await perso.visit(page({}, xdm={"eventType": "x"})))
        refusing = {**another, NAMES.consent: "general=out"}

        visited = await perso.visit(page(refusing, customer=ANNA))
        looked = await perso.visit(page(refusing, customer=ANNA, xdm=None))
        elsewhere = await perso.visit(page({}, customer=ANNA, xdm=None))
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert (visited.state, looked.state) == ("no-consent", "no-consent")
        assert "basket" in elsewhere
        assert kept is not None
        assert len(kept.events) == 1


@pytest.mark.parametrize("word", ["yes", "", "IN", "pending", None])
async def test_a_word_that_is_no_choice_is_refused_and_changes_nothing(
    word: Any, tmp_path: Path
) -> None:
    """As where a form's own value is passed on."""
    async with opened(tmp_path, definitions()) as perso:
        visitor = await perso.visit(page({}))

        with pytest.raises(BadChoice, match=r'"in" or "out"'):
            await visitor.choose_consent(word)

        assert "basket" in await perso.visit(page(held(visitor), xdm=None))


async def test_a_cookie_that_the_devices_word_outdates_says_nothing_of_the_customer(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        await perso.visit(page({}, customer=ANNA))
        agreed = await (await perso.visit(page({}))).choose_consent("in")
        outdated = {**held(agreed), NAMES.consent: "general=out"}

        looked = await perso.visit(page(outdated, customer=ANNA, xdm=None))

        assert "basket" in looked
        assert await perso.profile(ANNA, datastream_id="demo") is not None


async def test_a_customer_who_asks_to_be_forgotten_is_on_this_device_too(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        signed_in = await perso.visit(page(cookies, customer=ANNA))

        await signed_in.forget()

        assert await perso.profile(ANNA, datastream_id="demo") is None
        assert "basket" not in await perso.visit(page(cookies, xdm=None))
        assert "basket" not in await perso.visit(page({}, customer=ANNA, xdm=None))


@pytest.mark.parametrize(
    "customer",
    [
        Identity("ECID", "1" * 38),
        Identity("a b", "x"),
        Identity("CRMID", ""),
        Identity("CRMID", "half \ud800"),
        Identity("CRMID", cast(str, 4711)),
        Identity(cast(str, None), "x"),
        cast(Identity, "4711"),  # as of a session that keeps the id alone
    ],
)
async def test_a_customer_that_is_none_shows_the_pages_defaults_and_the_log_says_why(
    tmp_path: Path, customer: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        shown = await perso.visit(page({}, customer=customer))

        assert shown.state == "unavailable"
        assert "BadIdentity" in caplog.text


@pytest.mark.parametrize(
    ("datastream_id", "enabled", "why"),
    [("dmeo", True, "'dmeo' is not defined"), ("demo", False, "'demo' is off")],
)
async def test_a_datastream_that_answers_no_page_is_told_once(
    datastream_id: str,
    enabled: bool,
    why: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All pages had shown their defaults without a word."""
    async with opened(tmp_path, definitions(enabled=enabled)) as perso:
        for _ in range(2):
            shown = await perso.visit(page({}, datastream_id=datastream_id))
            assert shown.state == "unavailable"

    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"Pages go out without an answer: the datastream {why}."]


# ---- what a page's server says ----------------------------------------------------


async def test_a_visit_that_is_no_object_shows_the_pages_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        shown = await perso.visit(page({}, xdm=["commerce.productListAdds"]))

        assert shown.state == "unavailable"
        assert "xdm is a list, not an object" in caplog.text


async def test_what_a_program_says_counts_before_a_restart_as_after_it(tmp_path: Path) -> None:
    """A tuple was a list only once it came from the store."""
    rules = {
        "bought": 'CHAIN(xEvent, timestamp, [C0: WHAT(skus = "b")])',
        "sporty": 'interests = "sport"',
    }
    async with opened(tmp_path, definitions(rules)) as perso:
        shown = await perso.visit(page({}, xdm={"skus": ("a", "b")}))

        after = await shown.update({"interests": ("food", "sport")})

        assert shown.audiences == {"bought"}
        assert after.audiences == {"bought", "sporty"}


async def test_attributes_of_a_visitor_who_may_not_be_kept_set_no_cookie(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        asked = await perso.visit(page({}))

        after = await asked.update({"loyalty": {"points": 5}})

        assert (after.state, after.cookies, after.ecid) == ("no-consent", (), None)
        why = after.reason("basket").sentence
        assert why == "Nothing is kept of this visitor, who did not agree."


async def test_a_page_that_comes_after_the_closing_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was shown what was decided, and that nothing of it was stored nobody heard."""
    async with opened(tmp_path, definitions()) as perso:
        pass

    for _ in range(2):
        await perso.visit(page({}))

    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert "Perso was closed and is asked all the same: nothing more is stored." in told[0]


# ---- a visitor who could not be looked up in time ---------------------------------


def too_late(perso: Perso, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no profile is read within a page's time."""

    async def late(interaction: Interaction) -> Answer:
        raise TimeoutError

    services = perso._services
    monkeypatch.setattr(perso, "_services", dataclasses.replace(services, decide=late))


@pytest.mark.parametrize("customer", [None, ANNA], ids=["device", "customer"])
async def test_who_asks_to_be_forgotten_on_a_page_that_came_too_late_is(
    customer: Identity | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing had been erased, and the answer took the cookies away."""
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        if customer:
            cookies = held(await perso.visit(page(cookies, customer=customer)), cookies)
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(cookies, customer=customer))
        assert (shown.state, shown.audiences) == ("unavailable", frozenset())
        assert shown.reason("basket").sentence == "This visitor could not be looked up."

        await shown.forget()

        assert "basket" not in await perso.visit(page(cookies, xdm=None, customer=customer))


async def test_so_is_one_whom_the_sites_own_trusted_cookie_alone_proves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(
        tmp_path, definitions(fpid_cookie="shop_id", trust_fpid_cookie=True)
    ) as perso:
        await perso.visit(page(FPID))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(FPID))

        await shown.forget()

        assert "basket" not in await perso.visit(page(FPID, xdm=None))


async def test_a_choice_on_a_page_that_came_too_late_is_a_new_devices_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page({}, customer=ANNA))
        assert (shown.state, shown.cookies) == ("unavailable", ())

        cookies = held(await shown.choose_consent("in"))

        assert "basket" in await perso.visit(page(cookies))
        assert "basket" in await perso.visit(page({}, customer=ANNA))


async def test_a_visit_that_cannot_be_kept_is_of_its_visitor_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        shown = await perso.visit(page(cookies, xdm={"seen": object()}))

        await shown.forget()

        assert "basket" not in await perso.visit(page(cookies, xdm=None))


async def test_a_refusal_on_a_page_that_came_too_late_is_the_visitors_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been kept of a device that nobody has, whose cookies replaced the visitor's."""
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(cookies))

        said = await shown.choose_consent("out")

        assert [one.name for one in said.cookies] == [NAMES.consent]
        assert (await perso.visit(page(cookies))).state == "no-consent"


async def test_a_visitor_may_be_forgotten_where_the_datastream_is_switched_off(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        await perso.apply(definitions(enabled=False))
        await (await perso.visit(page(cookies))).forget()
        await perso.apply(definitions())

        assert "basket" not in await perso.visit(page(cookies, xdm=None))


async def test_a_newcomer_may_choose_and_be_forgotten_where_the_datastream_is_switched_off(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(enabled=False)) as perso:
        cookies = held(await (await perso.visit(page({}))).choose_consent("out"))
        gone = await (await perso.visit(page({}))).forget()
        await perso.apply(definitions())

        assert (await perso.visit(page(cookies))).state == "no-consent"
        assert gone.state == "new"


async def test_what_is_said_beside_a_customer_that_is_none_is_the_devices(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        shown = await perso.visit(page(cookies, customer=Identity("ECID", "1")))

        await shown.choose_consent("out")

        assert (await perso.visit(page(cookies))).state == "no-consent"


@pytest.mark.parametrize(
    ("xdm", "fault"),
    [
        ({"seen": object()}, "BadEvent"),
        ({"identityMap": {"Email": [{"id": ""}]}}, "IdentityBad"),
    ],
)
async def test_a_fault_of_a_page_hides_no_outage_from_the_log(
    xdm: dict[str, Any],
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        for _ in range(2):
            await perso.visit(page(cookies, xdm=xdm))
            await perso.visit(page(cookies))
        await perso.visit(page(cookies, xdm=xdm))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            await perso.visit(page(cookies))

    told = [one.getMessage() for one in caplog.records if "without an answer" in one.getMessage()]
    assert [text.split()[6] for text in told] == [fault, "TimeoutError"]


async def test_the_log_names_only_so_many_datastreams_that_answer_no_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A site may take the id from the request."""
    async with opened(tmp_path, definitions()) as perso:
        for number in range(MOST_TOLD + 10):
            await perso.visit(PageRequest(datastream_id=f"d{number}"))

    assert len(caplog.records) == MOST_TOLD


async def test_nothing_is_said_of_a_visitor_who_was_never_looked_up(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        nobody = Visitor(state="unavailable", site=perso, datastream_id="demo", asked=False)

        for act in (nobody.forget(), nobody.update({"a": 1}), nobody.choose_consent("out")):
            with pytest.raises(StoreUnavailable, match="was not looked up"):
                await act


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (Identity("ECID", "1"), "The ECID “1” is not 38 digits."),
        (Identity("CRM ID", "c-17"), "The namespace “CRM ID” is not a letter"),
        (Identity("CRMID", ""), "is not 1 to 256 printable characters."),
    ],
)
async def test_attributes_are_not_put_under_an_identity_that_no_export_and_no_erasure_can_name(
    identity: Identity, told: str, tmp_path: Path
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        with pytest.raises(BadIdentity, match=told):
            await perso.put_profile(identity, {"loyalty": {"points": 5}})

        assert await perso.everything(identity) == {}
