"""Canaries go in where profiles are made and where an answer's attributes are gathered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from perso_core.decision.lookup import Lookup, Lookups, lookup
from perso_core.decision.profile import Profile, patched
from perso_core.engine import apply, engine
from tests.canaries.ledger import noted

NAME = "canary"
CANARY = "canary-9f2c41d7"
# As it stands among the attributes that a proven server is told.
_TOLD = re.compile(rb'"%s":\{"value":"%s"\},?' % (NAME.encode(), CANARY.encode()))


def with_canaries(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The same with one more name in every object: no rule and no mapping reads it."""
    inner = {
        name: with_canaries(value) if isinstance(value, dict) else value
        for name, value in attributes.items()
    }
    return {**inner, NAME: CANARY}


def without_canaries(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """As a test wrote them."""
    return {
        name: without_canaries(value) if isinstance(value, dict) else value
        for name, value in attributes.items()
        if name != NAME
    }


def taken_out(body: bytes) -> bytes:
    """An answer to a proven server as its test expects it."""
    return _TOLD.sub(b"", body).replace(b",}", b"}")


def plant() -> None:
    """From now on, in this process."""
    made_by: Any = apply
    answered_by: Any = engine
    made_by.Profile = _planted_profile
    made_by.patched = _planted_patch
    answered_by.lookup = _planted_lookup
    answered_by.Lookups = _PlantedLookups


def _planted_profile(*, key: str) -> Profile:
    noted("planted")
    return Profile(key=key, attributes=with_canaries({}))


def _planted_patch(attributes: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    return with_canaries(patched(attributes, patch))


def _planted_lookup(*given: Any, **named: Any) -> Lookup:
    return _with_canary(lookup(*given, **named))


class _PlantedLookups(Lookups):
    def of(self, *given: Any, **named: Any) -> Lookup:
        return _with_canary(super().of(*given, **named))


def _with_canary(found: Lookup) -> Lookup:
    """Every destination carries one, also those that are for pages."""
    destinations = tuple(
        structs.replace(one, attributes={**one.attributes, NAME: CANARY})
        for one in found.destinations
    )
    return structs.replace(found, destinations=destinations)
