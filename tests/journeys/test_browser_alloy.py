"""The unmodified Adobe Web SDK in a real browser, over TLS, against our edge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.demo.browser import chromium, need_alloy
from tests.journeys.served import (
    ALIASES,
    ORG,
    SNEAKER_BROWSER,
    edge_and_pages,
    self_signed,
    served,
)

PAGE_HOST = "www.shop.test"
# The edge on the page's own domain, and on one that the browser takes for a third party's.
EDGES = {"first party": "edge.shop.test", "third party": "edge.perso-cloud.test"}
# Of @adobe/alloy 2.32.0 as npm delivers it: dist/alloy.min.js.
ALLOY_SHA256 = "e67f918531cb5cb5912e2f3b4b77eddc7d2482ae381c6614b938c46f239b6cdb"

SNEAKER_VIEW = {
    "eventType": "commerce.productViews",
    "productListItems": [{"SKU": "SNK-PATH", "name": "Pathfinder sneaker"}],
}


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Opens new browser profiles on the served site."""
    alloy = need_alloy()
    directory = tmp_path_factory.mktemp("alloy")
    tls = self_signed(directory, PAGE_HOST, *EDGES.values())
    opened = edge_and_pages(directory, alloy, origins=[f"https://{PAGE_HOST}"])
    with served(opened, tls=tls) as port:
        rules = ",".join(
            f"MAP {host}:443 127.0.0.1:{port}" for host in (PAGE_HOST, *EDGES.values())
        )
        with chromium(f"--host-resolver-rules={rules}") as browser:
            yield lambda: browser.new_context(ignore_https_errors=True)


@pytest.fixture
def visitor(visitors: Any) -> Iterator[BrowserContext]:
    context = visitors()
    yield context
    context.close()


@pytest.fixture(params=sorted(EDGES))
def edge(request: pytest.FixtureRequest) -> str:
    return EDGES[request.param]


def configured(page: Page, path: str, edge: str, **more: object) -> Page:
    """A page of the site on which alloy has read its configuration."""
    page.goto(f"https://{PAGE_HOST}{path}")
    config = {
        "datastreamId": "demo",
        "orgId": ORG,
        "edgeDomain": edge,
        "thirdPartyCookiesEnabled": False,
        **more,
    }
    page.evaluate("config => alloy('configure', config)", config)
    return page


def send(page: Page, xdm: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate("xdm => alloy('sendEvent', { xdm })", xdm)
    return result


def identity(page: Page) -> str:
    ecid: str = page.evaluate("() => alloy('getIdentity').then((found) => found.identity.ECID)")
    return ecid


def test_the_file_is_the_one_that_npm_delivers() -> None:
    assert hashlib.sha256(need_alloy().read_bytes()).hexdigest() == ALLOY_SHA256


def test_the_page_is_served_that_file_byte_for_byte(visitor: BrowserContext) -> None:
    answer = visitor.new_page().goto(f"https://{PAGE_HOST}/sdk.js")

    assert answer is not None
    assert answer.body() == need_alloy().read_bytes()


def test_an_event_resolves_with_one_entry_per_alias(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge)

    result = send(page, SNEAKER_VIEW)

    assert [entry["alias"] for entry in result["destinations"]] == ALIASES
    assert {entry["type"] for entry in result["destinations"]} == {"profileLookup"}
    assert len({entry["destinationId"] for entry in result["destinations"]}) == len(ALIASES)
    told = {
        entry["alias"]: [one["id"] for one in entry["segments"]] for entry in result["destinations"]
    }
    assert told == {
        "personalizationAlias": [SNEAKER_BROWSER],
        "adServerAlias": [SNEAKER_BROWSER],
        "crmAlias": [],
    }


def test_a_browser_is_never_told_attributes(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge)

    result = send(page, SNEAKER_VIEW)

    assert not any("attributes" in entry for entry in result["destinations"])


def test_page_two_is_the_same_visitor_who_saw_the_sneaker_on_page_one(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)
    first = identity(page)

    configured(page, "/two", edge)
    result = send(page, {"eventType": "web.webpagedetails.pageViews"})

    assert identity(page) == first
    assert [one["id"] for one in result["destinations"][0]["segments"]] == [SNEAKER_BROWSER]


def test_another_browser_is_another_visitor(visitors: Any, visitor: BrowserContext) -> None:
    edge = EDGES["first party"]
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)
    other = visitors()

    stranger = configured(other.new_page(), "/", edge)
    result = send(stranger, {"eventType": "web.webpagedetails.pageViews"})

    assert identity(stranger) != identity(page)
    assert all(entry["segments"] == [] for entry in result["destinations"])
    other.close()


def test_three_events_at_once_from_a_new_visitor_are_one_visitor(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)

    results = page.evaluate(
        "xdm => Promise.all([1, 2, 3].map(() => alloy('sendEvent', { xdm })))", SNEAKER_VIEW
    )

    assert all(result["destinations"][0]["segments"] for result in results)
    assert len([one for one in visitor.cookies() if one["name"].endswith("_identity")]) == 1


def test_after_consent_is_withdrawn_an_event_tells_nothing_and_gets_nothing(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)

    page.evaluate("choice => alloy('setConsent', { consent: [choice] })", choice("out"))

    assert send(page, SNEAKER_VIEW) == {}
    configured(page, "/two", edge)
    assert send(page, SNEAKER_VIEW) == {}


def test_consent_that_is_given_releases_the_events_that_waited(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge, defaultConsent="pending")

    result = page.evaluate(
        """([xdm, choice]) => {
          const waiting = alloy('sendEvent', { xdm });
          return alloy('setConsent', { consent: [choice] }).then(() => waiting);
        }""",
        [SNEAKER_VIEW, choice("in")],
    )

    assert [one["id"] for one in result["destinations"][0]["segments"]] == [SNEAKER_BROWSER]


def test_an_unknown_datastream_rejects_with_the_reason(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge, datastreamId="nowhere")

    message = page.evaluate(
        "() => alloy('sendEvent', {}).then(() => 'resolved', (error) => error.message)"
    )

    assert "EXEG-0003-400" in message


def choice(general: str) -> dict[str, Any]:
    return {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
