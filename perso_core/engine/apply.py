"""One change applied to one state: what becomes of the visitor, and what must be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from perso_core.decision.caps import Caps
from perso_core.decision.consent import (
    Consent,
    after_signal,
    after_statement,
    last_said_ms,
    refused,
)
from perso_core.decision.dated_ahead import is_ahead, put_right
from perso_core.decision.event import Event
from perso_core.decision.profile import (
    Profile,
    lacks_whole,
    merge,
    said_of,
    seen_on,
    was_moved,
    with_claims,
    without_events_before,
    without_moves_before,
)
from perso_core.decision.projection import Projection
from perso_core.decision.qualification import (
    Qualified,
    advance,
    after_attributes,
    after_completion,
    after_event,
    qualify_all,
    resumed,
)
from perso_core.decision.union import MOVED_KNOWN_MS
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.hot_profiles import State
from perso_core.engine.interaction import NeedProfile, Seen
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    Entry,
    EventArrived,
    Expired,
    Forgotten,
    Nothing,
    PrivacySignalled,
    Visited,
    brought_by,
)
from perso_core.engine.keeping import past_retention


class Applied(Struct, frozen=True):
    """state after the change; `before` itself when it changed nothing. event: to be stored.
    evicted: older events made room for it. redated: events that got another instant."""

    state: State
    event: Event | None = None
    evicted: bool = False
    redated: tuple[Event, ...] = ()


def current(state: State, snapshot: Snapshot, *, now_ms: int) -> State:
    """The state as of now_ms under this snapshot. Itself when nothing is due."""
    qualified = state.qualified
    if qualified is None:
        return state
    # A profile that was parked under other rules has no standing with these.
    stands = qualified.standing is not None and qualified.profile.snapshot_id == snapshot.id
    if state.complete and not stands:
        renewed = resumed(qualified.profile, snapshot, now_ms=now_ms)
        return structs.replace(state, qualified=renewed)
    if not state.complete:
        at_ms = max(now_ms, qualified.profile.evaluated_ms)
        return structs.replace(
            state, qualified=qualify_all(qualified.profile, snapshot, now_ms=at_ms), complete=True
        )
    brought = advance(qualified, snapshot, now_ms=now_ms)
    return state if brought is qualified else structs.replace(state, qualified=brought)


def seen_of(state: State, epoch: int) -> Seen:
    """How far a caller is told who is answered from this state. epoch: of the store that it is
    from."""
    return Seen(state.version, last_said_ms(state.consent), epoch)


def barred(change: Change, consent: Consent | None) -> bool:
    """Whether a refusal stands against the change, whatever its datastream. Also once it was
    decided: another process may have kept the refusal meanwhile."""
    return refused(consent) and not isinstance(change, (ConsentChosen, Forgotten))


def elsewhere(change: Change, state: State) -> bool:
    """Whether it was said of an identity that had become another one's before it was kept. state:
    as it is stored."""
    known = change.linked_to if isinstance(change, Forgotten) else None
    return known is not None and known != state.linked_to


def apply(
    before: State,
    change: Change,
    *,
    key: str,
    snapshot: Snapshot,
    now_ms: int,
    touched_ms: int,
    events_from_ms: int,
    caps: Caps,
    read: Projection,
) -> Applied:
    """The state after a change. The version grows by one wherever a profile changed. touched_ms:
    now, by the clock that retention goes by. events_from_ms: older events count for no rule. read:
    what rules read of an event."""
    match change:
        case EventArrived() | AttributesPatched():
            right, redated = _put_right(before, now_ms, touched_ms)
            if isinstance(change, EventArrived):
                applied = _event_arrived(
                    right, change, key, snapshot, now_ms, touched_ms, events_from_ms, caps, read
                )
            else:
                patch = change.patch
                after = _attributes_patched(right, patch, key, snapshot, now_ms, touched_ms)
                applied = Applied(after)
            if applied.state is right:
                return Applied(before)
            return structs.replace(applied, redated=redated) if redated else applied
        case ConsentChosen():
            return Applied(_consent_chosen(before, change, now_ms))
        case PrivacySignalled():
            consent = after_signal(before.consent, of=change.of, now_ms=now_ms)
            if consent == before.consent:
                return Applied(before)
            return Applied(structs.replace(before, consent=consent))
        case Forgotten():
            # Also where nothing is known here: another process may be about to keep something.
            return Applied(State())
        case Visited():
            return Applied(_visited(before, touched_ms))
        case Nothing():
            return Applied(before)
        case Expired():
            return Applied(_expired(before, change, snapshot, now_ms))


def whole_needed(
    state: State, changes: Iterable[Change], now_ms: int, touched_ms: int
) -> NeedProfile | None:
    """What has to be loaded where changes report events again that are there, or give others
    another instant, and these are packed; None: nothing. now_ms, touched_ms: as for apply."""
    if state.qualified is None:
        return None
    profile = state.qualified.profile
    if is_ahead(profile, now_ms=now_ms, machine_ms=touched_ms) and (
        put_right(profile, now_ms=now_ms) is None
    ):
        return NeedProfile(profile.key, behind=True, whole=True)
    again = [
        change.event.id
        for change in changes
        if isinstance(change, EventArrived) and lacks_whole(profile, change.event.id, change.known)
    ]
    return NeedProfile(profile.key, behind=True, whole=True, again=tuple(again)) if again else None


def entry_of(
    applied: Applied,
    change: Change,
    key: str,
    before: State,
    now_ms: int,
    sequence: int,
    events_from_ms: int,
    epoch: int,
) -> Entry:
    """What the store has to keep of a change that was applied to `before` at now_ms. epoch: of the
    store that `before` is from."""
    qualified = applied.state.qualified
    if isinstance(change, EventArrived) and change.known is not None:
        # By the time it is decided again there may be more of it.
        change = structs.replace(change, known=None)
    if applied.state is before and (isinstance(change, (Expired, Forgotten)) or brought_by(change)):
        change = Nothing()
    # Known by an import alone, and nothing came to it after all: there is no profile to be stored.
    profile = qualified.profile if qualified and qualified.profile.version else None
    return Entry(
        sequence=sequence,
        key=key,
        now_ms=now_ms,
        change=change,
        base_version=before.version,
        profile=None if isinstance(change, (ConsentChosen, PrivacySignalled)) else profile,
        event=applied.event,
        evicted=applied.evicted,
        redated=applied.redated,
        consent=applied.state.consent,
        events_from_ms=events_from_ms,
        first_visit_ms=applied.state.first_visit_ms,
        epoch=epoch,
        linked=bool(before.linked_to),
    )


def _put_right(before: State, now_ms: int, touched_ms: int) -> tuple[State, tuple[Event, ...]]:
    """The state as of now, where a clock dated it ahead, and the events that got another instant.
    `before` itself: none did, or they are not at hand (see whole_needed)."""
    profile = before.qualified.profile if before.qualified else None
    if profile is None or not is_ahead(profile, now_ms=now_ms, machine_ms=touched_ms):
        return before, ()
    right = put_right(profile, now_ms=now_ms)
    if right is None:
        return before, ()
    # The rules are run with the change itself.
    undecided = structs.replace(before, qualified=Qualified(right.profile), complete=False)
    return undecided, right.events


def _visited(before: State, touched_ms: int) -> State:
    """Touched, and proved by now."""
    after = structs.replace(before, first_visit_ms=0)
    if before.qualified is None:
        return after
    profile = before.qualified.profile
    touched = structs.replace(
        profile,
        version=profile.version + 1,
        touched_ms=touched_ms,
    )
    return structs.replace(after, qualified=structs.replace(before.qualified, profile=touched))


def _expired(before: State, change: Expired, snapshot: Snapshot, now_ms: int) -> State:
    if (before.version, before.first_visit_ms) != (change.version, change.first_visit_ms):
        return before  # another process heard of the visitor in the meantime
    return past_retention(before, snapshot, now_ms)


def _event_arrived(
    before: State,
    change: EventArrived,
    key: str,
    snapshot: Snapshot,
    now_ms: int,
    touched_ms: int,
    events_from_ms: int,
    caps: Caps,
    read: Projection,
) -> Applied:
    profile = before.qualified.profile if before.qualified else Profile(key=key)
    recent = without_moves_before(profile, now_ms - MOVED_KNOWN_MS)
    # What came with an event that became another one's is that one's, too.
    moved = bool(recent.moved) and was_moved(recent, change.event.id)
    claims = () if moved else change.claims
    claimed = with_claims(recent, claims, max_claims=caps.identities)
    known = seen_on(claimed, change.datastream_id)
    counted = without_events_before(known, events_from_ms)
    merged = merge(counted, change.event, max_events=caps.events, stored=change.known)
    if merged.event is None and known is recent and before.qualified:
        return Applied(before)
    evicted = merged.outcome == "added" and merged.evicted
    after = structs.replace(
        merged.profile, version=_version_after(profile, now_ms), touched_ms=touched_ms
    )
    if not change.segmentation:
        # Not run now: the next answer that needs memberships runs every rule.
        undecided = structs.replace(before, qualified=Qualified(after), complete=False)
        return Applied(undecided, merged.event, evicted)
    if before.qualified is None or not before.complete:
        qualified = qualify_all(after, snapshot, now_ms=_not_before(before, now_ms))
        state = structs.replace(before, qualified=qualified, complete=True)
        return Applied(state, merged.event, evicted)
    if merged.event and merged.before:
        at_ms = _not_before(before, now_ms)
        qualified = after_completion(
            before.qualified, after, merged.before, merged.event, read, snapshot, now_ms=at_ms
        )
    elif merged.event:
        qualified = after_event(
            before.qualified, after, merged.event, snapshot, now_ms=now_ms, evicted=evicted
        )
    else:
        qualified = structs.replace(before.qualified, profile=after)
    if claimed is not recent:
        qualified = after_attributes(
            qualified, qualified.profile, ("identityMap",), snapshot, now_ms=now_ms
        )
    return Applied(structs.replace(before, qualified=qualified), merged.event, evicted)


def _consent_chosen(before: State, said: ConsentChosen, now_ms: int) -> State:
    if said.unless_chosen and before.consent and before.consent.general:
        return before
    consent = after_statement(before.consent, said, now_ms=now_ms)
    if refused(consent):
        # Nothing but the refusal is kept.
        nothing_kept = before.qualified is None
        return before if nothing_kept and consent == before.consent else State(consent=consent)
    return before if consent == before.consent else structs.replace(before, consent=consent)


def _version_after(profile: Profile, now_ms: int) -> int:
    """The next version. The first is the instant at which the profile begins: one that begins anew
    after it was forgotten has none of the versions before, which another process may still hold."""
    return profile.version + 1 if profile.version else max(now_ms, 1)


def _not_before(state: State, now_ms: int) -> int:
    """now_ms, unless the clock went back since the state was made."""
    return max(now_ms, state.qualified.profile.evaluated_ms) if state.qualified else now_ms


def _attributes_patched(
    before: State,
    patch: Mapping[str, object],
    key: str,
    snapshot: Snapshot,
    now_ms: int,
    touched_ms: int,
) -> State:
    profile = before.qualified.profile if before.qualified else Profile(key=key)
    said = said_of(profile, patch)
    if said is profile and before.qualified:
        return before
    after = structs.replace(said, version=_version_after(profile, now_ms), touched_ms=touched_ms)
    if before.qualified is None or not before.complete:
        qualified = qualify_all(after, snapshot, now_ms=_not_before(before, now_ms))
    else:
        qualified = after_attributes(before.qualified, after, patch, snapshot, now_ms=now_ms)
    return structs.replace(before, qualified=qualified, complete=True)
