"""Script off: the same words, and every form posts and returns."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.demo.running import Demo

PAGES = (
    "/",
    "/shop/sneakers",
    "/product/pathfinder",
    "/magazine",
    "/magazine/right-to-roam",
    "/basket",
    "/checkout",
    "/account",
    "/lost",
)
# What only a script can know, and what passes with time.
_WORDS = """() => {
  const copy = document.querySelector(".demo").cloneNode(true);
  const passing = "#sdk-said, #sdk-time, .time, time, .chip, #i-t, .digest, .reason";
  for (const one of copy.querySelectorAll(passing)) one.remove();
  return copy.textContent.replace(/\\s+/g, " ");
}"""


@pytest.fixture
def scriptless(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(java_script_enabled=False)
    yield context
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_the_same_with_script_and_without(
    browser: Browser, demo: Demo, path: str
) -> None:
    told = []
    for script in (True, False):
        context = browser.new_context(java_script_enabled=script)
        page = context.new_page()
        page.goto(demo.shop + path, wait_until="load")
        if script:
            page.wait_for_function(
                "() => !document.getElementById('sdk-said').textContent.includes('has not')"
            )
        told.append(page.evaluate(_WORDS))
        context.close()

    assert told[0] == told[1]


# The inspector's forms are the same on every page: they are tried on one.
@pytest.mark.parametrize(
    ("path", "forms"),
    [
        ("/product/pathfinder", "main form"),
        ("/basket", "main form"),
        ("/checkout", "main form"),
        ("/account", "form"),
    ],
)
def test_every_form_posts_and_returns_to_a_page(
    scriptless: BrowserContext, demo: Demo, path: str, forms: str
) -> None:
    page = scriptless.new_page()
    _fill_basket(page, demo)
    page.goto(demo.shop + path)
    buttons = page.locator(f"{forms} button").count()

    for number in range(buttons):
        _fill_basket(page, demo)
        page.goto(demo.shop + path)
        button = page.locator(f"{forms} button").nth(number)
        ends = button.inner_text() == "Order, for show"
        with page.expect_navigation() as gone:
            button.click()

        assert gone.value.status == 200
        # An order has an end: the shop window. Everything else comes back to where it was.
        assert urlsplit(page.url).path == ("/" if ends else path)
        assert page.locator("#inspector").is_visible()


def _fill_basket(page: Page, demo: Demo) -> None:
    """Where there is none; a button that was tried may have emptied it."""
    if any(cookie["name"] == "ff_basket" for cookie in page.context.cookies()):
        return
    page.goto(demo.shop + "/product/skylark-2")
    page.locator("form[data-event] button").click()


def test_a_place_and_its_reason_lead_to_each_other(scriptless: BrowserContext, demo: Demo) -> None:
    page = scriptless.new_page()
    page.goto(demo.shop + "/product/pathfinder")

    for letter in "ABCDE":
        there = page.locator(f"#slot-{letter.lower()} > .tag").get_attribute("href")
        assert there == f"#why-{letter.lower()}"
        back = page.locator(f"{there} .letter").get_attribute("href")
        assert back == f"#slot-{letter.lower()}"
