"""Segment definitions shaped like those that Adobe's API answers."""

from __future__ import annotations

import json
from typing import Any

from perso_core.definitions.document import Definitions
from perso_core.definitions.imported import settled
from perso_core.definitions.imported_outcome import Outcome
from perso_core.definitions.imported_page import entries_of, page_from_json
from perso_core.definitions.imported_segment import outcome_of
from perso_core.definitions.schema import field_types
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS
from tests.pql.cases import AUDIENCES

ORG = "1A2B3C4D5E6F70819AABBCCD@AdobeOrg"
GOLD_ID = "11111111-0000-4000-8000-000000000001"
OTHER_ID = "11111111-0000-4000-8000-000000000002"
THIRD_ID = "11111111-0000-4000-8000-000000000003"
GOLD_RULE = 'loyalty.tier.equals("gold", false)'


def evaluation(method: str = "synchronous") -> dict[str, Any]:
    methods = ("batch", "continuous", "synchronous")
    return {one: {"enabled": one == method} for one in methods}


def segment(pql: str = GOLD_RULE, **more: Any) -> dict[str, Any]:
    """One definition; a field that is given as None is left out."""
    fields = {
        "id": GOLD_ID,
        "name": "Gold members",
        "description": "Upper tier",
        "schema": {"name": "_xdm.context.profile"},
        "expression": {"type": "PQL", "format": "pql/text", "value": pql},
        "evaluationInfo": evaluation(),
        "imsOrgId": ORG,
        "lifecycleState": "published",
        **more,
    }
    return {name: value for name, value in fields.items() if value is not None}


def another(pql: str = GOLD_RULE, **more: Any) -> dict[str, Any]:
    return segment(pql, **{"id": OTHER_ID, "name": "Others", **more})


def third(pql: str = GOLD_RULE, **more: Any) -> dict[str, Any]:
    return segment(pql, **{"id": THIRD_ID, "name": "Third", **more})


def forty() -> list[dict[str, Any]]:
    """The forty audiences of the project, as an export has them."""
    return [
        segment(one["pql"], id=one["id"], name=one["name"], description=one["description"])
        for one in AUDIENCES
    ]


def imported(*given: Any, base: Definitions | None = None, replace: bool = False) -> list[Outcome]:
    """What becomes of the definitions, given as a bare array."""
    return imported_text(json.dumps(given), base=base, replace=replace)


def imported_text(
    *pages: str, base: Definitions | None = None, replace: bool = False
) -> list[Outcome]:
    """What becomes of the definitions of pages called p0, p1, …"""
    read = [page_from_json(text, name=f"p{number}") for number, text in enumerate(pages)]
    window_ms = DEFAULT_EVENT_WINDOW_MS
    base = base or Definitions(org="")
    schema = field_types(base.schema)
    each = [
        outcome_of(entry, event_window_ms=window_ms, schema=schema) for entry in entries_of(read)
    ]
    return [*settled(each, base, replace=replace, event_window_ms=window_ms)]
