"""Which audiences a profile is in, since when, and until when that holds with no news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from msgspec import Struct, structs

from perso_core.decision.membership import EXITED_KEPT_MS, Membership, qualify
from perso_core.decision.profile import Profile, view
from perso_core.definitions.snapshot import FOREVER_MS, Snapshot

_REALIZED = {"status": "realized"}

# A profile that slept through more flips than this is evaluated at the present instead: its
# memberships are right, only `since_ms` of the later ones is then the present.
MAX_STEPS = 256


class Qualified(Struct, frozen=True):
    """A profile whose memberships are what `snapshot` says at profile.evaluated_ms.

    untils: audience id -> the first instant at which time alone changes its answer; audiences
    that time alone never changes are absent.
    until_ms: the earliest of them, FOREVER_MS where there is none.
    """

    profile: Profile
    untils: Mapping[str, int]
    until_ms: int = FOREVER_MS


def qualify_all(profile: Profile, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """Every audience evaluated, in dependency order. O(audiences)."""
    kept = {
        audience_id: member
        for audience_id, member in profile.memberships.items()
        if audience_id in snapshot.audience_by_id
        and (member.status == "realized" or now_ms - member.since_ms < EXITED_KEPT_MS)
    }
    trimmed = structs.replace(profile, memberships=kept)
    everything = (audience.id for audience in snapshot.audiences)
    return requalify(Qualified(trimmed, {}), snapshot, everything, now_ms=now_ms)


def requalify(
    before: Qualified, snapshot: Snapshot, touched: Iterable[str], *, now_ms: int
) -> Qualified:
    """The touched audiences evaluated again, and those that hang on one that changed.

    touched: audience ids in any order. O(touched + their dependents) evaluations.
    """
    audiences = snapshot.audiences
    by_id = snapshot.audience_by_id
    due = {by_id[audience_id].position for audience_id in touched}
    if not due:
        return _at(before, now_ms=now_ms, snapshot=snapshot)
    queue = list(due)
    heapify(queue)
    memberships = dict(before.profile.memberships)
    untils = dict(before.untils)
    realized: dict[str, Mapping[str, str]] = {
        audience_id: _REALIZED
        for audience_id in snapshot.referenced
        if (member := memberships.get(audience_id)) and member.status == "realized"
    }
    seen = view(before.profile, realized)
    while queue:
        audience = audiences[heappop(queue)]
        audience_id = audience.id
        verdict = audience.rule.evaluate(seen, now_ms)
        if verdict.until_ms < FOREVER_MS:
            untils[audience_id] = verdict.until_ms
        else:
            untils.pop(audience_id, None)
        member = memberships.get(audience_id)
        after = qualify(audience_id, member, holds=verdict.holds, now_ms=now_ms)
        if after is member or after is None:
            continue
        memberships[audience_id] = after
        if audience_id in snapshot.referenced:
            _tell(realized, after)
            # Dependents stand later in the order, so a heap of positions visits each once.
            for dependent in snapshot.index.touched_by_audience(audience_id):
                position = by_id[dependent].position
                if position not in due:
                    due.add(position)
                    heappush(queue, position)
    return _at(
        Qualified(structs.replace(before.profile, memberships=memberships), untils),
        now_ms=now_ms,
        snapshot=snapshot,
    )


def advance(before: Qualified, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """The profile brought to now_ms with no news: memberships that time alone ends or begins
    change at their own instant, in order, so that since_ms is exact. An instant before
    profile.evaluated_ms changes nothing: a clock that went back takes nothing away.
    """
    current = before
    for _ in range(MAX_STEPS):
        if current.until_ms > now_ms:
            return current
        step_ms = current.until_ms
        current = requalify(current, snapshot, _due(current, step_ms), now_ms=step_ms)
    return requalify(current, snapshot, _due(current, now_ms), now_ms=now_ms)


def resumed(profile: Profile, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """A stored profile as of now_ms. Evaluated in full: first as of the instant it was stored
    for, so that what happened meanwhile gets its own instant; under other definitions, now."""
    if profile.snapshot_id != snapshot.id:
        return qualify_all(profile, snapshot, now_ms=max(now_ms, profile.evaluated_ms))
    then = qualify_all(profile, snapshot, now_ms=profile.evaluated_ms)
    return advance(then, snapshot, now_ms=now_ms)


def _due(qualified: Qualified, now_ms: int) -> list[str]:
    return [audience_id for audience_id, until_ms in qualified.untils.items() if until_ms <= now_ms]


def _at(qualified: Qualified, *, now_ms: int, snapshot: Snapshot) -> Qualified:
    return Qualified(
        structs.replace(qualified.profile, evaluated_ms=now_ms, snapshot_id=snapshot.id),
        qualified.untils,
        min(qualified.untils.values(), default=FOREVER_MS),
    )


def _tell(realized: dict[str, Mapping[str, str]], member: Membership) -> None:
    if member.status == "realized":
        realized[member.audience_id] = _REALIZED
    else:
        realized.pop(member.audience_id, None)
