"""Why a profile is or is not in an audience."""

from __future__ import annotations

from perso_core.decision.profile import Profile, view
from perso_core.definitions.snapshot import Snapshot
from perso_core.pql.explain import Explanation, explain_rule


def explained(
    profile: Profile, audience_id: str, snapshot: Snapshot, *, now_ms: int
) -> Explanation:
    """By the rule of a defined audience. profile: as of now_ms."""
    realized = {
        member.audience_id: {"status": "realized"}
        for member in profile.memberships.values()
        if member.status == "realized"
    }
    names = {one.id: one.definition.name for one in snapshot.audiences}
    rule = snapshot.audience_by_id[audience_id].rule
    return explain_rule(rule, view(profile, realized), now_ms, names=names)
