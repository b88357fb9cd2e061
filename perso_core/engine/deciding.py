"""What becomes of one profile's state by the definitions in force: changes applied, rules run,
answers told. Which profiles there are, and what of theirs waits for the store, the engine knows."""

from __future__ import annotations

from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.decision.consent import Consent, may_collect
from perso_core.decision.lookup import EMPTY, Lookup, Lookups
from perso_core.decision.profile import Profile, packed
from perso_core.decision.projection import Projection
from perso_core.decision.qualification import resumed
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.apply import Applied, apply, barred, current
from perso_core.engine.hits import Hot, Kept
from perso_core.engine.interaction import OPERATOR, Answer
from perso_core.engine.journal import Change, ConsentChosen, Forgotten
from perso_core.engine.keeping import Keeping
from perso_core.engine.looked_up import looked_up
from perso_core.engine.state import State
from perso_core.errors import UnknownDatastream


class Deciding:
    """Base of Engine. caps: what one profile may hold. keeping: how long it is kept."""

    def __init__(self, snapshot: Snapshot, caps: Caps, keeping: Keeping) -> None:
        self._caps = caps
        self.keeping = keeping
        # deciding_by: what is in force; while a decision is made in parts with what these came to
        # (Snapshot.ahead).
        self._snapshot = self._deciding_by = snapshot
        # Whether an event may have a rule run over all of a profile's events: then it may take
        # several parts.
        self.runs_rules = snapshot.rules.running != 0
        self._projection = Projection(snapshot.event_paths)
        self._lookups = Lookups(snapshot)

    @property
    def snapshot(self) -> Snapshot:
        """What is in force."""
        return self._snapshot

    @property
    def projection(self) -> Projection:
        """What has to be loaded of a profile's events."""
        return self._projection

    def _follow(self, snapshot: Snapshot) -> None:
        """Decide by other definitions from now on."""
        self._snapshot = self._deciding_by = snapshot
        self.runs_rules = snapshot.rules.running != 0
        self._lookups = Lookups(snapshot)
        projection = Projection(snapshot.event_paths)
        if projection.paths != self._projection.paths:
            self._projection = projection
        self.keeping.follow(snapshot)

    # ---- changes ----------------------------------------------------------------

    def _may_apply(self, change: Change, state: State, datastream_id: str) -> bool:
        if isinstance(change, (ConsentChosen, Forgotten)):
            return True
        return not barred(change, state.consent) and self._permitted(state, datastream_id)

    def _permitted(self, state: State, datastream_id: str) -> bool:
        if datastream_id == OPERATOR:
            return may_collect(state.consent, "in")
        datastream = self._snapshot.datastreams.get(datastream_id)
        if datastream is None:
            raise UnknownDatastream(
                f"{datastream_id!r}.", fix="Use the id of a datastream that perso.toml defines."
            )
        return may_collect(state.consent, datastream.default_consent)

    def _apply(self, key: str, state: State, change: Change, now_ms: int) -> Applied:
        return apply(
            state,
            change,
            key=key,
            snapshot=self._deciding_by,
            now_ms=now_ms,
            touched_ms=self.keeping.now_ms(now_ms),
            events_from_ms=self.keeping.events_from_ms(now_ms),
            caps=self._caps,
            read=self._projection,
        )

    # ---- states -----------------------------------------------------------------

    def _brought(self, state: State, now_ms: int) -> State:
        return current(state, self._deciding_by, now_ms=now_ms)

    def _state(
        self,
        profile: Profile | None,
        consent: Consent | None,
        linked_to: str,
        first_visit_ms: int,
        now_ms: int,
    ) -> State:
        qualified = resumed(profile, self._deciding_by, now_ms=now_ms) if profile else None
        return State(qualified, consent, linked_to=linked_to, first_visit_ms=first_visit_ms)

    def _packed(self, state: State) -> State:
        qualified = state.qualified
        if qualified is None:
            return state
        profile = packed(qualified.profile, self._projection)
        if profile is qualified.profile:
            return state
        return structs.replace(state, qualified=structs.replace(qualified, profile=profile))

    def _pack(self, hot: Hot) -> None:
        """Keep what rules read of the events, and no more, where nothing waits for its commit."""
        before = hot.committed
        if hot.pending or before.qualified is None:
            return
        hot.latest = hot.committed = after = self._packed(before)
        if after is not before:
            for kept in hot.answers.values():
                if kept.state is before:
                    kept.state = after

    # ---- answers ----------------------------------------------------------------

    def _found(self, hot: Hot, state: State, datastream_id: str, now_ms: int) -> Lookup:
        """The answer for a state, kept with what it was computed from."""
        qualified = state.qualified
        if not self._permitted(state, datastream_id) or qualified is None:
            return EMPTY
        kept = hot.answers.get(datastream_id)
        found = looked_up(
            qualified,
            state.consent,
            self._lookups,
            datastream_id,
            self._snapshot,
            now_ms,
            before=kept.state.qualified if kept is not None else None,
        )
        if state.complete:  # else whoever asks next has the rules run first
            until_ms = min(found.until_ms, self.keeping.until_ms(state, now_ms))
            hot.answers[datastream_id] = Kept(state, self._snapshot, until_ms, found)
        return found

    def _answer(
        self, state: State, lookups: tuple[Lookup, ...], sequence: int, datastream_id: str
    ) -> Answer:
        return Answer(
            lookups=lookups,
            sequence=sequence,
            consent=state.consent,
            permitted=self._permitted(state, datastream_id),
            known=state.qualified is not None,
            datastreams=state.qualified.profile.datastreams if state.qualified else (),
        )
