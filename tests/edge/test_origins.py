"""Whose pages may call: exact origins, the edge's own, and callers that are no page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from perso_core.definitions.datastream import Datastream
from perso_core.definitions.document import Definitions
from perso_core.edge.origins import is_own, same_site_none
from perso_core.edge.services import EdgeServices
from tests.edge.running import TEXT, RunningEdge, ordinary, page_view, running_edge

PAGE = "https://www.shop.test"

UNLISTED = [
    "null",
    "",
    "https://shop.test",
    "https://www.shop.test.evil.test",
    "https://evil-www.shop.test",
    "https://evilwww.shop.test",
    "https://www.shop.testing",
    "https://www.shop.tes",
    "https://a.www.shop.test",
    "https://evil.test/https://www.shop.test",
    "https://evil.test?https://www.shop.test",
    "https://evil.test#https://www.shop.test",
    "https://www.shop.test@evil.test",
    "https://user@www.shop.test",
    "http://www.shop.test",
    "https://www.shop.test:443",
    "https://www.shop.test:8443",
    "https://www.shop.test/",
    "https://www.shop.test.",
    "https://WWW.shop.test",
    "HTTPS://www.shop.test",
    "https://www.shop.test https://evil.test",
    "https://www.shop.test,https://evil.test",
    "https://www\uff0eshop.test",
    "https://xn--shp-sna.test",
    "https://*.shop.test",
    "file://",
    "chrome-extension://www.shop.test",
]


@pytest.mark.parametrize("origin", UNLISTED)
async def test_a_page_that_is_not_listed_is_refused_and_nothing_is_written(
    edge: RunningEdge, origin: str
) -> None:
    told = await edge.call(origin=origin)

    assert (told.status, told.code) == (403, "urn:perso:edge.origin-refused")
    assert "Access-Control-Allow-Origin" not in told.headers
    assert "Access-Control-Allow-Credentials" not in told.headers
    assert edge.drain.commits == 0


@pytest.mark.parametrize("action", ["collect", "identity/acquire", "privacy/set-consent"])
async def test_an_unlisted_page_is_refused_at_every_action(edge: RunningEdge, action: str) -> None:
    assert (await edge.call(action, origin="https://evil.test")).status == 403


async def test_a_listed_page_reads_its_answer_with_credentials(edge: RunningEdge) -> None:
    told = await edge.call(origin=PAGE)

    assert told.status == 200
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    assert told.headers["Access-Control-Allow-Credentials"] == "true"
    exposed = told.headers["Access-Control-Expose-Headers"]
    assert exposed == "Retry-After, x-adobe-edge, x-request-id"
    assert told.headers["Vary"] == "Origin"


async def test_the_edges_own_pages_may_call(edge: RunningEdge) -> None:
    told = await edge.call(origin=edge.url)

    assert told.status == 200
    assert told.headers["Access-Control-Allow-Origin"] == edge.url


async def test_another_port_of_our_host_is_another_origin(edge: RunningEdge) -> None:
    assert (await edge.call(origin="http://127.0.0.1:1")).status == 403
    assert (await edge.call(origin=edge.url.replace("http:", "https:"))).status == 403


async def test_an_own_origin_behind_a_proxy_can_be_named() -> None:
    def proxied(edge: RunningEdge) -> EdgeServices:
        return replace(edge.services(), own_origins=frozenset({"https://shop.example"}))

    async with running_edge(ordinary(allowed_origins=()), services=proxied) as edge:
        assert (await edge.call(origin="https://shop.example")).status == 200
        assert (await edge.call(origin="https://www.shop.example")).status == 403


async def test_a_caller_that_is_no_page_is_answered_without_cors_headers(
    edge: RunningEdge,
) -> None:
    told = await edge.call()

    assert told.status == 200
    assert "Access-Control-Allow-Origin" not in told.headers


async def test_a_page_listed_elsewhere_is_refused_and_reads_nothing() -> None:
    async with running_edge(two_streams(enabled=True)) as edge:
        told = await edge.call(origin="https://other.test")

        assert told.status == 403
        assert "Access-Control-Allow-Origin" not in told.headers


async def test_a_listed_page_is_told_that_it_named_a_wrong_datastream(edge: RunningEdge) -> None:
    told = await edge.call(config="BOGUS", origin=PAGE)

    assert told.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.test", "null"])
async def test_an_unlisted_page_is_not_told_which_datastreams_there_are(
    edge: RunningEdge, origin: str
) -> None:
    told = await edge.call(config="BOGUS", origin=origin)

    assert "Access-Control-Allow-Origin" not in told.headers


async def test_a_disabled_datastream_lists_nobody() -> None:
    async with running_edge(two_streams(enabled=False)) as edge:
        told = await edge.call(config="BOGUS", origin="https://other.test")

        assert "Access-Control-Allow-Origin" not in told.headers


# ---- preflight ---------------------------------------------------------------


async def test_a_listed_pages_preflight_is_answered(edge: RunningEdge) -> None:
    told = await edge.call(method="OPTIONS", body=b"", origin=PAGE)

    assert told.status == 204
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    assert told.headers["Access-Control-Allow-Methods"] == "POST"
    assert told.headers["Access-Control-Allow-Headers"] == "content-type, x-request-id"
    assert told.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", None])
async def test_another_preflight_is_refused(edge: RunningEdge, origin: str | None) -> None:
    told = await edge.call(method="OPTIONS", body=b"", origin=origin)

    assert told.status == 403
    assert "Access-Control-Allow-Origin" not in told.headers


# ---- cookies across sites ----------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "fetch_site", "none"),
    [
        ("https://www.shop.test", "edge.test", "cross-site", True),
        ("https://www.shop.test", "edge.shop.test", "same-site", False),
        ("https://www.shop.test", "www.shop.test", "same-origin", False),
        ("https://www.shop.test", "edge.test", None, True),
        ("https://www.shop.test:8443", "www.shop.test", None, False),
        ("http://www.shop.test", "edge.test", "cross-site", False),
        ("http://localhost:8080", "localhost:8080", None, False),
        (None, "edge.test", None, False),
    ],
)
def test_same_site_none_is_for_https_pages_of_another_site(
    origin: str | None, host: str, fetch_site: str | None, none: bool
) -> None:
    """On an http page alloy adds Secure to it, and the browser drops the cookie."""
    assert same_site_none(origin, host=host, fetch_site=fetch_site) is none


async def test_every_cookie_of_a_cross_site_answer_says_same_site_none(edge: RunningEdge) -> None:
    told = await edge.call(origin=PAGE, headers={"Sec-Fetch-Site": "cross-site"})

    stored = told.payload("state:store")
    assert len(stored) == 3
    assert all(item["attrs"] == {"SameSite": "None"} for item in stored)


async def test_a_same_site_answer_leaves_the_attribute_out(edge: RunningEdge) -> None:
    told = await edge.call(origin=edge.url)

    assert [item for item in told.payload("state:store") if "attrs" in item] == []


def two_streams(*, enabled: bool) -> Definitions:
    """`demo`, and a datastream that lists https://other.test."""
    other = Datastream(
        id="other", name="Other", enabled=enabled, allowed_origins=("https://other.test",)
    )
    demo = ordinary()
    return structs.replace(demo, datastreams=(*demo.datastreams, other))


@pytest.mark.parametrize("host", ["[", "[x", "a]b", "[::1"])
async def test_a_host_that_is_no_address_is_no_page_of_the_edges_own(
    edge: RunningEdge, host: str
) -> None:
    headers = {**TEXT, "Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    async with edge.http.post(
        f"{edge.url}/ee/v1/interact?configId=demo", json=page_view(), headers=headers
    ) as answer:
        told = await answer.json(content_type=None)

    assert (answer.status, told["type"]) == (403, "urn:perso:edge.origin-refused")


def test_a_host_that_no_site_has_room_for_is_nobodys() -> None:
    """To read one of 9,000 combining characters takes the square of their number."""
    long = "http://edge" + "\u0345" * 5_000 + ".test"

    assert is_own("http://edge.test", edge="http://edge.test")
    assert not is_own(long, edge=long)
