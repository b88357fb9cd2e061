"""How much of a profile gave way at a cap (caps.py)."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.profile import Profile


class Dropped(Struct, frozen=True):
    """events, identities: that made room for younger ones. attributes: values of what became part
    of the profile that had no room. unlinked: identities that were said to be the person's, who has
    as many as there may be."""

    events: int = 0
    identities: int = 0
    attributes: int = 0
    unlinked: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.events + other.events,
            self.identities + other.identities,
            self.attributes + other.attributes,
            self.unlinked + other.unlinked,
        )

    def since(self, *before: Dropped) -> Dropped:
        """How much more it is than in the profiles of before."""
        earlier = sum(before, NOTHING_DROPPED)
        return Dropped(
            max(self.events - earlier.events, 0),
            max(self.identities - earlier.identities, 0),
            max(self.attributes - earlier.attributes, 0),
        )


NOTHING_DROPPED = Dropped()


def dropped_of(profile: Profile | None) -> Dropped:
    """Ever; nothing of no profile."""
    if profile is None:
        return NOTHING_DROPPED
    return Dropped(profile.dropped_events, profile.dropped_claims, profile.dropped_attributes)


class Linked(Struct, frozen=True):
    """What became of one person's identities. key: of the one profile. dropped: what gave way."""

    key: str
    dropped: Dropped = NOTHING_DROPPED
