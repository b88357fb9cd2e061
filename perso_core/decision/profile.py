"""What is known of one visitor, and how news of it is merged in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct, field, structs

from perso_core.decision.event import Event, completed, filled
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.kept_events import Events, KeptEvents
from perso_core.decision.membership import ImportedMembership, Membership
from perso_core.decision.projection import Projection

# Where there is one event too many, so large a part of the oldest goes at once: what rules know of
# the others is counted anew then, and not for each event that comes.
EVICTED_PART = 16
MARK_BYTES = 8


# Most profiles have nothing of some kinds: what they have is one and the same.
_NOTHING: Mapping[str, Any] = {}


class Moved(Struct, frozen=True, kw_only=True):
    """Events that are another profile's, known by marks: they became that, or were reported by an
    identity that led there. Whoever reports them here again is told nothing new. to: the mark of
    that profile's key; version: the one that has them."""

    at_ms: int
    to: bytes
    version: int
    marks: frozenset[bytes]


class Profile(Struct, frozen=True, kw_only=True):
    """One visitor's profile: a value; a change makes a new one.

    key: its identity's profile_key. version: one more with each committed change, kept so by the
    store's compare-and-set; the first is the instant (epoch ms) at which the profile began. 0:
    nothing is stored yet.
    attributes: what the site said, a JSON object. claims: what a browser said about identities,
    kept and never used to select a profile.
    events: oldest first by time, arrival breaking ties; at most the engine's cap, as it was when
    the newest came, all of them younger than the rules' event window. In memory of each what rules
    read of it (KeptEvents).
    memberships: by audience id, realized and recently exited.
    imported: by id of an external audience; kept beside the profile, whose version says nothing
    of it.
    datastreams: those that reported an event of it, so that another's server cannot ask for it.
    brought: attributes of the profiles that became part of it (union.py), by the namespace of their
    identity, the one that is read first first; they fill gaps. moved: what was taken out of it.
    touched_ms: when it was last changed or its visitor looked (retention.py); 0: not known.
    dropped_events, dropped_claims: how many made room for younger ones, ever. dropped_attributes:
    how many values of profiles that became part of it had no room.
    evaluated_ms, snapshot_id: the instant and the definitions for which memberships hold.
    """

    key: str
    version: int = 0
    attributes: Mapping[str, Any] = {}
    claims: tuple[Identity, ...] = ()
    events: Events = ()
    memberships: Mapping[str, Membership] = {}
    evaluated_ms: int = 0
    snapshot_id: str = ""
    datastreams: tuple[str, ...] = ()
    brought: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NOTHING)
    moved: tuple[Moved, ...] = ()
    touched_ms: int = 0
    dropped_events: int = 0
    dropped_claims: int = 0
    dropped_attributes: int = 0
    imported: Mapping[str, ImportedMembership] = field(default_factory=lambda: _NOTHING)


Outcome = Literal["added", "completed", "duplicate"]


class Merged(Struct, frozen=True):
    """profile after the event. event: as kept (None when nothing changed). before: what was
    completed, as it was.

    evicted: older events made room or a stored event grew, so every rule that reads events
    must run again, not only those the new event can touch.
    """

    profile: Profile
    outcome: Outcome
    event: Event | None
    evicted: bool = False
    before: Event | None = None


def _events(profile: Profile) -> KeptEvents:
    events = profile.events
    return events if isinstance(events, KeptEvents) else KeptEvents.of(events)


def merge(
    profile: Profile, event: Event, *, max_events: int, stored: Event | None = None
) -> Merged:
    """The profile with the event in it. The same id again changes nothing, or fills gaps: ask
    `lacks_whole` first, as the gaps of a packed event cannot be seen. stored: that event as the
    store has it, where it is packed here."""
    if profile.moved and was_moved(profile, event.id):
        return Merged(profile, "duplicate", None)
    events = _events(profile)
    place = events.place_of(event.id)
    if place is not None:
        known = events.whole_at(place) or stored
        assert known is not None, "a second report was merged with an event that is not whole"
        whole = completed(known, event)
        if whole is known:
            return Merged(profile, "duplicate", None)
        after = structs.replace(profile, events=events.replaced(place, whole))
        return Merged(after, "completed", whole, evicted=True, before=known)
    more = events.with_event(event)
    if len(more) <= max_events:
        return Merged(structs.replace(profile, events=more), "added", event)
    kept = more.newest(max_events - max_events // EVICTED_PART)
    dropped = profile.dropped_events + len(more) - len(kept)
    after = structs.replace(profile, events=kept, dropped_events=dropped)
    return Merged(after, "added", event, evicted=True)


def lacks_whole(profile: Profile, event_id: str, stored: Event | None = None) -> bool:
    """Whether the event of this id is known and packed: a second report of it has to wait. stored:
    that event as the store has it, which helps where it has the same instant."""
    events = _events(profile)
    place = events.place_of(event_id)
    if place is None or events.whole_at(place) is not None:
        return False
    return stored is None or stored.timestamp_ms != events.time_at(place)


def packed(profile: Profile, projection: Projection) -> Profile:
    """The profile with what the projection keeps of its events. Itself where that is so."""
    events = _events(profile).packed(projection)
    return profile if events is profile.events else structs.replace(profile, events=events)


def with_whole_events(profile: Profile, stored: Iterable[Event]) -> Profile:
    """The profile with those of its events whole that are stored."""
    whole = {event.id: event for event in stored}
    events = tuple(whole.get(event.id, event) for event in profile.events)
    return structs.replace(profile, events=events)


def knows_for(profile: Profile, projection: Projection) -> bool:
    """Whether all is at hand that the projection keeps of the profile's events."""
    return _events(profile).knows_for(projection)


def mark_of(text: str) -> bytes:
    """Enough of an event's id or a profile's key to know it again."""
    return hashlib.blake2b(text.encode(), digest_size=MARK_BYTES).digest()


def was_moved(profile: Profile, event_id: str) -> bool:
    """Whether an event of the profile became another one's."""
    mark = mark_of(event_id)
    return any(mark in one.marks for one in profile.moved)


def without_moves_before(profile: Profile, oldest_ms: int) -> Profile:
    """The profile without the marks of what was moved so long ago. Itself when there are none."""
    if not profile.moved or profile.moved[0].at_ms >= oldest_ms:
        return profile
    kept = tuple([one for one in profile.moved if one.at_ms >= oldest_ms])
    return structs.replace(profile, moved=kept)


def without_events_before(profile: Profile, oldest_ms: int) -> Profile:
    """The profile without events that no rule can see any more. Itself when there are none."""
    events = _events(profile)
    kept = events.since(oldest_ms)
    return profile if kept is events else structs.replace(profile, events=kept)


def with_dropped(profile: Profile, *, events: int = 0, identities: int = 0) -> Profile:
    """The profile after so many of its events and identities made room for younger ones. Itself
    where none did."""
    if not events and not identities:
        return profile
    return structs.replace(
        profile,
        dropped_events=profile.dropped_events + events,
        dropped_claims=profile.dropped_claims + identities,
    )


def with_claims(profile: Profile, claims: tuple[Identity, ...], *, max_claims: int) -> Profile:
    """The profile with identities that a browser claimed; of too many those claimed first make
    room. Itself when all are known."""
    new = [claim for claim in claims if claim not in profile.claims]
    if not new:
        return profile
    every = (*profile.claims, *dict.fromkeys(new))
    dropped = profile.dropped_claims + max(len(every) - max_claims, 0)
    return structs.replace(profile, claims=every[-max_claims:], dropped_claims=dropped)


def seen_on(profile: Profile, datastream_id: str) -> Profile:
    """The profile with a datastream that reported an event of it; "": none. Itself when known."""
    if not datastream_id or datastream_id in profile.datastreams:
        return profile
    return structs.replace(profile, datastreams=(*profile.datastreams, datastream_id))


def patched(attributes: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes after a JSON merge patch (RFC 7396): null removes, objects merge, the rest
    replaces."""
    after = dict(attributes)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            before = after.get(name)
            after[name] = patched(before if isinstance(before, dict) else {}, value)
        else:
            after[name] = value
    return after


def attributes_of(profile: Profile) -> Mapping[str, Any]:
    """What is said of the visitor: of the profile's own identity, with gaps filled by what became
    part of it. O(1) where nothing did."""
    attributes = profile.attributes
    for brought in profile.brought.values():
        attributes = filled(attributes, brought)
    return attributes


def said_of(profile: Profile, patch: Mapping[str, Any]) -> Profile:
    """The profile after a JSON merge patch of its attributes. What the patch takes away goes from
    what filled gaps, too. Itself where it says the same again."""
    attributes = patched(profile.attributes, patch)
    brought = profile.brought
    if brought:
        brought = {name: _without(tree, patch) for name, tree in brought.items()}
    if attributes == profile.attributes and brought == profile.brought:
        return profile
    return structs.replace(profile, attributes=attributes, brought=brought)


def _without(tree: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """What a patch does not take away."""
    after = dict(tree)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict) and isinstance(after.get(name), dict):
            after[name] = _without(after[name], value)
    return after


def view(profile: Profile, realized: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The profile as rules read it.

    realized: audience id -> {"status": "realized"}; the caller may change it while it evaluates
    audiences in dependency order. Cost: O(events + attributes).
    """
    attributes = attributes_of(profile)
    return {
        **attributes,
        "identityMap": _identity_map(profile, attributes),
        "segmentMembership": {"ups": realized},
        "externalAudience": {
            audience_id: {"since": one.since_ms, "until": one.until_ms}
            for audience_id, one in profile.imported.items()
        },
        "xEvent": _events(profile).xdm(),
    }


def _identity_map(
    profile: Profile, attributes: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    stated = attributes.get("identityMap")
    identities: dict[str, list[dict[str, Any]]] = (
        {name: list(entries) for name, entries in stated.items() if isinstance(entries, list)}
        if isinstance(stated, dict)
        else {}
    )
    for claim in (identity_of(profile.key), *profile.claims):
        entries = identities.setdefault(claim.namespace, [])
        if all(entry.get("id") != claim.id for entry in entries if isinstance(entry, dict)):
            # A browser's word about being signed in is no proof: always ambiguous.
            entries.append({"id": claim.id, "authenticatedState": "ambiguous"})
    return identities
