"""What the shop tells the ad server, and the two slots' addresses."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web
from msgspec import Struct

from demo_site.cms.articles import ARTICLES
from demo_site.cms.audiences import Audiences
from demo_site.cms.places import AD_ALIAS
from demo_site.cms.products import PRODUCTS
from perso_ads import GamConfig, GamTargeting, gam_targeting
from perso_core import Visitor

_SLOTS = ("top", "bottom")
AD_UNIT = "/1001/fellford"


class AdCall(Struct, frozen=True):
    """targeting: what is sent and what was dropped. slots: slot name -> the frame's address."""

    targeting: GamTargeting
    slots: dict[str, str]


def ad_call(
    request: web.Request, visitor: Visitor, audiences: Audiences, *, ad_port: int
) -> AdCall:
    """The key-values of this page and visitor. Without an answer the page's own are sent."""
    config = GamConfig(
        key="aud",
        values={card.id: card.alias for card in audiences.cards},
        extra=_page_values(request),
    )
    targeting = gam_targeting(visitor.for_alias(AD_ALIAS), config)
    base = f"http://{_other_host(request)}:{ad_port}/ad"
    return AdCall(
        targeting,
        {
            slot: f"{base}?{urlencode({'iu': f'{AD_UNIT}/{slot}'})}"
            f"&cust_params={targeting.cust_params}"
            for slot in _SLOTS
        },
    )


def _other_host(request: web.Request) -> str:
    """Another host name than the page's: all ports of one host share its cookies, and the ad
    server is told nothing but key-values."""
    own = request.headers.get("Host", "").partition(":")[0]
    return "127.0.0.1" if own == "localhost" else "localhost"


def _page_values(request: web.Request) -> dict[str, str]:
    """The site's own key-values. `brand` is written as marketing writes it: it does not fit an
    ad server's rules, and the inspector shows that it was dropped."""
    page = request.match_info.route.name or "other"
    values = {"page": page, "brand": "Fell & Ford"}
    slug = request.match_info.get("slug", "")
    if page == "product" and slug in PRODUCTS:
        values |= {"section": PRODUCTS[slug].category, "sku": PRODUCTS[slug].sku}
    elif page == "category":
        values["section"] = slug
    elif page == "article" and slug in ARTICLES:
        values["section"] = ARTICLES[slug].section.replace(" ", "-")
    return values
