"""The ad server over HTTP: `/ad` is a slot's frame, `/why` the whole choice on a page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode

import jinja2
from aiohttp import web

from demo_site.ad_server.line_items import KeyValues, choose

_HERE = Path(__file__).parent
_MAX_QUERY_CHARS = 4_096
_TEMPLATES = web.AppKey("templates", jinja2.Environment)
# Script-free, and framed by the shop alone: an ad has no business with anything else.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'"
)


def build_ad_server() -> web.Application:
    app = web.Application()
    app[_TEMPLATES] = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    app.router.add_get("/", _start)
    app.router.add_get("/ad", _ad)
    app.router.add_get("/why", _why)
    app.router.add_static("/static/", _HERE.parent / "static")
    return app


async def _start(request: web.Request) -> web.Response:
    raise web.HTTPFound("/why")


async def _ad(request: web.Request) -> web.Response:
    return _page(request, "ad.html")


async def _why(request: web.Request) -> web.Response:
    return _page(request, "why.html")


def _page(request: web.Request, template: str) -> web.Response:
    slot, told = _slot(request), _told(request)
    verdicts = choose(slot, told)
    body = (
        request.app[_TEMPLATES]
        .get_template(template)
        .render(
            slot=slot,
            told=told,
            verdicts=verdicts,
            shown=verdicts[0],
            why_url="/why?" + urlencode({key: request.query.get(key, "") for key in _PARAMETERS}),
            cookies=sorted(request.cookies),
        )
    )
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=body, content_type="text/html", headers=headers)


_PARAMETERS = ("iu", "cust_params")


def _slot(request: web.Request) -> str:
    """The last part of the ad unit's path; "top" where none was asked for."""
    name = request.query.get("iu", "").rpartition("/")[2]
    return name if name in ("top", "bottom") else "top"


def _told(request: web.Request) -> KeyValues:
    """The key-values of `cust_params`: `aud=gold,elite&page=product`, encoded once."""
    pairs = parse_qs(request.query.get("cust_params", "")[:_MAX_QUERY_CHARS])
    return {key: values[-1].split(",") for key, values in sorted(pairs.items())}
