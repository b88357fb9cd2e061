"""The answer: per destination alias, the audiences a visitor is in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.governance import Barred, Reason, Refused, barred, refusal
from perso_core.decision.membership import Membership
from perso_core.definitions.snapshot import FOREVER_MS, ActivationWindow, ConnectedDestination


class Withheld(Struct, frozen=True):
    """A mapped attribute that is not told. missing: nothing stands there; not-single: a list, an
    object or null does; the others: nothing of this visitor goes to the destination."""

    target: str
    reason: Literal["missing", "not-single"] | Reason


class DestinationLookup(Struct, frozen=True):
    """One destination's entry (Adobe's profileLookup).

    audiences: ids, in the order of the activations. refused: audiences the visitor is in and
    that are held back, with the reason. attributes: target name -> value, for authenticated
    readers alone: no browser answer carries them. withheld: the mapped rest of them.
    """

    destination_id: str
    alias: str
    audiences: tuple[str, ...]
    refused: tuple[Refused, ...] = ()
    attributes: Mapping[str, Any] = {}
    withheld: tuple[Withheld, ...] = ()


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
    consent: Consent | None = None,
) -> Lookup:
    """The answer from memberships that hold until until_ms. O(memberships) for each destination."""
    realized = [one.audience_id for one in memberships.values() if one.status == "realized"]
    entries = []
    for destination in destinations:
        bar = barred(destination, consent)
        permitted: list[str] = []
        refused: list[Refused] = []
        edges_ms = destination.edges_ms
        until_ms = min(until_ms, edges_ms[bisect_right(edges_ms, now_ms, hi=len(edges_ms) - 1)])
        places = destination.places
        for place in sorted([places[one] for one in realized if one in places]):
            activation = destination.activations[place]
            held_back = _held_back(activation, bar, now_ms)
            if held_back:
                refused.append(held_back)
            else:
                permitted.append(activation.audience_id)
        mapped, withheld = _mapped(attributes, destination, bar)
        entries.append(
            DestinationLookup(
                destination_id=destination.definition.id,
                alias=destination.definition.integration_alias,
                audiences=tuple(permitted),
                refused=tuple(refused),
                attributes=mapped,
                withheld=withheld,
            )
        )
    return Lookup(tuple(entries), until_ms)


def _held_back(activation: ActivationWindow, bar: Barred | None, now_ms: int) -> Refused | None:
    if bar:
        return Refused(activation.audience_id, bar.reason, bar.at_ms)
    return refusal(activation, now_ms=now_ms)


def _mapped(
    attributes: Mapping[str, Any], destination: ConnectedDestination, bar: Barred | None
) -> tuple[dict[str, Any], tuple[Withheld, ...]]:
    mappings = destination.definition.attributes
    if not mappings:
        return {}, ()
    if bar:
        return {}, tuple(Withheld(one.target, bar.reason) for one in mappings)
    mapped: dict[str, Any] = {}
    withheld: list[Withheld] = []
    for mapping in mappings:
        value = _at(attributes, mapping.source)
        if isinstance(value, (str, int, float, bool)):
            mapped[mapping.target] = value
        else:
            reason: Literal["missing", "not-single"]
            reason = "missing" if value is _NOTHING else "not-single"
            withheld.append(Withheld(mapping.target, reason))
    return mapped, tuple(withheld)


_NOTHING = object()


def _at(attributes: Mapping[str, Any], source: str) -> Any:
    """What stands at a dotted path; _NOTHING where nothing does."""
    value: Any = attributes
    for name in source.split("."):
        if not isinstance(value, dict) or name not in value:
            return _NOTHING
        value = value[name]
    return value
