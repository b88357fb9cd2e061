"""How long a profile in memory is answered from: past its retention it is as if it were gone."""

from __future__ import annotations

from msgspec import structs

from perso_core.decision.qualification import resumed
from perso_core.decision.retention import (
    DAY_MS,
    NEVER_MS,
    Retention,
    expires_ms,
    outlives,
    returned,
    touch_due,
    what_stays,
)
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.hot_profiles import State
from perso_core.engine.journal import Entry, Expired, Nothing, Visited

# A calendar that is so far ahead of what it may show has jumped.
JUMP_MS = 60 * 60 * 1_000
# The worker tells the time about so often.
TOLD_EACH_MS = 1_000


def retention_of(snapshot: Snapshot, first_visit_ms: int) -> Retention:
    """What the definitions in force say of retention."""
    limits = {
        one.id: one.retention_days * DAY_MS
        for one in snapshot.datastreams.values()
        if one.retention_days
    }
    return Retention(first_visit_ms, limits, snapshot.org)


def before_again(state: State, entry: Entry) -> State:
    """The state on which an entry is decided again: what another process kept meanwhile may be a
    first visit, from which the entry's own one has returned."""
    if isinstance(entry.change, (Expired, Nothing)):
        return state
    if state.qualified is None and state.consent is None:
        return structs.replace(state, first_visit_ms=entry.first_visit_ms)
    if state.first_visit_ms and returned(state.first_visit_ms, entry.first_visit_ms):
        return structs.replace(state, first_visit_ms=0)
    return state


def past_retention(state: State, snapshot: Snapshot, now_ms: int) -> State:
    """What stays of a state past its retention."""
    lasting = outlives(state.consent, first_visit=bool(state.first_visit_ms))
    stays = what_stays(state.qualified.profile if state.qualified else None)
    qualified = resumed(stays, snapshot, now_ms=now_ms) if stays else None
    return State(qualified, state.consent if lasting else None)


class Keeping:
    """retention: what is in force. clock_ms: now, by a clock that nobody can set (worker/running);
    None: there is none, and the time of each request is believed. told_ms: what the calendar showed
    as that was told. latest_ms: what it may show by that clock, with all the time for which the
    machine was off. Set by the worker as it goes.
    """

    def __init__(self, first_visit_ms: int, snapshot: Snapshot) -> None:
        self._first_visit_ms = first_visit_ms
        self.clock_ms: int | None = None
        self.told_ms = NEVER_MS
        self.latest_ms = NEVER_MS
        self.follow(snapshot)

    def follow(self, snapshot: Snapshot) -> None:
        """These definitions are in force now."""
        self._snapshot = snapshot
        self.retention = retention_of(snapshot, self._first_visit_ms)
        self._event_window_ms = snapshot.event_window_ms

    def now_ms(self, now_ms: int) -> int:
        """The instant that retention goes by. now_ms: the request's."""
        if self.clock_ms is None:
            return now_ms
        # Since it was told the calendar is believed: for a moment, which is all that it may be off.
        return self.clock_ms + min(max(now_ms - self.told_ms, 0), TOLD_EACH_MS)

    def events_from_ms(self, now_ms: int) -> int:
        """From when on events may count for a rule: by a calendar that jumped ahead none is old
        before the machine has run so long."""
        jumped = now_ms > self.latest_ms + JUMP_MS
        return (self.latest_ms if jumped else now_ms) - self._event_window_ms

    def begun(self, now_ms: int) -> State:
        """Of a device that no cookie proves."""
        return State(first_visit_ms=self.now_ms(now_ms) if self._first_visit_ms else 0)

    def made_up(self, state: State, now_ms: int) -> State:
        """The state for somebody whose cookie nobody signed: a first visit where nothing is kept.
        Else a flood of cookies would leave as many profiles behind."""
        if state.qualified is not None or state.consent is not None or state.linked_to:
            return state
        return self.begun(now_ms)

    def expired(self, state: State, now_ms: int) -> bool:
        """Whether it is past its retention."""
        # Most states have none: that must cost next to nothing.
        if not state.first_visit_ms and not self.retention.by_datastream:
            return False
        return self.now_ms(now_ms) >= self._expires_ms(state)

    def until_ms(self, state: State, now_ms: int) -> int:
        """Until when a kept answer may be told, by the clock of requests."""
        if not state.first_visit_ms and not self.retention.by_datastream:
            return NEVER_MS
        return now_ms + self._expires_ms(state) - self.now_ms(now_ms)

    def living(self, state: State, now_ms: int) -> State:
        """The state; what outlives it where it is past its retention."""
        if not self.expired(state, now_ms):
            return state
        return past_retention(state, self._snapshot, now_ms)

    def due(self, state: State, now_ms: int, *, visits: bool) -> Visited | Expired | None:
        """What is to be noted before a change: that nobody came in time, or that somebody did."""
        if self.expired(state, now_ms):
            return Expired(state.version, state.first_visit_ms)
        return Visited() if visits and self._first(state) else None

    def visit_due(self, state: State, now_ms: int) -> bool:
        """Whether it is to be noted that the visitor looked, who changes nothing."""
        if not state.first_visit_ms and not self.retention.by_datastream:
            return False
        if self.expired(state, now_ms):
            return False
        if self._first(state):
            return True
        profile = state.qualified.profile if state.qualified else None
        instant = self.now_ms(now_ms)
        return profile is not None and touch_due(profile, self.retention, now_ms=instant)

    def was_here(self, before: State, state: State, now_ms: int) -> bool:
        """Whether it is to be noted of a visitor who did not change the profile: who looked, or
        said what may be kept. A cookie that nobody signed says it of a first visit."""
        said = state is not before
        if said and (state.qualified is not before.qualified or state.first_visit_ms):
            return False
        return self.visit_due(state, now_ms)

    def _first(self, state: State) -> bool:
        """Whether something is stored of a visit that nobody came back from yet."""
        kept = state.qualified is not None or state.consent is not None
        return bool(state.first_visit_ms) and kept

    def _expires_ms(self, state: State) -> int:
        profile = state.qualified.profile if state.qualified else None
        if profile is None and state.consent is None:
            return NEVER_MS
        return expires_ms(profile, state.first_visit_ms, self.retention)
