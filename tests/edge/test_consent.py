"""Without consent nothing is kept and nothing is told; the visitor's last word counts."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.definitions.datastream import DefaultConsent
from tests.building import definitions
from tests.edge.running import (
    NAMES,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    cookie_header,
    page_view,
    running_edge,
)

ECID = "3" * 38
EVERYWHERE = ["interact", "collect", "identity/acquire"]


def said(general: str, **more: Any) -> dict[str, Any]:
    consent = {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
    return {"consent": [consent], "query": {"identity": {"fetch": ["ECID"]}}, **more}


async def choose(browser: Browser, general: str) -> Told:
    told = await browser.send("privacy/set-consent", said(general))
    assert told.status == 200
    return told


def nothing_told(told: Told) -> bool:
    return (
        told.status == 200
        and told.warnings == ["EXEG-0301-200"]
        and told.handles("activation:pull") == []
        and told.ecid is None
        and NAMES.identity not in told.cookies
    )


# ---- before a choice ---------------------------------------------------------


@pytest.mark.parametrize("default", ["pending", "out"])
@pytest.mark.parametrize("action", EVERYWHERE)
async def test_until_a_visitor_agrees_nothing_is_kept_where_the_datastream_waits(
    default: DefaultConsent, action: str
) -> None:
    async with running_edge(definitions(default_consent=default)) as edge:
        told = await edge.call(action, added_to_basket())

        assert nothing_told(told)
        assert told.sent["handle"] == []
        assert edge.drain.commits == 0


async def test_the_warning_says_which_call_it_belongs_to() -> None:
    async with running_edge(definitions(default_consent="pending")) as edge:
        told = await edge.call(request_id="r-1")

        warning = told.sent["warnings"][0]
        assert warning["type"] == "https://ns.adobe.com/aep/errors/EXEG-0301-200"
        assert warning["status"] == 200
        assert warning["report"]["requestId"] == "r-1"
        assert "errors" not in told.sent


# ---- the choice --------------------------------------------------------------


@pytest.mark.parametrize("general", ["in", "out"])
async def test_a_choice_is_answered_with_identity_proof_and_consent(
    edge: RunningEdge, general: str
) -> None:
    """Without the consent cookie alloy waits for ever; without an identity it forgets it."""
    told = await edge.call("privacy/set-consent", said(general))

    assert [handle["type"] for handle in told.sent["handle"]] == ["identity:result", "state:store"]
    assert {item["key"]: item["maxAge"] for item in told.payload("state:store")} == {
        NAMES.identity: 34_128_000,
        NAMES.mac: 34_128_000,
        NAMES.consent: 15_552_000,
    }
    assert told.cookies[NAMES.consent] == f"general={general}"
    assert edge.drain.commits == 1


async def test_a_choice_alone_makes_no_profile(edge: RunningEdge) -> None:
    told = await edge.call("privacy/set-consent", said("in"))

    stored = await edge.store.load(f"ECID:{told.ecid}")
    assert stored.profile is None
    assert stored.consent is not None
    assert stored.consent.general == "in"


async def test_after_agreeing_the_visitor_is_known() -> None:
    async with running_edge(definitions(default_consent="pending")) as edge:
        browser = Browser(edge)
        chosen = await choose(browser, "in")

        told = await browser.send(body=added_to_basket())

        assert told.audiences == ["basket"]
        assert told.ecid == chosen.ecid
        assert told.warnings == []


@pytest.mark.parametrize("action", EVERYWHERE)
async def test_after_refusing_nothing_is_kept_and_the_sdk_is_told_to_stop(action: str) -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await choose(browser, "out")

        told = await browser.send(action, added_to_basket())

        assert nothing_told(told)
        assert told.cookies == {NAMES.consent: "general=out"}
        assert edge.drain.commits == 1


async def test_a_withdrawal_ends_the_answers_of_a_known_visitor() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket())
        await choose(browser, "out")

        assert nothing_told(await browser.send())


async def test_the_last_word_counts() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        for general in ("in", "out", "in"):
            await choose(browser, general)

        assert (await browser.send(body=added_to_basket())).audiences == ["basket"]


async def test_of_several_consent_objects_the_last_counts(edge: RunningEdge) -> None:
    both = [*said("out")["consent"], *said("in")["consent"]]

    told = await edge.call("privacy/set-consent", {"consent": both})

    assert told.cookies[NAMES.consent] == "general=in"


async def test_a_choice_of_a_known_visitor_keeps_its_identity(edge: RunningEdge) -> None:
    browser = Browser(edge)
    first = await browser.send()

    told = await choose(browser, "in")

    assert told.ecid == first.ecid
    assert set(told.cookies) == {NAMES.consent}


async def test_a_visitor_may_be_named_when_it_chooses(edge: RunningEdge) -> None:
    body = said("in", identityMap={"ECID": [{"id": ECID}], "HYP": [{"id": "id123"}]})

    told = await edge.call("privacy/set-consent", body)

    assert told.ecid == ECID
    assert (await edge.store.load(f"ECID:{ECID}")).consent is None


# ---- no choice yet -----------------------------------------------------------


@pytest.mark.parametrize("general", ["pending", "not_provided"])
async def test_a_choice_that_is_still_pending_changes_nothing_and_holds_the_sdk_back(
    edge: RunningEdge, general: str
) -> None:
    told = await edge.call("privacy/set-consent", said(general))

    assert told.status == 200
    assert told.cookies == {NAMES.consent: "general=pending"}
    assert told.ecid is None
    assert edge.drain.commits == 0


async def test_pending_does_not_undo_a_refusal(edge: RunningEdge) -> None:
    browser = Browser(edge)
    await choose(browser, "out")

    told = await choose(browser, "pending")

    assert told.cookies == {NAMES.consent: "general=out"}
    assert nothing_told(await browser.send())


async def test_pending_tells_a_known_visitor_who_it_is(edge: RunningEdge) -> None:
    browser = Browser(edge)
    first = await browser.send()

    assert (await choose(browser, "pending")).ecid == first.ecid


# ---- a refusal is not got round ----------------------------------------------


async def test_a_link_that_names_an_ecid_does_not_undo_a_refusal() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await choose(browser, "out")
        del browser.cookies[NAMES.consent]

        told = await browser.send(
            body=page_view(more={"xdm": {"identityMap": {"ECID": [{"id": ECID}]}}})
        )

        assert nothing_told(told)


async def test_a_link_that_names_an_ecid_does_not_undo_an_agreement() -> None:
    async with running_edge(definitions(default_consent="pending")) as edge:
        browser = Browser(edge)
        await choose(browser, "in")
        map_ = {"ECID": [{"id": ECID}]}

        told = await browser.send(body=added_to_basket(xdm={"identityMap": map_}))

        assert (told.ecid, told.audiences) == (ECID, ["basket"])
        assert (await browser.send()).audiences == ["basket"]


@pytest.mark.parametrize("action", EVERYWHERE)
async def test_a_browser_that_lost_its_identity_is_still_out(
    edge: RunningEdge, action: str
) -> None:
    """Nothing proves who it is, so no store can say that it refused: its consent cookie can."""
    told = await edge.call(action, cookie=cookie_header({NAMES.consent: "general=out"}))

    assert nothing_told(told)
    assert edge.drain.commits == 0


async def test_a_consent_cookie_grants_nothing() -> None:
    async with running_edge(definitions(default_consent="pending")) as edge:
        told = await edge.call(cookie=cookie_header({NAMES.consent: "general=in"}))

        assert nothing_told(told)


async def test_the_stores_word_counts_more_than_the_consent_cookie() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await choose(browser, "in")
        browser.cookies[NAMES.consent] = "general=out"

        assert (await browser.send(body=added_to_basket())).audiences == ["basket"]
