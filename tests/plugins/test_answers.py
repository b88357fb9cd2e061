"""Cookies and caching: what an answer carries, and what is left alone."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from pytest_aiohttp.plugin import AiohttpClient

from perso_aiohttp import remember, visitor_for, visitor_from
from tests.plugins.fake_site import FakeSite, visitor_in
from tests.plugins.shop import DOCUMENT, plain, shop

WHO = "who=1==; Path=/; Max-Age=3600; SameSite=Lax"
SESSION = "session=s1; Path=/; SameSite=Lax"


async def test_a_new_visitor_is_remembered_by_cookies_that_the_sdk_can_read(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(shop(FakeSite()))

    first = await client.get("/", headers=DOCUMENT)
    second = await client.get("/", headers=DOCUMENT)

    assert first.headers.getall("Set-Cookie") == [WHO, SESSION]
    assert "Set-Cookie" not in second.headers
    for answer in (first, second):
        assert answer.headers["Cache-Control"] == "private, no-store"


async def test_cookies_go_to_the_apex_where_the_sdk_writes_its_own(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(shop(FakeSite(), cookie_domain="example.org", secure=True))

    answer = await client.get("/", headers=DOCUMENT)

    assert answer.headers.getall("Set-Cookie") == [
        "who=1==; Path=/; Domain=example.org; Max-Age=3600; SameSite=Lax; Secure",
        "session=s1; Path=/; Domain=example.org; SameSite=Lax; Secure",
    ]


@pytest.mark.parametrize("headers", [DOCUMENT, {"Accept": "application/json"}])
@pytest.mark.parametrize("path", ["/plain", "/nowhere"])
async def test_an_answer_whose_handler_asked_for_no_visitor_is_as_without_us(
    aiohttp_client: AiohttpClient, headers: dict[str, str], path: str
) -> None:
    bare = web.Application()
    bare.add_routes([web.get("/plain", plain)])
    without = await aiohttp_client(bare)
    with_us = await aiohttp_client(shop(FakeSite()))

    expected = await without.get(path, headers=headers)
    answer = await with_us.get(path, headers=headers)

    assert await answer.read() == await expected.read()
    assert answer.status == expected.status
    ours, theirs = (dict(one.headers) for one in (answer, expected))
    assert ours.pop("Date")
    assert theirs.pop("Date")
    assert ours == theirs


async def test_a_page_that_asked_is_private_whatever_its_handler_said_to_caches(
    aiohttp_client: AiohttpClient,
) -> None:
    to_shared_caches = {
        "CDN-Cache-Control": "max-age=600",
        "Cloudflare-CDN-Cache-Control": "max-age=600",
        "X-LiteSpeed-Cache-Control": "public, max-age=600",
        "Surrogate-Control": "max-age=600",
        "Edge-Control": "max-age=600",
        "X-Accel-Expires": "600",
        "Expires": "Thu, 01 Jan 2099 00:00:00 GMT",
    }

    async def boastful(request: web.Request) -> web.Response:
        visitor_from(request)
        headers = {"Cache-Control": "public, s-maxage=600", "Vary": "Accept-Language"}
        return web.Response(headers=headers | to_shared_caches)

    client = await aiohttp_client(shop(FakeSite(), web.get("/boastful", boastful)))
    answer = await client.get("/boastful", headers=DOCUMENT)

    assert answer.headers.getall("Cache-Control") == ["private, no-store"]
    assert answer.headers.getall("Vary") == ["Accept-Language"]
    assert not to_shared_caches.keys() & answer.headers.keys()


async def test_an_api_answer_that_asked_is_private_too(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(shop(FakeSite()))

    answer = await client.get("/api", headers={"Accept": "application/json"})

    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers.getall("Set-Cookie") == [WHO, SESSION]


async def redirects(request: web.Request) -> web.Response:
    visitor_from(request)
    raise web.HTTPSeeOther("/plain")


async def forbids(request: web.Request) -> web.Response:
    visitor_from(request)
    raise web.HTTPForbidden


async def returns_a_redirect(request: web.Request) -> web.Response:
    visitor_from(request)
    return web.Response(status=302, headers={"Location": "/plain"})


async def breaks(request: web.Request) -> web.Response:
    visitor_from(request)
    raise RuntimeError("a bug of the site's own")


@pytest.mark.parametrize(
    ("handler", "status"),
    [(redirects, 303), (forbids, 403), (returns_a_redirect, 302), (breaks, 500)],
)
async def test_redirects_and_errors_carry_the_cookies_too(
    aiohttp_client: AiohttpClient, handler: Handler, status: int
) -> None:
    client = await aiohttp_client(shop(FakeSite(), web.get("/go", handler)))

    answer = await client.get("/go", headers=DOCUMENT, allow_redirects=False)

    assert answer.status == status
    assert answer.headers.getall("Set-Cookie") == [WHO, SESSION]
    assert answer.headers["Cache-Control"] == "private, no-store"


async def test_an_answer_that_streams_carries_them_from_its_first_byte(
    aiohttp_client: AiohttpClient,
) -> None:
    async def streams(request: web.Request) -> web.StreamResponse:
        visitor_from(request)
        response = web.StreamResponse(headers={"Cache-Control": "public"})
        response.set_cookie("own", "1")
        await response.prepare(request)
        await response.write(b"a long page")
        await response.write_eof()
        return response

    client = await aiohttp_client(shop(FakeSite(), web.get("/stream", streams)))
    answer = await client.get("/stream", headers=DOCUMENT)

    assert await answer.text() == "a long page"
    assert answer.headers.getall("Set-Cookie") == ["own=1; Path=/", WHO, SESSION]
    assert answer.headers.getall("Cache-Control") == ["private, no-store"]


async def test_the_visitor_after_an_update_is_the_one_that_is_remembered(
    aiohttp_client: AiohttpClient,
) -> None:
    async def signs_in(request: web.Request) -> web.Response:
        visitor = await visitor_for(request)
        remember(request, await visitor.update({"loyalty": {"tier": "gold"}}))
        remember(request, await visitor_from(request).choose_consent("in"))
        raise web.HTTPSeeOther("/plain")

    client = await aiohttp_client(shop(FakeSite(), web.post("/in", signs_in)))
    answer = await client.post("/in", allow_redirects=False)

    assert answer.headers.getall("Set-Cookie") == [
        WHO,
        SESSION,
        "token=v2; Path=/; Max-Age=60; SameSite=Lax",
        "consent=in; Path=/; Max-Age=60; SameSite=Lax",
    ]


async def test_a_forgotten_visitors_cookies_are_cleared_not_set_again(
    aiohttp_client: AiohttpClient,
) -> None:
    async def forgets(request: web.Request) -> web.Response:
        remember(request, await (await visitor_for(request)).forget())
        return web.Response(text=visitor_from(request).state)

    client = await aiohttp_client(shop(FakeSite(), web.post("/forget", forgets)))
    answer = await client.post("/forget")

    assert await answer.text() == "new"
    assert answer.headers.getall("Set-Cookie") == [
        "who=; Path=/; Max-Age=0; SameSite=Lax",
        "session=; Path=/; Max-Age=0; SameSite=Lax",
    ]


async def test_a_visitor_that_the_handler_found_by_itself_is_remembered_too(
    aiohttp_client: AiohttpClient,
) -> None:
    site = FakeSite()

    async def forgets_another_way(request: web.Request) -> web.Response:
        remember(request, await site.forget(visitor_in()))
        return web.Response()

    client = await aiohttp_client(shop(site, web.post("/forget", forgets_another_way)))
    answer = await client.post("/forget")

    assert len(answer.headers.getall("Set-Cookie")) == 2
    assert answer.headers["Cache-Control"] == "private, no-store"


async def test_an_error_page_that_an_outer_middleware_puts_in_place_keeps_them(
    aiohttp_client: AiohttpClient,
) -> None:
    @web.middleware
    async def pretty_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPForbidden:
            return web.Response(text="Sorry", status=403, headers={"Cache-Control": "public"})

    app = shop(FakeSite(), web.get("/go", forbids))
    app.middlewares.insert(0, pretty_errors)
    answer = await (await aiohttp_client(app)).get("/go", headers=DOCUMENT)

    assert await answer.text() == "Sorry"
    assert answer.headers.getall("Set-Cookie") == [WHO, SESSION]
    assert answer.headers.getall("Cache-Control") == ["private, no-store"]


async def test_an_outer_middleware_may_hand_on_a_clone_of_the_request_or_praise_its_caching(
    aiohttp_client: AiohttpClient,
) -> None:
    @web.middleware
    async def clones(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone())

    @web.middleware
    async def caches(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers["Cache-Control"] = "public"
        return response

    for outer, path in ((clones, "/"), (clones, "/go"), (caches, "/")):
        app = shop(FakeSite(), web.get("/go", redirects))
        app.middlewares.insert(0, outer)
        client = await aiohttp_client(app)
        answer = await client.get(path, headers=DOCUMENT, allow_redirects=False)

        assert answer.headers.getall("Set-Cookie") == [WHO, SESSION]
        assert answer.headers.getall("Cache-Control") == ["private, no-store"]


@pytest.mark.parametrize("asked_before", [False, True])
async def test_who_asks_for_the_visitor_once_the_headers_have_left_is_told_so_once(
    asked_before: bool, aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache could keep the page for others, and the cookies were gone without a word."""

    async def streams(request: web.Request) -> web.StreamResponse:
        if asked_before:
            visitor_from(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        remember(request, await (await visitor_for(request)).choose_consent("in"))
        await answer.write_eof()
        return answer

    client = await aiohttp_client(shop(FakeSite(), web.get("/stream", streams)))
    for _ in range(2):
        await client.get("/stream", headers=DOCUMENT)

    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("The visitor was asked for on /stream when the answer's headers had")
