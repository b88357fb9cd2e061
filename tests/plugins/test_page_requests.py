"""Which requests count as a visit, and what their pages know of the visitor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from pytest_aiohttp.plugin import AiohttpClient

from perso_aiohttp import (
    BadCookieDomain,
    BadWait,
    init_app,
    page_view,
    remember,
    visitor_for,
    visitor_from,
)
from perso_core import Identity, NoVisitor, StoreUnavailable
from tests.plugins.fake_site import FakeSite, visitor_in
from tests.plugins.shop import DOCUMENT, page, plain, shop

OLD_BROWSER = {"Accept": "text/html,*/*;q=0.8"}
ROUTER = {"Sec-Fetch-Dest": "empty", "Accept": "text/html"}
SCRIPT = {"Sec-Fetch-Dest": "empty", "Accept": "*/*"}


async def test_the_first_page_already_shows_what_its_own_visit_decides(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(shop(FakeSite()))

    first = await client.get("/", headers=DOCUMENT)
    second = await client.get("/", headers=DOCUMENT)

    assert await first.text() == "first known visit-1"
    assert await second.text() == "again known visit-2"


async def test_cookies_that_a_proxy_put_into_several_headers_are_all_the_visitors(
    aiohttp_client: AiohttpClient,
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))
    split = CIMultiDict([*DOCUMENT.items(), ("Cookie", "theme=dark"), ("Cookie", "who=anna")])

    await client.get("/", headers=split)

    assert [visit.cookie_header for visit in site.visits] == ["theme=dark; who=anna"]


@pytest.mark.parametrize("headers", [DOCUMENT, OLD_BROWSER, ROUTER, {"Accept": "*/*"}])
async def test_a_request_for_html_is_a_visit_be_it_a_browsers_a_routers_or_a_tools(
    aiohttp_client: AiohttpClient, headers: Mapping[str, str]
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))

    assert await (await client.get("/", headers=headers)).text() == "first known visit-1"
    assert len(site.recorded) == 1


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", DOCUMENT),
        ("POST", DOCUMENT),
        ("GET", DOCUMENT | {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", DOCUMENT | {"Purpose": "prefetch"}),
        ("GET", DOCUMENT | {"X-Moz": "prefetch"}),
        ("GET", DOCUMENT | {"Sec-Fetch-Dest": "iframe"}),
    ],
)
async def test_a_page_that_nobody_opened_is_looked_up_without_an_event(
    aiohttp_client: AiohttpClient, method: str, headers: Mapping[str, str]
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))

    response = await client.request(method, "/", headers=headers)

    assert (await response.text()) in ("default new None", "")
    assert (len(site.visits), site.recorded) == (1, [])
    assert response.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    "headers",
    [
        SCRIPT,
        {"Sec-Fetch-Dest": "image", "Accept": "image/avif,*/*"},
        {"Sec-Fetch-Dest": "script", "Accept": "text/html"},
        {"Accept": "application/json"},
        {"Accept": "*/*", "Referer": "http://shop.example/"},
    ],
)
async def test_a_request_for_anything_but_html_asks_nothing_until_its_handler_does(
    aiohttp_client: AiohttpClient, headers: Mapping[str, str]
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))

    await client.get("/plain", headers=headers)
    assert site.visits == []
    answer = await client.get("/api", headers=headers)
    assert await answer.json() == {"again": False, "state": "new"}
    assert (len(site.visits), site.recorded) == (1, [])


async def test_a_call_from_another_server_asks_nothing_until_its_handler_does(
    aiohttp_client: AiohttpClient,
) -> None:
    async def hook(request: web.Request) -> web.Response:
        return web.Response()

    site = FakeSite()
    client = await aiohttp_client(shop(site, web.post("/hook", hook)))

    await client.post("/hook", headers={"Accept": "*/*"})
    assert site.visits == []


async def test_a_lookup_without_an_event_knows_who_was_here_before(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(shop(FakeSite()))
    for _ in range(2):
        await client.get("/", headers=DOCUMENT)

    assert (await (await client.get("/api", headers=SCRIPT)).json())["again"] is True


async def test_files_and_pages_that_do_not_exist_are_no_visits(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    (tmp_path / "about.html").write_text("about")
    site = FakeSite()
    client = await aiohttp_client(shop(site, web.static("/files", tmp_path)))  # type: ignore[arg-type]

    assert (await client.get("/files/about.html", headers=DOCUMENT)).status == 200
    assert (await client.get("/nowhere", headers=DOCUMENT)).status == 404
    assert (await client.put("/", headers=DOCUMENT)).status == 405
    assert site.recorded == []


async def test_the_site_says_what_a_visit_is_and_which_pages_are_none(
    aiohttp_client: AiohttpClient,
) -> None:
    def product_view(request: web.Request) -> dict[str, Any] | None:
        return page_view(request) | {"sku": "7"} if request.path == "/" else None

    site = FakeSite()
    client = await aiohttp_client(
        shop(site, web.get("/health", page), event_for=product_view, wait_ms=20)
    )
    await client.get("/", headers=DOCUMENT)
    await client.get("/health", headers=DOCUMENT)

    assert [event["sku"] for event in site.recorded] == ["7"]
    assert [(visit.wait_ms, visit.datastream_id) for visit in site.visits] == [(20, "demo")] * 2


async def test_the_sites_own_session_says_who_is_signed_in(aiohttp_client: AiohttpClient) -> None:
    async def signed_in(request: web.Request) -> Identity | None:
        name = request.headers.get("X-Session")
        return Identity("CRMID", name) if name else None

    site = FakeSite()
    client = await aiohttp_client(shop(site, customer_of=signed_in))
    await client.get("/", headers={**DOCUMENT, "X-Session": "c-17"})
    await client.get("/", headers=DOCUMENT)

    assert [visit.customer for visit in site.visits] == [Identity("CRMID", "c-17"), None]


async def test_a_visitor_asked_twice_is_looked_up_once(aiohttp_client: AiohttpClient) -> None:
    async def twice(request: web.Request) -> web.Response:
        assert await visitor_for(request) is await visitor_for(request) is visitor_from(request)
        return web.Response()

    site = FakeSite()
    client = await aiohttp_client(shop(site, web.get("/twice", twice)))

    assert (await client.get("/twice", headers=SCRIPT)).status == 200
    assert (await client.get("/twice", headers=DOCUMENT)).status == 200
    assert len(site.visits) == 2


async def test_a_visitor_bound_to_an_alias_is_in_what_that_destination_is_told(
    aiohttp_client: AiohttpClient,
) -> None:
    async def aliases(request: web.Request) -> web.Response:
        before = visitor_from(request)
        remember(request, await before.forget())
        return web.Response(text=f"{before.alias} {visitor_from(request).alias}")

    client = await aiohttp_client(shop(FakeSite(), web.get("/alias", aliases), alias="cms"))

    assert await (await client.get("/alias", headers=DOCUMENT)).text() == "cms cms"


async def test_a_sync_question_about_no_page_request_gets_a_stranger_and_one_warning(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))

    with caplog.at_level(logging.WARNING, "perso_aiohttp"):
        for _ in range(3):
            answer = await client.get("/", headers=SCRIPT)
            assert await answer.text() == "default unavailable None"
    assert site.visits == []
    assert len(caplog.records) == 1
    assert "await visitor_for(request)" in caplog.text


async def test_without_the_middleware_the_error_says_what_to_call() -> None:
    request = make_mocked_request("GET", "/")

    with pytest.raises(NoVisitor, match=r"init_app\(app, site"):
        visitor_from(request)
    with pytest.raises(NoVisitor):
        remember(request, visitor_in())
    with pytest.raises(NoVisitor):
        await visitor_for(request)


class Broken:
    """Functions of a site, given to init_app, that raise as code does that somebody wrote."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)

    async def signed_in(self, request: web.Request) -> Identity | None:
        raise self.errors.pop(0)

    def product_view(self, request: web.Request) -> Mapping[str, Any] | None:
        raise self.errors.pop(0)

    def options(self, option: str) -> dict[str, Any]:
        return {option: self.signed_in if option == "customer_of" else self.product_view}


@pytest.mark.parametrize(
    ("option", "name"),
    [("customer_of", "Broken.signed_in"), ("event_for", "Broken.product_view")],
)
async def test_a_function_of_the_sites_that_raises_breaks_no_page_and_is_named_once_in_the_log(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture, option: str, name: str
) -> None:
    """The page had been a 500. To show it as the device's would tell whoever is there what the
    customer may not see, and keep her visit as the device's."""
    site = FakeSite()
    broken = Broken(KeyError("session"), KeyError("session"), ValueError("no number"))
    client = await aiohttp_client(shop(site, **broken.options(option)))

    with caplog.at_level(logging.ERROR, "perso_aiohttp"):
        for _ in range(2):
            answer = await client.get("/", headers=DOCUMENT)
            assert (answer.status, await answer.text()) == (200, "default unavailable None")
        [once] = caplog.records
        await client.get("/", headers=DOCUMENT)

    assert site.visits == []
    assert f"{option} (tests.plugins.test_page_requests.{name}) raised KeyError" in once.message
    assert once.exc_info
    assert "ValueError" in caplog.records[1].message
    assert len(caplog.records) == 2


async def test_a_customer_of_that_is_no_async_function_is_told_so(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = await aiohttp_client(shop(FakeSite(), customer_of=lambda request: None))

    answer = await client.get("/api")

    assert (await answer.json())["state"] == "unavailable"
    assert "customer_of (tests.plugins.test_page_requests.<lambda>) raised TypeError" in (
        caplog.text.replace("test_a_customer_of_that_is_no_async_function_is_told_so.<locals>.", "")
    )


@pytest.mark.parametrize("option", ["customer_of", "event_for"])
async def test_a_function_of_the_sites_may_answer_by_itself(
    aiohttp_client: AiohttpClient, option: str
) -> None:
    """As one that sends whoever has no session to sign in."""
    broken = Broken(web.HTTPFound("/api"))
    client = await aiohttp_client(shop(FakeSite(), **broken.options(option)))

    answer = await client.get("/", headers=DOCUMENT, allow_redirects=False)

    assert (answer.status, answer.headers["Location"]) == (302, "/api")


async def test_a_failing_site_leaves_the_page_its_default_and_is_logged_once_per_outage(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    site = FakeSite(failing=StoreUnavailable("The disk is full.", fix="Free some."))
    client = await aiohttp_client(shop(site))

    with caplog.at_level(logging.ERROR, "perso_aiohttp"):
        for _ in range(3):
            answer = await client.get("/", headers=DOCUMENT)
            assert (answer.status, await answer.text()) == (200, "default unavailable None")
        assert "Set-Cookie" not in answer.headers
        assert len(caplog.records) == 1
        assert "The disk is full." in caplog.text

        outage, site.failing = site.failing, None
        assert await (await client.get("/", headers=DOCUMENT)).text() == "first known visit-4"
        site.failing = outage
        await client.get("/", headers=DOCUMENT)
        assert len(caplog.records) == 2


async def test_an_application_inside_an_application_counts_a_visit_once(
    aiohttp_client: AiohttpClient,
) -> None:
    site = FakeSite()
    outer = shop(site)
    outer.add_subapp("/inner", shop(site))
    client = await aiohttp_client(outer)

    answer = await client.get("/inner/", headers=DOCUMENT)

    assert await answer.text() == "first known visit-1"
    assert len(answer.headers.getall("Set-Cookie")) == 2
    assert len(site.visits) == 1


async def test_an_inner_application_alone_may_have_visitors(aiohttp_client: AiohttpClient) -> None:
    site = FakeSite()
    outer = web.Application()
    outer.add_routes([web.get("/plain", plain)])
    outer.add_subapp("/inner", shop(site))
    client = await aiohttp_client(outer)

    await client.get("/plain", headers=DOCUMENT)
    assert site.visits == []
    answer = await client.get("/inner/", headers=DOCUMENT)
    assert len(answer.headers.getall("Set-Cookie")) == 2


@pytest.mark.parametrize("domain", ["", "https://example.org", "example.org:80", "a.b; x", "a\n"])
def test_a_cookie_domain_that_is_none_is_refused_at_the_start(domain: str) -> None:
    with pytest.raises(BadCookieDomain, match="apex"):
        init_app(web.Application(), FakeSite(), datastream="demo", cookie_domain=domain)


@pytest.mark.parametrize("wait_ms", ["50", 50.0, -1, 60_001, None, True])
def test_a_wait_that_is_no_number_of_milliseconds_is_refused_at_the_start(wait_ms: Any) -> None:
    """As one that comes from the environment: each page would have been a 500."""
    with pytest.raises(BadWait, match="an integer from 0 to 60000"):
        init_app(web.Application(), FakeSite(), datastream="demo", wait_ms=wait_ms)


@pytest.mark.parametrize(("sent", "heard"), [("1", True), ("0", False), (None, False)])
async def test_a_browsers_signal_against_sharing_reaches_the_site(
    aiohttp_client: AiohttpClient, sent: str | None, heard: bool
) -> None:
    site = FakeSite()
    client = await aiohttp_client(shop(site))

    await client.get("/", headers=DOCUMENT | ({"Sec-GPC": sent} if sent else {}))

    assert [visit.gpc for visit in site.visits] == [heard]


async def test_an_alias_that_no_destination_has_is_told_once(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody was in any audience, and nobody said why."""
    client = await aiohttp_client(shop(FakeSite(), alias="pagez"))
    for _ in range(2):
        await client.get("/", headers=DOCUMENT)

    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("The datastream demo has no destination with the alias pagez")


async def test_an_alias_that_there_is_is_no_fault(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = await aiohttp_client(shop(FakeSite(), alias="cms"))

    await client.get("/", headers=DOCUMENT)

    assert "alias" not in caplog.text
