"""What a rule about the page at hand may ask, though no SDK sends it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from perso_core.edge.page_facts import preferred_language, with_page_facts
from tests.building import definitions
from tests.edge.running import page_view, running_edge

CHROME = "de-CH,de;q=0.9,en;q=0.8"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (CHROME, "de-CH"),
        ("en", "en"),
        ("en;q=0.5, fr ; q = 0.9", "fr"),
        ("fr;q=0.9, en;q=0.9", "fr"),
        ("*", None),
        ("*, it;q=0.3", "it"),
        ("en;q=0", None),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("", None),
        ("en;q=2, de;q=0.1", "de"),
        ("<script>, de", "de"),
        ("a" * 100_000, None),
    ],
)
def test_the_language_that_the_browser_asks_for_first(header: str, language: str | None) -> None:
    assert preferred_language(header) == language


def test_of_a_header_without_end_neither_is_all_read_nor_all_kept() -> None:
    endless = "*" * 600 + ",de"

    assert with_page_facts({}, accept_language=endless) == {}


@pytest.mark.parametrize(
    ("referrer", "kind"),
    [
        ("https://www.google.com/", "search_engine"),
        ("https://www.shop.test/before", "internal"),
        ("https://shop.test/", "internal"),
        ("https://news.example/", "external"),
    ],
)
def test_a_referrer_without_a_type_gets_one(referrer: str, kind: str) -> None:
    event = web(referrer)

    known = with_page_facts(event, accept_language="")

    assert known["web"]["webReferrer"] == {"URL": referrer, "type": kind}
    assert event == web(referrer)


def web(referrer: object) -> dict[str, Any]:
    page = {"URL": "https://www.shop.test:8443/shoes"}
    return {"web": {"webPageDetails": page, "webReferrer": {"URL": referrer}}}


@pytest.mark.parametrize(
    "event",
    [
        {"environment": {"browserDetails": {"acceptLanguage": "fr"}}},
        {"environment": {"type": "application"}},
        {"environment": "browser"},
        {"environment": {"browserDetails": None}},
    ],
)
def test_what_the_sender_said_stays_and_an_app_has_no_browser(event: dict[str, Any]) -> None:
    assert with_page_facts(event, accept_language=CHROME) is event


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"web": []},
        {"web": {"webReferrer": "x"}},
        {"web": {"webReferrer": {"URL": "https://a.test/", "type": "email"}}},
        web(""),
        web(7),
        web("https://[::"),
        {"web": {"webReferrer": {"URL": "https://["}, "webPageDetails": {"URL": "https://["}}},
    ],
)
def test_nothing_is_made_up_where_there_is_no_referrer_to_read(event: dict[str, Any]) -> None:
    assert with_page_facts(event, accept_language="") is event


@pytest.mark.parametrize("begin", ["https://a", "//", "https://news.example\N{COMBINING CEDILLA}"])
def test_of_a_host_without_end_nothing_is_put_in_order(begin: str) -> None:
    endless = begin + "\N{COMBINING GREEK YPOGEGRAMMENI}\N{COMBINING CEDILLA}" * 15_000
    page = {"webPageDetails": {"URL": endless}, "webReferrer": {"URL": endless + "/"}}
    began_s = time.process_time()

    known = with_page_facts({"web": page}, accept_language="")

    assert time.process_time() - began_s < 0.2
    assert known == {"web": page}


def test_an_address_may_be_long_behind_its_host() -> None:
    referrer = "https://www.google.com/?q=" + "\N{COMBINING CEDILLA}" * 30_000

    known = with_page_facts(web(referrer), accept_language="")

    assert known["web"]["webReferrer"]["type"] == "search_engine"


RULE = "CHAIN(xEvent, timestamp, [C0: WHAT({}) WHEN(<= 1 hour before now)])"
SPEAKS_GERMAN = RULE.format('environment.browserDetails.acceptLanguage.startsWith("de", false)')
FROM_SEARCH = RULE.format('web.webReferrer.type.equals("search_engine", false)')
SEES_SNEAKER = RULE.format('productListItems.exists(SKU.startsWith("SNK-", false))')


async def test_the_answer_to_a_page_knows_its_language_its_referrer_and_its_product() -> None:
    rules = {"german": SPEAKS_GERMAN, "search": FROM_SEARCH, "sneaker": SEES_SNEAKER}
    seen = page_view(
        **web("https://www.ecosia.org/"), productListItems=[{"SKU": "SNK-PATH", "quantity": 1}]
    )

    async with running_edge(definitions(rules)) as edge:
        told = await edge.call(body=seen, headers={"Accept-Language": CHROME})
        other = await edge.call(body=page_view(), headers={"Accept-Language": "en-GB"})

    assert sorted(told.audiences) == ["german", "search", "sneaker"]
    assert other.audiences == []


async def test_a_retry_in_another_language_is_still_the_same_event() -> None:
    async with running_edge(definitions({"german": SPEAKS_GERMAN})) as edge:
        first = await edge.call(request_id="r", headers={"Accept-Language": "en"})
        cookie = "; ".join(f"{name}={value}" for name, value in first.cookies.items())
        await edge.call(request_id="r", cookie=cookie, headers={"Accept-Language": "de"})

        assert first.ecid is not None
        assert await edge.events(first.ecid) == 1
