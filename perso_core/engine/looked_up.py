"""What a state's memberships come to for a datastream's destinations."""

from __future__ import annotations

from perso_core.decision.consent import Consent
from perso_core.decision.lookup import Lookup, Lookups, lookup
from perso_core.decision.profile import attributes_of
from perso_core.decision.qualification import Qualified
from perso_core.definitions.snapshot import Snapshot


def looked_up(
    qualified: Qualified,
    consent: Consent | None,
    lookups: Lookups,
    datastream_id: str,
    snapshot: Snapshot,
    now_ms: int,
    before: Qualified | None,
) -> Lookup:
    """lookups: of the snapshot. before: of an earlier answer, None: there is none."""
    profile, standing = qualified.profile, qualified.standing
    if standing is not None:
        earlier = before.standing if before is not None else None
        return lookups.of(
            standing.members,
            attributes_of(profile),
            datastream_id,
            until_ms=standing.until_ms,
            now_ms=now_ms,
            consent=consent,
            before=earlier.members if earlier is not None else 0,
        )
    return lookup(
        profile.memberships,
        attributes_of(profile),
        snapshot.destinations.get(datastream_id, ()),
        until_ms=qualified.until_ms,
        now_ms=now_ms,
        consent=consent,
    )
