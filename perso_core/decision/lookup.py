"""The answer: per destination alias, the audiences a visitor is in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.governance import Barred, Reason, Refused, barred, refusal
from perso_core.decision.membership import Membership, Memberships
from perso_core.definitions.snapshot import (
    FOREVER_MS,
    ActivationWindow,
    ConnectedDestination,
    Snapshot,
)
from perso_core.rules.bits import bits_of

Found = TypeVar("Found")


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


_NO_ATTRIBUTES: dict[str, Any] = {}
# The audiences told to one destination, and those that are held back.
Told = tuple[tuple[str, ...], tuple[Refused, ...]]
# Sets of audiences whose answers are remembered for one destination; then it starts afresh.
MAX_REMEMBERED = 4_096
# Of a hundred audiences an event moves one to three: to take an earlier answer and move those is
# five times as fast as to make all of it. Beyond so many it is no faster.
FEW_MOVED = 8


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
    realized, _ = Memberships.of(memberships).since()
    entries = []
    for destination in destinations:
        bar = barred(destination, consent)
        until_ms = min(until_ms, destination.edges_ms[_days(destination, now_ms)])
        told = _told(destination, realized, bar, now_ms)
        entries.append(_entry(destination, told, attributes, bar))
    return Lookup(tuple(entries), until_ms)


class Lookups:
    """`lookup` for the visitors of one snapshot. Many are in the same audiences, and who was told
    something is mostly told the same again: what comes of a set of audiences is remembered."""

    def __init__(self, snapshot: Snapshot) -> None:
        position_of = snapshot.rules.position_of
        self._destinations = {
            datastream_id: tuple(_Remembered(one, position_of) for one in destinations)
            for datastream_id, destinations in snapshot.destinations.items()
        }
        self._ids = snapshot.rules.ids_by_position

    def of(
        self,
        members: int,
        attributes: Mapping[str, Any],
        datastream_id: str,
        *,
        until_ms: int,
        now_ms: int,
        consent: Consent | None = None,
        before: int = 0,
    ) -> Lookup:
        """The answer of whoever is in these audiences, one bit each by position, until until_ms.
        before: what an earlier answer was asked for; with most of the same it is made sooner."""
        entries = []
        for known in self._destinations.get(datastream_id, ()):
            destination = known.destination
            bar = barred(destination, consent)
            days = _days(destination, now_ms)
            if destination.edges_ms[days] < until_ms:
                until_ms = destination.edges_ms[days]
            realized = members & known.bits
            if bar is not None or destination.definition.attributes:
                told = self._told(known, realized, days, bar, now_ms, before)
                entries.append(_entry(destination, told, attributes, bar))
                continue
            entry = known.entries.get((realized, days))
            if entry is None:
                told = self._told(known, realized, days, None, now_ms, before)
                entry = _entry(destination, told, attributes, None)
                _remember(known.entries, (realized, days), entry)
            entries.append(entry)
        return Lookup(tuple(entries), until_ms)

    def _told(
        self,
        known: _Remembered,
        realized: int,
        days: int,
        bar: Barred | None,
        now_ms: int,
        before: int,
    ) -> Told:
        told = known.told.get((realized, days)) if bar is None else None
        if told is not None:
            return told
        if bar is None and not realized & known.closed(days, now_ms):
            told = known.permitted(realized, days, before & known.bits), ()
        else:
            ids = [self._ids[position] for position in bits_of(realized)]
            told = _told(known.destination, ids, bar, now_ms)
        if bar is None:
            _remember(known.told, (realized, days), told)
        return told


class _Remembered:
    """A destination, and by audiences (bits) and days (a number between two edges) what it is told.
    entries: where nothing else of the visitor counts."""

    def __init__(self, destination: ConnectedDestination, position_of: Mapping[str, int]) -> None:
        self.destination = destination
        self._place_of = {
            position_of[one]: place
            for one, place in destination.places.items()
            if one in position_of
        }
        self._ids = tuple([one.audience_id for one in destination.activations])
        self.bits = sum(1 << position for position in self._place_of)
        self.told: dict[tuple[int, int], Told] = {}
        self.entries: dict[tuple[int, int], DestinationLookup] = {}
        self._closed: dict[int, int] = {}

    def permitted(self, realized: int, days: int, before: int) -> tuple[str, ...]:
        """The audiences of these bits, in the order of their activations. before: bits of which
        it may be known between these days."""
        known, moved = self.told.get((before, days)), realized ^ before
        if known is not None and not known[1] and moved.bit_count() <= FEW_MOVED:
            return self._moved(known[0], moved, realized)
        places = map(self._place_of.__getitem__, bits_of(realized))
        return tuple([self._ids[place] for place in sorted(places)])

    def _moved(self, permitted: tuple[str, ...], moved: int, realized: int) -> tuple[str, ...]:
        """With those that moved in, and without those that moved out."""
        ids, place_of_id = [*permitted], self.destination.places.__getitem__
        for position in bits_of(moved):
            place = self._place_of[position]
            at = bisect_left(ids, place, key=place_of_id)
            if realized >> position & 1:
                ids.insert(at, self._ids[place])
            else:
                del ids[at]
        return tuple(ids)

    def closed(self, days: int, now_ms: int) -> int:
        """The bits of audiences whose activation is not open between these edges, where now is."""
        bits = self._closed.get(days)
        if bits is None:
            activations = self.destination.activations
            bits = self._closed[days] = sum(
                1 << position
                for position, place in self._place_of.items()
                if refusal(activations[place], now_ms=now_ms)
            )
        return bits


def _remember(known: dict[tuple[int, int], Found], key: tuple[int, int], found: Found) -> None:
    if len(known) >= MAX_REMEMBERED:
        known.clear()
    known[key] = found


def _days(destination: ConnectedDestination, now_ms: int) -> int:
    """Between which edges of its activations now is: the place of the next edge."""
    edges_ms = destination.edges_ms
    return bisect_right(edges_ms, now_ms, hi=len(edges_ms) - 1)


def _told(
    destination: ConnectedDestination, realized: Iterable[str], bar: Barred | None, now_ms: int
) -> Told:
    permitted: list[str] = []
    refused: list[Refused] = []
    places = destination.places
    for place in sorted([places[one] for one in realized if one in places]):
        activation = destination.activations[place]
        held_back = _held_back(activation, bar, now_ms)
        if held_back:
            refused.append(held_back)
        else:
            permitted.append(activation.audience_id)
    return tuple(permitted), tuple(refused)


def _entry(
    destination: ConnectedDestination,
    told: Told,
    attributes: Mapping[str, Any],
    bar: Barred | None,
) -> DestinationLookup:
    mapped, withheld = _mapped(attributes, destination, bar)
    return DestinationLookup(
        destination_id=destination.definition.id,
        alias=destination.definition.integration_alias,
        audiences=told[0],
        refused=told[1],
        attributes=mapped,
        withheld=withheld,
    )


def _held_back(activation: ActivationWindow, bar: Barred | None, now_ms: int) -> Refused | None:
    if bar:
        return Refused(activation.audience_id, bar.reason, bar.at_ms)
    return refusal(activation, now_ms=now_ms)


def _mapped(
    attributes: Mapping[str, Any], destination: ConnectedDestination, bar: Barred | None
) -> tuple[dict[str, Any], tuple[Withheld, ...]]:
    mappings = destination.definition.attributes
    if not mappings:
        return _NO_ATTRIBUTES, ()
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
