"""The answer: per destination alias, the audiences a visitor is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from perso_core.decision.governance import Refused, refusal
from perso_core.decision.membership import Membership
from perso_core.definitions.snapshot import FOREVER_MS, ConnectedDestination


class DestinationLookup(Struct, frozen=True):
    """One destination's entry (Adobe's profileLookup).

    audiences: ids, in the order of the activations. refused: audiences the visitor is in and
    that are held back, with the reason. attributes: target name -> value, for authenticated
    readers alone: no browser answer carries them.
    """

    destination_id: str
    alias: str
    audiences: tuple[str, ...]
    refused: tuple[Refused, ...] = ()
    attributes: Mapping[str, Any] = {}


class Lookup(Struct, frozen=True):
    """All destinations of one datastream, in the file's order. until_ms: this very answer holds
    until then unless something is written; FOREVER_MS when time alone does not change it.
    """

    destinations: tuple[DestinationLookup, ...]
    until_ms: int

    def for_alias(self, alias: str) -> DestinationLookup | None:
        """The entry of an integration alias; None where the datastream has no such alias."""
        return next((entry for entry in self.destinations if entry.alias == alias), None)


EMPTY = Lookup((), FOREVER_MS)


def lookup(
    memberships: Mapping[str, Membership],
    attributes: Mapping[str, Any],
    destinations: tuple[ConnectedDestination, ...],
    *,
    until_ms: int,
    now_ms: int,
) -> Lookup:
    """The answer from memberships that hold until until_ms. O(activations)."""
    entries = []
    for destination in destinations:
        permitted: list[str] = []
        refused: list[Refused] = []
        for activation in destination.activations:
            for edge_ms in (activation.from_ms, activation.until_ms):
                if now_ms < edge_ms < until_ms:
                    until_ms = edge_ms
            member = memberships.get(activation.audience_id)
            if member is None or member.status != "realized":
                continue
            held_back = refusal(activation, now_ms=now_ms)
            if held_back:
                refused.append(held_back)
            else:
                permitted.append(activation.audience_id)
        entries.append(
            DestinationLookup(
                destination_id=destination.definition.id,
                alias=destination.definition.integration_alias,
                audiences=tuple(permitted),
                refused=tuple(refused),
                attributes=_mapped(attributes, destination),
            )
        )
    return Lookup(tuple(entries), until_ms)


def _mapped(attributes: Mapping[str, Any], destination: ConnectedDestination) -> dict[str, Any]:
    mapped = {}
    for mapping in destination.definition.attributes:
        value: Any = attributes
        for name in mapping.source.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, (str, int, float, bool)):
            mapped[mapping.target] = value
    return mapped
