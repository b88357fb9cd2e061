"""The pages: what each one shows. All of them end with the inspector."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from demo_site.clock import DAY_MS
from demo_site.cms import shop as shops
from demo_site.cms.ads import ad_call
from demo_site.cms.articles import ARTICLES, EDITORS_ORDER, FREE_ARTICLES
from demo_site.cms.customers import CUSTOMERS, attributes_of
from demo_site.cms.events import LOOK_ONLY_HEADER, basket_event
from demo_site.cms.inspector import View, inspect, unfold_from
from demo_site.cms.places import PlacesUsed
from demo_site.cms.products import CATEGORIES, CATEGORY, PRODUCTS, products_of
from demo_site.cms.visits import COOKIE as VISIT_COOKIE
from demo_site.cms.visits import Sent
from perso_aiohttp import page_data, script_json, visitor_for
from perso_core import Visitor

routes = web.RouteTableDef()


@routes.get("/", name="home")
async def home(request: web.Request) -> web.Response:
    return await _page(request, "home.html", featured=[PRODUCTS[slug] for slug in _FEATURED])


_FEATURED = ("skylark-2", "pathfinder", "palma")


@routes.get("/shop/{slug}", name="category")
async def category(request: web.Request) -> web.Response:
    found = CATEGORY.get(request.match_info["slug"])
    if found is None:
        return await not_found(request)
    return await _page(request, "category.html", category=found, products=products_of(found.slug))


@routes.get("/product/{slug}", name="product")
async def product(request: web.Request) -> web.Response:
    found = PRODUCTS.get(request.match_info["slug"])
    if found is None:
        return await not_found(request)
    event = script_json(basket_event(found, added=True))
    return await _page(request, "product.html", product=found, added_event=event)


@routes.get("/magazine", name="magazine")
async def magazine(request: web.Request) -> web.Response:
    return await _page(request, "magazine.html")


@routes.get("/magazine/{slug}", name="article")
async def article(request: web.Request) -> web.Response:
    found = ARTICLES.get(request.match_info["slug"])
    if found is None:
        return await not_found(request)
    reader = shops.customer_of(request)
    walled = found.access == "members" and not (reader and reader.member)
    return await _page(request, "article.html", article=found, walled=walled)


@routes.get("/basket", name="basket")
async def basket(request: web.Request) -> web.Response:
    return await _page(request, "basket.html")


@routes.get("/checkout", name="checkout")
async def checkout(request: web.Request) -> web.Response:
    return await _page(request, "checkout.html")


@routes.get("/account", name="account")
async def account(request: web.Request) -> web.Response:
    customer = shops.customer_of(request)
    now = shops.shop_of(request).clock.now()
    known = attributes_of(customer.id, now) if customer else {}
    return await _page(request, "account.html", known=known)


async def not_found(request: web.Request) -> web.Response:
    """An address that is no page of ours, with the shop around it."""
    return await _page(request, "not_found.html", status=404)


# ---- around every page --------------------------------------------------------------------------


async def _page(
    request: web.Request, template: str, *, status: int = 200, **content: Any
) -> web.Response:
    shop = shops.shop_of(request)
    decided_ms = shops.since_start_ms(request)
    visitor = await visitor_for(request)
    visit = shops.visit_of(request)
    if visitor.event_id:
        visit.add(_sent(request, visitor, shop.clock(), decided_ms))
    places = PlacesUsed(visitor)
    call = ad_call(request, visitor, shop.audiences, ad_port=shop.ad_port)
    lines = shops.basket_lines(request)

    def inspected() -> View:
        return inspect(
            visitor,
            shop.audiences,
            places,
            call,
            decided_ms=decided_ms,
            page_ms=shops.since_start_ms(request) - decided_ms,
            unfold=unfold_from(request.query),
        )

    body = shop.templates.get_template(template).render(
        **content,
        **_shop_frame(request, lines),
        **_inspector_frame(request, visitor),
        visitor=visitor,
        places=places,
        ad_call=call,
        inspected=inspected,
        visit=visit,
        decided_ms=decided_ms,
        so_far_ms=lambda: shops.since_start_ms(request),
        page_json=script_json(_for_script(request, visitor)),
    )
    response = web.Response(text=body, content_type="text/html", status=status)
    _keep_cookies(request, response)
    return response


def _sent(request: web.Request, visitor: Visitor, now_ms: int, decided_ms: float) -> Sent:
    event = shops.event_of(request)
    return Sent(
        event_type=event["eventType"] if event else "",
        at_ms=now_ms,
        event_id=visitor.event_id,
        server_ms=decided_ms,
    )


def _shop_frame(request: web.Request, lines: list[Any]) -> dict[str, Any]:
    return {
        "page": request.match_info.route.name or "",
        "path": request.path,
        "categories": CATEGORIES,
        "articles": ARTICLES,
        "editors_order": EDITORS_ORDER,
        "free_articles": FREE_ARTICLES,
        "customer": shops.customer_of(request),
        "customers": CUSTOMERS.values(),
        "lines": lines,
        "total": sum(product.price * quantity for product, quantity in lines),
        "basket_count": sum(quantity for _, quantity in lines),
    }


def _inspector_frame(request: web.Request, visitor: Visitor) -> dict[str, Any]:
    shop = shops.shop_of(request)
    return {
        "consent": _consent(request, visitor),
        "day": _day_of_visitor(request, shop.clock()),
        "now": shop.clock.now(),
        "sdk": _sdk(request),
        "has_alloy": shop.alloy is not None,
        "at": lambda at_ms: datetime.fromtimestamp(at_ms / 1000, UTC),
    }


def _for_script(request: web.Request, visitor: Visitor) -> dict[str, Any]:
    """What static/page.js reads. rendered: the audiences per alias that this page was made of."""
    shop = shops.shop_of(request)
    return {
        **page_data(request),
        "sdk": _sdk(request),
        "orgId": shop.audiences.org,
        "edgeBasePath": shop.edge_prefix.strip("/"),
        "eventType": (shops.event_of(request) or {}).get("eventType"),
        "lookOnlyHeader": LOOK_ONLY_HEADER,
        "rendered": {entry.alias: sorted(entry.audiences) for entry in visitor.lookup.destinations},
    }


def _consent(request: web.Request, visitor: Visitor) -> str:
    """What the visitor chose: "in", "out" or "" (not asked yet)."""
    org = shops.shop_of(request).audiences.org.replace("@", "_", 1)
    word = request.cookies.get(f"kndctr_{org}_consent", "").removeprefix("general=")
    if visitor.state == "no-consent":
        return "out"
    return "in" if word == "in" else ""


def _sdk(request: web.Request) -> str:
    wanted = request.cookies.get(shops.SDK_COOKIE)
    return "alloy" if wanted == "alloy" and shops.shop_of(request).alloy else "perso"


def _day_of_visitor(request: web.Request, now_ms: int) -> int:
    """1 on the first day; the browser's word, so bounded."""
    since = request.cookies.get(shops.SINCE_COOKIE, "")
    since_ms = int(since) if since.isdecimal() and len(since) < 16 else now_ms
    return max(1, min((now_ms - since_ms) // DAY_MS + 1, 9_999))


def _keep_cookies(request: web.Request, response: web.Response) -> None:
    visit = shops.visit_of(request)
    if request.cookies.get(VISIT_COOKIE) != visit.token:
        shops.keep_cookie(response, VISIT_COOKIE, visit.token, max_age_s=None)
    if shops.SINCE_COOKIE not in request.cookies:
        shops.keep_cookie(response, shops.SINCE_COOKIE, str(shops.shop_of(request).clock()))
