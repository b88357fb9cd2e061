"""For each of the forty audiences a visitor who is in it, and the one value that puts one out."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

_NOW = datetime.now(UTC)


class Case(Struct, frozen=True):
    """attributes: put into the profile. event: sent after it, without its time: it is now.

    at: path of the deciding value in {"attributes": …, "event": …}; numbers are places in lists.
    out: the value at that path of a visitor who is out.
    """

    attributes: dict[str, Any]
    event: dict[str, Any]
    at: str
    out: Any

    def visitor_in(self) -> dict[str, Any]:
        return deepcopy({"attributes": self.attributes, "event": self.event})

    def visitor_out(self) -> dict[str, Any]:
        """Raises KeyError or IndexError where the path leads to nothing."""
        visitor = self.visitor_in()
        *way, last = (int(step) if step.isdigit() else step for step in self.at.split("."))
        place: Any = visitor
        for step in way:
            place = place[step]
        place[last]  # a value that was not there would be one more, not another
        place[last] = self.out
        return visitor


def _day(days: int) -> str:
    """The date so many days from today; before it where negative."""
    return (_NOW + timedelta(days=days)).date().isoformat()


def _instant(hours: int) -> str:
    return (_NOW + timedelta(hours=hours)).isoformat()


def _born(years: int) -> str:
    """The birth date of one who is so many years old, and had the birthday months ago."""
    return _day(-years * 365 - 120)


def _of(out: Any, at: str, **attributes: Any) -> Case:
    """Decided by an attribute; the event is one that no audience waits for."""
    return Case(attributes, {"eventType": "visit"}, f"attributes.{at}", out)


def _by(
    out: Any, at: str, event_type: str = "visit", *, who: dict[str, Any] | None = None, **event: Any
) -> Case:
    """Decided by a value of the event. who: attributes that the rule also wants."""
    return Case(who or {}, {"eventType": event_type, **event}, f"event.{at}", out)


def _page(**details: Any) -> dict[str, Any]:
    return {"webPageDetails": details}


BASKET_ADD = "commerce.productListAdds"
GOLD = {"tier": "Gold", "points": 1000}
ELITE = {"tier": "silver", "upgrades": [{"used": True}, {"used": False}]}
READER = {"PubID": [{"id": "r-1", "authenticatedState": "authenticated"}]}
LOW_RISK = {"default": 0.049, "fraud": 0.01}
THIS_MONTH = f"1990-{_NOW.month:02}-15"
NEXT_MONTH = f"1990-{_NOW.month % 12 + 1:02}-15"

RETAIL: Mapping[str, Case] = {
    "Retail - Basket started this hour": _by("commerce.productViews", "eventType", BASKET_ADD),
    "Retail - Big basket today": _by(
        149.99,
        "productListItems.1.priceTotal",
        BASKET_ADD,
        who={"loyalty": {"tier": "bronze"}},
        productListItems=[{"SKU": "A", "priceTotal": 100}, {"SKU": "B", "priceTotal": 150}],
    ),
    "Retail - Sneaker browser": _by(
        "BAG-1",
        "productListItems.0.SKU",
        "commerce.productViews",
        productListItems=[{"SKU": "SNK-1", "name": "Fell runner"}],
    ),
    "Retail - Gold or above": _of(999.5, "loyalty.points", loyalty=GOLD),
    "Retail - Birthday month": _of(
        NEXT_MONTH,
        "person.birthDate",
        person={"birthDate": THIS_MONTH},
        consents={"personalize": {"content": {"val": "y"}}},
    ),
    "Retail - New member": _of(_day(-40), "loyalty.joinDate", loyalty={"joinDate": _day(-20)}),
    "Retail - Lapsed buyer": _of(
        0,
        "_shopco.summary.orderCount",
        _shopco={"summary": {"lastPurchaseDate": _day(-200), "orderCount": 1}},
    ),
    "Retail - Checkout page on a phone": _by(
        "tablet",
        "device.type",
        who={"homeAddress": {"countryCode": "AT"}},
        web=_page(name="checkout"),
        environment={"type": "browser"},
        device={"type": "mobile"},
    ),
    "Retail - Near a store": _by(
        "BE",
        "placeContext.geo.countryCode",
        placeContext={
            "geo": {"countryCode": "NL"},
            "POIinteraction": {"poiDetail": {"name": "Flagship Utrecht"}},
        },
    ),
    "Retail - Valuable and content": _of(
        _day(-200),
        "_shopco.summary.lastPurchaseDate",
        loyalty=GOLD,
        _shopco={"summary": {"lastPurchaseDate": _day(-20), "orderCount": 3}},
    ),
}

MEDIA: Mapping[str, Case] = {
    "Media - Reading politics now": _by(
        "sport",
        "web.webPageDetails.siteSection",
        web=_page(siteSection="politics", pageViews={"value": 1}),
    ),
    "Media - Meter nearly spent": _of(
        6, "_pressco.meter.articlesThisMonth", _pressco={"meter": {"articlesThisMonth": 5}}
    ),
    "Media - Registered, not paying": _of(
        "running",
        "subscriptions.digital.status",
        identityMap=READER,
        subscriptions={"digital": {"status": "ended"}},
    ),
    "Media - Trial ends this week": _of(
        _day(12),
        "subscriptions.digital.endDate",
        subscriptions={"digital": {"plan": "trial", "endDate": _day(3)}},
    ),
    "Media - Paywall shown today": _by(
        "soft",
        "_pressco.wall.kind",
        "decisioning.propositionDisplay",
        _pressco={"wall": {"kind": "hard"}},
    ),
    "Media - Newsletter reader": _of(
        "n",
        "consents.marketing.email.subscriptions.morning-brief.val",
        consents={"marketing": {"email": {"subscriptions": {"morning-brief": {"val": "y"}}}}},
        personalEmail={"address": "a@example.org"},
    ),
    "Media - Live sport viewer": _by(
        "vod",
        "mediaCollection.sessionDetails.contentType",
        "media.sessionStart",
        who={"_pressco": {"interests": ["chess", "sport"]}},
        mediaCollection={"sessionDetails": {"contentType": "live"}},
    ),
    "Media - Came from search": _by(
        "https://search.example/",
        "web.webReferrer.URL",
        web={"webReferrer": {"type": "search_engine", "URL": "https://www.ecosia.org/"}},
    ),
    "Media - Young commuter": _of(
        _born(31),
        "person.birthDate",
        person={"birthDate": _born(20)},
        _pressco={"habits": {"peakHour": 8}},
    ),
    "Media - Subscription prospects": _of(
        "loggedOut",
        "identityMap.PubID.0.authenticatedState",
        identityMap=READER,
        _pressco={"meter": {"articlesThisMonth": 4}},
    ),
}

TRAVEL: Mapping[str, Case] = {
    "Travel - Searched a beach today": _by(
        1, "_airco.search.passengers", _airco={"search": {"destination": "FAO", "passengers": 2}}
    ),
    "Travel - Fare in basket": _by(
        99.99,
        "productListItems.0.priceTotal",
        BASKET_ADD,
        productListItems=[{"SKU": "FL-1", "priceTotal": 100}],
    ),
    "Travel - Elite flyer": _of(True, "loyalty.upgrades.1.used", loyalty=ELITE),
    "Travel - Departs within two days": _of(
        True,
        "_airco.booking.checkedIn",
        _airco={"booking": {"nextDeparture": _instant(24), "checkedIn": False}},
    ),
    "Travel - Family": _of(
        12,
        "_airco.household.members.1.age",
        _airco={
            "household": {
                "members": [{"role": "adult", "age": 40}, {"role": "child", "age": 11}],
                "size": 3,
            }
        },
    ),
    "Travel - Abroad right now": _by(
        "NO",
        "placeContext.geo.countryCode",
        who={"homeAddress": {"countryCode": "NO"}},
        placeContext={"geo": {"countryCode": "SE"}},
    ),
    "Travel - Points run out": _of(
        _day(70),
        "loyalty.pointsExpiration",
        loyalty={"points": 5000, "pointsExpiration": _day(50)},
    ),
    "Travel - Manage booking on the app": _by(
        "browser",
        "environment.type",
        environment={"type": "application"},
        application={"name": "Airco for phones"},
        web=_page(name="manage-booking/seats"),
    ),
    "Travel - Business shape": _of(
        11,
        "_airco.profile.averageLeadDays",
        _airco={"profile": {"cabin": "Business", "tripsLastYear": 8, "averageLeadDays": 10}},
    ),
    "Travel - Upgrade offer": _of(
        8,
        "_airco.profile.tripsLastYear",
        loyalty=ELITE,
        _airco={"profile": {"cabin": "business", "tripsLastYear": 7, "averageLeadDays": 10}},
    ),
}

FINANCE: Mapping[str, Case] = {
    "Finance - Started a loan form": _by(
        "card-step-1", "web.webPageDetails.name", "web.formFilledOut", web=_page(name="loan-step-1")
    ),
    "Finance - Idle cash": _of(
        "savings",
        "accounts.1.type",
        accounts=[
            {"type": "checking", "currency": "EUR", "balance": 15_000},
            {"type": "deposit", "currency": "EUR", "balance": 1},
        ],
    ),
    "Finance - Card holder": _of(
        "blocked",
        "accounts.0.cards.0.status",
        accounts=[{"type": "checking", "cards": [{"brand": "Visa", "status": "active"}]}],
    ),
    "Finance - First home age": _of(
        "own", "_bankco.housing", person={"birthDate": _born(30)}, _bankco={"housing": "rent"}
    ),
    "Finance - Mortgage page today": _by(
        "mortgage/questions",
        "web.webPageDetails.name",
        who={"person": {"birthDate": _born(35)}},
        web=_page(name="mortgage/rates"),
    ),
    "Finance - Low risk": _of(0.05, "_bankco.scores.default", _bankco={"scores": LOW_RISK}),
    "Finance - Large transfer just now": _by(
        "NOK",
        "_bankco.transfer.currency",
        "bank.transfer",
        _bankco={"transfer": {"amount": 5000, "currency": "USD"}},
    ),
    "Finance - No marketing": _of(
        "y", "consents.marketing.any.val", consents={"marketing": {"any": {"val": "dn"}}}
    ),
    "Finance - New to digital": _of(
        _instant(-20 * 24),
        "_bankco.digital.firstLogin",
        identityMap={"ECID": [{"id": "1"}]},
        _bankco={"digital": {"firstLogin": _instant(-10 * 24)}},
    ),
    "Finance - Loan candidates": _of(
        "n",
        "consents.marketing.any.val",
        person={"birthDate": _born(30)},
        _bankco={"housing": "rent", "scores": LOW_RISK},
        consents={"marketing": {"any": {"val": "y"}}},
    ),
}

# Audience name -> its case.
CASES: Mapping[str, Case] = {**RETAIL, **MEDIA, **TRAVEL, **FINANCE}
