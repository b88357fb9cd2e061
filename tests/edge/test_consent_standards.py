"""Each standard's words, the strings on events, and the browser's signal: docs/consent.md."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.definitions.document import Definitions
from perso_core.edge.consent_objects import MAX_KEPT_CHARS
from perso_core.stores.protocol import Stored
from tests.building import NOON_MS, definitions
from tests.decision.tc_encoder import disclosed, tc_string
from tests.decision.test_tcf import AGREED, NEW, NO_PURPOSE_1, NO_PURPOSE_10, NO_VENDOR
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
from tests.edge.test_consent import ECID, nothing_told, said
from tests.stores.building import held

UNREADABLE = "urn:perso:edge.consent-unreadable"
GPC = {"Sec-GPC": "1"}


def adobe(**value: Any) -> dict[str, Any]:
    """An Adobe 2.0 object; a text stands for {"val": text}."""
    fields = {k: {"val": v} if isinstance(v, str) else v for k, v in value.items()}
    return {"standard": "Adobe", "version": "2.0", "value": fields}


def tcf(value: str, **more: Any) -> dict[str, Any]:
    return {"standard": "IAB TCF", "version": "2.0", "value": value, **more}


def consenting(*objects: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"consent": list(objects), **more}


def with_strings(*strings: Any) -> dict[str, Any]:
    """An added basket with consent strings on it."""
    return page_view(eventType="commerce.productListAdds", consentStrings=list(strings))


def tc(value: Any, **more: Any) -> dict[str, Any]:
    return {
        "consentStandard": "IAB TCF",
        "consentStandardVersion": "2.0",
        "consentStringValue": value,
        **more,
    }


def spoken(told: Told) -> str:
    assert told.status == 200
    return told.cookies[NAMES.consent].removeprefix("general=")


async def stored(edge: RunningEdge, told: Told) -> Consent | None:
    return (await edge.store.load(f"ECID:{told.ecid}")).consent


# ---- Adobe 2.0 -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("collect", "word"),
    [
        ("y", "in"),
        ("n", "out"),
        ("p", "pending"),
        ("u", "pending"),
        ("dy", "pending"),
        ("dn", "pending"),
        ("li", "in"),
        ("LI", "in"),
        ("ct", "in"),
        ("cp", "in"),
        ("vi", "in"),
        ("pi", "in"),
    ],
)
async def test_what_collect_says_is_what_the_sdk_is_told(
    edge: RunningEdge, collect: str, word: str
) -> None:
    """The datastream's default is `in`, and another ground than the visitor's word leaves it so."""
    told = await edge.call("privacy/set-consent", consenting(adobe(collect=collect)))

    assert spoken(told) == word
    assert edge.drain.commits == (1 if collect in ("y", "n") else 0)


async def test_another_ground_than_the_visitors_word_permits_nothing_where_that_is_waited_for() -> (
    None
):
    async with running_edge(definitions(default_consent="pending")) as edge:
        assert spoken(await edge.call("privacy/set-consent", consenting(adobe(collect="li")))) == (
            "pending"
        )


async def test_all_of_adobe_2_0_is_taken_and_kept_as_it_was_sent(edge: RunningEdge) -> None:
    sent = adobe(
        collect="y",
        share="n",
        adID={"idType": "GAID", "val": "n"},
        personalize={"content": {"val": "n"}},
        marketing={"any": {"val": "n"}, "email": {"val": "y", "reason": "asked"}},
        metadata={"time": "2026-03-15T12:00:00.000Z"},
        _acme={"newsletter": True},
    )

    told = await edge.call("privacy/set-consent", consenting(sent))

    consent = await stored(edge, told)
    assert consent is not None
    assert (consent.general, consent.share) == ("in", "n")
    assert (consent.since_ms, consent.share_since_ms) == (NOON_MS, NOON_MS)
    for word in ('"personalize":{"content":{"val":"n"}}', '"_acme"', "2026-03-15T12:00:00.000Z"):
        assert word in consent.stated


async def test_a_word_on_sharing_alone_leaves_collecting_as_it_was() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)

        told = await browser.send("privacy/set-consent", consenting(adobe(share="n")))

        consent = await stored(edge, told)
        assert spoken(told) == "in"
        assert consent is not None
        assert (consent.general, consent.share) == (None, "n")
        assert (await browser.send(body=added_to_basket())).audiences == ["basket"]


# ---- IAB TCF -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (AGREED, "in"),
        (NO_PURPOSE_1, "out"),
        (NO_PURPOSE_10, "in"),
        (NO_VENDOR, "out"),
        (tc_string(disclosed([565]), **NEW), "in"),
        (tc_string(disclosed([7]), **NEW), "out"),
    ],
)
async def test_a_tc_string_is_in_by_purpose_1_and_the_vendor(
    edge: RunningEdge, value: str, word: str
) -> None:
    told = await edge.call("privacy/set-consent", consenting(tcf(value)))

    assert spoken(told) == word
    assert told.ecid
    assert told.warnings == []


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2", "2.3"])
async def test_every_minor_version_of_tcf_2_is_taken(edge: RunningEdge, version: str) -> None:
    sent = {**tcf(AGREED), "version": version}

    assert spoken(await edge.call("privacy/set-consent", consenting(sent))) == "in"


@pytest.mark.parametrize("value", [NO_PURPOSE_1, "nonsense!"])
async def test_where_the_gdpr_does_not_apply_any_string_is_in(
    edge: RunningEdge, value: str
) -> None:
    sent = tcf(value, gdprApplies=False, gdprContainsPersonalData=True)

    told = await edge.call("privacy/set-consent", consenting(sent))

    assert spoken(told) == "in"
    consent = await stored(edge, told)
    assert consent is not None
    assert '"gdprApplies":false' in consent.stated


async def test_a_site_asks_a_tc_string_for_its_own_vendor_and_purposes() -> None:
    ordinary = definitions()
    own = structs.replace(ordinary.datastreams[0], tcf_vendor=7, tcf_purposes=(1, 3))
    async with running_edge(structs.replace(ordinary, datastreams=(own,))) as edge:
        for value, word in [
            (AGREED, "out"),
            (tc_string(vendors=(7,), purposes=(1,)), "out"),
            (tc_string(vendors=(7,), purposes=(1, 3)), "in"),
        ]:
            assert spoken(await edge.call("privacy/set-consent", consenting(tcf(value)))) == word


@pytest.mark.parametrize("value", [AGREED[:-1], AGREED[:20], "nonsense!", "x" * 20_000, "Ｃ"])
async def test_a_tc_string_that_cannot_be_read_is_out_and_says_why(
    edge: RunningEdge, value: str
) -> None:
    told = await edge.call("privacy/set-consent", consenting(tcf(value)))

    assert spoken(told) == "out"
    assert told.warnings == [UNREADABLE]
    assert "cannot be read" in told.sent["warnings"][0]["detail"]


# ---- several objects -------------------------------------------------------------

IN, OUT = said("in")["consent"][0], said("out")["consent"][0]


@pytest.mark.parametrize(
    ("objects", "word"),
    [
        ([OUT, IN], "in"),
        ([OUT, adobe(collect="y")], "in"),
        ([IN, adobe(collect="n")], "out"),
        ([tcf(NO_VENDOR), tcf(AGREED)], "in"),
        ([tcf(NO_VENDOR), IN], "out"),
        ([IN, tcf(NO_VENDOR)], "out"),
        ([OUT, tcf(AGREED)], "out"),
        ([IN, tcf(AGREED)], "in"),
        ([adobe(collect="p"), tcf(AGREED)], "pending"),
        ([adobe(share="y"), tcf(AGREED)], "in"),
    ],
)
async def test_of_one_standard_the_last_word_counts_and_of_two_the_one_that_permits_less(
    edge: RunningEdge, objects: list[dict[str, Any]], word: str
) -> None:
    assert spoken(await edge.call("privacy/set-consent", consenting(*objects))) == word


async def test_a_word_on_sharing_is_not_lost_beside_another_object(edge: RunningEdge) -> None:
    told = await edge.call("privacy/set-consent", consenting(adobe(share="n", collect="y"), IN))

    consent = await stored(edge, told)
    assert consent is not None
    assert consent.share == "n"


# ---- withdrawal ------------------------------------------------------------------


async def test_a_withdrawal_leaves_nothing_but_itself_and_an_agreement_begins_anew() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send(body=added_to_basket())
        assert await edge.events(str(first.ecid)) == 1

        told = await browser.send("privacy/set-consent", consenting(OUT))

        kept = await edge.store.load(f"ECID:{first.ecid}")
        assert told.ecid == first.ecid
        assert kept.profile is None
        assert kept.consent is not None
        await browser.send("privacy/set-consent", consenting(IN))
        assert (await browser.send()).audiences == []


async def test_the_answer_to_a_withdrawal_holds_identity_and_cookies_alone() -> None:
    """protocol.md, 5: no identity:exchange, activation:push, personalization:decisions."""
    async with running_edge(definitions()) as edge:
        told = await edge.call("privacy/set-consent", consenting(tcf(NO_VENDOR)))

        types = [handle["type"] for handle in told.sent["handle"]]
        assert types == ["identity:result", "state:store"]
        assert set(told.cookies) == {NAMES.identity, NAMES.mac, NAMES.consent}


async def test_a_browsers_own_refusal_counts_where_the_store_has_no_word_of_it() -> None:
    """The store was restored from before the refusal, say: the cookie is what is left of it."""
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send(body=added_to_basket())
        browser.cookies[NAMES.consent] = "general=out"

        assert nothing_told(await browser.send())

        kept = await held(edge.store, f"ECID:{first.ecid}")
        assert kept == Stored(None, Consent("out", NOON_MS))


@pytest.mark.parametrize("known", [True, False])
async def test_a_word_on_sharing_alone_undoes_no_refusal_that_the_browser_alone_holds(
    known: bool,
) -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        if known:
            await browser.send(body=added_to_basket())
        browser.cookies[NAMES.consent] = "general=out"

        told = await browser.send("privacy/set-consent", consenting(adobe(share="y")))

        consent = await stored(edge, told)
        assert spoken(told) == "out"
        assert consent is not None
        assert (consent.general, consent.share) == ("out", "y")
        assert nothing_told(await browser.send())


# ---- strings on events -------------------------------------------------------------


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_a_negative_string_on_an_event_opts_the_visitor_out_from_that_event_on(
    action: str,
) -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send(body=added_to_basket())

        told = await browser.send(action, with_strings(tc(AGREED), tc(NO_VENDOR)))

        assert nothing_told(told)
        assert spoken(told) == "out"
        kept = await edge.store.load(f"ECID:{first.ecid}")
        assert kept.profile is None
        assert kept.consent is not None
        assert (kept.consent.general, NO_VENDOR in kept.consent.stated) == ("out", True)
        assert nothing_told(await browser.send())


async def test_a_negative_string_of_an_unknown_browser_makes_no_identity() -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=with_strings(tc(NO_VENDOR)))

        assert nothing_told(told)
        assert spoken(told) == "out"
        assert edge.drain.commits == 0


async def test_a_negative_string_on_a_link_that_names_an_ecid_refuses_for_the_device() -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        first = await browser.send(body=added_to_basket())
        named = {"xdm": {"identityMap": {"ECID": [{"id": ECID}]}}}

        assert nothing_told(await browser.send(body={**with_strings(tc(NO_VENDOR)), **named}))

        assert (await edge.store.load(f"ECID:{first.ecid}")).profile is None


@pytest.mark.parametrize(
    "strings",
    [
        tc(AGREED),
        tc(NO_VENDOR, gdprApplies=False),
        {"consentStandard": "IAB USPrivacy", "consentStringValue": "1YYN"},
    ],
)
async def test_a_string_that_refuses_nothing_leaves_the_event_as_it_is(strings: Any) -> None:
    async with running_edge(definitions()) as edge:
        told = await edge.call(body=with_strings(strings))

        assert told.audiences == ["basket"]


@pytest.mark.parametrize(
    "strings",
    [
        [tc(AGREED[:-4])],
        [tc(None)],
        [tc(AGREED, consentStandardVersion="1.1")],
        [tc(AGREED, consentStandardVersion={"2": 0})],
        [tc(AGREED, consentStandardVersion=["2.0"])],
        [tc(AGREED), tc("x")],
        ["x"],
        "x",
        None,
    ],
    ids=str,
)
async def test_a_string_that_cannot_be_read_permits_nothing_now_and_changes_no_choice(
    strings: Any,
) -> None:
    async with running_edge(definitions()) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket())

        told = await browser.send(body=page_view(consentStrings=strings))

        assert told.handles("activation:pull") == []
        assert told.warnings == ["EXEG-0301-200", UNREADABLE]
        assert told.cookies == {}
        assert edge.drain.commits == 1
        assert (await browser.send()).audiences == ["basket"]


@pytest.mark.parametrize("opt_in", [False, True])
async def test_a_positive_string_opts_in_only_where_the_datastream_says_so(opt_in: bool) -> None:
    in_force = definitions(default_consent="pending", consent_strings_opt_in=opt_in)
    async with running_edge(in_force) as edge:
        told = await edge.call(body=with_strings(tc(AGREED)))

        assert nothing_told(told) is not opt_in
        assert edge.drain.commits == (1 if opt_in else 0)


async def test_a_positive_string_never_undoes_a_refusal() -> None:
    async with running_edge(definitions(consent_strings_opt_in=True)) as edge:
        browser = Browser(edge)
        await browser.send("privacy/set-consent", consenting(OUT))

        assert nothing_told(await browser.send(body=with_strings(tc(AGREED))))


@pytest.mark.parametrize(
    "asked", [{"tcf_vendor": 8}, {"tcf_purposes": (1, 7)}], ids=["other vendor", "more purposes"]
)
async def test_one_string_says_to_each_datastream_what_that_one_asks_of_it(
    asked: dict[str, Any],
) -> None:
    streams = definitions().datastreams
    (other,) = (structs.replace(one, id="other", **asked) for one in streams)
    in_force = structs.replace(definitions(), datastreams=(*streams, other))
    async with running_edge(in_force) as edge:
        for _ in range(2):  # what a string says is remembered
            agreed = await edge.call(body=with_strings(tc(AGREED)))
            refused = await edge.call(body=with_strings(tc(AGREED)), config="other")

            assert agreed.audiences == ["basket"]
            assert nothing_told(refused)


async def test_a_string_too_long_to_be_remembered_is_heard_as_any_other() -> None:
    text = tc_string(vendors=range(1, 16_000, 2))
    assert len(text) > MAX_KEPT_CHARS
    async with running_edge(definitions()) as edge:
        assert (await edge.call(body=with_strings(tc(text)))).audiences == ["basket"]


# ---- the browser's signal ----------------------------------------------------------


def ads() -> Definitions:
    """One destination, which is advertising."""
    return definitions(advertising=True)


async def test_a_browser_that_signals_gpc_is_not_told_to_advertising() -> None:
    async with running_edge(ads()) as edge:
        assert (await edge.call(body=added_to_basket())).audiences == ["basket"]
        assert (await edge.call(body=added_to_basket(), headers=GPC)).audiences == []


@pytest.mark.parametrize("value", ["0", "", "true", "1, 1"])
async def test_only_a_1_is_a_signal(value: str) -> None:
    async with running_edge(ads()) as edge:
        told = await edge.call(body=added_to_basket(), headers={"Sec-GPC": value})

        assert told.audiences == ["basket"]


async def test_a_browser_that_signals_gpc_is_told_to_what_is_not_advertising() -> None:
    async with running_edge(definitions()) as edge:
        assert (await edge.call(body=added_to_basket(), headers=GPC)).audiences == ["basket"]


async def test_the_absence_of_the_signal_takes_nothing_back() -> None:
    async with running_edge(ads()) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket(), headers=GPC)

        assert (await browser.send(body=added_to_basket())).audiences == []


async def test_the_signal_beats_an_older_word_and_a_later_word_beats_the_signal() -> None:
    async with running_edge(ads()) as edge:
        browser = Browser(edge)
        shared = consenting(adobe(collect="y", share="y"))
        await browser.send("privacy/set-consent", shared)
        assert (await browser.send(body=added_to_basket())).audiences == ["basket"]

        edge.now_ms += 1
        assert (await browser.send(headers=GPC)).audiences == []

        edge.now_ms += 1
        await browser.send("privacy/set-consent", shared, headers=GPC)
        assert (await browser.send(headers=GPC)).audiences == ["basket"]


async def test_a_word_against_sharing_needs_no_signal() -> None:
    async with running_edge(ads()) as edge:
        browser = Browser(edge)
        await browser.send("privacy/set-consent", consenting(adobe(collect="y", share="n")))

        assert (await browser.send(body=added_to_basket())).audiences == []


async def test_a_link_that_names_an_ecid_undoes_no_word_and_no_signal_against_sharing() -> None:
    async with running_edge(ads()) as edge:
        browser = Browser(edge)
        await browser.send("privacy/set-consent", consenting(adobe(collect="y", share="y")))
        edge.now_ms += 1
        await browser.send(headers=GPC)
        named = {"identityMap": {"ECID": [{"id": ECID}]}}

        told = await browser.send(body=added_to_basket(xdm=named))

        assert (told.ecid, told.audiences) == (ECID, [])


async def test_the_signal_of_those_of_whom_nothing_may_be_kept_is_not_kept() -> None:
    async with running_edge(definitions(default_consent="pending")) as edge:
        await edge.call(body=added_to_basket(), headers=GPC)

        assert edge.drain.commits == 0


async def test_a_cookie_of_an_unknown_browser_is_heard_though_it_signals() -> None:
    async with running_edge(ads()) as edge:
        cookie = cookie_header({NAMES.consent: "general=out"})

        assert nothing_told(await edge.call(cookie=cookie, headers=GPC))
