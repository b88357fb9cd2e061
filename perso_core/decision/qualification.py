"""Which audiences a profile is in, since when, and until when that holds with no news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, structs

from perso_core.decision.event import Event
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.membership import (
    EXITED_KEPT_MS,
    ImportedMembership,
    Membership,
    Memberships,
    came_ms,
    imported_as_of,
    imported_by_now,
    qualify,
)
from perso_core.decision.profile import Profile, view
from perso_core.decision.projection import Projection
from perso_core.definitions.snapshot import FOREVER_MS, Snapshot
from perso_core.rules.bits import bits_of
from perso_core.rules.ruleset import RuleSet, View
from perso_core.rules.standing import Standing

# What rules read that ask for imported memberships.
_IMPORTED = ("externalAudience",)
# A profile that slept through more flips than this, and as many as it was in audiences, each of
# which it may have left, is evaluated at the present instead: its memberships are right, only
# `since_ms` of the later ones is then the present.
MAX_STEPS = 256
# So many events of somebody of whom nothing else is known are taken one after the other: 20 + 5 µs
# for each, instead of 600 for all rules (of 1,000 audiences).
FEW_EVENTS = 32


class Qualified(Struct, frozen=True):
    """A profile whose memberships are what `snapshot` says at profile.evaluated_ms.

    standing: what the rules know of it; None: the rules were not run after the last change.
    """

    profile: Profile
    standing: Standing | None = None

    @property
    def until_ms(self) -> int:
        """The first instant at which time alone changes a membership; FOREVER_MS: none."""
        return FOREVER_MS if self.standing is None else self.standing.until_ms


def qualify_all(profile: Profile, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """Every audience evaluated, in dependency order. O(audiences + events); O(audiences that
    change) where there are few events."""
    standing = _standing(profile, snapshot, now_ms)
    trimmed = _trimmed(profile, snapshot, now_ms)
    return _qualified(trimmed, standing, standing.members ^ _realized(trimmed, snapshot), snapshot)


def after_event(
    before: Qualified,
    profile: Profile,
    event: Event,
    snapshot: Snapshot,
    *,
    now_ms: int,
    evicted: bool = False,
) -> Qualified:
    """After one event that profile holds already. `before` has been brought to now_ms. evicted:
    older ones that still counted made room for it.

    O(audiences that change), a few integers for the others.
    """
    standing = before.standing
    assert standing is not None, "the rules were run before"
    rules = snapshot.rules
    at_ms = now_ms if now_ms > standing.now_ms else standing.now_ms
    after = rules.after_event(
        standing,
        event.xdm,
        _seen(profile, snapshot),
        now_ms=at_ms,
        kept=len(profile.events),
        evicted=evicted,
    )
    return _qualified(profile, after, after.members ^ standing.members, snapshot)


def after_completion(
    before: Qualified,
    profile: Profile,
    event: Event,
    completed: Event,
    read: Projection,
    snapshot: Snapshot,
    *,
    now_ms: int,
) -> Qualified:
    """After more was said of an event of the profile, which holds it as completed. read: what rules
    read of an event. `before` has been brought to now_ms.

    O(1) where they read no more of it. Else as after_event of a late one, where it satisfies more;
    what it satisfies no more is counted anew.
    """
    standing = before.standing
    assert standing is not None, "the rules were run before"
    if read.packed(event) == read.packed(completed):
        after = snapshot.rules.advance(standing, _seen(profile, snapshot), now_ms=now_ms)
    else:
        after = snapshot.rules.after_completion(
            standing,
            event.xdm,
            completed.xdm,
            _seen(profile, snapshot),
            now_ms=now_ms,
            newer=_newer_than(profile, completed),
        )
    known = profile.memberships
    if not isinstance(known, Memberships) or known.exited_by(now_ms - EXITED_KEPT_MS):
        profile = _trimmed(profile, snapshot, now_ms)
    return _qualified(profile, after, after.members ^ standing.members, snapshot)


def _newer_than(profile: Profile, event: Event) -> int:
    """How many events of the profile come after one of its own."""
    events = KeptEvents.of(profile.events)
    place = events.place_of(event.id)
    assert place is not None, "the profile holds it"
    return len(events) - 1 - place


def after_attributes(
    before: Qualified, profile: Profile, names: Iterable[str], snapshot: Snapshot, *, now_ms: int
) -> Qualified:
    """After these top-level attributes changed. O(audiences that read one of them)."""
    standing = before.standing
    assert standing is not None, "the rules were run before"
    after = snapshot.rules.after_attributes(
        standing, names, _seen(profile, snapshot), now_ms=max(now_ms, standing.now_ms)
    )
    return _qualified(profile, after, after.members ^ standing.members, snapshot)


def after_events_elsewhere(
    before: Qualified, profiles: Sequence[Profile], events: Sequence[Event], snapshot: Snapshot
) -> Qualified | None:
    """After events that another process decided, as it left the profile.

    profiles: with the memberships that it wrote, after each of the events. None: by what is known
    here the memberships would be others.
    """
    standing = before.standing
    assert standing is not None, "the rules were run before"
    written = profiles[-1]
    if not written.snapshot_id == before.profile.snapshot_id == snapshot.id:
        return None
    for profile, event in zip(profiles, events, strict=True):
        standing = snapshot.rules.after_event(
            standing,
            event.xdm,
            _seen(profile, snapshot),
            now_ms=written.evaluated_ms,
            kept=len(profile.events),
            evicted=False,
        )
    trimmed, members = _settled(written, before, snapshot)
    return Qualified(trimmed, standing) if standing.members == members else None


def _settled(written: Profile, before: Qualified, snapshot: Snapshot) -> tuple[Profile, int]:
    """The profile without memberships that nobody is told of any more, and those that it is in, a
    bit each. Where it has the very ones that it had before, these rules came to them, and nothing
    is looked through: 3 µs of an event's 26, and more where there are memberships."""
    known, at_ms = written.memberships, written.evaluated_ms
    if (
        before.standing is not None
        and known is before.profile.memberships
        and isinstance(known, Memberships)
        and not known.exited_by(at_ms - EXITED_KEPT_MS)
    ):
        return written, before.standing.members
    trimmed = _trimmed(written, snapshot, at_ms)
    return trimmed, _realized(trimmed, snapshot)


def advance(before: Qualified, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """The profile brought to now_ms with no news: memberships that time alone ends or begins
    change at their own instant, in order, so that since_ms is exact. An instant before
    profile.evaluated_ms changes nothing: a clock that went back takes nothing away.
    """
    standing = before.standing
    # Nothing asks for it as often: a property would cost more than the rest.
    if standing is None or standing.until_ms > now_ms:
        return before
    rules, seen = snapshot.rules, _seen(before.profile, snapshot)
    memberships = before.profile.memberships
    known, moved = Memberships.of(memberships), dict[str, Membership]()
    steps = MAX_STEPS + standing.members.bit_count()
    for step in range(steps + 1):
        if standing.until_ms > now_ms:
            break
        after = rules.advance(standing, seen, now_ms=standing.until_ms if step < steps else now_ms)
        for member in _moved(known, moved, after, after.members ^ standing.members, snapshot):
            moved[member.audience_id] = member
        standing = after
    if moved:
        memberships = known.replaced(moved.values())
    return _as_stands(before.profile, standing, memberships, snapshot)


def resumed(profile: Profile, snapshot: Snapshot, *, now_ms: int) -> Qualified:
    """A profile as of now_ms, evaluated in full: first as of the instant from which these
    definitions have the say over it, so that what happened meanwhile gets its own instant. Until
    it is written again, every call gives the same instants (docs/decisions/0004)."""
    imported = imported_by_now(profile.imported, now_ms)
    if imported is not profile.imported:
        profile = structs.replace(profile, imported=imported)
    from_ms = _governed_from(profile, snapshot, now_ms)
    then = _as_of(profile, snapshot, from_ms)
    if 0 < profile.evaluated_ms < from_ms and _left_then(profile, then):
        ended = _ended_by_time(profile, snapshot, from_ms)
        then = _as_of(ended, snapshot, from_ms)
    return _brought(then, profile.imported, snapshot, now_ms)


def _as_of(profile: Profile, snapshot: Snapshot, at_ms: int) -> Qualified:
    """Evaluated by what was imported until then."""
    return _with_imported(profile, imported_as_of(profile.imported, at_ms), snapshot, at_ms)


def _with_imported(
    profile: Profile,
    imported: Mapping[str, ImportedMembership],
    snapshot: Snapshot,
    at_ms: int,
) -> Qualified:
    if imported is not profile.imported:
        profile = structs.replace(profile, imported=imported)
    return qualify_all(profile, snapshot, now_ms=at_ms)


def _brought(
    then: Qualified, imported: Mapping[str, ImportedMembership], snapshot: Snapshot, now_ms: int
) -> Qualified:
    """advance, through all that was imported since `then`, each at its own instant."""
    for at_ms in came_ms(imported, then.profile.evaluated_ms, now_ms):
        before = advance(then, snapshot, now_ms=at_ms - 1)
        profile = structs.replace(before.profile, imported=imported_as_of(imported, at_ms))
        then = after_attributes(before, profile, _IMPORTED, snapshot, now_ms=at_ms)
    return advance(then, snapshot, now_ms=now_ms)


def _left_then(before: Profile, after: Qualified) -> bool:
    """Whether an audience that the profile was in was left at the very instant of `after`."""
    _, exited = Memberships.of(after.profile.memberships).since()
    return any(
        exited.get(one.audience_id) == after.profile.evaluated_ms
        for one in Memberships.of(before.memberships).each()
        if one.status == "realized"
    )


def _ended_by_time(profile: Profile, snapshot: Snapshot, until_ms: int) -> Profile:
    """The profile with the exits that time alone brought since it was stored, under definitions
    that are in force since: those rules that had it in an audience for the instant for which it was
    stored, as the ones before them had, say when that was over."""
    then = _as_of(profile, snapshot, profile.evaluated_ms)
    after = _brought(then, profile.imported, snapshot, until_ms)
    _, exited = Memberships.of(after.profile.memberships).since()
    known = Memberships.of(profile.memberships)
    ended = [
        Membership(audience_id=one.audience_id, status="exited", since_ms=exited[one.audience_id])
        for one in known.each()
        if one.status == "realized" and exited.get(one.audience_id, 0) > profile.evaluated_ms
    ]
    return structs.replace(profile, memberships=known.replaced(ended))


def _governed_from(profile: Profile, snapshot: Snapshot, now_ms: int) -> int:
    """The instant for which the profile was stored; where other definitions were in force then,
    the instant at which these came."""
    if profile.snapshot_id == snapshot.id:
        return profile.evaluated_ms
    # Another process's clock may be ahead of ours: nothing is dated in the future.
    began_ms = min(max(snapshot.in_force_ms, _imported_from(profile)), now_ms)
    # Neither is known of a profile whose rules never ran, under definitions without a date.
    return max(profile.evaluated_ms, began_ms) or now_ms


def _imported_from(profile: Profile) -> int:
    """When a profile began of which nothing else is known than what was imported; else 0."""
    if profile.version or not profile.imported:
        return 0
    return min((one.earlier or one).since_ms for one in profile.imported.values())


def _standing(profile: Profile, snapshot: Snapshot, now_ms: int) -> Standing:
    known = profile.attributes or profile.brought or profile.imported
    events = KeptEvents.of(profile.events)
    if known or len(events) > FEW_EVENTS:
        return snapshot.rules.standing(_seen(profile, snapshot), now_ms=now_ms)
    seen, nobody = partial(_viewed, profile), partial(_viewed, _NOBODY)
    return snapshot.rules.of_few_events(events.xdm(), seen, nobody, now_ms=now_ms)


_NOBODY = Profile(key="ECID:")


def _seen(profile: Profile, snapshot: Snapshot) -> View:
    """The profile as rules see it; memberships are put in by the rules, which know them."""
    seen = partial(_viewed, profile)
    return seen if snapshot.ahead is None else snapshot.ahead.seen(seen)


def _viewed(profile: Profile) -> Mapping[str, Any]:
    return view(profile, {})


def _trimmed(profile: Profile, snapshot: Snapshot, now_ms: int) -> Profile:
    """The profile without memberships that nobody is told of any more."""
    rules = snapshot.rules
    known = Memberships.of(profile.memberships)
    kept = [
        member
        for member in known.each()
        if member.audience_id in rules.position_of
        and (member.status == "realized" or now_ms - member.since_ms < EXITED_KEPT_MS)
    ]
    if known is not profile.memberships:
        # Just loaded: one text for each audience, however many profiles are in it.
        kept = [_named_as(rules, member) for member in kept]
    elif len(kept) == len(known):
        return profile
    return structs.replace(profile, memberships=Memberships.of(kept))


def _named_as(rules: RuleSet, member: Membership) -> Membership:
    audience_id = rules.ids_by_position[rules.position_of[member.audience_id]]
    return structs.replace(member, audience_id=audience_id)


def _realized(profile: Profile, snapshot: Snapshot) -> int:
    """The audiences that the profile is in, one bit each; all of them are defined."""
    position_of = snapshot.rules.position_of
    return sum(
        1 << position_of[member.audience_id]
        for member in Memberships.of(profile.memberships).each()
        if member.status == "realized"
    )


def _qualified(profile: Profile, standing: Standing, changed: int, snapshot: Snapshot) -> Qualified:
    """The profile with the changed audiences entered or left. changed: one bit each."""
    memberships = profile.memberships
    if changed:
        known = Memberships.of(memberships)
        memberships = known.replaced(_moved(known, {}, standing, changed, snapshot))
    return _as_stands(profile, standing, memberships, snapshot)


def _as_stands(
    profile: Profile,
    standing: Standing,
    memberships: Mapping[str, Membership],
    snapshot: Snapshot,
) -> Qualified:
    now = structs.replace(
        profile,
        memberships=memberships,
        evaluated_ms=standing.now_ms,
        snapshot_id=snapshot.id,
    )
    return Qualified(now, standing)


def _moved(
    before: Memberships,
    since: Mapping[str, Membership],
    standing: Standing,
    changed: int,
    snapshot: Snapshot,
) -> list[Membership]:
    """The changed audiences, each entered or left. since: what was so since `before`."""
    moved: list[Membership] = []
    for position in bits_of(changed):
        audience_id = snapshot.rules.ids_by_position[position]
        holds = bool(standing.members >> position & 1)
        earlier = since.get(audience_id) or before.of_audience(audience_id)
        after = qualify(audience_id, earlier, holds=holds, now_ms=standing.now_ms)
        if after is not None:
            moved.append(after)
    return moved
