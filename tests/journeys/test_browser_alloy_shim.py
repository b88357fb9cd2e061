"""The shim for the releases of Adobe's Web SDK that drop the destinations from their result.

tests/journeys/test_browser_alloy.py runs all of its tests on 2.33.1 with the shim; here is what is
the shim's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.demo.browser import ALLOY_2_33_JS, ALLOY_JS, chromium, need_alloy
from tests.journeys.served import ALIASES, ORG, edge_and_pages, self_signed, served

HOST = "www.shop.test"
SHIM = "/ee/alloy-destinations-shim.js"
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Opens a new visitor's page with these scripts, alloy configured."""
    directory = tmp_path_factory.mktemp("shim")
    pages = edge_and_pages(directory, need_alloy(ALLOY_2_33_JS), origins=[])
    with (
        served(pages, tls=self_signed(directory, HOST)) as port,
        chromium(f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}") as browser,
    ):

        def open_page(*scripts: str, alloy: Path = ALLOY_2_33_JS) -> Page:
            page = browser.new_context(ignore_https_errors=True).new_page()
            page.route("**/alloy.js", lambda route: route.fulfill(path=need_alloy(alloy)))
            page.goto(f"https://{HOST}/bare")
            for script in scripts:
                page.add_script_tag(url=script)
            configured = {
                "datastreamId": "demo",
                "orgId": ORG,
                "edgeDomain": HOST,
                "thirdPartyCookiesEnabled": False,
            }
            page.evaluate("config => { alloy('configure', config); }", configured)
            return page

        yield open_page


def sent(page: Page, options: object = None) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(
        "options => alloy('sendEvent', options)", options if options is not None else {}
    )
    return result


def test_without_it_the_destinations_are_lost(opened: Opened) -> None:
    """When this fails the shim is needed no more."""
    assert "destinations" not in sent(opened("/alloy.js"))


@pytest.mark.parametrize("scripts", [(SHIM, "/alloy.js"), ("/alloy.js", SHIM)])
def test_it_may_be_loaded_before_or_after_the_sdk(opened: Opened, scripts: tuple[str, str]) -> None:
    page = opened(*scripts)

    assert [entry["alias"] for entry in sent(page)["destinations"]] == ALIASES


def test_a_release_that_keeps_the_destinations_stays_as_it_is(opened: Opened) -> None:
    page = opened(SHIM, "/alloy.js", alloy=ALLOY_JS)

    assert [entry["alias"] for entry in sent(page)["destinations"]] == ALIASES


def test_an_answer_to_a_click_is_not_taken_for_the_next_event_s(opened: Opened) -> None:
    page = opened(SHIM, "/alloy.js")
    sent(page)
    page.evaluate(
        """() => {
          document.body.innerHTML = '<a id="out" href="https://elsewhere.test/a.zip">Out</a>';
          document.addEventListener('click', (event) => event.preventDefault());
        }"""
    )
    # The SDK reports a click on a link by itself, and nobody waits for the answer.
    with page.expect_request("**/v1/*"):
        page.click("#out")

    assert [entry["alias"] for entry in sent(page)["destinations"]] == ALIASES


def test_an_event_that_fails_leaves_nothing_to_the_next_one(opened: Opened) -> None:
    page = opened(SHIM, "/alloy.js")
    sent(page)

    message = page.evaluate(
        """() => alloy('sendEvent', { edgeConfigOverrides: { datastreamId: 'nowhere' } })
          .then(() => 'resolved', (error) => error.message)"""
    )

    assert "nowhere" in message
    assert [entry["alias"] for entry in sent(page)["destinations"]] == ALIASES


def test_two_events_of_a_page_that_closes_resolve_like_one(opened: Opened) -> None:
    page = opened(SHIM, "/alloy.js")
    sent(page)

    results = page.evaluate(
        """() => Promise.all([1, 2].map(() =>
          alloy('sendEvent', { documentUnloading: true })))"""
    )

    assert [result["destinations"] for result in results] == [[], []]
