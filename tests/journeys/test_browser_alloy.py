"""The unmodified Adobe Web SDK in a real browser, over TLS, against our edge.

2.32.0 as it is, and 2.33.1, which drops the destinations, with our shim beside it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.decision.test_tcf import AGREED, NO_VENDOR
from tests.demo.browser import ALLOY_2_33_JS, ALLOY_JS, chromium, need_alloy
from tests.journeys.busy import busy_edge
from tests.journeys.served import (
    ALIASES,
    ORG,
    PERSO_PAGE,
    SNEAKER_BROWSER,
    edge_and_pages,
    self_signed,
    served,
)

PAGE_HOST = "www.shop.test"
BLOG_HOST = "blog.shop.test"  # of the same site
OTHER_HOST = "www.magazine.test"  # of another one
# The edge on the page's own domain, and on one that the browser takes for a third party's.
EDGES = {"first party": "edge.shop.test", "third party": "edge.perso-cloud.test"}
HOSTS = (PAGE_HOST, BLOG_HOST, OTHER_HOST, *EDGES.values())
SHIM = "/ee/alloy-destinations-shim.js"


class Sdk(NamedTuple):
    """sha256: of dist/alloy.min.js as npm delivers it."""

    path: Path
    sha256: str
    scripts: tuple[str, ...]


SDKS = {
    "2.32.0": Sdk(
        ALLOY_JS,
        "e67f918531cb5cb5912e2f3b4b77eddc7d2482ae381c6614b938c46f239b6cdb",
        ("/sdk.js",),
    ),
    "2.33.1 and the shim": Sdk(
        ALLOY_2_33_JS,
        "a730086a980d206cb09b191f17837dc73231c41712bd2b6fc1bed20297913c5c",
        (SHIM, "/sdk.js"),
    ),
}

SNEAKER_VIEW = {
    "eventType": "commerce.productViews",
    "productListItems": [{"SKU": "SNK-PATH", "name": "Pathfinder sneaker"}],
}


PAGE_VIEW = {"eventType": "web.webpagedetails.pageViews"}
NO_DESTINATIONS = {
    "com_adobe_experience_platform": {"com_adobe_edge_destinations": {"enabled": False}}
}


@pytest.fixture(scope="module", params=sorted(SDKS))
def sdk(request: pytest.FixtureRequest) -> Sdk:
    found = SDKS[request.param]
    need_alloy(found.path)
    return found


@pytest.fixture(scope="module")
def visitors(sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Opens new browser profiles on the served sites."""
    directory = tmp_path_factory.mktemp("alloy")
    tls = self_signed(directory, *HOSTS)
    origins = [f"https://{host}" for host in (PAGE_HOST, BLOG_HOST, OTHER_HOST)]
    opened = edge_and_pages(directory, sdk.path, origins=origins, scripts=sdk.scripts)
    with served(opened, tls=tls) as port:
        rules = ",".join(f"MAP {host}:443 127.0.0.1:{port}" for host in HOSTS)
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


def configured(page: Page, path: str, edge: str, *, host: str = PAGE_HOST, **more: object) -> Page:
    """A page of the site on which the SDK has read its configuration."""
    page.goto(f"https://{host}{path}")
    config = {
        "datastreamId": "demo",
        "orgId": ORG,
        "edgeDomain": edge,
        "thirdPartyCookiesEnabled": False,
        **more,
    }
    run(page, "configure", config)
    return page


def run(page: Page, command: str, options: object) -> Any:
    """On whichever SDK the page has."""
    return page.evaluate("words => (window.perso || window.alloy)(...words)", [command, options])


def send(page: Page, xdm: dict[str, Any], **more: object) -> dict[str, Any]:
    result: dict[str, Any] = run(page, "sendEvent", {"xdm": xdm, **more})
    return result


def identity(page: Page) -> str:
    ecid: str = run(page, "getIdentity", {})["identity"]["ECID"]
    return ecid


def audiences(result: dict[str, Any]) -> list[str]:
    """Of the first destination."""
    return [one["id"] for one in result["destinations"][0]["segments"]]


def asked_by(page: Page) -> list[str]:
    """Filled with the edge's addresses that the page asks, from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    return asked


def test_the_file_is_the_one_that_npm_delivers(sdk: Sdk) -> None:
    assert hashlib.sha256(sdk.path.read_bytes()).hexdigest() == sdk.sha256


def test_the_page_is_served_that_file_byte_for_byte(sdk: Sdk, visitor: BrowserContext) -> None:
    answer = visitor.new_page().goto(f"https://{PAGE_HOST}/sdk.js")

    assert answer is not None
    assert answer.body() == sdk.path.read_bytes()


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
    result = send(page, PAGE_VIEW)

    assert identity(page) == first
    assert audiences(result) == [SNEAKER_BROWSER]


def test_a_second_tab_is_the_same_visitor(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)

    tab = configured(visitor.new_page(), "/two", edge)

    assert audiences(send(tab, PAGE_VIEW)) == [SNEAKER_BROWSER]
    assert identity(tab) == identity(page)


def test_the_site_s_blog_on_its_own_host_knows_the_shop_s_visitor(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)
    first = identity(page)

    configured(page, "/", edge, host=BLOG_HOST)

    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]
    assert identity(page) == first


def test_an_edge_on_the_page_s_own_host_serves_it_too(visitor: BrowserContext) -> None:
    page = configured(visitor.new_page(), "/", PAGE_HOST)
    send(page, SNEAKER_VIEW)

    configured(page, "/two", PAGE_HOST)

    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]


def test_another_browser_is_another_visitor(visitors: Any, visitor: BrowserContext) -> None:
    edge = EDGES["first party"]
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)
    other = visitors()

    stranger = configured(other.new_page(), "/", edge)
    result = send(stranger, PAGE_VIEW)

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

    assert audiences(result) == [SNEAKER_BROWSER]


def test_until_the_visitor_has_chosen_nothing_leaves_the_page(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge, defaultConsent="pending")
    asked = asked_by(page)

    page.evaluate("xdm => { window.waiting = alloy('sendEvent', { xdm }); }", SNEAKER_VIEW)
    page.wait_for_timeout(300)
    before = list(asked)
    run(page, "setConsent", {"consent": [choice("out")]})

    assert before == []
    assert page.evaluate("() => window.waiting") == {}
    assert [url for url in asked if "set-consent" not in url] == []


def test_a_site_that_asks_first_tells_nothing_until_the_visitor_agrees(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge, defaultConsent="out")
    asked = asked_by(page)

    assert send(page, SNEAKER_VIEW) == {}
    assert asked == []
    run(page, "setConsent", {"consent": [choice("in")]})
    assert audiences(send(page, SNEAKER_VIEW)) == [SNEAKER_BROWSER]

    configured(page, "/two", edge, defaultConsent="out")
    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]


def test_one_event_may_ask_for_no_destinations(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge)

    without = send(page, SNEAKER_VIEW, edgeConfigOverrides=NO_DESTINATIONS)

    assert without["destinations"] == []
    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]


def test_each_of_several_events_at_once_gets_its_own_destinations(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)

    results = page.evaluate(
        """([xdm, none]) => Promise.all([1, 2, 3, 4, 5, 6].map((number) =>
          alloy('sendEvent', number % 2 ? { xdm } : { xdm, edgeConfigOverrides: none })))""",
        [PAGE_VIEW, NO_DESTINATIONS],
    )

    counts = [len(result["destinations"]) for result in results]
    assert counts == [len(ALIASES), 0] * 3


def test_a_page_may_send_an_event_to_another_datastream(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge)

    message = page.evaluate(
        """() => alloy('sendEvent', { edgeConfigOverrides: { datastreamId: 'nowhere' } })
          .then(() => 'resolved', (error) => error.message)"""
    )

    assert "The datastream 'nowhere' does not exist." in message


def test_what_a_visitor_does_while_leaving_counts_on_the_next_page(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, PAGE_VIEW)
    page.evaluate(
        """xdm => addEventListener('pagehide', () =>
          alloy('sendEvent', { xdm, documentUnloading: true }))""",
        SNEAKER_VIEW,
    )

    configured(page, "/two", edge)

    # Nobody hears when a beacon has arrived: page two asks until it has.
    page.wait_for_function(
        """id => alloy('sendEvent', { xdm: { eventType: 'web.webpagedetails.pageViews' } })
          .then(({ destinations }) => destinations[0].segments.some((one) => one.id === id))""",
        arg=SNEAKER_BROWSER,
        timeout=5_000,
    )


def test_an_event_of_a_page_that_closes_goes_by_beacon_and_has_no_destinations(
    visitor: BrowserContext,
) -> None:
    page = configured(visitor.new_page(), "/", EDGES["first party"])
    send(page, PAGE_VIEW)

    with page.expect_request("**/v1/collect?**"):
        result = send(page, PAGE_VIEW, documentUnloading=True)

    assert result["destinations"] == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_edge_is_asked_again_after_the_time_that_it_names(
    visitor: BrowserContext, edge: str, status: int
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, PAGE_VIEW)

    # By itself the SDK comes back after 1.3 s at most.
    with busy_edge(times=1, status=status, retry_after_s=2) as refused:
        result = send(page, SNEAKER_VIEW)

    assert audiences(result) == [SNEAKER_BROWSER]
    assert len(refused.at_s) == 2
    assert refused.waits_s[0] >= 1.9


def test_an_edge_that_stays_busy_is_asked_four_times_in_all(visitor: BrowserContext) -> None:
    page = configured(visitor.new_page(), "/", EDGES["third party"])

    with busy_edge(times=99) as refused:
        message = page.evaluate(
            "() => alloy('sendEvent', {}).then(() => 'resolved', (error) => error.message)"
        )

    assert "status code 429" in message
    assert len(refused.at_s) == 4


@pytest.mark.parametrize("start", ["/", PERSO_PAGE])
@pytest.mark.parametrize("end", ["/", PERSO_PAGE])
def test_a_link_to_another_site_says_who_the_visitor_is_and_nothing_more(
    visitor: BrowserContext, start: str, end: str
) -> None:
    edge = EDGES["third party"]
    page = configured(visitor.new_page(), start, edge)
    send(page, SNEAKER_VIEW)
    first = identity(page)

    link = run(page, "appendIdentityToUrl", {"url": f"https://{OTHER_HOST}{end}?a=1#top"})["url"]
    landed = link.removeprefix(f"https://{OTHER_HOST}")
    configured(page, landed, edge, host=OTHER_HOST)
    result = send(page, PAGE_VIEW)

    assert identity(page) == first
    assert all(entry["segments"] == [] for entry in result["destinations"])
    configured(page, "/two", edge, host=OTHER_HOST)
    send(page, SNEAKER_VIEW)
    assert identity(page) == first


ELSEWHERE = "12" * 19


@pytest.mark.parametrize("path", ["/", PERSO_PAGE])
@pytest.mark.parametrize(
    ("age_s", "org", "named"),
    [(0, ORG, True), (240, ORG, True), (360, ORG, False), (0, "0" * 24 + "@AdobeOrg", False)],
)
def test_a_link_names_the_visitor_for_five_minutes_on_the_sites_of_one_organisation(
    visitor: BrowserContext, path: str, age_s: int, org: str, named: bool
) -> None:
    said = f"TS={time.time() - age_s:.0f}|MCMID={ELSEWHERE}|MCORGID={quote(org, safe='')}"
    page = configured(
        visitor.new_page(), f"{path}?adobe_mc={quote(said, safe='')}", EDGES["third party"]
    )

    send(page, PAGE_VIEW)

    assert (identity(page) == ELSEWHERE) is named


def test_an_answer_that_the_site_s_server_got_is_applied_in_the_page(
    visitor: BrowserContext,
) -> None:
    page = configured(visitor.new_page(), "/", EDGES["first party"])

    result = run(page, "applyResponse", {"responseBody": {"handle": [SERVER_SAID]}})

    assert result["destinations"] == SERVER_SAID["payload"]


SERVER_SAID = {
    "type": "activation:pull",
    "payload": [{"type": "profileLookup", "destinationId": "d", "alias": "a", "segments": []}],
}


ADOBE_2 = {"standard": "Adobe", "version": "2.0"}
TCF = {"standard": "IAB TCF", "version": "2.0"}


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        ({**ADOBE_2, "value": {"collect": {"val": "y"}}}, True),
        ({**ADOBE_2, "value": {"collect": {"val": "n"}}}, False),
        ({**TCF, "value": AGREED, "gdprApplies": True}, True),
        ({**TCF, "value": NO_VENDOR, "gdprApplies": True}, False),
        ({**TCF, "value": NO_VENDOR, "gdprApplies": False}, True),
        ({**TCF, "value": AGREED[:-9], "gdprApplies": True}, False),
    ],
    ids=["2.0 yes", "2.0 no", "TCF yes", "TCF no", "TCF does not apply", "TCF cut short"],
)
def test_every_standard_releases_the_events_that_waited_or_drops_them(
    visitor: BrowserContext, edge: str, said: dict[str, Any], agreed: bool
) -> None:
    page = configured(visitor.new_page(), "/", edge, defaultConsent="pending")

    result = page.evaluate(
        """([xdm, choice]) => {
          const waiting = alloy('sendEvent', { xdm });
          return alloy('setConsent', { consent: [choice] }).then(() => waiting);
        }""",
        [SNEAKER_VIEW, said],
    )

    assert bool(result.get("destinations")) is agreed
    configured(page, "/two", edge, defaultConsent="pending")
    if agreed:  # the next page needs no second word
        assert send(page, SNEAKER_VIEW)["destinations"]
    else:
        assert send(page, SNEAKER_VIEW) == {}


def test_a_negative_string_on_an_event_makes_the_sdk_stop(
    visitor: BrowserContext, edge: str
) -> None:
    page = configured(visitor.new_page(), "/", edge)
    send(page, SNEAKER_VIEW)
    string = {
        "consentStandard": "IAB TCF",
        "consentStandardVersion": "2.0",
        "consentStringValue": NO_VENDOR,
    }

    assert send(page, {**SNEAKER_VIEW, "consentStrings": [string]})["destinations"] == []
    assert send(page, SNEAKER_VIEW) == {}


def test_an_unknown_datastream_rejects_with_the_reason(visitor: BrowserContext, edge: str) -> None:
    page = configured(visitor.new_page(), "/", edge, datastreamId="nowhere")

    message = page.evaluate(
        "() => alloy('sendEvent', {}).then(() => 'resolved', (error) => error.message)"
    )

    assert "EXEG-0003-400" in message


def choice(general: str) -> dict[str, Any]:
    return {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
