"""The page that shows the edge's OpenAPI document, in a browser."""

from __future__ import annotations

import msgspec
import pytest
from playwright.sync_api import Browser

from perso_core.edge.openapi import document
from tests.demo.browser import need_axe, problems_of
from tests.demo.measure import axe_faults, keyboard_faults
from tests.demo.running import Demo


@pytest.mark.parametrize("width", [1280, 390])
def test_every_call_of_the_document_stands_on_its_page(
    width: int, browser: Browser, demo: Demo
) -> None:
    calls = {
        one["summary"]
        for call in msgspec.json.decode(document())["paths"].values()
        for one in call.values()
        if "parameters" in one  # else it is a file
    }
    context = browser.new_context(viewport={"width": width, "height": 800}, bypass_csp=True)
    page = context.new_page()
    problems = problems_of(page)
    page.goto(demo.shop + "/ee/openapi", wait_until="networkidle")

    assert "could not be read" not in page.locator("#about").inner_text()
    assert set(page.locator("article h2").all_inner_texts()) == calls
    assert page.locator("nav a").count() == len(calls)
    assert page.locator("article pre").count() >= len(calls) - 1  # health has no body
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(need_axe())
    assert axe_faults(page) + keyboard_faults(page) == []
    assert problems == []
    context.close()


def test_the_address_of_a_call_leads_to_it(browser: Browser, demo: Demo) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(demo.shop + "/ee/openapi#importAudience", wait_until="networkidle")

    top = page.evaluate("document.getElementById('importAudience').getBoundingClientRect().top")
    assert abs(top) < 5
    page.close()


def test_tab_goes_on_from_the_call_that_the_address_leads_to(browser: Browser, demo: Demo) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(demo.shop + "/ee/openapi#setConsent", wait_until="networkidle")

    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('article')?.id") == "setConsent"
    page.close()


def test_without_script_the_page_says_where_the_document_is(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(demo.shop + "/ee/openapi")

    assert "Reading" not in page.locator("body").inner_text()
    assert page.locator("main").count() == 1
    page.locator("a").click()
    assert page.url.endswith("/ee/openapi.json")
    context.close()
