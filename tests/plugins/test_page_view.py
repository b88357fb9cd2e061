"""The event of a page visit, made from the request alone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiohttp.test_utils import TestServer, make_mocked_request

from perso_aiohttp import page_view
from perso_core.edge.fpid import fpid_in_cookie
from tests.plugins.fake_site import FakeSite
from tests.plugins.shop import shop

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"
DESK = "Mozilla/5.0 (X11; Linux x86_64)"


def test_a_page_view_has_the_page_the_device_and_one_view() -> None:
    request = make_mocked_request("GET", "/shoes?size=42", headers={"Host": "shop.example:8080"})

    assert page_view(request) == {
        "eventType": "web.webpagedetails.pageViews",
        "web": {
            "webPageDetails": {
                "URL": "http://shop.example:8080/shoes?size=42",
                "name": "/shoes",
                "pageViews": {"value": 1},
            }
        },
        "environment": {"type": "browser"},
        "device": {"type": "desktop"},
    }


@pytest.mark.parametrize(
    ("referrer", "kind"),
    [
        ("https://shop.example/home", "internal"),
        ("https://www.shop.example/", "internal"),
        ("https://www.google.com/", "search_engine"),
        ("https://www.google.co.uk/search?q=shoes", "search_engine"),
        ("https://GOOGLE.de", "search_engine"),
        ("https://duckduckgo.com/", "search_engine"),
        ("https://de.search.yahoo.com/", "search_engine"),
        ("https://search.brave.com/", "search_engine"),
        ("https://google.attacker.example/", "external"),
        ("https://mail.google.com/", "external"),
        ("https://notshop.example/", "external"),
        ("https://news.example.org/", "external"),
        ("http://[broken", None),
        ("nonsense", None),
    ],
)
def test_a_referrer_is_internal_a_search_engine_or_external(
    referrer: str, kind: str | None
) -> None:
    headers = {"Host": "shop.example:8080", "Referer": referrer}
    expected = {"URL": referrer} | ({"type": kind} if kind else {})

    assert page_view(make_mocked_request("GET", "/", headers=headers))["web"]["webReferrer"] == (
        expected
    )


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"User-Agent": PHONE}, "mobile"),
        ({"User-Agent": DESK}, "desktop"),
        ({"User-Agent": DESK, "Sec-CH-UA-Mobile": "?1"}, "mobile"),
        ({"User-Agent": PHONE, "Sec-CH-UA-Mobile": "?0"}, "desktop"),
        ({"User-Agent": PHONE, "Sec-CH-UA-Mobile": "maybe"}, "mobile"),
        ({"User-Agent": "x" * 512 + PHONE}, "desktop"),
        ({}, "desktop"),
    ],
)
def test_the_device_is_what_the_browser_says_it_is(headers: dict[str, str], kind: str) -> None:
    event = page_view(make_mocked_request("GET", "/", headers=headers))

    assert event["device"] == {"type": kind}


@pytest.mark.parametrize(
    "hostile",
    [
        b"Host: [::1\r\n",
        b"Host: a b\r\n",
        b"Host: \xff\xfe\r\n",
        b"Host: x\r\nReferer: http://\xff\xfe/\r\n",
        b"Host: x\r\nReferer: http://[\r\n",
        b"Host: x\r\nCookie: who=\xff; \xfe\r\n",
        b"Host: x\r\nUser-Agent: \xff\r\nSec-Purpose: \xff\r\n",
        b"Host: x\r\nReferer: http://" + b"a" * 7_000 + b"\r\n",
    ],
)
async def test_no_header_breaks_a_page_or_makes_an_event_that_cannot_be_stored(
    hostile: bytes,
) -> None:
    site = FakeSite()
    async with TestServer(shop(site)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /?q=%ff%00 HTTP/1.1\r\nAccept: text/html\r\nConnection: close\r\n")
        writer.write(hostile + b"\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.split(b"\r\n", 1)[0] in (b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request")
    for visit in site.visits:
        msgspec.json.encode(visit.xdm)
        visit.cookie_header.encode()
    if b"200 OK" in answer:
        assert len(site.recorded) == 1


async def test_a_cookie_that_is_no_text_is_no_device_id_of_the_site() -> None:
    """Such an id may select a profile, and any two of these had read alike."""
    site = FakeSite()
    async with TestServer(shop(site)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n")
        writer.write(b"Cookie: shop_id=a\xff\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()

    (visit,) = site.visits
    assert fpid_in_cookie(visit.cookie_header, "shop_id") is None
