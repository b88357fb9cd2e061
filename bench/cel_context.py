"""What a text in CEL finds: everything worked out beforehand that can be, and folded.

A missing text is "", a missing number -1, a missing instant one that no comparison of the bench
accepts, so that CEL never meets an absent variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench.audiences_mixed import COUNTRY, DAYS, ITEMS, MINUTES, PAGE, PRICE, SECTION, TYPE
from bench.audiences_parts import DAY_MINUTES
from bench.cel_text import ago, variable

MINUTE_MS = 60_000
# Neither at most so many days ago, nor more, nor ahead by less than a year.
NEVER_MS = 9_000_000_000_000_000
_FOLDED = ("loyalty.tier", "subscriptions.digital.plan", "_shopco.cluster")
_TEXTS = ("_shopco.store", "homeAddress.countryCode")
_NUMBERS = ("loyalty.points", "_shopco.spend")
_INSTANTS = ("loyalty.joined", "_shopco.lastOrder", "subscriptions.digital.renewal")


def of_now(event: Mapping[str, Any], attributes: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The current event, the profile and the clock, as variables."""
    return {**_of_event(event), **_of_profile(attributes), **_of_clock(now_ms)}


def of_all(
    events: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any], now_ms: int
) -> dict[str, Any]:
    """All the events, the profile and the clock, as variables."""
    found = [_of_event(event) for event in events]
    return {"events": found, **_of_profile(attributes), **_of_clock(now_ms)}


def _of_event(event: Mapping[str, Any]) -> dict[str, Any]:
    skus = [item["SKU"].lower() for item in event.get(ITEMS, ())]
    return {
        "at": event["timestamp"],
        variable(TYPE): event["eventType"].lower(),
        variable(PAGE): str(_at(event, PAGE)).lower(),
        variable(SECTION): str(_at(event, SECTION)).lower(),
        variable(COUNTRY): _at(event, COUNTRY),
        variable(PRICE): float(_at(event, PRICE, -1)),
        f"{ITEMS}_SKU": skus,
    }


def _of_profile(attributes: Mapping[str, Any]) -> dict[str, Any]:
    birth = str(_at(attributes, "person.birthDate"))
    return {
        **{variable(path): str(_at(attributes, path)).lower() for path in _FOLDED},
        **{variable(path): _at(attributes, path) for path in _TEXTS},
        **{variable(path): float(_at(attributes, path, -1)) for path in _NUMBERS},
        **{variable(path): _instant(_at(attributes, path)) for path in _INSTANTS},
        "person_birthDate_month": int(birth[5:7] or 0),
        "personalEmail_address_missing": "personalEmail" not in attributes,
    }


def _of_clock(now_ms: int) -> dict[str, Any]:
    minutes: Iterable[int] = (
        *MINUTES,
        *(days * DAY_MINUTES for days in DAYS),
        *(-days * DAY_MINUTES for days in DAYS),
    )
    return {
        "now": now_ms,
        "month": datetime.fromtimestamp(now_ms / 1_000, UTC).month,
        **{ago(one): now_ms - one * MINUTE_MS for one in minutes},
    }


def _at(fields: Mapping[str, Any], path: str, missing: Any = "") -> Any:
    found: Any = fields
    for name in path.split("."):
        if name not in found:
            return missing
        found = found[name]
    return found


def _instant(text: Any) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000) if text else NEVER_MS
