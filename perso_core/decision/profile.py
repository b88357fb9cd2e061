"""What is known of one visitor, and how news of it is merged in."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, structs

from perso_core.decision.event import Event, completed
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.membership import Membership

# Adobe's guardrail: 50 identities in one graph (product.md, 19). More claims are not kept.
MAX_CLAIMS = 50


class Profile(Struct, frozen=True, kw_only=True):
    """One visitor's profile: a value; a change makes a new one.

    key: its identity's profile_key. version: one more with each committed change, kept so by the
    store's compare-and-set; the first is the instant (epoch ms) at which the profile began. 0:
    nothing is stored yet.
    attributes: what the site said, a JSON object. claims: what a browser said about identities,
    kept and never used to select a profile.
    events: oldest first by time, arrival breaking ties; at most the engine's cap, all of them
    younger than the rules' event window.
    memberships: by audience id, realized and recently exited.
    datastreams: those that reported an event of it, so that another's server cannot ask for it.
    evaluated_ms, snapshot_id: the instant and the definitions for which memberships hold.
    """

    key: str
    version: int = 0
    attributes: Mapping[str, Any] = {}
    claims: tuple[Identity, ...] = ()
    events: tuple[Event, ...] = ()
    memberships: Mapping[str, Membership] = {}
    evaluated_ms: int = 0
    snapshot_id: str = ""
    datastreams: tuple[str, ...] = ()


Outcome = Literal["added", "completed", "duplicate"]


class Merged(Struct, frozen=True):
    """profile after the event. event: as kept (None when nothing changed).

    evicted: an older event made room or a stored event grew, so every rule that reads events
    must run again, not only those the new event can touch.
    """

    profile: Profile
    outcome: Outcome
    event: Event | None
    evicted: bool = False


def merge(profile: Profile, event: Event, *, max_events: int) -> Merged:
    """The profile with the event in it. The same id again changes nothing, or fills gaps."""
    known = next((kept for kept in reversed(profile.events) if kept.id == event.id), None)
    if known is not None:
        whole = completed(known, event)
        if whole is known:
            return Merged(profile, "duplicate", None)
        events = tuple(whole if kept is known else kept for kept in profile.events)
        return Merged(structs.replace(profile, events=events), "completed", whole, evicted=True)
    events = _inserted(profile.events, event)
    kept = events[-max_events:]
    return Merged(
        structs.replace(profile, events=kept), "added", event, evicted=len(kept) < len(events)
    )


def _inserted(events: tuple[Event, ...], event: Event) -> tuple[Event, ...]:
    if not events or events[-1].timestamp_ms <= event.timestamp_ms:
        return (*events, event)
    ordered = list(events)
    insort(ordered, event, key=lambda one: one.timestamp_ms)
    return tuple(ordered)


def without_events_before(profile: Profile, oldest_ms: int) -> Profile:
    """The profile without events that no rule can see any more. Itself when there are none."""
    if not profile.events or profile.events[0].timestamp_ms >= oldest_ms:
        return profile
    kept = tuple(event for event in profile.events if event.timestamp_ms >= oldest_ms)
    return structs.replace(profile, events=kept)


def with_claims(profile: Profile, claims: tuple[Identity, ...]) -> Profile:
    """The profile with identities that a browser claimed. Itself when all are known."""
    new = tuple(dict.fromkeys(claim for claim in claims if claim not in profile.claims))
    if not new:
        return profile
    return structs.replace(profile, claims=(*profile.claims, *new)[:MAX_CLAIMS])


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


def view(profile: Profile, realized: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The profile as rules read it.

    realized: audience id -> {"status": "realized"}; the caller may change it while it evaluates
    audiences in dependency order. Cost: O(events + attributes).
    """
    return {
        **profile.attributes,
        "identityMap": _identity_map(profile),
        "segmentMembership": {"ups": realized},
        "xEvent": [event.xdm for event in profile.events],
    }


def _identity_map(profile: Profile) -> dict[str, list[dict[str, Any]]]:
    stated = profile.attributes.get("identityMap")
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
