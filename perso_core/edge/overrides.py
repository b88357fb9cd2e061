"""What one request switches off of its datastream: `meta.configOverrides`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from perso_core.edge.problem import OverridesBad, shown

_PLATFORM = "com_adobe_experience_platform"
_SEGMENTATION = "com_adobe_edge_segmentation"
_DESTINATIONS = "com_adobe_edge_destinations"


class Overrides(Struct, frozen=True):
    """False switches off for this request; nothing switches on what the datastream has off.

    platform: record the events at all; without it the others are off too. segmentation: evaluate
    audiences on them. destinations: answer with destinations.
    """

    platform: bool = True
    segmentation: bool = True
    destinations: bool = True


NONE = Overrides()


def overrides_from(sent: Mapping[str, Any]) -> Overrides:
    """The overrides that concern us. Settings of other Adobe products are passed over.

    Raises OverridesBad, naming the key, for a key that is no product's and for a wrong type.
    """
    if not sent:
        return NONE
    for product in sent:
        if not product.startswith("com_adobe_"):
            raise OverridesBad(f"'{shown(product)}' is no product.", fix="Remove the key.")
        _object(sent, product, "")
    platform = _object(sent, _PLATFORM, "")
    path = f"{_PLATFORM}."
    segmentation = _object(platform, _SEGMENTATION, path)
    destinations = _object(platform, _DESTINATIONS, path)
    on = _enabled(platform, path)
    return Overrides(
        platform=on,
        segmentation=_enabled(segmentation, f"{path}{_SEGMENTATION}.") and on,
        destinations=_enabled(destinations, f"{path}{_DESTINATIONS}.") and on,
    )


def _object(settings: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    value = settings.get(key, {})
    if not isinstance(value, dict):
        raise OverridesBad(f"'{path}{shown(key)}' must be an object.", fix="Correct the key.")
    return value


def _enabled(settings: Mapping[str, Any], path: str) -> bool:
    value = settings.get("enabled", True)
    if not isinstance(value, bool):
        raise OverridesBad(f"'{path}enabled' must be true or false.", fix="Correct the key.")
    return value
