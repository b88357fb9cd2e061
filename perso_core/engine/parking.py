"""Profiles between visits: as bytes, a fifth of what they take while they are decided on. Pure.

Parked and woken, a profile is what it was, what the rules know of it included: nothing is decided
anew. Where other rules came in force meanwhile, they are run as for any profile that they find.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from perso_core.decision.blocks import Block, compressed, expanded
from perso_core.decision.identity import Identity
from perso_core.decision.kept_events import KeptEvents, ParkedEvents
from perso_core.decision.large_integers import large_integer, with_large_integers
from perso_core.decision.membership import ImportedMembership, Memberships
from perso_core.decision.profile import Moved, Profile
from perso_core.decision.projection import Projection
from perso_core.decision.qualification import Qualified
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.state import Appended, State
from perso_core.rules.parked import ParkedStanding, StandingParking

# Of whom nothing is known but the profile, which is most.
NOTHING = State()


class Parked(Struct, frozen=True, gc=False):
    """One profile between visits. rest: its state but for the profile. content: the profile but for
    its key and the blocks of its events; empty: there is none. projection: what is kept of the
    events. rules: stands for the rules of the standing.
    appended: what others added to it.
    """

    rest: State
    content: bytes = b""
    blocks: tuple[Block, ...] = ()
    projection: Projection | None = None
    rules: object = None
    appended: Appended | None = None


class _Content(Struct, frozen=True, array_like=True, gc=False):
    """As in Profile and KeptEvents. audience_ids, instants: as in Memberships."""

    version: int
    attributes: Mapping[str, Any]
    claims: tuple[Identity, ...]
    audience_ids: tuple[str, ...]
    instants: bytes
    evaluated_ms: int
    snapshot_id: str
    datastreams: tuple[str, ...]
    touched_ms: int
    times: bytes
    marks: bytes
    gone: int
    standing: ParkedStanding | None
    dropped_events: int
    dropped_claims: int
    dropped_attributes: int
    brought: Mapping[str, Mapping[str, Any]]
    moved: tuple[Moved, ...]
    imported: Mapping[str, ImportedMembership]


class Parking:
    """Parks and wakes profiles under one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        rules = snapshot.rules
        self._id_of = dict(zip(rules.ids_by_position, rules.ids_by_position, strict=True))
        self._standings = StandingParking(rules)
        self._rules = object()

    def under(self, snapshot: Snapshot) -> Parking:
        """The same under another snapshot. Itself where that has the same rules."""
        return self if snapshot.rules is self._snapshot.rules else Parking(snapshot)

    def parked(self, state: State, appended: Appended | None = None) -> Parked | None:
        """Of a profile with nothing that waits for its commit. None: it has values that no packing
        takes. appended: what others added to it."""
        if state.qualified is None:
            return Parked(state, appended=appended)
        profile, standing = state.qualified.profile, state.qualified.standing
        kept = KeptEvents.of(profile.events)
        events = kept.parked()
        if events is None:
            return None
        known = None
        # A standing with other rules is of no use any more.
        if standing is not None and profile.snapshot_id == self._snapshot.id:
            known = self._standings.parked(standing, events.times)
        try:
            content = compressed(_packed(_content(profile, events, known)))
        except TypeError:
            return None
        rest = structs.replace(state, qualified=None)
        return Parked(
            NOTHING if rest == NOTHING else rest,
            content,
            events.blocks,
            kept.projection,
            self._rules,
            appended,
        )

    def woken(self, key: str, parked: Parked) -> State:
        """What was parked; with no standing where it is one with other rules."""
        if not parked.content:
            return parked.rest
        kept = _decode(expanded(parked.content))
        projection = parked.projection
        assert projection is not None, "events have one"
        events = ParkedEvents(kept.times, kept.marks, parked.blocks, kept.gone)
        profile = self._profile(key, kept, KeptEvents.woken(events, projection))
        standing = None
        if kept.standing is not None and parked.rules is self._rules:
            standing = self._standings.standing(kept.standing, kept.times)
        rest = parked.rest
        return State(
            Qualified(profile, standing),
            rest.consent,
            rest.complete,
            rest.linked_to,
            rest.first_visit_ms,
        )

    def _profile(self, key: str, kept: _Content, events: KeptEvents) -> Profile:
        # One text for each audience, however many profiles are in it.
        ids = tuple([self._id_of.get(told, told) for told in kept.audience_ids])
        same = kept.snapshot_id == self._snapshot.id
        return Profile(
            key=key,
            version=kept.version,
            attributes=kept.attributes,
            claims=kept.claims,
            events=events,
            memberships=Memberships(ids, kept.instants),
            evaluated_ms=kept.evaluated_ms,
            snapshot_id=self._snapshot.id if same else kept.snapshot_id,
            datastreams=tuple(map(sys.intern, kept.datastreams)),
            brought=kept.brought,
            moved=kept.moved,
            touched_ms=kept.touched_ms,
            dropped_events=kept.dropped_events,
            dropped_claims=kept.dropped_claims,
            dropped_attributes=kept.dropped_attributes,
            imported=kept.imported,
        )


def _content(profile: Profile, events: ParkedEvents, standing: ParkedStanding | None) -> _Content:
    audience_ids, instants = Memberships.of(profile.memberships).columns()
    return _Content(
        version=profile.version,
        attributes=profile.attributes,
        claims=profile.claims,
        audience_ids=audience_ids,
        instants=instants,
        evaluated_ms=profile.evaluated_ms,
        snapshot_id=profile.snapshot_id,
        datastreams=profile.datastreams,
        touched_ms=profile.touched_ms,
        times=events.times,
        marks=events.marks,
        gone=events.gone,
        standing=standing,
        dropped_events=profile.dropped_events,
        dropped_claims=profile.dropped_claims,
        dropped_attributes=profile.dropped_attributes,
        brought=profile.brought,
        moved=profile.moved,
        imported=profile.imported,
    )


def _packed(content: _Content) -> bytes:
    try:
        return _encode(content)
    except OverflowError:
        attributes = with_large_integers(content.attributes)
        brought = with_large_integers(content.brought)
        return _encode(structs.replace(content, attributes=attributes, brought=brought))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content, ext_hook=large_integer).decode
