"""What a proven server is told besides audiences: attributes, and what was withheld. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from msgspec import structs

from perso_core.decision.consent import SharingRefused
from perso_core.decision.governance import Refused
from perso_core.decision.lookup import DestinationLookup, Withheld
from perso_core.definitions.destination import Destination
from perso_core.edge.context import AuthContext
from perso_core.edge.problem import AttributeWithheld, AudienceWithheld, EdgeError, shown
from perso_core.edge.wire import Handle, activation_pull_of, profile_lookup_with

MAX_NAMED = 10  # of what one warning speaks of
_BARRED = {
    "share-refused": ("the visitor refused sharing", "Nothing: the visitor's word stands."),
    "gpc": ("the visitor's browser says Sec-GPC", "Nothing: the browser's word stands."),
}
_NOT_TOLD = {
    "not-started": ("its activation has not started", "Ask again when it has."),
    "ended": ("its activation has ended", "Give the activation a later end date."),
    **_BARRED,
}
_NO_VALUE = {
    "missing": ("the profile has no value there", "Nothing, where that is right."),
    "not-single": ("what stands there is no single value", "Map a field in it."),
    **_BARRED,
}


def attributes_for(
    context: AuthContext, found: DestinationLookup, destination: Destination | None
) -> dict[str, Any] | None:
    """The mapped attributes, target name -> {"value": …}; None: this caller, or this destination,
    gets none. The one place where attributes enter an answer: it takes the caller's proof.

    destination: as defined now; None: it is not defined any more.
    """
    if not _carries(destination) or "attributes" not in context.may:
        return None
    if context.datastream_id != destination.datastream:
        return None
    return {target: {"value": value} for target, value in found.attributes.items()}


def unshared(
    found: Sequence[DestinationLookup],
    destinations: Mapping[str, Destination],
    against: SharingRefused | None,
) -> Sequence[DestinationLookup]:
    """What may be told where the device, of which the call speaks as well, is against sharing: as
    where the visitor is. None: it is not."""
    if against is None:
        return found
    return [_unshared(one, destinations.get(one.destination_id), against) for one in found]


def _unshared(
    found: DestinationLookup, destination: Destination | None, against: SharingRefused
) -> DestinationLookup:
    if destination is not None and not destination.advertising:
        return found
    inside = (*found.audiences, *(one.audience_id for one in found.refused))
    targets = (*found.attributes, *(one.target for one in found.withheld))
    return structs.replace(
        found,
        audiences=(),
        refused=tuple(Refused(one, against.reason, against.since_ms) for one in inside),
        attributes={},
        withheld=tuple(Withheld(one, against.reason) for one in targets),
    )


def authenticated_pull(
    context: AuthContext,
    found: Iterable[DestinationLookup],
    destinations: Mapping[str, Destination],
    event_index: int,
) -> Handle:
    """The destinations of an answer, with attributes. destinations: by id."""
    return activation_pull_of(
        [
            profile_lookup_with(
                one, attributes_for(context, one, destinations.get(one.destination_id))
            )
            for one in found
        ],
        event_index,
    )


def withheld(
    context: AuthContext,
    found: Iterable[DestinationLookup],
    destinations: Mapping[str, Destination],
) -> tuple[EdgeError, ...]:
    """A warning for each reason why a destination is told less than there is. No value of an
    attribute stands in any."""
    warnings: list[EdgeError] = []
    for one in found:
        warnings += _audiences(one)
        destination = destinations.get(one.destination_id)
        if _carries(destination):
            warnings += _attributes(context, one, destination)
    return tuple(warnings)


def _carries(destination: Destination | None) -> TypeGuard[Destination]:
    return destination is not None and (
        destination.kind == "custom-personalization-with-attributes"
    )


def _audiences(found: DestinationLookup) -> Iterator[EdgeError]:
    for reason, (why, fix) in _NOT_TOLD.items():
        ids = [one.audience_id for one in found.refused if one.reason == reason]
        if ids:
            yield AudienceWithheld(
                f"'{found.alias}' is not told that the visitor is in {_named(ids)}: {why}.", fix=fix
            )


def _attributes(
    context: AuthContext, found: DestinationLookup, destination: Destination
) -> Iterator[EdgeError]:
    if not destination.attributes:
        yield AttributeWithheld(
            f"No attribute is mapped to '{found.alias}'.", fix="Add a [[destination.attribute]]."
        )
    elif "attributes" not in context.may:
        targets = [mapping.target for mapping in destination.attributes]
        yield AttributeWithheld(
            f"'{found.alias}' is not told {_named(targets)}: the credential may not receive"
            " attributes.",
            fix='Give it "attributes" in `may`.',
        )
    else:
        for reason, (why, fix) in _NO_VALUE.items():
            targets = [one.target for one in found.withheld if one.reason == reason]
            if targets:
                yield AttributeWithheld(
                    f"'{found.alias}' is not told {_named(targets)}: {why}.", fix=fix
                )


def _named(names: Sequence[str]) -> str:
    told = ", ".join(f"'{shown(name)}'" for name in names[:MAX_NAMED])
    more = len(names) - MAX_NAMED
    return f"{told} and {more} more" if more > 0 else told
