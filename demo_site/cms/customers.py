"""Three customers that a visitor can be signed in as, as the shop's own systems know them.

Dates are reckoned from the demo's day, so that a trial always ends this week.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct


class Customer(Struct, frozen=True):
    """line: who this is, in a word or two. member: may read past the magazine's wall."""

    id: str
    name: str
    line: str
    member: bool


CUSTOMERS: Mapping[str, Customer] = {
    customer.id: customer
    for customer in (
        Customer("nora", "Nora Finch", "gold, birthday", member=True),
        Customer("sam", "Sam Okafor", "on trial, 27", member=True),
        Customer("ingrid", "Ingrid Dahl", "family, Oslo", member=False),
    )
}


def attributes_of(customer_id: str, now: datetime) -> dict[str, Any]:
    """What the shop's systems tell of a customer, as XDM profile attributes. now: UTC.
    Raises KeyError for an unknown id."""
    return _ATTRIBUTES[customer_id](now)


def signed_out(customer_id: str, now: datetime) -> dict[str, None]:
    """A merge patch (RFC 7396) that removes all of a customer's attributes again."""
    return dict.fromkeys(attributes_of(customer_id, now))


def _nora(now: datetime) -> dict[str, Any]:
    today = now.date()
    return {
        "person": {
            "name": {"firstName": "Nora", "fullName": "Nora Finch"},
            "birthDate": _years_before(today, 41).isoformat(),
        },
        "personalEmail": {"address": "nora@fellford.example"},
        "homeAddress": {"city": "Keswick", "countryCode": "GB"},
        "loyalty": {
            "tier": "gold",
            "points": 7200,
            "joinDate": _days(today, -820),
            "pointsExpiration": _days(today, 40),
            "upgrades": [{"code": "LODGE", "used": False}, {"code": "FERRY", "used": True}],
        },
        "_shopco": {"summary": {"lastPurchaseDate": _days(today, -21), "orderCount": 9}},
        "subscriptions": {"digital": {"plan": "year", "status": "active"}},
        "consents": {
            "personalize": {"content": {"val": "y"}},
            "marketing": {"any": {"val": "y"}, "email": {"val": "y"}},
        },
        "accounts": [
            {
                "type": "checking",
                "currency": "EUR",
                "balance": 18400.0,
                "cards": [{"brand": "visa", "status": "active"}],
            }
        ],
    }


def _sam(now: datetime) -> dict[str, Any]:
    today = now.date()
    return {
        "person": {
            "name": {"firstName": "Sam", "fullName": "Sam Okafor"},
            "birthDate": _days(_years_before(today, 27), -40),
        },
        "personalEmail": {"address": "sam@fellford.example"},
        "homeAddress": {"city": "Berlin", "countryCode": "DE"},
        "loyalty": {"tier": "none", "points": 120, "joinDate": _days(today, -12)},
        "subscriptions": {
            "digital": {"plan": "trial", "status": "active", "endDate": _days(today, 4)}
        },
        "consents": {
            "marketing": {
                "any": {"val": "y"},
                "email": {"val": "y", "subscriptions": {"morning-brief": {"val": "y"}}},
            }
        },
        "_pressco": {"interests": ["sport", "maps"], "habits": {"peakHour": 7}},
        "_bankco": {
            "scores": {"default": 0.02, "fraud": 0.004},
            "housing": "rent",
            "digital": {"firstLogin": _instant(now, days=-9)},
        },
    }


def _ingrid(now: datetime) -> dict[str, Any]:
    today = now.date()
    return {
        "person": {
            "name": {"firstName": "Ingrid", "fullName": "Ingrid Dahl"},
            "birthDate": _days(_years_before(today, 38), -130),
        },
        "personalEmail": {"address": "ingrid@fellford.example"},
        "homeAddress": {"city": "Oslo", "countryCode": "NO"},
        "loyalty": {
            "tier": "silver",
            "points": 2300,
            "joinDate": _days(today, -1460),
            "upgrades": [{"code": "CABIN", "used": False}],
        },
        "_shopco": {"summary": {"lastPurchaseDate": _days(today, -221), "orderCount": 3}},
        "_airco": {
            "household": {"size": 4, "members": [{"role": "child", "age": 7}]},
            "booking": {"nextDeparture": _instant(now, hours=40), "checkedIn": False},
            "profile": {"cabin": "economy", "tripsLastYear": 3, "averageLeadDays": 60},
        },
        "identityMap": {"PubID": [{"id": "ingrid-0417", "authenticatedState": "authenticated"}]},
        "_pressco": {"meter": {"articlesThisMonth": 4}, "interests": ["walking"]},
        "consents": {"marketing": {"any": {"val": "y"}, "email": {"val": "n"}}},
    }


_ATTRIBUTES = {"nora": _nora, "sam": _sam, "ingrid": _ingrid}


def _years_before(day: date, years: int) -> date:
    """The same day of an earlier year; of 29 February, the 28th."""
    return day.replace(year=day.year - years, day=min(day.day, 28))


def _days(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()


def _instant(now: datetime, *, days: int = 0, hours: int = 0) -> str:
    return (now + timedelta(days=days, hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
