"""What the forms do. Each posts and returns to its page, where the inspector says what changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web

from demo_site.clock import DAY_MS
from demo_site.cms import shop as shops
from demo_site.cms.customers import CUSTOMERS, attributes_of, signed_out
from demo_site.cms.events import CUSTOMER_COOKIE, basket_event, loan_event, store_event
from demo_site.cms.products import BY_SKU
from demo_site.cms.visits import COOKIE as VISIT_COOKIE
from demo_site.cms.visits import Sent
from perso_aiohttp import remember, visitor_for
from perso_core import PageRequest, PersoError, Visitor

routes = web.RouteTableDef()
# How long a form's answer waits until its event is on disk: nobody looks at a page meanwhile.
FORM_WAIT_MS = 1_000


# ---- the basket ---------------------------------------------------------------------------------


@routes.post("/basket/add")
async def add(request: web.Request) -> web.StreamResponse:
    return await _change_basket(request, by=+1)


@routes.post("/basket/remove")
async def remove(request: web.Request) -> web.StreamResponse:
    return await _change_basket(request, by=-1)


async def _change_basket(request: web.Request, *, by: Literal[1, -1]) -> web.StreamResponse:
    form = await request.post()
    product = BY_SKU.get(str(form.get("sku", "")))
    if product is None:
        return shops.back(request)
    # The script reports the event itself, through the SDK.
    if not shops.script_wants_no_page(form):
        await _record(request, basket_event(product, added=by > 0))
    basket = shops.basket_of(request)
    basket[product.sku] = basket.get(product.sku, 0) + by
    said = f"{product.name} is {'in' if by > 0 else 'out of'} the basket: one event was sent."
    shops.visit_of(request).said = said
    response = _answer(request, form)
    shops.keep_basket(response, basket)
    return response


@routes.post("/checkout/four-parts")
async def pay_in_parts(request: web.Request) -> web.StreamResponse:
    await _record(request, loan_event())
    shops.visit_of(request).said = "The form for four parts was begun: one event was sent."
    return shops.back(request)


@routes.post("/checkout/order")
async def order(request: web.Request) -> web.StreamResponse:
    shops.visit_of(request).said = "Ordered, for show: nothing is sent and nobody is charged."
    response = shops.see("/")
    shops.keep_basket(response, {})
    return response


@routes.post("/account/in-store")
async def in_store(request: web.Request) -> web.StreamResponse:
    await _record(request, store_event())
    shops.visit_of(request).said = "You are at the Amsterdam flagship: one event was sent."
    return shops.back(request)


# ---- be someone else ----------------------------------------------------------------------------


@routes.post("/visitor/sign-in")
async def sign_in(request: web.Request) -> web.StreamResponse:
    form = await request.post()
    wanted = CUSTOMERS.get(str(form.get("customer", "")))
    response = shops.back(request, to="#inspector")
    shops.keep_cookie(response, CUSTOMER_COOKIE, wanted.id if wanted else "")
    now = shops.shop_of(request).clock.now()
    before = shops.customer_of(request)

    async def change(visitor: Visitor) -> Visitor:
        # Two patches: one patch cannot both empty an object and fill it.
        if before:
            visitor = await visitor.update(signed_out(before.id, now))
        return await visitor.update(attributes_of(wanted.id, now)) if wanted else visitor

    said = f"Signed in as {wanted.name}" if wanted else "Signed out"
    known = "the shop's attributes are in the profile" if wanted else "its attributes are gone"
    return await _said(request, response, change, said=f"{said}: {known}.")


@routes.post("/visitor/consent")
async def choose_consent(request: web.Request) -> web.StreamResponse:
    form = await request.post()
    response = shops.back(request, to="#inspector")
    chosen = form.get("consent")
    if chosen not in ("in", "out"):
        shops.visit_of(
            request
        ).said = "A choice can be changed, not unmade. Forget me starts over, not asked."
        return response
    general: Literal["in", "out"] = "in" if chosen == "in" else "out"
    said = {
        "in": "Consent given: events count from now on.",
        "out": "Consent withdrawn: nothing is kept, and nothing is answered.",
    }[general]
    return await _said(
        request, response, lambda visitor: visitor.choose_consent(general), said=said
    )


@routes.post("/visitor/forget")
async def forget(request: web.Request) -> web.StreamResponse:
    response = shops.back(request, to="#inspector")
    count = len((await visitor_for(request)).audiences)
    request[shops.VISIT] = shops.shop_of(request).visits.begin()
    for cookie in (CUSTOMER_COOKIE, shops.BASKET_COOKIE, shops.SINCE_COOKIE):
        response.del_cookie(cookie)
    word = "audience" if count == 1 else "audiences"
    said = f"Forgotten: the profile, its events, its consent, and {count} {word}."
    answer = await _said(request, response, lambda visitor: visitor.forget(), said=said)
    shops.keep_cookie(answer, VISIT_COOKIE, shops.visit_of(request).token, max_age_s=None)
    return answer


@routes.post("/visitor/tomorrow")
async def tomorrow(request: web.Request) -> web.StreamResponse:
    shop = shops.shop_of(request)
    shop.clock.move_on(DAY_MS)
    # Session cookies end with the session; what is kept for longer stays.
    visit = request[shops.VISIT] = shop.visits.begin()
    visit.said = f"It is now {shop.clock.now():%a %-d %b, %H:%M} UTC. Your session has ended."
    response = shops.back(request, to="#inspector")
    shops.keep_cookie(response, VISIT_COOKIE, visit.token, max_age_s=None)
    return response


@routes.post("/visitor/sdk")
async def choose_sdk(request: web.Request) -> web.StreamResponse:
    form = await request.post()
    name = "alloy" if form.get("sdk") == "alloy" else "perso"
    response = shops.back(request, to="#inspector")
    shops.keep_cookie(response, shops.SDK_COOKIE, name)
    says = "Adobe's alloy" if name == "alloy" else "perso.js"
    shops.visit_of(request).said = f"From now on {says} reports what this page does."
    return response


@routes.post("/visitor/reported")
async def reported(request: web.Request) -> web.StreamResponse:
    """The page's script tells what it sent, for the inspector's list alone."""
    form = await request.post()
    shops.visit_of(request).reported(
        Sent(
            event_type=str(form.get("type", ""))[:60],
            at_ms=shops.shop_of(request).clock(),
            event_id=str(form.get("event_id", ""))[:64] or None,
            sdk="alloy" if form.get("sdk") == "alloy" else "perso.js",
            sdk_ms=_milliseconds(form.get("ms")),
        )
    )
    return web.Response(status=204)


# ---- inside -------------------------------------------------------------------------------------


async def _record(request: web.Request, event: Mapping[str, Any]) -> None:
    """An event that a form is, decided in process. The next page shows what it changed."""
    shop = shops.shop_of(request)
    began_ms = shops.since_start_ms(request)
    visitor = await shop.site.visit(
        PageRequest(
            datastream_id=shop.datastream,
            cookie_header=request.headers.get("Cookie", ""),
            xdm=event,
            wait_ms=FORM_WAIT_MS,
            accept_language=request.headers.get("Accept-Language", ""),
        )
    )
    remember(request, visitor)
    if visitor.event_id:
        shops.visit_of(request).add(
            Sent(
                event_type=event["eventType"],
                at_ms=shop.clock(),
                event_id=visitor.event_id,
                server_ms=shops.since_start_ms(request) - began_ms,
            )
        )


async def _said(
    request: web.Request, response: web.StreamResponse, change: Any, *, said: str
) -> web.StreamResponse:
    """Change the visitor, and say so; where the store failed, what was kept and what to do."""
    visit = shops.visit_of(request)
    try:
        remember(request, await change(await visitor_for(request)))
    except PersoError as error:
        visit.said = f"Nothing was changed. {error.title}: {error.detail} {error.fix}"
        return shops.back(request, to="#inspector")
    visit.said = said
    return response


def _answer(request: web.Request, form: Any) -> web.StreamResponse:
    return web.Response(status=204) if shops.script_wants_no_page(form) else shops.back(request)


def _milliseconds(text: object) -> float:
    """0 for what is no time; the client's word, bounded."""
    try:
        value = float(str(text))
    except ValueError:
        return 0.0
    return min(max(value, 0.0), 60_000.0) if math.isfinite(value) else 0.0
