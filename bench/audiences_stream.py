"""Visitors of the mixed audiences: attributes, and what they do about every three minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any

from msgspec import Struct

from bench.audiences_mixed import (
    CLUSTERS,
    COUNTRIES,
    PAGES,
    PLANS,
    SECTIONS,
    SKUS,
    STORES,
    TIERS,
    TYPES,
)

START_MS = 1_773_576_000_000  # noon on 15 March 2026, UTC
GAP_MS = 180_000
MINUTE_MS = 60_000

# Events in memory when the stream begins, and those of the stream: about 30 on average.
BEFORE, STREAMED = 25, 10
# These carry an order or items; the others are about a page alone.
WITH_ITEMS = frozenset(kind for kind in TYPES if kind.startswith("commerce."))


class Visitor(Struct, frozen=True):
    """attributes: as a JSON object. events: oldest first, timestamps in milliseconds; the first
    BEFORE of them are in memory when the stream begins."""

    attributes: dict[str, Any]
    events: tuple[dict[str, Any], ...]

    def moments(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], int]]:
        """Each event of the stream: the profile as rules see it with the event in it, the event,
        the instant of its arrival."""
        for number in range(BEFORE, len(self.events)):
            event = self.events[number]
            yield self.view(number + 1), event, event["timestamp"]

    def view(self, number: int = BEFORE) -> dict[str, Any]:
        """The profile as rules see it, with its first `number` events."""
        return {**self.attributes, "xEvent": list(self.events[:number])}


def visitors(count: int) -> tuple[Visitor, ...]:
    """The same count: the same visitors."""
    return tuple(_visitor(Random(number)) for number in range(count))


def _visitor(chance: Random) -> Visitor:
    gaps = (round(chance.expovariate(1 / GAP_MS)) + 1 for _ in range(BEFORE + STREAMED))
    home = f"C{chance.randrange(COUNTRIES)}"
    events = (event(chance, START_MS + at, home) for at in accumulate(gaps))
    return Visitor(attributes(chance, home), tuple(events))


def _zipf(chance: Random, count: int) -> int:
    """A number below count, n about 1 / (n + 1) times as often as 0."""
    return min(count - 1, int((count + 1) ** chance.random()) - 1)


def event(chance: Random, at_ms: int, country: str) -> dict[str, Any]:
    kind = TYPES[_zipf(chance, len(TYPES))]
    page, section = _zipf(chance, PAGES), _zipf(chance, SECTIONS)
    event: dict[str, Any] = {
        "_id": f"{at_ms}-{page}",
        "timestamp": at_ms,
        "eventType": kind,
        "web": {
            "webPageDetails": {
                "URL": f"https://www.shop.test/en/section-{section}/p-{page}?campaign=spring",
                "name": f"shop:page:p-{page}",
                "siteSection": f"section-{section}",
                "server": "www.shop.test",
                "isHomePage": False,
                "pageViews": {"value": 1},
            }
        },
        "environment": {
            "type": "browser",
            "browserDetails": {"viewportWidth": 1440, "viewportHeight": 900},
        },
        "device": {"screenHeight": 1080, "screenWidth": 1920},
        "placeContext": {"geo": {"countryCode": country, "city": "Hamburg"}},
    }
    if kind in WITH_ITEMS:
        event |= _order(chance)
    return event


def _order(chance: Random) -> dict[str, Any]:
    skus = [_zipf(chance, SKUS) for _ in range(chance.randrange(1, 4))]
    prices = [round(chance.uniform(5, 180), 2) for _ in skus]
    return {
        "commerce": {"order": {"currencyCode": "EUR", "priceTotal": round(sum(prices), 2)}},
        "productListItems": [
            {"SKU": f"sku-{sku}", "name": f"Thing {sku}", "priceTotal": price, "quantity": 1}
            for sku, price in zip(skus, prices, strict=True)
        ],
    }


def attributes(chance: Random, country: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "person": {"birthDate": f"1990-{chance.randrange(1, 13):02d}-17"},
        "loyalty": {
            "tier": chance.choice(TIERS).lower(),
            "points": float(chance.randrange(5_000)),
            "joined": _moment(chance, -chance.randrange(1, 700)),
        },
        "homeAddress": {"countryCode": country},
        "subscriptions": {
            "digital": {
                "plan": f"plan-{chance.randrange(PLANS)}",
                "renewal": _moment(chance, chance.randrange(1, 200)),
            }
        },
        "_shopco": {
            "cluster": f"cluster-{chance.randrange(CLUSTERS)}",
            "store": f"store-{chance.randrange(STORES)}",
            "spend": float(chance.randrange(3_000)),
            "lastOrder": _moment(chance, -chance.randrange(1, 200)),
        },
    }
    if chance.random() < 0.5:
        attributes["personalEmail"] = {"address": "ada@shop.test"}
    return attributes


def _moment(chance: Random, days: int) -> str:
    """An instant so many days from the start, at any time of that day."""
    at_s = START_MS // 1_000 + days * 86_400 + chance.randrange(-43_200, 43_200)
    return datetime.fromtimestamp(at_s, UTC).isoformat()
