"""Canaries go in where profiles are made and where an answer's attributes are gathered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from msgspec import structs

from perso_core.compiled import COMPILED, FORM
from perso_core.decision.lookup import Lookup, Lookups, lookup
from perso_core.decision.profile import Profile, said_of
from perso_core.engine import apply, deciding, looked_up
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
    _put(apply, "Profile", _planted_profile)
    _put(apply, "said_of", _planted_said)
    _put(looked_up, "lookup", _planted_lookup)
    _put(deciding, "Lookups", _PlantedLookups)


def _put(module: ModuleType, name: str, planted: object) -> None:
    # What the compiled form calls as C is no name of its module: there nothing is planted.
    found = FORM == COMPILED or hasattr(module, name)
    assert found, f"{name} is not made by {module.__name__} any more: plant it where it is"
    setattr(module, name, planted)


def _planted_profile(*, key: str) -> Profile:
    noted("planted")
    return Profile(key=key, attributes=with_canaries({}))


def _planted_said(profile: Profile, patch: Mapping[str, Any]) -> Profile:
    said = said_of(profile, patch)
    if said is profile:
        return said
    return structs.replace(said, attributes=with_canaries(said.attributes))


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
