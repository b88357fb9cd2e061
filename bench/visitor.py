"""What a visitor of the benchmarks is and does: one product view, some attributes."""

from __future__ import annotations

from typing import Any

PRODUCT_VIEW: dict[str, Any] = {
    "eventType": "commerce.productViews",
    "timestamp": "2026-03-15T12:00:00.000Z",
    "web": {
        "webPageDetails": {
            "URL": "https://www.shop.test/en/outdoor/boots/trail-4711?campaign=spring",
            "name": "shop:product:trail-boot-4711",
            "siteSection": "outdoor",
            "server": "www.shop.test",
            "isHomePage": False,
            "pageViews": {"value": 1},
        },
        "webReferrer": {"URL": "https://www.shop.test/en/outdoor/boots", "type": "internal"},
    },
    "commerce": {"productViews": {"value": 1}},
    "productListItems": [
        {"SKU": "BT-4711", "name": "Trail Boot", "priceTotal": 149.5, "quantity": 1}
    ],
    "environment": {
        "type": "browser",
        "browserDetails": {
            "viewportWidth": 1440,
            "viewportHeight": 900,
            "acceptLanguage": "de-DE",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        },
    },
    "device": {"screenHeight": 1080, "screenWidth": 1920, "screenOrientation": "landscape"},
    "placeContext": {
        "localTime": "2026-03-15T13:00:00.000+01:00",
        "localTimezoneOffset": -60,
        "geo": {"countryCode": "DE", "city": "Hamburg"},
    },
    "implementationDetails": {
        "name": "https://ns.adobe.com/experience/alloy",
        "version": "2.32.0",
        "environment": "browser",
    },
}

ATTRIBUTES: dict[str, Any] = {
    "loyalty": {"tier": "gold", "points": 2400.0, "joinDate": "2025-02-01"},
    "person": {"birthDate": "1990-03-20", "name": {"firstName": "Ada"}},
    "homeAddress": {"countryCode": "DE"},
    "consents": {"personalize": {"content": {"val": "y"}}},
    "subscriptions": {"digital": {"plan": "trial", "status": "active"}},
    "_shopco": {"summary": {"lastPurchaseDate": "2026-01-10", "orderCount": 3}},
    "accounts": [{"type": "checking", "currency": "EUR", "balance": 900.0, "cards": []}],
}


def interact_body(event_id: str, cookies: dict[str, str]) -> dict[str, Any]:
    """One product view as the Web SDK sends it, about 1.6 KB with cookies."""
    entries = [{"key": key, "value": value} for key, value in cookies.items()]
    return {
        "meta": {"state": {"domain": "shop.test", "cookiesEnabled": True, "entries": entries}},
        "query": {"identity": {"fetch": ["ECID"]}},
        "events": [{"xdm": {**PRODUCT_VIEW, "_id": event_id}}],
    }
