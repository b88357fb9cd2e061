"""What the demo's pages do for their visitor: same page, next page, next day."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.demo.running import Demo, demo, stop
from tests.demo.shopper import (
    Shopper,
    banner,
    counts,
    digest,
    first_article,
    offer,
    said,
    tags,
)

DEFAULT_BANNER = "Pitch it before you buy it"
SNEAKERS = "Sneakers that pass the last tram"
WARM_BASKET = "Your basket is still warm"


async def test_the_first_html_of_a_first_visit_has_the_banner_for_what_it_shows(
    demo: Demo,
) -> None:
    async with Shopper(demo.shop) as shopper:
        page = await shopper.open("/product/pathfinder")

    assert banner(page) == SNEAKERS
    assert "Sneaker browser" in page
    assert "got 1 audience in" in digest(page)


async def test_the_next_page_shows_what_the_last_one_qualified_for(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        assert banner(await shopper.open("/")) == DEFAULT_BANNER
        await shopper.open("/product/cobble")
        assert banner(await shopper.open("/")) == SNEAKERS
        await shopper.post("/basket/add", {"sku": "SNK-COBB"})
        assert banner(await shopper.open("/shop/tents")) == WARM_BASKET


async def test_tomorrow_after_a_restart_the_visitor_is_in_what_still_holds_and_out_of_the_rest(
    tmp_path: Path,
) -> None:
    with demo(tmp_path) as before:
        async with Shopper(before.shop) as shopper:
            await shopper.open("/product/pathfinder")
            await shopper.post("/basket/add", {"sku": "SNK-PATH"})
            await shopper.post("/visitor/sign-in", {"customer": "nora"})
            assert banner(await shopper.open("/")) == WARM_BASKET
            await shopper.post("/visitor/tomorrow")
            assert stop(before.process) == 0

            with demo(tmp_path) as after:
                shopper.shop = after.shop
                page = await shopper.open("/?why=all")

    assert banner(page) == "Gold evening, this Thursday"
    assert "day 2 of this visitor" in page


async def test_the_clock_moves_for_good_and_the_page_says_so(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        async with Shopper(running.shop) as shopper:
            page = await shopper.open("/account")
            _, moved = await shopper.post("/visitor/tomorrow")

    assert said(moved).startswith("It is now ")
    assert _day(moved) != _day(page)


def _day(page: str) -> str:
    found = re.search(r'In the demo it is <time datetime="(.{10})', page)
    assert found
    return found[1]


async def test_an_article_moves_its_desk_to_the_top_of_the_list(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        assert first_article(await shopper.open("/")) == "Condensation is not a leak"
        await shopper.open("/magazine/right-to-roam")
        assert first_article(await shopper.open("/")) == "Who owns the path?"


@pytest.mark.parametrize(
    ("customer", "heading", "audiences"),
    [
        ("nora", "Gold evening, this Thursday", ["Gold or above", "Birthday month", "Elite flyer"]),
        ("sam", "Your trial ends this week", ["Trial ends this week", "Young commuter"]),
        ("ingrid", "You leave in two days", ["Family", "Departs within two days", "Lapsed buyer"]),
    ],
)
async def test_a_customer_who_signs_in_brings_what_the_shop_knows(
    demo: Demo, customer: str, heading: str, audiences: list[str]
) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/account")
        await shopper.post("/visitor/sign-in", {"customer": customer})
        page = await shopper.open("/account")

    assert banner(page) == heading
    assert [name for name in audiences if f"<span>{name}</span>" not in page] == []


async def test_who_signs_out_takes_the_shop_s_attributes_away_again(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/account")
        await shopper.post("/visitor/sign-in", {"customer": "ingrid"})
        await shopper.post("/visitor/sign-in", {"customer": "nora"})
        as_nora = counts(await shopper.open("/account"))
        await shopper.post("/visitor/sign-in", {"customer": ""})
        page = await shopper.open("/account")

    assert as_nora.split()[0] not in ("0", counts(page).split()[0])
    assert counts(page).startswith("0 in")
    assert banner(page) == DEFAULT_BANNER


async def test_a_gold_member_pays_a_tenth_less(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        assert "Gold price" not in await shopper.open("/product/fellwalker")
        await shopper.post("/visitor/sign-in", {"customer": "nora"})
        page = await shopper.open("/product/fellwalker")

    assert "€ 197" in page
    assert offer(page) == "Gold: a tenth off everything"


async def test_who_wants_no_marketing_is_shown_no_offer(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/account")
        await shopper.post("/visitor/sign-in", {"customer": "ingrid"})

        assert offer(await shopper.open("/shop/boots")) == "No offers, as you asked"


async def test_after_consent_is_withdrawn_every_place_shows_its_default_and_says_why(
    demo: Demo,
) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/product/pathfinder")
        await shopper.post("/visitor/consent", {"consent": "out"})
        page = await shopper.open("/product/pathfinder")

    assert banner(page) == DEFAULT_BANNER
    assert "Banner: no consent, the default" in tags(page)
    assert digest(page).startswith("No consent")
    assert "aud" not in _told(page)


async def test_consent_that_is_given_again_counts_from_then_on(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/product/pathfinder")
        await shopper.post("/visitor/consent", {"consent": "out"})
        await shopper.post("/visitor/consent", {"consent": "in"})

        assert banner(await shopper.open("/product/cobble")) == SNEAKERS


async def test_who_is_forgotten_is_new(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/product/pathfinder")
        await shopper.post("/basket/add", {"sku": "SNK-PATH"})
        _, answer = await shopper.post("/visitor/forget")
        page = await shopper.open("/")

    assert said(answer).startswith("Forgotten: the profile, its events")
    assert banner(page) == DEFAULT_BANNER
    assert "Basket (0)" in page


async def test_a_page_that_is_not_there_is_said_in_the_shop_s_own_words(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        answer = await shopper.get("/product/zeppelin")
        page = await shopper.open("/product/zeppelin")

    assert answer.status == 404
    assert "No page here" in page
    assert "Article order: no audience yet" in tags(page)


async def test_a_page_is_the_visitor_s_own_and_nothing_in_it_comes_from_elsewhere(
    demo: Demo,
) -> None:
    async with Shopper(demo.shop) as shopper:
        answer = await shopper.get("/product/pathfinder")

    assert answer.headers["Cache-Control"] == "private, no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://other.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_from_another_site_s_page_changes_nothing(
    demo: Demo, headers: dict[str, str]
) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/product/pathfinder")
        status, told = await shopper.post("/visitor/forget", headers=headers)
        page = await shopper.open("/")

    assert status == 403
    assert "nothing was changed" in told
    assert banner(page) == SNEAKERS


async def test_unfolding_the_reasons_is_not_another_visit(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        await shopper.open("/product/pathfinder")
        await shopper.open("/product/pathfinder?why=all")
        page = await shopper.open("/?find=basket")

    assert "1 this visit" in page


async def test_all_audiences_can_be_searched(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        page = await shopper.open("/?find=travel+elite")

    assert "1 of 40 match" in page
    assert "<span>Elite flyer</span>" in page


def _told(page: str) -> dict[str, str]:
    """Key -> values sent to the ad server, as the inspector lists them."""
    part = page[page.index('id="told"') : page.index('id="sent"')]
    return dict(
        re.findall(r'<div><dt><code>(\w+)</code></dt><dd><span class="v mono">(.*?)<', part)
    )


async def test_the_inspector_lists_what_the_ad_server_was_told_and_what_not_and_why(
    demo: Demo,
) -> None:
    async with Shopper(demo.shop) as shopper:
        page = await shopper.open("/product/pathfinder")

    assert _told(page) == {
        "aud": "sneaker-browser",
        "page": "product",
        "section": "sneakers",
        "sku": "snk-path",
    }
    assert "Dropped. The value is not 1 to 40 of" in page


async def test_a_referrer_cannot_send_a_form_s_answer_to_another_site(demo: Demo) -> None:
    async with Shopper(demo.shop) as shopper:
        host = demo.shop.removeprefix("http://")
        for referrer in ("http://other.example/x", f"http://{host}//other.example/x"):
            status, page = await shopper.post(
                "/visitor/sdk",
                {"sdk": "perso"},
                headers={"Origin": demo.shop, "Referer": referrer, "Accept": "text/html"},
            )
            assert status in (200, 404)
            assert "Fell &amp; Ford" in page


async def test_whose_browser_asks_that_nothing_be_shared_is_told_to_no_ad_server(
    demo: Demo,
) -> None:
    async with Shopper(demo.shop) as shopper:
        page = await shopper.open("/product/pathfinder", {"Sec-GPC": "1"})

    assert banner(page) == SNEAKERS
    assert "aud%3D" not in page
    assert "Global Privacy Control" in page
