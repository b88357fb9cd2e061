"""Forms change things for this site's own pages alone."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def came_from_our_page(request: web.Request) -> bool:
    """Whether the browser says that one of our own pages sent this.

    Browsers send Origin with every form that posts, and Sec-Fetch-Site where the address is
    trustworthy. Another port of this host is not us: it is `same-site`, and another origin.
    """
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site == "same-origin"
    return request.headers.get("Origin") == f"{request.scheme}://{request.headers.get('Host', '')}"


def guard(edge_prefix: str) -> Middleware:
    """A middleware that refuses what another site's page posts. The edge looks after itself."""

    @web.middleware
    async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
        ours = request.method in _READING or request.path.startswith(edge_prefix)
        if not ours and not came_from_our_page(request):
            raise web.HTTPForbidden(
                text="This form was sent by another site's page, so nothing was changed."
                " Open the shop and use the form there.\n"
            )
        return await handler(request)

    return refuse_other_sites
