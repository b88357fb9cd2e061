"""A small aiohttp site for the tests of its plugin."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from perso_aiohttp import init_app, page_data, visitor_for, visitor_from
from tests.plugins.fake_site import FakeSite

DOCUMENT = {"Sec-Fetch-Dest": "document", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def page(request: web.Request) -> web.Response:
    """Shows whether the visitor is known, and hands the script its data."""
    visitor = visitor_from(request)
    shown = "first" if "First visit" in visitor else "again" if "again" in visitor else "default"
    return web.Response(text=f"{shown} {visitor.state} {page_data(request)['eventId']}")


async def plain(request: web.Request) -> web.Response:
    """Knows nothing of visitors."""
    return web.Response(
        text="the same for all", headers={"Cache-Control": "public, max-age=600", "Vary": "Accept"}
    )


async def api(request: web.Request) -> web.Response:
    visitor = await visitor_for(request)
    return web.json_response({"again": "again" in visitor, "state": visitor.state})


def shop(site: FakeSite, *routes: web.RouteDef, **options: Any) -> web.Application:
    """The pages above and more routes, with the plugin."""
    app = web.Application()
    app.add_routes(
        [web.get("/", page), web.post("/", page), web.get("/plain", plain), web.get("/api", api)]
    )
    app.add_routes(routes)
    init_app(app, site, datastream="demo", **options)
    return app
