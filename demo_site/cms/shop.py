"""What the shop's handlers share: the site they ask, its clock, its templates, its visits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from aiohttp import web
from msgspec import Struct

from demo_site.clock import DemoClock
from demo_site.cms.audiences import Audiences
from demo_site.cms.customers import CUSTOMERS, Customer
from demo_site.cms.events import CUSTOMER_COOKIE, event_for
from demo_site.cms.products import BY_SKU, Product
from demo_site.cms.visits import VisitLog, Visits
from perso_core import Site
from perso_jinja import AudienceExtension

BASKET_COOKIE = "ff_basket"
SDK_COOKIE = "ff_sdk"
SINCE_COOKIE = "ff_since"
_YEAR_S = 365 * 24 * 60 * 60
_MAX_LINES, _MAX_QUANTITY = 20, 9


class Shop(Struct, frozen=True, kw_only=True):
    """alloy: the Adobe Web SDK's built file where it is installed; None: the switch says how to
    install it."""

    site: Site
    datastream: str
    clock: DemoClock
    ad_port: int
    edge_prefix: str
    audiences: Audiences
    visits: Visits
    templates: jinja2.Environment
    alloy: Path | None = None


SHOP = web.AppKey("shop", Shop)
VISIT = web.RequestKey("demo_visit", VisitLog)
STARTED = web.RequestKey("demo_started", float)


def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=[AudienceExtension],
        trim_blocks=True,
        lstrip_blocks=True,
    )


def shop_of(request: web.Request) -> Shop:
    return request.config_dict[SHOP]


def visit_of(request: web.Request) -> VisitLog:
    """The visit that this request belongs to; the same one each time it is asked."""
    if VISIT not in request:
        request[VISIT] = shop_of(request).visits.of(request)
    return request[VISIT]


def event_of(request: web.Request) -> dict[str, Any] | None:
    """The event that this request's visit is; None where it is no visit."""
    return event_for(request)


def since_start_ms(request: web.Request) -> float:
    """Since the request came in."""
    return (time.perf_counter() - request[STARTED]) * 1000


# ---- what the browser keeps for the shop: the client's word, checked when read -----------------


def customer_of(request: web.Request) -> Customer | None:
    """Who the visitor is signed in as. A demo: nobody asked for a password."""
    return CUSTOMERS.get(request.cookies.get(CUSTOMER_COOKIE, ""))


def basket_of(request: web.Request) -> dict[str, int]:
    """SKU -> quantity, in the order in which they were added."""
    basket = {}
    for line in request.cookies.get(BASKET_COOKIE, "").split(".")[:_MAX_LINES]:
        sku, _, quantity = line.partition("_")
        if sku in BY_SKU and quantity.isdecimal() and 0 < int(quantity[:3]) <= _MAX_QUANTITY:
            basket[sku] = int(quantity)
    return basket


def basket_lines(request: web.Request) -> list[tuple[Product, int]]:
    return [(BY_SKU[sku], quantity) for sku, quantity in basket_of(request).items()]


def keep_basket(response: web.StreamResponse, basket: dict[str, int]) -> None:
    lines = [f"{sku}_{min(count, _MAX_QUANTITY)}" for sku, count in basket.items() if count > 0]
    keep_cookie(response, BASKET_COOKIE, ".".join(lines[:_MAX_LINES]))


def keep_cookie(
    response: web.StreamResponse, name: str, value: str, *, max_age_s: int | None = _YEAR_S
) -> None:
    """max_age_s None: until the browser closes. An empty value takes the cookie away."""
    if value:
        response.set_cookie(name, value, max_age=max_age_s, httponly=True, samesite="Lax")
    else:
        response.del_cookie(name)


# ---- where to go after a form -------------------------------------------------------------------


def back(request: web.Request, *, to: str = "") -> web.Response:
    """To the page that the form stood on (ours alone), at the place `to` ("#inspector")."""
    came_from = urlsplit(request.headers.get("Referer", ""))
    ours = came_from.netloc == request.headers.get("Host") and came_from.path.startswith("/")
    # "//other.example" as a path would lead to another site.
    path = "/" + came_from.path.lstrip("/") if ours else "/"
    return see(path + to)


def see(path: str) -> web.Response:
    """Go on at another page, with GET."""
    return web.Response(status=303, headers={"Location": path})


def script_wants_no_page(form: Any) -> bool:
    """The page's script posted the form, and will ask for what changed itself."""
    return bool(form.get("by_script"))
