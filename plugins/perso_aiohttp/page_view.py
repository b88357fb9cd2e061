"""Which requests are page visits, and the event that one of them is.

Everything here is the client's word: any header may be missing, huge or nonsense, and none of it
may break the page.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from perso_core import referrer_type

# A browser that fetches ahead says so; nobody has seen the page yet.
_AHEAD_HEADERS = ("Sec-Purpose", "Purpose", "X-Moz")
_FRAMES = frozenset({"iframe", "frame", "fencedframe", "embed", "object"})
_MAX_AGENT_CHARS = 512
# What aiohttp makes of a byte that is no UTF-8.
_HALF = re.compile(r"[\ud800-\udfff]")
_MOBILE_AGENT = re.compile(r"Mobi|Android|iPhone|iPad|iPod")


def header_text(request: web.Request, name: str) -> str:
    """A header as text that can be stored; "" when it is absent.

    aiohttp hands over bytes that are no UTF-8 as lone surrogates, which no encoder takes.
    """
    return _storable(request.headers.get(name, ""))


def cookies_text(request: web.Request) -> str:
    """All cookies as one header: of several, as HTTP/2 has them, a proxy may hand on each. A value
    with bytes that are no UTF-8 is none: no two of them may read alike."""
    return _HALF.sub("\0", "; ".join(request.headers.getall("Cookie", ())))


def wants_html(request: web.Request) -> bool:
    """Whether the answer will be shown as a page, be it a document's or a frame's.

    A fetch that accepts text/html is one: that is how client-side routers load pages.
    """
    destination = request.headers.get("Sec-Fetch-Dest", "")
    if destination == "document" or destination in _FRAMES:
        return True
    accept = request.headers.get("Accept", "")
    if "text/html" in accept.lower():
        return destination in ("", "empty")
    # curl and its kin say neither what they want nor where they come from; a browser's script or
    # image says one of the two. A call between servers looks the same, but then it is a POST.
    return (
        request.method in ("GET", "HEAD")
        and not destination
        and "Referer" not in request.headers
        and accept.strip() in ("", "*/*")
    )


def is_visit(request: web.Request) -> bool:
    """Whether the request is somebody visiting a page of the site: GET, wanted as HTML, not in a
    frame, not fetched ahead, and there is such a page (static files are none)."""
    route = request.match_info
    return (
        request.method == "GET"
        and wants_html(request)
        and request.headers.get("Sec-Fetch-Dest") not in _FRAMES
        and not _fetched_ahead(request)
        and route.http_exception is None
        and not isinstance(route.route.resource, web.StaticResource)
    )


def page_view(request: web.Request) -> dict[str, Any]:
    """The visit as an XDM event, from the request alone.

    The page's name is its path. The referrer is left out where there is none, its type where its
    address cannot be read.
    """
    # By hand: request.url raises for a Host header that is no host.
    host = header_text(request, "Host")
    web_fields: dict[str, Any] = {
        "webPageDetails": {
            "URL": f"{request.scheme}://{host}{_storable(request.path_qs)}",
            "name": _storable(request.path),
            "pageViews": {"value": 1},
        }
    }
    referrer = header_text(request, "Referer")
    if referrer:
        web_fields["webReferrer"] = _referrer(referrer, own_host=host)
    return {
        "eventType": "web.webpagedetails.pageViews",
        "web": web_fields,
        "environment": {"type": "browser"},
        "device": {"type": "mobile" if _is_mobile(request) else "desktop"},
    }


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _fetched_ahead(request: web.Request) -> bool:
    return any(
        word in request.headers.get(header, "").lower()
        for header in _AHEAD_HEADERS
        for word in ("prefetch", "prerender")
    )


def _referrer(url: str, *, own_host: str) -> dict[str, str]:
    kind = referrer_type(url, own_host=own_host)
    return {"URL": url, "type": kind} if kind else {"URL": url}


def _is_mobile(request: web.Request) -> bool:
    hint = request.headers.get("Sec-CH-UA-Mobile")
    if hint in ("?0", "?1"):
        return hint == "?1"
    agent = request.headers.get("User-Agent", "")[:_MAX_AGENT_CHARS]
    return _MOBILE_AGENT.search(agent) is not None
