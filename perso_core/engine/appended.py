"""What other processes added to a profile in memory, taken over for what an event costs. Pure.

To load a profile anew means to read all of its events, and to run every rule over them. Where
others did nothing but add events, what is new is enough: the profile's record as it is stored now,
and the events that came since. Whether they are all of it is counted: each event makes a version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec import structs

from perso_core.decision.event import Event
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.membership import Memberships
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import Qualified, after_events_elsewhere
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.hot_profiles import Hot
from perso_core.engine.state import MOST_PUT_BY as MOST_PUT_BY
from perso_core.engine.state import Appended, State
from perso_core.errors import UnreadableRecord
from perso_core.rules.ahead import NotYet

# What only an event may change of a profile's record. Anything else is read anew.
_what_stays = attrgetter(
    "attributes", "claims", "brought", "moved", "dropped_events", "dropped_claims"
)


def put_by(hot: Hot, news: Appended) -> bool:
    """Keep it for whoever asks for the profile next. True: so much is put by that it is to be
    taken over now."""
    hot.answers.clear()
    hot.appended = news if hot.appended is None else hot.appended.then(news)
    if len(hot.appended.events) <= MOST_PUT_BY:
        return False
    if hot.pending:
        # What is stored will be read (see take_over).
        hot.appended = structs.replace(news, events=())
    return not hot.pending


def take_over(hot: Hot, snapshot: Snapshot, max_events: int) -> bool:
    """Whether the profile has what is put by. What of ours waits for its commit was decided
    without: the store will tell, and it goes on without until then."""
    appended = hot.appended
    if appended is None or hot.pending:
        return True
    if appended.version <= hot.committed.version:
        hot.appended = None
        return True
    if not appended.events:
        return False
    state = added(hot, snapshot, max_events)
    if state is not None:
        hot.committed = hot.latest = state
    else:
        # No event is as many as there are versions: it is known that something is missing.
        hot.appended = structs.replace(appended, events=())
    return state is not None


def added(hot: Hot, snapshot: Snapshot, max_events: int) -> State | None:
    """What is committed, with what is put by, which it is no more then. None: the profile has to be
    loaded anew."""
    appended, hot.appended = hot.appended, None
    if appended is None:
        return None
    try:
        return with_appended(hot.committed, appended, snapshot, max_events=max_events)
    except NotYet:
        hot.appended = appended
        raise


def forget_appended(hot: Hot, loaded: Profile | None) -> None:
    """A profile was loaded, and has what is put by; unless that came after the loading began."""
    if hot.appended is not None and (loaded is None or hot.appended.version <= loaded.version):
        hot.appended = None


def with_appended(
    state: State, appended: Appended, snapshot: Snapshot, *, max_events: int
) -> State | None:
    """The state after what others added to it: as if it were loaded anew. None: that has to be
    done. state: as it is committed. O(those events)."""
    held = state.qualified
    if held is None or held.standing is None or not state.complete:
        return None
    try:
        written, first_visit_ms = appended.profile(Memberships.of(held.profile.memberships))
        forgotten_before_ms = _forgotten_before(held.profile, written, snapshot)
        events = _new_to(held.profile, appended.events, forgotten_before_ms)
    except UnreadableRecord:
        return None  # whoever loads it sets it aside
    if events is None or not _follows(written, held.profile, len(events)):
        return None
    taken = _with_events(held, written, events, snapshot, max_events=max_events)
    if taken is None:
        return None
    return structs.replace(state, qualified=taken, first_visit_ms=first_visit_ms)


def _forgotten_before(held: Profile, written: Profile, snapshot: Snapshot) -> int:
    """The held profile may have had events of before, which it has no more."""
    latest_ms = max(held.evaluated_ms, held.touched_ms, written.evaluated_ms, written.touched_ms)
    return latest_ms - snapshot.event_window_ms


def _new_to(
    profile: Profile, events: Sequence[Callable[[], Event]], forgotten_before_ms: int
) -> list[Event] | None:
    """Some of them may be our own, or were loaded. None: not all of them can be told apart, and one
    too many would make up for one too few."""
    known = KeptEvents.of(profile.events)
    new = []
    for read in events:
        event = read()
        place = known.place_of(event.id)
        if place is None:
            if event.timestamp_ms < forgotten_before_ms:
                return None
            new.append(event)
        elif known.time_at(place) != event.timestamp_ms:
            return None  # its id was used again by who had forgotten ours
    return new


def _follows(written: Profile, held: Profile, events: int) -> bool:
    """Whether it is the held one with so many events more, and nothing else."""
    return (
        written.version == held.version + events
        and events > 0
        and written.evaluated_ms >= held.evaluated_ms
        and _what_stays(written) == _what_stays(held)
    )


def _with_events(
    held: Qualified,
    written: Profile,
    events: Sequence[Event],
    snapshot: Snapshot,
    *,
    max_events: int,
) -> Qualified | None:
    kept = KeptEvents.of(held.profile.events)
    if len(kept) + len(events) > max_events:
        return None
    profiles = []
    for event in events:
        kept = kept.with_event(event)
        profiles.append(structs.replace(written, events=kept, imported=held.profile.imported))
    return after_events_elsewhere(held, profiles, events, snapshot)
