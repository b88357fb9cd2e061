"""The interface check: every page and state, four widths, by day and by night."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.demo.browser import launched, need_axe
from tests.demo.late_site import late_shop
from tests.demo.measure import axe_faults, keyboard_faults, layout_faults
from tests.demo.running import Demo

WIDTHS = {"desk": (1360, 768), "phone": (380, 320)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# The SDK has reported the page, or there is no script on it.
_SCRIPT_IS_DONE = """() => {
  const said = document.getElementById("sdk-said");
  return !said || !said.textContent.includes("has not reported");
}"""

Way = Callable[[Page, Demo], None]


def at(path: str) -> Way:
    """Straight to a page, as a visitor nobody knows."""
    return lambda page, demo: _go(page, demo.shop + path)


def after(*steps: Way) -> Way:
    def walk(page: Page, demo: Demo) -> None:
        for step in steps:
            step(page, demo)

    return walk


def press(button: str, path: str) -> Way:
    """Open a page, press a button in it, and come back to it."""

    def act(page: Page, demo: Demo) -> None:
        _go(page, demo.shop + path)
        page.locator(button).first.click()
        page.wait_for_load_state()

    return act


def signed_in(customer: str, path: str) -> Way:
    return after(press(f'button[name=customer][value="{customer}"]', "/account"), at(path))


def consenting(word: str, path: str) -> Way:
    return after(press(f'button[name=consent][value="{word}"]', "/account"), at(path))


def with_basket(path: str) -> Way:
    def fill(page: Page, demo: Demo) -> None:
        _go(page, demo.shop + "/product/skylark-4")
        page.locator("form[data-event] button").click()
        page.wait_for_function("document.getElementById('basket-link').textContent.includes('(1)')")

    return after(fill, at(path))


def with_alloy(path: str) -> Way:
    return after(press("button[name=sdk][value=alloy]", "/account"), at(path))


def advertisement(query: str) -> Way:
    return lambda page, demo: _go(page, demo.ads + query)


def _go(page: Page, url: str) -> None:
    page.goto(url, wait_until="load")


STATES: dict[str, Way] = {
    "home, first visit": at("/"),
    "no such page, nothing known": at("/lost"),
    "category": at("/shop/trips"),
    "product, banner on the same page": at("/product/pathfinder"),
    "product, gold price": signed_in("nora", "/product/fellwalker"),
    "product, after the basket": with_basket("/product/skylark-2"),
    "magazine, on trial": signed_in("sam", "/magazine"),
    "article, politics": at("/magazine/right-to-roam"),
    "article, live": signed_in("sam", "/magazine/fell-race"),
    "article, behind the wall": at("/magazine/long-way-home"),
    "basket, empty": at("/basket"),
    "basket, filled": with_basket("/basket"),
    "checkout, filled": with_basket("/checkout"),
    "checkout, empty": at("/checkout"),
    "account, nobody": at("/account"),
    "account, many audiences": signed_in("ingrid", "/account"),
    "why not the others": at("/product/cobble?why=asked"),
    "all audiences": signed_in("nora", "/?why=all"),
    "search that finds nothing": at("/?find=zeppelin"),
    "search for one long word": at("/?find=" + "zeppelin" * 20),
    "consent given": consenting("in", "/shop/boots"),
    "consent withdrawn": consenting("out", "/product/pathfinder"),
    "the day after": press('form[action="/visitor/tomorrow"] button', "/product/cobble"),
    "forgotten": press('form[action="/visitor/forget"] button', "/product/cobble"),
    "alloy reports": with_alloy("/product/gravel-runner"),
    "ad, the house's own": advertisement("/ad"),
    "ad, for an audience": advertisement("/ad?iu=/1/x/top&cust_params=aud%3Dbasket-hour%2Cgold"),
    "why this ad": advertisement("/why?iu=/1/x/top&cust_params=aud%3Dgold%26page%3Dproduct"),
}


@pytest.fixture(params=sorted(WIDTHS))
def visitor(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A new browser profile, of a desk or of a phone. CSP is set aside for axe alone."""
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": WIDTHS[request.param][0], "height": 760},
        is_mobile=phone,
        has_touch=phone,
        reduced_motion="reduce",
        bypass_csp=True,
    )
    yield context
    context.close()


@pytest.mark.parametrize("state", STATES)
def test_a_page_can_be_read_and_used_at_every_width_by_day_and_by_night(
    state: str, visitor: BrowserContext, demo: Demo
) -> None:
    page = visitor.new_page()
    STATES[state](page, demo)

    assert _faults(page) == []


def test_what_is_chosen_stands_out_where_the_system_chooses_the_colours(
    browser: Browser, demo: Demo
) -> None:
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    _go(page, demo.shop + "/shop/boots")

    ground = "element => getComputedStyle(element).backgroundColor"
    for name in ("consent", "customer"):
        of = f"button[name={name}][aria-pressed={{}}]"
        chosen = page.locator(of.format("true")).first.evaluate(ground)
        assert chosen != page.locator(of.format("false")).first.evaluate(ground), name
    line = "element => getComputedStyle(element).textDecorationLine"
    assert page.locator(".site-top a[aria-current]").evaluate(line) == "underline"
    context.close()


TWICE = "--blink-settings=defaultFontSize=32,defaultFixedFontSize=26"


def test_on_a_phone_whose_letters_are_set_to_twice_the_size_nothing_is_cut_off_or_covered(
    browser: Browser, demo: Demo
) -> None:
    with launched(browser.browser_type, TWICE) as large:
        page = large.new_page(viewport={"width": 360, "height": 640})
        for state in ("all audiences", "account, many audiences", "why this ad"):
            STATES[state](page, demo)
            page.wait_for_function(_SCRIPT_IS_DONE)

            assert layout_faults(page) + keyboard_faults(page) == [], state


def test_a_page_whose_answer_came_too_late_can_be_read_and_used(
    visitor: BrowserContext, tmp_path: Path
) -> None:
    with late_shop(tmp_path) as shop:
        page = visitor.new_page()
        _go(page, shop + "/product/pathfinder")

        assert "No answer in 50 ms" in page.inner_text("#digest")
        assert _faults(page) == []


def _faults(page: Page) -> list[str]:
    """At the two widths of the device, light and dark."""
    page.wait_for_function(_SCRIPT_IS_DONE)
    page.evaluate(need_axe())
    device = page.viewport_size
    assert device
    widths = next(pair for pair in WIDTHS.values() if pair[0] == device["width"])
    faults = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 760})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            asked = width == widths[0] and scheme == "light"
            found = axe_faults(page, looks_alone=not asked)
            if scheme == "light":
                found += [*layout_faults(page), *keyboard_faults(page)]
            faults += [f"{width} px, {scheme}: {fault}" for fault in found]
    return faults
