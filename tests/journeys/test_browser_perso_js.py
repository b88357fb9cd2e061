"""perso.js in a real browser, over plain http: alloy's commands, any host and port."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from playwright.sync_api import BrowserContext, Page, Response

from tests.demo.browser import chromium
from tests.journeys.served import (
    ALIASES,
    ORG,
    PERSO_JS,
    SNEAKER_BROWSER,
    edge_and_pages,
    served,
)

PAGE_ORIGIN = "http://www.shop.test"
EDGES = {"first party": "http://edge.shop.test", "third party": "http://edge.perso-cloud.test"}
MOST_BYTES = 3 * 1024

SNEAKER_VIEW = {
    "eventType": "commerce.productViews",
    "productListItems": [{"SKU": "SNK-PATH", "name": "Pathfinder sneaker"}],
}


class Busy:
    """An edge that is busy for some requests, then answers. Mounted under /more."""

    def __init__(self) -> None:
        self.refusals = 0
        self.asked: list[dict[str, str]] = []
        self.app = web.Application()
        self.app.router.add_post("/v1/interact", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if len(self.asked) <= self.refusals:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return web.json_response({"handle": []})


class Served(NamedTuple):
    port: int
    busy: Busy
    new_context: Any


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    busy = Busy()
    opened = edge_and_pages(
        tmp_path_factory.mktemp("perso"), PERSO_JS, origins=[PAGE_ORIGIN], more=busy.app
    )
    with served(opened) as port:
        hosts = ["www.shop.test", *(edge.removeprefix("http://") for edge in EDGES.values())]
        rules = ",".join(f"MAP {host}:80 127.0.0.1:{port}" for host in hosts)
        with chromium(f"--host-resolver-rules={rules}") as browser:
            yield Served(port, busy, browser.new_context)


@pytest.fixture
def visitor(site: Served) -> Iterator[BrowserContext]:
    context = site.new_context()
    yield context
    context.close()


@pytest.fixture(params=sorted(EDGES))
def edge(request: pytest.FixtureRequest) -> str:
    return EDGES[request.param]


def opened(page: Page, url: str, **config: object) -> Page:
    page.goto(url)
    page.evaluate(
        "config => perso('configure', config)", {"datastreamId": "demo", "orgId": ORG, **config}
    )
    return page


def send(page: Page, xdm: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate("xdm => perso('sendEvent', { xdm })", xdm)
    return result


def identity(page: Page) -> str:
    ecid: str = page.evaluate("() => perso('getIdentity').then((found) => found.identity.ECID)")
    return ecid


def rejection(page: Page, call: str) -> str:
    message: str = page.evaluate(f"() => {call}.then(() => 'resolved', (error) => error.message)")
    return message


def choice(general: str) -> dict[str, Any]:
    return {"standard": "Adobe", "version": "1.0", "value": {"general": general}}


def test_it_weighs_three_kilobytes_at_most() -> None:
    assert len(gzip.compress(PERSO_JS.read_bytes(), 9)) <= MOST_BYTES


def test_an_event_resolves_with_what_alloy_resolves_with(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)

    result = send(page, SNEAKER_VIEW)

    assert set(result) == {"destinations", "propositions", "decisions"}
    assert [entry["alias"] for entry in result["destinations"]] == ALIASES
    assert [one["id"] for one in result["destinations"][0]["segments"]] == [SNEAKER_BROWSER]


def test_without_an_address_the_page_s_own_origin_is_asked_whatever_its_port(
    site: Served, visitor: BrowserContext
) -> None:
    page = opened(visitor.new_page(), f"http://127.0.0.1:{site.port}/")

    assert [entry["alias"] for entry in send(page, SNEAKER_VIEW)["destinations"]] == ALIASES


def test_page_two_is_the_same_visitor(visitor: BrowserContext, edge: str) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    send(page, SNEAKER_VIEW)
    first = identity(page)

    opened(page, f"{PAGE_ORIGIN}/two", edgeUrl=edge)
    result = send(page, {"eventType": "web.webpagedetails.pageViews"})

    assert identity(page) == first
    assert [one["id"] for one in result["destinations"][0]["segments"]] == [SNEAKER_BROWSER]


def test_cookies_are_kept_on_the_apex_where_alloy_keeps_its_own(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    send(page, SNEAKER_VIEW)

    kept = [one for one in visitor.cookies(PAGE_ORIGIN) if one["name"].endswith("_identity")]

    assert [cookie["domain"] for cookie in kept] == [".shop.test"]


def test_the_identity_is_known_before_any_event(visitor: BrowserContext, edge: str) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)

    ecid = identity(page)

    assert len(ecid) == 38
    assert ecid.isdecimal()


def test_three_events_at_once_from_a_new_visitor_are_one_visitor(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))

    results = page.evaluate(
        "xdm => Promise.all([1, 2, 3].map(() => perso('sendEvent', { xdm })))", SNEAKER_VIEW
    )

    assert all(result["destinations"][0]["segments"] for result in results)
    assert len(answers) == 3
    assert {ecid_in(answer) for answer in answers} == {identity(page)}


def ecid_in(answer: Response) -> str:
    """Who the edge said that the visitor is."""
    handles = answer.json()["handle"]
    ecid: str = next(one for one in handles if one["type"] == "identity:result")["payload"][0]["id"]
    return ecid


def test_calls_made_before_the_file_came_are_answered(visitor: BrowserContext) -> None:
    page = visitor.new_page()
    page.goto(PAGE_ORIGIN)
    source = PERSO_JS.read_text(encoding="utf-8")

    result = page.evaluate(
        """async ([source, config, xdm]) => {
          const q = [];
          window.perso = (...words) => new Promise((ok, no) => q.push([ok, no, words]));
          window.perso.q = q;
          perso('configure', config);
          const early = perso('sendEvent', { xdm });
          (0, eval)(source);
          return await early;
        }""",
        [source, {"datastreamId": "demo", "orgId": ORG}, SNEAKER_VIEW],
    )

    assert [entry["alias"] for entry in result["destinations"]] == ALIASES


def test_after_consent_is_withdrawn_an_event_tells_nothing_and_gets_nothing(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    send(page, SNEAKER_VIEW)
    page.evaluate("choice => perso('setConsent', { consent: [choice] })", choice("out"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    assert send(page, SNEAKER_VIEW) == {}
    assert asked == []
    opened(page, f"{PAGE_ORIGIN}/two", edgeUrl=edge)
    assert send(page, SNEAKER_VIEW) == {}


def test_consent_that_is_given_releases_the_events_that_waited(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge, defaultConsent="pending")

    result = page.evaluate(
        """([xdm, choice]) => {
          const late = new Promise((go, no) => setTimeout(no, 9000, "the event still waits"));
          const waiting = perso('sendEvent', { xdm });
          return perso('setConsent', { consent: [choice] })
            .then(() => Promise.race([waiting, late]));
        }""",
        [SNEAKER_VIEW, choice("in")],
    )

    assert [one["id"] for one in result["destinations"][0]["segments"]] == [SNEAKER_BROWSER]


def test_an_event_sent_while_a_choice_is_under_way_waits_for_it(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)

    result = page.evaluate(
        """([xdm, choice]) => {
          perso('setConsent', { consent: [choice] });
          return perso('sendEvent', { xdm });
        }""",
        [SNEAKER_VIEW, choice("out")],
    )

    assert result == {}


def test_an_event_sent_while_the_page_closes_counts_on_the_next_one(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    send(page, {"eventType": "web.webpagedetails.pageViews"})
    with page.expect_request("**/v1/collect?**"):
        result = page.evaluate(
            "xdm => perso('sendEvent', { xdm, documentUnloading: true })", SNEAKER_VIEW
        )
    # Nobody hears when a beacon has arrived: page two asks until it has.
    opened(page, f"{PAGE_ORIGIN}/two", edgeUrl=edge)

    assert result == {"destinations": [], "propositions": [], "decisions": []}
    page.wait_for_function(
        """id => perso('sendEvent', { type: 'web.webpagedetails.pageViews' })
          .then(({ destinations }) => destinations[0].segments.some((one) => one.id === id))""",
        arg=SNEAKER_BROWSER,
        timeout=5_000,
    )


@pytest.mark.parametrize(("refusals", "requests"), [(2, 3), (3, 4), (9, 4)])
def test_a_busy_edge_is_asked_again_up_to_three_times(
    site: Served, visitor: BrowserContext, refusals: int, requests: int
) -> None:
    site.busy.refusals, site.busy.asked = refusals, []
    page = opened(visitor.new_page(), f"http://127.0.0.1:{site.port}/", edgeBasePath="more")

    told = rejection(page, "perso('sendEvent')")

    assert len(site.busy.asked) == requests
    assert len({asked["requestId"] for asked in site.busy.asked}) == 1
    assert told == "resolved" if refusals < 4 else "The edge answered 503" in told


def test_an_error_names_the_command_the_status_and_the_cause(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, datastreamId="nowhere")

    told = rejection(page, "perso('sendEvent')")

    assert told.startswith("[perso] sendEvent: The edge answered 400. ")
    assert "nowhere" in told


def test_an_edge_that_does_not_answer_is_named(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl="http://127.0.0.1:9")

    assert "No answer from http://127.0.0.1:9." in rejection(page, "perso('sendEvent')")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("perso('sendEvent')", "Configure first."),
        ("perso('configure', { orgId: 'x' })", "Give datastreamId and orgId."),
        ("perso('sendEvents')", "Commands: configure,sendEvent,setConsent,getIdentity"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(visitor: BrowserContext, call: str, told: str) -> None:
    page = visitor.new_page()
    page.goto(PAGE_ORIGIN)

    assert told in rejection(page, call)


def test_a_page_is_configured_once(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN)

    again = rejection(page, f"perso('configure', {{ datastreamId: 'demo', orgId: '{ORG}' }})")

    assert "A page is configured once." in again


def test_what_the_page_says_goes_before_what_the_script_found(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN)
    with page.expect_request("**/v1/interact?**") as asked:
        send(page, {"web": {"webPageDetails": {"URL": "https://own.test/", "name": "home"}}})

    web_fields = json.loads(asked.value.post_data or "{}")["events"][0]["xdm"]["web"]

    assert web_fields["webPageDetails"] == {"URL": "https://own.test/", "name": "home"}
    assert "webReferrer" in web_fields
