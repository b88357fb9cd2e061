"""The forty audiences brands define."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.explain import Explanation, explain_rule, reason
from perso_core.rules.ruleset import RuleSet
from tests.pql.cases import AUDIENCES

NOW_MS = 1_773_577_845_000  # 2026-03-15 12:30:45 UTC
NAMES = {audience["id"]: audience["name"] for audience in AUDIENCES}
RULES = {audience["name"]: compile_rule(audience["pql"]) for audience in AUDIENCES}


def event(minutes_ago: int, kind: str = "visit", **fields: Any) -> dict[str, Any]:
    return {"timestamp": NOW_MS - minutes_ago * 60_000, "eventType": kind, **fields}


def page(**fields: Any) -> dict[str, Any]:
    return {"webPageDetails": fields}


MEMBER = {"status": "realized"}
IN: dict[str, Any] = {
    "loyalty": {
        "tier": "Gold",
        "points": 6000,
        "joinDate": "2026-03-01",
        "pointsExpiration": "2026-04-20",
        "upgrades": [{"used": False}],
    },
    "homeAddress": {"countryCode": "NO"},
    "person": {"birthDate": "1994-03-20"},
    "consents": {
        "personalize": {"content": {"val": "y"}},
        "marketing": {
            "any": {"val": "dn"},
            "email": {"subscriptions": {"morning-brief": {"val": "y"}}},
        },
    },
    "personalEmail": {"address": "a@example.org"},
    "accounts": [
        {
            "type": "checking",
            "currency": "EUR",
            "balance": 20_000,
            "cards": [{"brand": "Visa", "status": "active"}],
        }
    ],
    "identityMap": {"ECID": [{"id": "1"}], "PubID": [{"authenticatedState": "authenticated"}]},
    "_shopco": {"summary": {"lastPurchaseDate": "2025-01-01", "orderCount": 2}},
    "_pressco": {
        "meter": {"articlesThisMonth": 4},
        "interests": ["sport"],
        "habits": {"peakHour": 7},
    },
    "_airco": {
        "booking": {"nextDeparture": "2026-03-16T08:00:00Z", "checkedIn": False},
        "household": {"members": [{"role": "child", "age": 4}]},
        "profile": {"cabin": "Business", "tripsLastYear": 9, "averageLeadDays": 3},
    },
    "_bankco": {
        "housing": "rent",
        "scores": {"default": 0.01, "fraud": 0.001},
        "digital": {"firstLogin": "2026-03-10T08:00:00Z"},
    },
    "xEvent": [
        event(
            5,
            "commerce.productListAdds",
            productListItems=[{"SKU": "FL-1", "priceTotal": 300.0}],
        ),
        event(6, "commerce.productViews", productListItems=[{"SKU": "SNK-1"}]),
        event(
            7,
            environment={"type": "browser"},
            device={"type": "mobile"},
            web=page(name="checkout"),
            placeContext={
                "geo": {"countryCode": "NL"},
                "POIinteraction": {"poiDetail": {"name": "Flagship store"}},
            },
        ),
        event(8, web=page(siteSection="politics", pageViews={"value": 1})),
        event(9, "decisioning.propositionDisplay", _pressco={"wall": {"kind": "hard"}}),
        event(
            10, "media.sessionStart", mediaCollection={"sessionDetails": {"contentType": "live"}}
        ),
        event(11, web={"webReferrer": {"type": "search_engine", "URL": "https://www.bing.com"}}),
        event(12, _airco={"search": {"destination": "BCN", "passengers": 2}}),
        event(
            13,
            environment={"type": "application"},
            application={"name": "Airco"},
            web=page(name="manage-booking/seats"),
        ),
        event(14, "web.formFilledOut", web=page(name="loan-step-1")),
        event(15, web=page(name="mortgage/rates")),
        event(3, "bank.transfer", _bankco={"transfer": {"amount": 6000, "currency": "EUR"}}),
    ],
}
# What contradicts the profile above.
CHANGED: dict[str, dict[str, Any]] = {
    "Retail - Checkout page on a phone": {"homeAddress": {"countryCode": "DE"}},
    "Media - Trial ends this week": {
        "subscriptions": {"digital": {"plan": "trial", "endDate": "2026-03-18"}}
    },
    "Media - Young commuter": {"person": {"birthDate": "2000-03-20"}},
}
MEMBERSHIPS = {
    "Retail - Valuable and content": ["Retail - Gold or above"],
    "Media - Subscription prospects": [
        "Media - Registered, not paying",
        "Media - Meter nearly spent",
    ],
    "Travel - Upgrade offer": ["Travel - Elite flyer"],
    "Finance - Loan candidates": ["Finance - Low risk", "Finance - First home age"],
}


def view_in(name: str) -> dict[str, Any]:
    ids = {audience["name"]: audience["id"] for audience in AUDIENCES}
    memberships = {ids[other]: MEMBER for other in MEMBERSHIPS.get(name, ())}
    return {**IN, **CHANGED.get(name, {}), "segmentMembership": {"ups": memberships}}


def decides_once(part: Explanation) -> bool:
    deciding = [child for child in part.children if child.decides]
    return not part.children or (len(deciding) == 1 and decides_once(deciding[0]))


@pytest.mark.parametrize("name", RULES)
def test_a_fitting_visitor_is_in_and_told_why(name: str) -> None:
    rule, view = RULES[name], view_in(name)

    explanation = explain_rule(rule, view, NOW_MS, names=NAMES)

    assert rule.evaluate(view, NOW_MS).holds
    assert explanation.holds
    assert decides_once(explanation)
    assert reason(explanation).endswith(".")


@pytest.mark.parametrize("name", RULES)
def test_a_stranger_is_out_and_told_why(name: str) -> None:
    rule = RULES[name]

    explanation = explain_rule(rule, {}, NOW_MS, names=NAMES)

    assert not rule.evaluate({}, NOW_MS).holds
    assert not explanation.holds
    assert decides_once(explanation)
    assert reason(explanation).startswith(("No", "Not in"))


def test_an_event_reaches_few_of_the_forty() -> None:
    rules = RuleSet(list(RULES.items()))

    reached = {sent.get("eventType", ""): rules.reached_by(sent) for sent in IN["xEvent"]}

    assert reached["commerce.productListAdds"] == [
        "Retail - Basket started this hour",
        "Retail - Big basket today",
        "Travel - Fare in basket",
    ]
    assert reached["bank.transfer"] == ["Finance - Large transfer just now"]
    assert max(map(len, reached.values())) <= 4


def test_an_attribute_and_an_audience_reach_the_rules_that_read_them() -> None:
    ids = {one["id"]: one["name"] for one in AUDIENCES}
    rules = RuleSet([(one["id"], RULES[one["name"]]) for one in AUDIENCES])
    elite = next(a["id"] for a in AUDIENCES if a["name"] == "Travel - Elite flyer")

    accounts = sorted(rules.index.reading(["accounts"]))
    dependents = rules.index.dependents(rules.position_of[elite])

    assert [ids[rules.ids_by_position[place]] for place in accounts] == [
        "Finance - Idle cash",
        "Finance - Card holder",
    ]
    assert [ids[rules.ids_by_position[place]] for place in dependents] == ["Travel - Upgrade offer"]
    assert len(rules.silent) == len(AUDIENCES) - 16
