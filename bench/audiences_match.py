"""Rules about one event, for the engines that know only one event.

The first set has the kinds and shares of the rules of a spike, and its seed: equality, lists,
ranges and counts made beforehand; the second adds negation, parts of texts, patterns, windows and
chains.
"""

from __future__ import annotations

from random import Random
from typing import Any

from bench.audiences_parts import (
    AllOf,
    AnyOf,
    Followed,
    Happened,
    Is,
    Not,
    Number,
    OneOf,
    Part,
    Rule,
    Text,
)

SEED = 3
PAGE = "web.webPageDetails.name"
SECTION = "web.webPageDetails.siteSection"
URL = "web.webPageDetails.URL"
LANGUAGE = "environment.browserDetails.acceptLanguage"
COUNTRY = "placeContext.geo.countryCode"
TYPE = "eventType"
PRICE = "commerce.order.priceTotal"

TYPES = (
    "commerce.productViews",
    "web.webpagedetails.pageViews",
    "commerce.purchases",
    "commerce.checkouts",
    "commerce.productListAdds",
    "web.webinteraction.linkClicks",
    "media.play",
    "form.submit",
    "search.site",
    "app.launch",
)
SECTIONS = ("shoes", *(f"sec-{number}" for number in range(39)))
COUNTRIES = ("IE", *(f"C{number}" for number in range(59)))
LANGUAGES = ("en-GB", *(f"l{number}-X" for number in range(19)))
PAGES = ("shop:product:running-shoe-10233", *(f"shop:product:p-{n}" for n in range(1_999)))
# How many of each type the visitor had in seven days: counted beforehand, for every engine.
COUNTED = dict(zip(TYPES, (12, 30, 1, 2, 4, 9, 0, 0, 3, 0), strict=True))

ARRIVED_MS = 1_795_472_244_123  # 2026-11-23 22:17:24.123 UTC
MINUTE_MS = 60_000
# The event came in so late: windows shorter than this are over.
LATE_MINUTES = 20
OPENED_MINUTES = 35

EVENT: dict[str, Any] = {
    "_id": "one-event",
    "timestamp": ARRIVED_MS,
    "eventType": "commerce.productViews",
    "web": {
        "webPageDetails": {
            "URL": "https://shop.example.com/en/shoes/running/p-10233?utm=nl",
            "name": PAGES[0],
            "siteSection": "shoes",
            "server": "shop.example.com",
            "isHomePage": False,
            "pageViews": {"value": 1},
        },
        "webReferrer": {"URL": "https://shop.example.com/en/shoes"},
    },
    "commerce": {
        "productViews": {"value": 1},
        "order": {"currencyCode": "EUR", "priceTotal": 129.95},
    },
    "productListItems": [
        {"SKU": "10233", "name": "Running Shoe", "priceTotal": 129.95, "quantity": 1}
    ],
    "environment": {
        "type": "browser",
        "browserDetails": {
            "viewportWidth": 1280,
            "viewportHeight": 720,
            "acceptLanguage": "en-GB",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        },
    },
    "device": {"screenHeight": 1080, "screenWidth": 1920, "screenOrientation": "landscape"},
    "placeContext": {"localTimezoneOffset": -60, "geo": {"countryCode": "IE", "city": "Dublin"}},
    "counts": {kind.replace(".", "_") + "_7d": number for kind, number in COUNTED.items()},
}
# The event before it, which only the second set's chains ask for.
OPENED: dict[str, Any] = {
    "_id": "event-before",
    "timestamp": ARRIVED_MS - OPENED_MINUTES * MINUTE_MS,
    "eventType": "app.opened",
    "entry": "push-3",
}
ENTRIES = tuple(f"push-{number}" for number in range(8))


def about_one_event(count: int) -> tuple[Rule, ...]:
    """Rules that are one condition on one event. The same count: the same rules."""
    chance = Random(SEED)
    return tuple(Rule(f"seg-{n:05d}", _condition(n % 100, chance)) for n in range(count))


def about_events(count: int) -> tuple[Rule, ...]:
    """The second set: of ten rules four as in the first, two with a negation, two that look for
    parts of a text, one with a window, one chain."""
    chance = Random(SEED + 1)
    return tuple(Rule(f"wide-{n:05d}", _wider(n, chance)) for n in range(count))


def _condition(kind: int, chance: Random) -> Part:
    price = chance.randrange(0, 500)
    if kind < 30:
        return AllOf((Is(PAGE, chance.choice(PAGES)), Number(PRICE, ">=", price)))
    if kind < 45:
        return Is(SECTION, chance.choice(SECTIONS))
    if kind < 60:
        return AllOf((_country(chance), Is(LANGUAGE, chance.choice(LANGUAGES))))
    if kind < 75:
        return AllOf((Number(PRICE, ">=", price), Number(PRICE, "<", price + 5)))
    if kind < 90:
        return AllOf((Is(TYPE, chance.choice(TYPES)), _counted(chance)))
    first = AllOf((Is(SECTION, chance.choice(SECTIONS)), Number(PRICE, "<", price)))
    return AnyOf((first, AllOf((_country(chance), _counted(chance)))))


def _country(chance: Random) -> Part:
    return OneOf(COUNTRY, tuple(chance.sample(COUNTRIES, 3)))


def _counted(chance: Random) -> Part:
    counter = chance.choice(TYPES).replace(".", "_") + "_7d"
    return Number(f"counts.{counter}", ">=", chance.randrange(1, 60))


def _wider(number: int, chance: Random) -> Part:
    kind = number % 10
    if kind < 4:
        return Happened(_condition(chance.randrange(100), chance))
    if kind < 6:
        excluded = chance.choice((_country(chance), Is(SECTION, chance.choice(SECTIONS))))
        return Happened(AllOf((Is(TYPE, chance.choice(TYPES)), Not(excluded))))
    if kind < 8:
        return Happened(AllOf((Is(TYPE, chance.choice(TYPES)), _part_of_text(chance))))
    if kind < 9:
        return Happened(_frequent(chance), minutes=chance.randrange(5, 60))
    opened = AllOf((Is(TYPE, "app.opened"), Is("entry", chance.choice(ENTRIES))))
    return Followed(opened, _frequent(chance), minutes=chance.randrange(22, 90))


def _frequent(chance: Random) -> Part:
    """A condition that many events satisfy, so that windows and chains decide."""
    return chance.choice(
        (
            Is(TYPE, chance.choice(TYPES)),
            Number(PRICE, ">=", chance.randrange(200)),
            _country(chance),
        )
    )


def _part_of_text(chance: Random) -> Part:
    section, page = chance.choice(SECTIONS), chance.randrange(10_000, 10_400)
    return chance.choice(
        (
            Text(URL, "contains", f"/{section}/"),
            Text(URL, "startsWith", f"https://shop.example.com/en/{section}"),
            Text(URL, "matches", f"/p-{page // 10}[0-9]+([?]|$)"),
        )
    )
