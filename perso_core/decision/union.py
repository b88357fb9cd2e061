"""A profile becomes part of another one: nothing is lost, again changes nothing, and of several it
does not matter which comes first.

So nothing here goes by order, unless there is more than a profile may hold (caps.py): what gives
way then is counted. Where two reports of one event, or two profiles that fill the same
gap, say different things, which of them is kept depends on what they say alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from perso_core.decision.caps import Caps
from perso_core.decision.event import Event
from perso_core.decision.graph import rank
from perso_core.decision.identity import identity_of
from perso_core.decision.membership import Membership, imported_of_both
from perso_core.decision.profile import (
    Moved,
    Profile,
    mark_of,
    seen_on,
    with_claims,
    without_moves_before,
)

# So long after it was moved, an event that is reported again counts no more (DESIGN.md, P5): of
# the newest events only, so that the marks take 8 KB at most.
MOVED_KNOWN_MS = 24 * 60 * 60 * 1000
MAX_MARKS = 500
MAX_MOVES = 16
# Few that moved to the same profile are kept as one move: of who signs in and out again and again,
# as on pages of which some tell who is signed in, else the last few events alone would be known.
FEW_MARKS = MAX_MARKS // MAX_MOVES


class United(Struct, frozen=True, kw_only=True):
    """profile: the one with all of the other in it, its version beyond both. rest: what stays of
    the other one under its key."""

    profile: Profile
    rest: Profile


def holds_something(profile: Profile) -> bool:
    """Whether there is something in it that could become another profile's."""
    return bool(
        profile.events
        or profile.attributes
        or profile.claims
        or profile.brought
        or profile.imported
    )


def united(
    into: Profile,
    other: Profile,
    *,
    now_ms: int,
    caps: Caps,
    priority: Sequence[str] = (),
) -> United:
    """All of the other profile becomes part of `into`. Both were brought to now_ms, and their
    events are whole, unless only the rest of them is asked for.

    caps: see there; of claims those of `into` go first. priority: see graph.rank; of two profiles
    that fill one gap, that of the higher namespace does. Memberships are those of both; the rules
    run when the profile is next read, as of now_ms. Cost: O(events of both).
    """
    version = max(into.version or now_ms, other.version) + 1
    events = _events_of_both(into.events, other.events)
    known = into
    for datastream_id in other.datastreams:
        known = seen_on(known, datastream_id)
    own = identity_of(into.key)
    claims = (identity_of(other.key), *other.claims)
    others = tuple(claim for claim in claims if claim != own)
    known = with_claims(known, others, max_claims=caps.identities)
    brought, lost = _brought(into, other, priority, caps.record_bytes)
    return United(
        profile=structs.replace(
            known,
            version=version,
            events=events[-caps.events :],
            memberships=_memberships_of_both(into.memberships, other.memberships),
            brought=brought,
            imported=imported_of_both(into.imported, other.imported),
            # What neither was in by itself begins now: nobody entered it before.
            evaluated_ms=max(into.evaluated_ms, other.evaluated_ms, now_ms),
            snapshot_id=into.snapshot_id or other.snapshot_id,
            touched_ms=max(into.touched_ms, other.touched_ms),
            dropped_events=known.dropped_events
            + other.dropped_events
            + max(len(events) - caps.events, 0),
            dropped_claims=known.dropped_claims + other.dropped_claims,
            dropped_attributes=known.dropped_attributes + other.dropped_attributes + lost,
        ),
        rest=_rest(other, to=into.key, version=version, now_ms=now_ms),
    )


def version_to_see(rest: Profile, key: str) -> int:
    """The version from which on the profile under that key has what was moved out of this one; 0:
    nothing was, or so long ago that everybody knows."""
    if not rest.moved:
        return 0
    mark = mark_of(key)
    return max((one.version for one in rest.moved if one.to == mark), default=0)


def left_in(*profiles: Profile, now_ms: int) -> Moved | None:
    """What an identity leaves in profiles that it led to, the one that stays first: what was
    reported by it there counts no more where it leads now. None: nothing."""
    first = profiles[0]
    newest = sorted(
        (event for profile in profiles for event in profile.events[-MAX_MARKS:]),
        key=lambda event: event.timestamp_ms,
    )
    marks = dict.fromkeys(mark_of(event.id) for event in reversed(newest[-MAX_MARKS:]))
    for profile in profiles:
        for one in reversed(without_moves_before(profile, now_ms - MOVED_KNOWN_MS).moved):
            marks.update(dict.fromkeys(one.marks))
    if not marks:
        return None
    known = frozenset(list(marks)[:MAX_MARKS])
    return Moved(at_ms=now_ms, to=mark_of(first.key), version=first.version, marks=known)


def knowing(profile: Profile, left: Moved, *, now_ms: int) -> Profile:
    """The profile once an identity leads there that left something elsewhere."""
    return structs.replace(
        profile,
        version=profile.version + 1 if profile.version else now_ms,
        moved=_with_move(profile, left, now_ms=now_ms),
    )


def _rest(other: Profile, *, to: str, version: int, now_ms: int) -> Profile:
    """An empty profile. It goes on counting its versions, so that no process takes a state from
    before for a newer one; and a server may name a device that its datastream has seen."""
    newest = [mark_of(event.id) for event in other.events[-MAX_MARKS:]]
    moved = Moved(at_ms=now_ms, to=mark_of(to), version=version, marks=frozenset(newest))
    return Profile(
        key=other.key,
        version=other.version + 1,
        datastreams=other.datastreams,
        evaluated_ms=other.evaluated_ms,
        snapshot_id=other.snapshot_id,
        touched_ms=other.touched_ms,
        moved=_with_move(other, moved, now_ms=now_ms),
    )


def _with_move(profile: Profile, moved: Moved, *, now_ms: int) -> tuple[Moved, ...]:
    """What the profile knows to be elsewhere, this too: whole moves, until they make MAX_MARKS."""
    moves = without_moves_before(profile, now_ms - MOVED_KNOWN_MS).moved
    earlier = next((one for one in reversed(moves) if one.to == moved.to), None)
    if earlier is not None and len(both := earlier.marks | moved.marks) <= FEW_MARKS:
        moved = structs.replace(moved, marks=both)
        moves = tuple(one for one in moves if one is not earlier)
    room, kept = MAX_MARKS, list[Moved]()
    for one in (moved, *reversed(moves))[:MAX_MOVES]:
        if room <= 0:
            break
        room -= len(one.marks)
        kept.append(one)
    return tuple(reversed(kept))


def _events_of_both(one: Iterable[Event], other: Iterable[Event]) -> tuple[Event, ...]:
    """Each event once, oldest first."""
    by_id = {event.id: event for event in one}
    for event in other:
        known = by_id.get(event.id)
        by_id[event.id] = event if known is None else event_of_both(known, event)
    return tuple(sorted(by_id.values(), key=lambda event: event.timestamp_ms))


def event_of_both(one: Event, other: Event) -> Event:
    """One event of two reports of it, with all that either of them knew."""
    timestamp_ms = min(one.timestamp_ms, other.timestamp_ms)
    stamps = [stamp for stamp in (one.client_timestamp, other.client_timestamp) if stamp]
    return Event(
        id=one.id,
        timestamp_ms=timestamp_ms,
        xdm={**_of_both(one.xdm, other.xdm), "timestamp": timestamp_ms},
        client_timestamp=min(stamps, default=None),
    )


def _memberships_of_both(
    one: Mapping[str, Membership], other: Mapping[str, Membership]
) -> dict[str, Membership]:
    """Of one audience: in it, if either is, since the earlier of the two; else since it was left
    last."""
    both = dict(one)
    for audience_id, member in other.items():
        known = both.get(audience_id)
        both[audience_id] = member if known is None else min(known, member, key=_standing)
    return both


def _standing(member: Membership) -> tuple[bool, int]:
    left = member.status == "exited"
    return left, -member.since_ms if left else member.since_ms


# ---- attributes ----------------------------------------------------------------


def _brought(
    into: Profile, other: Profile, priority: Sequence[str], max_bytes: int
) -> tuple[dict[str, dict[str, Any]], int]:
    """What fills the gaps of `into` from now on; and how many values have no room there."""
    trees: dict[str, dict[str, Any]] = {name: dict(tree) for name, tree in into.brought.items()}
    namespace = identity_of(other.key).namespace
    for name, tree in ((namespace, other.attributes), *other.brought.items()):
        if tree:
            trees[name] = _of_both(trees.get(name, {}), tree)
    kept: dict[str, dict[str, Any]] = {}
    room, lost = max_bytes - len("{}") + len(","), 0
    for name in sorted(trees, key=lambda name: rank(name, priority)):
        fitting, room, without = _fitting(trees[name], room)
        lost += without
        if fitting:
            kept[name] = fitting
    return kept, lost


def _fitting(tree: Mapping[str, Any], room: int) -> tuple[dict[str, Any], int, int]:
    """As many of the fields as there is room for, by name, and some of an object that does not fit
    whole; the room that is left; and how many values are left out. room: bytes of JSON, with a
    comma after each field."""
    kept: dict[str, Any] = {}
    lost = 0
    for name in sorted(tree):
        value = tree[name]
        size = _field_bytes(name, value)
        if size <= room:
            kept[name] = value
            room -= size
        elif isinstance(value, Mapping):
            inner, left, without = _fitting(value, room - _field_bytes(name, {}) + len(","))
            lost += max(without, 1)
            if inner:
                kept[name] = inner
                room = left
        else:
            lost += 1
    return kept, room, lost


def _field_bytes(name: str, value: Any) -> int:
    """As JSON, with a comma after it."""
    return len(msgspec.json.encode({name: value})) - len("{}") + len(",")


def _of_both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of both, inside of objects, too. Of two values one is kept, whichever is asked
    first: an object rather than anything else, and else by what they are written as."""
    both = dict(one)
    for name, value in other.items():
        both[name] = _one_of(both[name], value) if name in both else value
    return both


def _one_of(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _of_both(one, other)
    if isinstance(one, Mapping) or isinstance(other, Mapping):
        return one if isinstance(one, Mapping) else other
    return min(one, other, key=repr)
