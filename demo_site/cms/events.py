"""What a visit to one of the site's pages is, as an XDM event, and what a click in it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from demo_site.cms.articles import ARTICLES, Article
from demo_site.cms.customers import CUSTOMERS
from demo_site.cms.products import PRODUCTS, Product
from perso_aiohttp import page_view

# Asks for the page as it is now, without another visit: what the page's script fetches.
LOOK_ONLY_HEADER = "X-Look-Only"
CUSTOMER_COOKIE = "ff_customer"

# Page -> (what the event calls it, its section). Products and articles say it themselves.
_PAGES: Mapping[str, tuple[str, str]] = {
    "home": ("home", "shop"),
    "category": ("category", "shop"),
    "magazine": ("magazine", "magazine"),
    "basket": ("basket", "shop"),
    "checkout": ("checkout", "shop"),
    "account": ("account", "account"),
}


def event_for(request: web.Request) -> dict[str, Any] | None:
    """The event of a page request; None where it is no visit: a page that is looked at again
    (by the script, or to unfold a list in the inspector), and an address that is none of ours."""
    page = request.match_info.route.name or ""
    if LOOK_ONLY_HEADER in request.headers or {"find", "why"} & request.query.keys():
        return None
    event = page_view(request)
    if page == "product" and request.match_info["slug"] in PRODUCTS:
        return _product_view(event, PRODUCTS[request.match_info["slug"]])
    if page == "article" and request.match_info["slug"] in ARTICLES:
        reader = CUSTOMERS.get(request.cookies.get(CUSTOMER_COOKIE, ""))
        article = ARTICLES[request.match_info["slug"]]
        return _article_view(event, article, member=bool(reader and reader.member))
    if page in _PAGES:
        return _named(event, *_PAGES[page])
    return None


def basket_event(product: Product, *, added: bool) -> dict[str, Any]:
    """One article into the basket, or out of it."""
    kind = "productListAdds" if added else "productListRemovals"
    return {
        "eventType": f"commerce.{kind}",
        "commerce": {kind: {"value": 1}},
        "productListItems": [_item(product)],
        "web": {"webPageDetails": {"name": f"product/{product.slug}", "siteSection": "shop"}},
    }


def loan_event() -> dict[str, Any]:
    """The first step of paying in parts."""
    return {
        "eventType": "web.formFilledOut",
        "web": {"webPageDetails": {"name": "loan-four-parts", "siteSection": "shop"}},
    }


def store_event() -> dict[str, Any]:
    """The visitor says that they stand in the Amsterdam shop."""
    return {
        "eventType": "location.entry",
        "placeContext": {
            "geo": {"countryCode": "NL", "city": "Amsterdam"},
            "POIinteraction": {"poiDetail": {"name": "Amsterdam flagship"}},
        },
    }


def _named(event: dict[str, Any], name: str, section: str) -> dict[str, Any]:
    details = {**event["web"]["webPageDetails"], "name": name, "siteSection": section}
    return {**event, "web": {**event["web"], "webPageDetails": details}}


def _product_view(event: dict[str, Any], product: Product) -> dict[str, Any]:
    seen = {
        **_named(event, f"product/{product.slug}", product.category),
        "eventType": "commerce.productViews",
        "commerce": {"productViews": {"value": 1}},
        "productListItems": [_item(product)],
    }
    if product.airport:
        seen["_airco"] = {"search": {"destination": product.airport, "passengers": 2}}
    return seen


def _article_view(event: dict[str, Any], article: Article, *, member: bool) -> dict[str, Any]:
    read = _named(event, article.page_name, article.section)
    if article.live:
        session = {"contentType": "live", "name": article.title, "playerName": "fellford"}
        return {
            **read,
            "eventType": "media.sessionStart",
            "mediaCollection": {"sessionDetails": session},
        }
    if article.access == "members" and not member:
        return {
            **read,
            "eventType": "decisioning.propositionDisplay",
            "_pressco": {"wall": {"kind": "hard"}},
        }
    return read


def _item(product: Product) -> dict[str, Any]:
    return {
        "SKU": product.sku,
        "name": product.name,
        "quantity": 1,
        "priceTotal": float(product.price),
        "currencyCode": "EUR",
    }
