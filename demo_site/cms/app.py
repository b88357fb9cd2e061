"""The shop and magazine as one aiohttp application: pages, forms, static files, Perso's edge."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from demo_site.clock import DemoClock
from demo_site.cms import controls, pages
from demo_site.cms.audiences import audiences_from
from demo_site.cms.events import event_for
from demo_site.cms.same_site import guard
from demo_site.cms.shop import SHOP, STARTED, Shop, environment, shop_of
from demo_site.cms.visits import Visits
from perso_aiohttp import init_app
from perso_core import Site

EDGE_PREFIX = "/ee"
DATASTREAM = "demo"
STATIC = Path(__file__).parent.parent / "static"


def build_shop(
    site: Site,
    *,
    edge: web.Application | None,
    clock: DemoClock,
    ad_port: int,
    alloy: Path | None,
) -> web.Application:
    """site: Perso. edge: its HTTP edge, mounted under /ee on the same origin; None: no edge."""
    app = web.Application(middlewares=[_timed, guard(EDGE_PREFIX), _site_pages])
    app[SHOP] = Shop(
        site=site,
        datastream=DATASTREAM,
        clock=clock,
        ad_port=ad_port,
        edge_prefix=EDGE_PREFIX,
        audiences=audiences_from(),
        visits=Visits(),
        templates=environment(),
        alloy=alloy,
    )
    init_app(app, site, datastream=DATASTREAM, event_for=event_for)
    app.add_routes(pages.routes)
    app.add_routes(controls.routes)
    app.router.add_get("/static/perso.js", _perso_js)
    app.router.add_get("/static/alloy.min.js", _alloy_js)
    app.router.add_static("/static/", STATIC)
    if edge is not None:
        app.add_subapp(EDGE_PREFIX, edge)
    app.router.add_get("/{path:.*}", pages.not_found)
    return app


@web.middleware
async def _timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[STARTED] = time.perf_counter()
    return await handler(request)


@web.middleware
async def _site_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Headers that keep a page to itself, on everything but the edge, which has its own."""
    response = await handler(request)
    if not request.path.startswith(EDGE_PREFIX):
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        if response.content_type == "text/html":
            response.headers["Content-Security-Policy"] = _policy(shop_of(request).ad_port)
    return response


def _policy(ad_port: int) -> str:
    """Nothing inline and nothing from elsewhere, but the ad server's frames."""
    frames = f"http://localhost:{ad_port} http://127.0.0.1:{ad_port}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        f" connect-src 'self'; frame-src {frames}; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    )


async def _perso_js(_: web.Request) -> web.Response:
    """The SDK as it is installed with perso_core, where the edge serves it too."""
    source = files("perso_core").joinpath("edge", "static", "perso.js").read_bytes()
    return web.Response(body=source, content_type="text/javascript", charset="utf-8")


async def _alloy_js(request: web.Request) -> web.StreamResponse:
    """The Adobe Web SDK, byte for byte as npm installed it."""
    alloy = shop_of(request).alloy
    if alloy is None:
        raise web.HTTPNotFound(text="alloy is not installed: run npm ci and restart the demo.\n")
    return web.FileResponse(alloy, headers={"Content-Type": "text/javascript; charset=utf-8"})
