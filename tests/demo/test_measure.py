"""The interface check finds what it is for: each fault, planted, is reported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.demo.browser import need_axe
from tests.demo.measure import axe_faults, keyboard_faults, layout_faults

_PAGE = """<!doctype html><html lang="en"><head><title>A page</title>
<style>body { font: 15px/1.5 sans-serif } a:focus-visible, button:focus-visible {
outline: 2px solid #06c }</style></head>
<body><main><h1>A page</h1><p>Some text, long enough to be a paragraph.</p>%s</main></body>"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 380, "height": 760})
    yield context.new_page()
    context.close()


def test_a_page_without_fault_is_clean(page: Page) -> None:
    page.set_content(_PAGE % '<p><button style="height: 44px">Go</button></p>')
    page.evaluate(need_axe())

    assert [*axe_faults(page), *layout_faults(page), *keyboard_faults(page)] == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ('<p style="width: 2em">Words broken by letters</p>', "a column of 30 px"),
        ('<p style="font-size: 12px">Small print</p>', "text of 12 px"),
        ('<button style="height: 20px">Go</button>', "a target of 20 px"),
        ('<button style="height: 30px">Go</button>', "a button of 30 px"),
        ('<div style="width: 900px">Wide</div>', "the page scrolls sideways: "),
    ],
)
def test_a_planted_fault_of_layout_is_found(page: Page, planted: str, found: str) -> None:
    page.set_content(_PAGE % f'<div class="site-main">{planted}</div>')

    assert any(fault.startswith(found) for fault in layout_faults(page))


@pytest.mark.parametrize("looks_alone", [False, True])
def test_faint_text_is_found_by_day_and_by_night(page: Page, looks_alone: bool) -> None:
    page.set_content(_PAGE % '<p style="color: #aaa">Faint</p>')
    page.evaluate(need_axe())

    assert axe_faults(page, looks_alone=looks_alone)[0].startswith("axe color-contrast")


def test_an_image_without_words_is_found(page: Page) -> None:
    page.set_content(_PAGE % '<img src="data:,">')
    page.evaluate(need_axe())

    assert any(fault.startswith("axe image-alt") for fault in axe_faults(page))


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ('<a href="#x" style="outline: none">A link</a>', "no ring on A A link"),
        ('<a href="#x" style="position: fixed; top: -90px">Up</a>', "off the screen: A Up"),
        ('<a href="#x" tabindex="-1">Never</a>', "Tab reached 0 of 1 controls"),
    ],
)
def test_a_planted_fault_of_the_keyboard_is_found(page: Page, planted: str, found: str) -> None:
    page.set_content(_PAGE % planted)

    assert keyboard_faults(page) == [found]
