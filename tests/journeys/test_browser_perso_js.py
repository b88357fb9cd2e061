"""perso.js in a real browser, over plain http: alloy's commands, any host and port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from aiohttp import web
from playwright.sync_api import BrowserContext, Page, Response

from perso_core.edge.scripts import script
from tests.demo.browser import chromium, problems_of
from tests.journeys.busy import busy_edge, full_disk
from tests.journeys.served import (
    ALIASES,
    ORG,
    PERSO_JS,
    PERSO_PAGE,
    SNEAKER_BROWSER,
    edge_and_pages,
    served,
)

PAGE_ORIGIN = "http://www.shop.test"
OTHER_ORIGIN = "http://www.magazine.test"
EDGES = {"first party": "http://edge.shop.test", "third party": "http://edge.perso-cloud.test"}
MOST_BYTES = 3 * 1024

PAGE_VIEW = {"eventType": "web.webpagedetails.pageViews"}
SNEAKER_VIEW = {
    "eventType": "commerce.productViews",
    "productListItems": [{"SKU": "SNK-PATH", "name": "Pathfinder sneaker"}],
}


class Stalled:
    """An edge that answers what it is told to, when it is told to. Mounted under /more."""

    def __init__(self) -> None:
        self.status, self.after_s = 200, 0.0
        self.app = web.Application()
        self.app.router.add_post("/v1/{action:.*}", self._answer)

    async def _answer(self, _: web.Request) -> web.Response:
        await asyncio.sleep(self.after_s)
        return web.json_response({"title": "Stalled", "detail": "As told."}, status=self.status)


class Served(NamedTuple):
    port: int
    stalled: Stalled
    new_context: Any


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    stalled = Stalled()
    opened = edge_and_pages(
        tmp_path_factory.mktemp("perso"),
        PERSO_JS,
        origins=[PAGE_ORIGIN, OTHER_ORIGIN],
        more=stalled.app,
    )
    with served(opened) as port:
        hosts = [
            one.removeprefix("http://") for one in (PAGE_ORIGIN, OTHER_ORIGIN, *EDGES.values())
        ]
        rules = ",".join(f"MAP {host}:80 127.0.0.1:{port}" for host in hosts)
        with chromium(f"--host-resolver-rules={rules}") as browser:
            yield Served(port, stalled, browser.new_context)


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


def audiences(result: dict[str, Any]) -> list[str]:
    """Of the first destination."""
    return [one["id"] for one in result["destinations"][0]["segments"]]


def choice(general: str) -> dict[str, Any]:
    return {"standard": "Adobe", "version": "1.0", "value": {"general": general}}


def test_a_page_loads_three_kilobytes_of_it_at_most() -> None:
    assert len(script("perso.js").compressed) <= MOST_BYTES


def test_it_works_as_it_is_served_too(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), f"{PAGE_ORIGIN}{PERSO_PAGE}")

    assert [entry["alias"] for entry in send(page, SNEAKER_VIEW)["destinations"]] == ALIASES


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


def test_a_file_that_comes_twice_leaves_the_page_configured(visitor: BrowserContext) -> None:
    """As where a page loads it, and its tag manager does, too."""
    page = opened(visitor.new_page(), f"{PAGE_ORIGIN}{PERSO_PAGE}")
    page.add_script_tag(url="/ee/perso.js")

    assert audiences(send(page, SNEAKER_VIEW)) == [SNEAKER_BROWSER]


def test_an_element_of_that_name_does_not_keep_the_file_out(visitor: BrowserContext) -> None:
    page = visitor.new_page()
    page.goto(f"{PAGE_ORIGIN}/bare")
    page.evaluate("() => { document.body.innerHTML = '<p id=perso>'; }")
    page.add_script_tag(url="/ee/perso.js")
    page.evaluate("config => perso('configure', config)", {"datastreamId": "demo", "orgId": ORG})

    assert audiences(send(page, SNEAKER_VIEW)) == [SNEAKER_BROWSER]


@pytest.mark.parametrize("value", ["%E0%A4%A", "100%", ""])
def test_a_cookie_of_our_name_that_nobody_can_read_breaks_no_page(
    visitor: BrowserContext, value: str
) -> None:
    page = visitor.new_page()
    page.goto(f"{PAGE_ORIGIN}{PERSO_PAGE}")
    page.evaluate(
        "cookie => { document.cookie = cookie; }",
        f"kndctr_{ORG.replace('@', '_')}_other={value}; path=/",
    )
    opened(page, f"{PAGE_ORIGIN}{PERSO_PAGE}")

    assert audiences(send(page, SNEAKER_VIEW)) == [SNEAKER_BROWSER]


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


def test_first_events_of_three_tabs_at_once_are_one_visitor(
    site: Served, visitor: BrowserContext
) -> None:
    answers: list[Response] = []
    visitor.on("response", lambda told: answers.append(told) if "/v1/" in told.url else None)
    # A secure context, as any site with TLS: there the browser lets tabs wait for each other.
    tabs = [opened(visitor.new_page(), f"http://127.0.0.1:{site.port}/") for _ in range(3)]

    for tab in tabs:
        tab.evaluate(
            """() => {
              const real = window.fetch;
              window.fetch = async (...words) => {
                await new Promise((go) => setTimeout(go, 500));
                return real(...words);
              };
              window.sent = perso('sendEvent');
            }"""
        )
    for tab in tabs:
        tab.evaluate("() => window.sent")

    assert len(answers) == 3
    assert len({ecid_in(answer) for answer in answers}) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_edge_is_asked_again_after_the_time_that_it_names(
    visitor: BrowserContext, edge: str, status: int
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    # By itself it comes back after 1.3 s at most.
    with busy_edge(times=1, status=status, retry_after_s=2) as refused:
        result = send(page, SNEAKER_VIEW)

    assert audiences(result) == [SNEAKER_BROWSER]
    assert refused.waits_s[0] >= 1.9
    assert len(asked) == 2
    assert len(set(asked)) == 1  # the same request, which counts once


def nothing(failed: str) -> dict[str, object]:
    """What a page gets where the edge gave nothing."""
    return {"destinations": [], "propositions": [], "decisions": [], "failed": failed}


def test_an_edge_that_stays_busy_is_asked_four_times_and_then_the_page_gets_its_defaults(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    problems = problems_of(page)

    with busy_edge(times=99) as refused:
        result = send(page, SNEAKER_VIEW)

    why = "The edge answered 429. Too many requests: Busy. Wait."
    assert result == nothing(why)
    assert len(refused.at_s) == 4
    assert f"[perso] {why}" in problems


@pytest.mark.parametrize("status", [200, 500])
def test_an_edge_that_is_broken_leaves_the_page_its_defaults(
    site: Served, visitor: BrowserContext, status: int
) -> None:
    site.stalled.status, site.stalled.after_s = status, 0
    page = opened(visitor.new_page(), f"http://127.0.0.1:{site.port}/", edgeBasePath="more")

    assert send(page, SNEAKER_VIEW) == nothing(f"The edge answered {status}. Stalled: As told.")
    link = page.evaluate("() => perso('appendIdentityToUrl', { url: '/a' })")
    assert link == {"url": "/a"}
    told = rejection(page, "perso('setConsent', { consent: [] })")
    assert f"The edge answered {status}." in told


NOT_KEPT = "The store is not available: It is not known to be stored."


def test_an_event_that_is_not_kept_is_told_so_beside_what_it_decided(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    problems = problems_of(page)

    with full_disk():
        result = send(page, SNEAKER_VIEW)

    assert audiences(result) == [SNEAKER_BROWSER]
    assert result["failed"].startswith(NOT_KEPT)
    assert any(f"[perso] {NOT_KEPT}" in told for told in problems)


def test_a_choice_that_is_not_kept_is_rejected(visitor: BrowserContext, edge: str) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    page.evaluate("one => { window.choice = { consent: [one] }; }", choice("in"))

    with full_disk():
        told = rejection(page, "perso('setConsent', window.choice)")

    assert told.startswith(f"[perso] setConsent: {NOT_KEPT[:30]}")
    assert rejection(page, "perso('setConsent', window.choice)") == "resolved"


def test_an_event_that_is_kept_for_a_visitor_whose_record_is_damaged_did_not_fail(
    visitor: BrowserContext,
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN)
    set_aside = {"type": "urn:perso:edge.profile-set-aside", "title": "a", "detail": "b"}
    lost = {"type": "https://ns.adobe.com/aep/errors/EXEG-0201-503", "title": "c", "detail": "d"}

    kept, failed = [
        page.evaluate(
            "body => perso('applyResponse', { responseBody: body })", {"handle": [], "errors": said}
        )
        for said in ([set_aside], [set_aside, lost])
    ]

    assert kept == {"destinations": [], "propositions": [], "decisions": []}
    assert failed == {**kept, "failed": "c: d"}


@pytest.mark.parametrize("status", [200, 500])
def test_what_answers_and_is_no_edge_is_named(
    site: Served, visitor: BrowserContext, status: int
) -> None:
    """Such as a page of a proxy, or of a network that wants its visitors to sign in."""
    origin = f"http://127.0.0.1:{site.port}"
    page = opened(visitor.new_page(), f"{origin}/", edgeBasePath="more")
    page.route(
        "**/v1/**",
        lambda route: route.fulfill(
            status=status, content_type="text/html", body="<h1>Welcome</h1>"
        ),
    )

    assert send(page, SNEAKER_VIEW) == nothing(
        f"The edge answered {status}. No edge is at {origin}."
    )


def test_an_edge_that_is_slow_is_waited_for_as_long_as_the_page_says(
    site: Served, visitor: BrowserContext
) -> None:
    site.stalled.status, site.stalled.after_s = 200, 3
    page = opened(
        visitor.new_page(),
        f"http://127.0.0.1:{site.port}/",
        edgeBasePath="more",
        answerWithinMs=200,
    )

    result, waited_ms = page.evaluate(
        """() => {
          const began = performance.now();
          return perso('sendEvent').then((result) => [result, performance.now() - began]);
        }"""
    )

    assert result == nothing("No answer in time.")
    assert 150 <= waited_ms < 2_000


def test_an_edge_that_does_not_answer_leaves_the_page_its_defaults_and_is_named(
    visitor: BrowserContext,
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl="http://127.0.0.1:9")
    problems = problems_of(page)

    result = send(page, SNEAKER_VIEW)

    assert result["destinations"] == []
    assert result["failed"].startswith("No answer from http://127.0.0.1:9.")
    assert any("[perso] No answer from http://127.0.0.1:9." in told for told in problems)


def test_until_the_visitor_has_chosen_nothing_leaves_the_page(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge, defaultConsent="pending")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.evaluate("xdm => { window.waiting = perso('sendEvent', { xdm }); }", SNEAKER_VIEW)
    link = page.evaluate("() => perso('appendIdentityToUrl', { url: '/a' })")
    page.wait_for_timeout(300)

    assert asked == []
    assert link == {"url": "/a"}
    page.evaluate("choice => perso('setConsent', { consent: [choice] })", choice("out"))
    assert page.evaluate("() => window.waiting") == {}


def test_a_site_that_asks_first_tells_nothing_until_the_visitor_agrees(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge, defaultConsent="out")

    assert send(page, SNEAKER_VIEW) == {}
    page.evaluate("choice => perso('setConsent', { consent: [choice] })", choice("in"))
    assert audiences(send(page, SNEAKER_VIEW)) == [SNEAKER_BROWSER]

    opened(page, f"{PAGE_ORIGIN}/two", edgeUrl=edge, defaultConsent="out")
    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]


NO_DESTINATIONS = {
    "com_adobe_experience_platform": {"com_adobe_edge_destinations": {"enabled": False}}
}


def test_one_event_or_a_whole_page_may_ask_for_no_destinations(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    one = page.evaluate(
        "over => perso('sendEvent', { edgeConfigOverrides: over })", NO_DESTINATIONS
    )
    opened(page, PAGE_ORIGIN, edgeUrl=edge, edgeConfigOverrides=NO_DESTINATIONS)
    whole = send(page, SNEAKER_VIEW)
    opened(page, PAGE_ORIGIN, edgeUrl=edge)

    assert one["destinations"] == whole["destinations"] == []
    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]


def test_a_page_may_send_an_event_to_another_datastream(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN)

    told = rejection(page, "perso('sendEvent', { edgeConfigOverrides: { datastreamId: 'other' } })")

    assert "The datastream 'other' does not exist." in told


@pytest.mark.parametrize(
    ("url", "begins", "ends"),
    [
        ("/a", "/a?adobe_mc=TS%3D", ""),
        ("/a?b=1", "/a?b=1&adobe_mc=TS%3D", ""),
        ("https://x.test/?b=1#c?d", "https://x.test/?b=1&adobe_mc=TS%3D", "#c?d"),
    ],
)
def test_a_link_keeps_its_address_and_gets_the_visitor(
    visitor: BrowserContext, url: str, begins: str, ends: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN)

    link = page.evaluate("url => perso('appendIdentityToUrl', { url })", url)["url"]

    ecid = identity(page)
    assert link.startswith(begins)
    assert link.endswith(f"%7CMCMID%3D{ecid}%7CMCORGID%3D{ORG.replace('@', '%2540')}{ends}")


def test_three_first_events_on_the_page_that_a_link_led_to_are_the_visitor_it_names(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), OTHER_ORIGIN, edgeUrl=edge)
    own = identity(page)
    named = "12" * 19
    said = f"TS={time.time():.0f}|MCMID={named}|MCORGID={quote(ORG, safe='')}"
    opened(page, f"{OTHER_ORIGIN}/?adobe_mc={quote(said, safe='')}", edgeUrl=edge)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))

    page.evaluate("() => Promise.all([1, 2, 3].map(() => perso('sendEvent')))")

    assert own != named
    assert {ecid_in(answer) for answer in answers} == {named}
    assert identity(page) == named
    # Each answer that sets a proof begins a profile: the three events are in one.
    assert sum("_AdobeOrg_rs" in answer.text() for answer in answers) == 1


@pytest.mark.parametrize("said", ["TS=1", "%E0%A4%A", "TS=9999999999|MCMID=1|MCORGID=x"])
def test_a_link_that_says_nothing_sensible_breaks_no_page(
    visitor: BrowserContext, said: str
) -> None:
    page = opened(visitor.new_page(), f"{PAGE_ORIGIN}/?adobe_mc={said}")

    assert [entry["alias"] for entry in send(page, SNEAKER_VIEW)["destinations"]] == ALIASES


def test_an_answer_that_the_site_s_server_got_is_applied_in_the_page(
    visitor: BrowserContext, edge: str
) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, edgeUrl=edge)
    send(page, SNEAKER_VIEW)
    ecid = identity(page)
    kept = {one["name"]: one["value"] for one in visitor.cookies(PAGE_ORIGIN)}
    visitor.clear_cookies()
    answer = {
        "handle": [
            {"type": "activation:pull", "payload": [{"alias": "a", "segments": []}]},
            {
                "type": "state:store",
                "payload": [{"key": key, "value": value} for key, value in kept.items()],
            },
        ]
    }

    opened(page, PAGE_ORIGIN, edgeUrl=edge)
    result = page.evaluate("body => perso('applyResponse', { responseBody: body })", answer)

    assert result["destinations"] == [{"alias": "a", "segments": []}]
    assert audiences(send(page, PAGE_VIEW)) == [SNEAKER_BROWSER]
    assert identity(page) == ecid


def test_an_error_names_the_command_the_status_and_the_cause(visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), PAGE_ORIGIN, datastreamId="nowhere")

    told = rejection(page, "perso('sendEvent')")

    assert told.startswith("[perso] sendEvent: The edge answered 400. ")
    assert "nowhere" in told


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("perso('sendEvent')", "Configure first."),
        ("perso('configure', { orgId: 'x' })", "Give datastreamId and orgId."),
        ("perso('sendEvents')", "Commands: configure,sendEvent,setConsent,getIdentity,append"),
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
