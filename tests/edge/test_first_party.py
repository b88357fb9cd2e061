"""Where page and edge are of one site, the edge keeps the identity by header."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.edge.first_party import FirstParty, first_party
from perso_core.visitor import SetCookie
from tests.edge.running import NAMES, RunningEdge, Told, ordinary, page_view, running_edge

PAGE = "https://www.shop.test"


@pytest.mark.parametrize(
    ("origin", "host", "fetch_site", "stated", "domain"),
    [
        (PAGE, "edge.shop.test", "same-site", "shop.test", "shop.test"),
        (PAGE, "www.shop.test", "same-origin", "shop.test", "shop.test"),
        (PAGE, "edge.shop.test:8443", "same-site", "shop.test", "shop.test"),
        ("http://localhost:8080", "localhost:8080", "same-origin", "", ""),
        ("http://localhost:8080", "localhost:8081", "same-site", "", ""),
        # Nobody may choose a domain that is not the page's and the edge's.
        (PAGE, "edge.shop.test", "same-site", "evil.test", None),
        (PAGE, "edge.shop.test", "same-site", "hop.test", None),
        (PAGE, "edge.shop.test", "same-site", "edge.shop.test", None),
        (PAGE, "edge.shop.test", "same-site", "", None),
    ],
)
def test_the_domain_of_both_takes_the_cookies(
    origin: str, host: str, fetch_site: str, stated: str, domain: str | None
) -> None:
    found = first_party(origin, host=host, fetch_site=fetch_site)

    assert found is not None
    assert found.domain(stated) == domain


@pytest.mark.parametrize("fetch_site", [None, "cross-site", "none", "same"])
def test_only_the_browser_can_say_that_a_page_is_of_the_edges_site(fetch_site: str | None) -> None:
    assert first_party(PAGE, host="edge.shop.test", fetch_site=fetch_site) is None


def test_a_caller_that_is_no_page_has_no_site() -> None:
    assert first_party(None, host="edge.shop.test", fetch_site="same-site") is None


def test_a_cookie_of_an_https_page_is_secure() -> None:
    secure = FirstParty("x", "x", True).header(SetCookie("a", "b", 60), "shop.test")
    plain = FirstParty("x", "x", False).header(SetCookie("a", "b", None), "")

    assert secure == "a=b; Path=/; Domain=shop.test; Max-Age=60; SameSite=Lax; Secure"
    assert plain == "a=b; Path=/; SameSite=Lax"


async def call(edge: RunningEdge, action: str, body: dict[str, Any], domain: str = "") -> Told:
    sent = {**body, "meta": {"state": {"domain": domain}}}
    return await edge.call(action, sent, origin=edge.url, headers={"Sec-Fetch-Site": "same-origin"})


BODIES: dict[str, dict[str, Any]] = {
    "interact": page_view(),
    "collect": page_view(),
    "identity/acquire": {},
    "privacy/set-consent": {
        "consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]
    },
}


@pytest.mark.parametrize("action", BODIES)
async def test_the_identity_goes_by_header_and_the_rest_by_the_sdk(action: str) -> None:
    async with running_edge(ordinary()) as edge:
        told = await call(edge, action, BODIES[action])

        set_cookies = told.headers.getall("Set-Cookie")  # type: ignore[attr-defined]  # a multidict
        assert {line.partition("=")[0] for line in set_cookies} == {NAMES.identity, NAMES.mac}
        assert NAMES.identity not in told.cookies
        # What was set is what proves the visitor.
        pairs = "; ".join(line.partition(";")[0] for line in set_cookies)
        again = await edge.call(cookie=pairs)
        assert again.ecid is not None
        assert not again.cookies.keys() & {NAMES.identity, NAMES.mac}


async def test_a_page_of_another_domain_keeps_them_itself() -> None:
    async with running_edge(ordinary()) as edge:
        told = await call(edge, "interact", page_view(), domain="shop.test")

        assert "Set-Cookie" not in told.headers
        assert {NAMES.identity, NAMES.mac} <= told.cookies.keys()
