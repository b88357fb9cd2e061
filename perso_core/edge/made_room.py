"""What a server is told of what gave way at a cap by its call."""

from __future__ import annotations

from perso_core.decision.dropped import Dropped
from perso_core.edge.problem import EdgeError, MadeRoom


def made_room(dropped: Dropped) -> tuple[EdgeError, ...]:
    """A warning for each cap."""
    warnings: list[EdgeError] = []
    if dropped.events:
        warnings.append(
            MadeRoom(
                f"{dropped.events:,} of the profile's oldest events made room for younger ones.",
                fix="Raise max_events_per_profile, or send fewer.",
            )
        )
    if dropped.identities:
        warnings.append(
            MadeRoom(
                f"{dropped.identities:,} of the profile's identities made room for others.",
                fix="Raise max_identities_per_profile, or send fewer.",
            )
        )
    if dropped.unlinked:
        warnings.append(
            MadeRoom(
                f"{dropped.unlinked:,} of the identities are not linked: a person has no more.",
                fix="Raise max_identities_per_profile, or send fewer.",
            )
        )
    if dropped.attributes:
        warnings.append(
            MadeRoom(
                f"{dropped.attributes:,} attributes of what became part of the profile have no"
                " room there.",
                fix="Raise max_record_bytes, or remove what no rule and no mapping reads.",
            )
        )
    return tuple(warnings)
