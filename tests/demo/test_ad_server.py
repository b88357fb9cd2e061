"""The demo's ad server: told key-values alone, it picks a line item and says why."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from demo_site.ad_server.line_items import LINE_ITEMS, choose
from tests.demo.running import Demo

# Widths of a slot on the shop's pages: on a phone of 320 px, and beside the inspector.
SLOT_SIZES = ((288, 184), (348, 184), (908, 172))


def test_the_line_item_with_the_first_priority_of_those_that_fit_is_shown() -> None:
    shown, *others = choose("top", {"aud": ["gold", "basket-hour"], "section": ["tents"]})

    assert shown.item.name == "Locker Six"
    assert shown.sentence == "aud has basket-hour."
    fitting = [verdict.item.name for verdict in others if verdict.fits]
    assert fitting == ["Harbour Bank", "Tarn Supply", "Fell Rescue"]


def test_what_does_not_fit_says_what_was_told_and_what_it_needs() -> None:
    verdicts = {verdict.item.name: verdict for verdict in choose("top", {"aud": ["gold"]})}

    assert verdicts["Little Peaks"].sentence == "aud was gold; needs family."
    assert verdicts["Tarn Supply"].sentence == "section was nothing; needs camp or tents or trips."


def test_a_line_item_of_the_other_slot_is_not_shown() -> None:
    assert choose("bottom", {"aud": ["basket-hour"]})[0].item.name == "Fell Rescue"


def test_told_nothing_it_shows_the_house_s_own() -> None:
    assert choose("top", {})[0].sentence == "It asks for nothing: the house's own."


def test_no_cookie_of_the_shop_reaches_it(browser: Browser, demo: Demo) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request))
    page.goto(demo.shop + "/product/pathfinder", wait_until="load")

    calls = [request for request in asked if "/ad?" in request.url]
    assert len(calls) == 2
    for call in calls:
        headers = call.all_headers()
        assert "cookie" not in headers
        assert "referer" not in headers
    assert len(context.cookies(demo.shop)) >= 2
    assert context.cookies(demo.ads) == []
    context.close()


def test_a_shop_that_was_opened_as_localhost_asks_it_under_another_host(
    browser: Browser, demo: Demo
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.shop.replace("127.0.0.1", "localhost"), wait_until="load")

    frame = page.locator("iframe").first.get_attribute("src") or ""

    assert re.match(r"http://127\.0\.0\.1:\d+/ad\?", frame)
    context.close()


def test_the_slot_on_the_page_shows_the_ad_for_what_the_visitor_looked_at(
    browser: Browser, demo: Demo
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.shop + "/product/pathfinder", wait_until="load")

    advertisement = page.frame_locator("#slot-c iframe")

    assert advertisement.locator("h1").inner_text() == "A second sole for your sneakers"
    assert "aud has sneaker-browser." in advertisement.locator(".picked").inner_text()
    context.close()


def test_its_page_of_reasons_tells_that_no_cookie_came(browser: Browser, demo: Demo) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.ads + "/why?iu=/1/x/top&cust_params=aud%3Dfamily")

    assert page.locator("h1").inner_text() == "Why Little Peaks"
    assert page.locator(".card .chip").inner_text() == "No cookie"
    context.close()


@pytest.mark.parametrize(("width", "height"), SLOT_SIZES)
def test_each_ad_fits_its_slot(browser: Browser, demo: Demo, width: int, height: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    cut = []
    for item in LINE_ITEMS:
        told = "&".join(f"{key}={','.join(sorted(wanted))}" for key, wanted in item.wants.items())
        page.goto(f"{demo.ads}/ad?iu=/1/x/{item.slot or 'bottom'}", wait_until="load")
        page.goto(
            f"{demo.ads}/ad?iu=/1/x/{item.slot or 'bottom'}&cust_params="
            + told.replace("=", "%3D").replace(",", "%2C")
        )
        name = page.locator(".creative .quiet").inner_text()
        if page.evaluate(_CUT):
            cut.append(f"{name} at {width} px")
    context.close()

    assert cut == []


_CUT = """() => {
  const picked = document.querySelector(".picked").getBoundingClientRect();
  const inner = [...document.querySelectorAll(".creative > *, .creative p, .creative h1")];
  return picked.bottom > innerHeight + 0.5
    || inner.some((one) => one.getBoundingClientRect().bottom > picked.top + 0.5);
}"""
