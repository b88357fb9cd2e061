"""With script: the SDK reports the visit, and only what changed is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from tests.demo.browser import need_alloy, problems_of
from tests.demo.running import Demo

SDKS = ("perso.js", "alloy")


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    if request.param == "alloy":
        need_alloy()
    name: str = request.param
    return name


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1360, "height": 800})
    yield context
    context.close()


def opened(visitor: BrowserContext, demo: Demo, path: str, sdk: str) -> Page:
    """A page that the SDK has reported."""
    page = visitor.new_page()
    page.goto(demo.shop + "/account")
    page.locator(f"button[name=sdk][value={'alloy' if sdk == 'alloy' else 'perso'}]").click()
    page.goto(demo.shop + path)
    page.wait_for_function(_REPORTED)
    return page


_REPORTED = "() => !document.getElementById('sdk-said').textContent.includes('has not reported')"


def test_the_visit_that_both_report_counts_once(
    visitor: BrowserContext, demo: Demo, sdk: str
) -> None:
    page = opened(visitor, demo, "/product/pathfinder", sdk)

    event = page.locator("#sent li").first

    assert page.inner_text("#sdk-said").endswith("the same answer.")
    assert "server" in event.inner_text()
    assert sdk in event.inner_text()
    seen = page.locator("#sent h3 span").inner_text()
    page.goto(demo.shop + "/product/pathfinder?why=asked")
    assert page.locator("#sent h3 span").inner_text() == seen
    assert sdk in page.locator("#sent li").first.inner_text()


def test_what_happened_since_the_page_was_made_is_shown_when_the_sdk_hears_of_it(
    visitor: BrowserContext, demo: Demo, sdk: str
) -> None:
    page = opened(visitor, demo, "/", sdk)
    page.route("**/v1/interact?**", lambda route: meanwhile(route))

    def meanwhile(route: Route) -> None:
        """In another tab the visitor fills the basket."""
        form: dict[str, str | float | bool] = {"sku": "SNK-PATH"}
        visitor.request.post(
            demo.shop + "/basket/add", form=form, headers={"Origin": demo.shop}, max_redirects=0
        )
        route.continue_()

    page.goto(demo.shop + "/shop/boots")
    page.wait_for_function("() => document.querySelector('#slot-a.changed')", timeout=9_000)

    assert page.inner_text("#slot-a h2") == "Your basket is still warm"
    assert page.inner_text("#basket-link") == "Basket (1)"
    assert "A, C, E changed." in page.inner_text("#sdk-said")


@pytest.mark.parametrize("width", [1360, 380])
def test_the_basket_changes_the_banner_on_the_same_page_and_nothing_else_moves(
    visitor: BrowserContext, demo: Demo, sdk: str, width: int
) -> None:
    page = opened(visitor, demo, "/product/pathfinder", sdk)
    page.set_viewport_size({"width": width, "height": 800})
    before = page.evaluate(_TOPS)
    went: list[str] = []
    page.on("framenavigated", lambda frame: went.append(frame.url))

    page.locator("form[data-event] button").click()
    page.wait_for_function("() => document.querySelector('#slot-a.changed')")

    assert page.inner_text("#slot-a h2") == "Your basket is still warm"
    assert page.inner_text("#basket-link") == "Basket (1)"
    assert page.evaluate(_TOPS) == before
    assert not any(url.startswith(demo.shop) for url in went)
    changed: list[Any] = page.evaluate(
        "() => [...document.querySelectorAll('.changed')].map((one) => one.dataset.place)"
    )
    assert changed == ["A", "C", "E"]
    assert page.inner_text("#sdk-said").endswith("A, C, E changed.")


# Where the parts of the shop's page stand; the inspector's lists may grow.
_TOPS = """() => [...document.querySelectorAll(".site-main > *, .site-foot")]
  .map((one) => Math.round(one.getBoundingClientRect().top + scrollY))"""


def test_the_form_s_event_is_on_the_list_of_what_was_sent(
    visitor: BrowserContext, demo: Demo, sdk: str
) -> None:
    page = opened(visitor, demo, "/product/pathfinder", sdk)

    page.locator("form[data-event] button").click()
    page.wait_for_function("() => document.querySelector('#slot-a.changed')")

    assert "commerce.productListAdds" in page.locator("#sent li").first.inner_text()


def test_without_consent_the_sdk_sends_nothing_and_says_so(
    visitor: BrowserContext, demo: Demo, sdk: str
) -> None:
    page = opened(visitor, demo, "/account", sdk)
    page.locator("button[name=consent][value=out]").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(demo.shop + "/product/pathfinder")
    page.wait_for_function(_REPORTED)

    assert not any("/v1/interact" in url for url in asked)
    assert "no visit was recorded" in page.inner_text("#sdk-said")


def test_an_edge_that_fails_leaves_the_page_as_the_server_made_it(
    visitor: BrowserContext, demo: Demo, sdk: str
) -> None:
    page = opened(visitor, demo, "/", sdk)
    page.route("**/v1/**", lambda route: route.fulfill(status=500, body="{}"))

    page.goto(demo.shop + "/product/pathfinder")
    page.wait_for_function(
        "() => document.getElementById('sdk-said').textContent.includes('failed')"
    )
    page.locator("form[data-event] button").click()
    page.locator("#said").wait_for(state="visible")

    assert page.inner_text("#slot-a h2") == "Your basket is still warm"
    assert "is in the basket" in page.inner_text("#said")


def test_no_page_complains_in_the_console(visitor: BrowserContext, demo: Demo, sdk: str) -> None:
    page = opened(visitor, demo, "/", sdk)
    problems = problems_of(page)

    for path in ("/", "/product/pathfinder", "/magazine/fell-race", "/account"):
        page.goto(demo.shop + path, wait_until="load")
        page.wait_for_function(_REPORTED)

    assert problems == []
