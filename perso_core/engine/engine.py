"""The only mutable state a request touches: the snapshot, hot profiles, the journal.

In memory, synchronous, never waits; time is an argument. One owner at a time: assembly runs it
on one event loop. What it lacks it names (NeedProfile) instead of fetching it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from msgspec import structs

from perso_core.decision.caps import DEFAULT_CAPS, Caps
from perso_core.decision.consent import Consent
from perso_core.decision.lookup import Lookup
from perso_core.decision.profile import Profile, knows_for
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.appended import added, forget_appended, put_by, take_over
from perso_core.engine.apply import (
    Applied,
    elsewhere,
    entry_of,
    whole_needed,
)
from perso_core.engine.caps import refuse_full, refuse_too_large, with_dropped
from perso_core.engine.deciding import Deciding
from perso_core.engine.erased import NEVER_ERASED, Erased
from perso_core.engine.explaining import explained
from perso_core.engine.following import Following, withheld
from perso_core.engine.hits import Hits, Hot
from perso_core.engine.hot_profiles import Appended, HotProfiles, State
from perso_core.engine.interaction import NOTHING_SEEN as NOTHING_SEEN
from perso_core.engine.interaction import OPERATOR as OPERATOR
from perso_core.engine.interaction import Answer as Answer
from perso_core.engine.interaction import Interaction as Interaction
from perso_core.engine.interaction import NeedProfile as NeedProfile
from perso_core.engine.interaction import Seen as Seen
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    Entry,
    Visited,
)
from perso_core.engine.keeping import Keeping, before_again
from perso_core.engine.parking import Parking
from perso_core.errors import UnknownAudience
from perso_core.pql.explain import Explanation
from perso_core.rules.ahead import Ahead, NotYet


class Engine(Deciding):
    """See the module. hot_profiles: profiles in memory, about unparked_profiles of them as they are
    decided on. caps: what one profile may hold. journal_limit: entries that may wait for the store.
    first_visit_ms: how long a device is kept that no later request proved; 0: as any other.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        hot_profiles: int = 50_000,
        unparked_profiles: int = 10_000,
        caps: Caps = DEFAULT_CAPS,
        journal_limit: int = 10_000,
        first_visit_ms: int = 0,
    ) -> None:
        assert journal_limit < hot_profiles, "a journal of pinned profiles must fit in memory"
        super().__init__(snapshot, caps, Keeping(first_visit_ms, snapshot))
        self._hot = HotProfiles(hot_profiles, unparked_profiles, Parking(snapshot))
        self._by_key = self._hot.by_key
        self.hits = Hits(self._by_key, snapshot, self._missed)
        self.following = Following(self._hot)
        self._journal_limit = journal_limit
        self._sequence = 0
        self._lagging: set[str] = set()
        # By sequence, oldest first: the entry, its profile, the state it leads to.
        self._journal: dict[int, tuple[Entry, Hot, State]] = {}

    def swap(self, snapshot: Snapshot) -> None:
        """Put new definitions in force. Each profile is evaluated again when next asked for, and
        loaded again where they read what is not at hand of its events."""
        if snapshot.event_window_ms > self._snapshot.event_window_ms:
            # Events that counted no more are still stored, and may count now.
            self.following.leave_all()
        self._hot.parking = self._hot.parking.under(snapshot)
        self.hits.snapshot = snapshot
        self._follow(snapshot)

    def __len__(self) -> int:
        """Profiles in memory."""
        return len(self._hot)

    @property
    def unparked(self) -> int:
        """How many of them are not parked."""
        return len(self._by_key)

    # ---- asking ---------------------------------------------------------------

    def lookup(self, key: str, datastream_id: str, *, now_ms: int) -> Lookup | NeedProfile:
        """As Hits.lookup."""
        return self.hits.lookup(key, datastream_id, now_ms)

    def decide(
        self,
        interaction: Interaction,
        *,
        now_ms: int,
        enough: Callable[[], bool] | None = None,
        begun: bool = False,
        ahead: Ahead | None = None,
    ) -> Answer | NeedProfile:
        """Apply the changes and answer. Raises UnknownDatastream, and, with nothing applied,
        Overloaded and RecordTooLarge.

        enough: asked after each change but the last: whether the others are left for later. Then
        the answer has as many lookups as changes were applied. begun: they are such, which were
        found to be within bounds. ahead: what the parts before came to, where rules take long. With
        it decide raises NotYet: the changes are within bounds, and none of them is applied yet;
        what was due before them is."""
        if ahead is None:
            return self._decided(interaction, now_ms, enough, begun)
        self._deciding_by = structs.replace(self._snapshot, ahead=ahead)
        try:
            return self._decided(interaction, now_ms, enough, begun)
        finally:
            self._deciding_by = self._snapshot

    def _decided(
        self,
        interaction: Interaction,
        now_ms: int,
        enough: Callable[[], bool] | None,
        begun: bool,
    ) -> Answer | NeedProfile:
        key = interaction.profile_key
        hot = self._by_key.get(key) or self._hot.woken(key)
        if hot is None:
            if not interaction.new:
                return NeedProfile(key)
            hot = self._hot.add(key, self.keeping.begun(now_ms))
        by = self._deciding_by
        if by is not self._snapshot and by.ahead is not None:
            first = interaction.changes[0] if interaction.changes else None
            by.ahead.begin((hot.latest, hot.appended, self._snapshot, now_ms, first))
        if hot.appended is not None and not self._caught_up(hot):
            return NeedProfile(key, behind=True)
        if self.following.behind(hot, interaction.seen):
            return NeedProfile(key, behind=True)
        lacking = self._lacking(hot, interaction.changes, now_ms)
        if lacking is not None:
            return lacking
        if not interaction.changes:
            if interaction.visits and self.keeping.visit_due(hot.latest, now_ms):
                self._note_visit(hot, now_ms)
            found = self._committed(hot, interaction.datastream_id, now_ms)
            state = self.keeping.living(hot.committed, now_ms)
            return self._answer(state, (found,), 0, interaction.datastream_id)
        if not begun:
            refuse_full(len(self._journal), len(interaction.changes), self._journal_limit)
            for change in interaction.changes:
                if isinstance(change, AttributesPatched):
                    refuse_too_large(hot.latest, change, self._caps)
        return self._changed(hot, interaction, now_ms, enough)

    def explain(self, key: str, audience_id: str, *, now_ms: int) -> Explanation | None:
        """Why the committed profile is or is not in an audience; None: no such hot profile.
        Raises UnknownAudience."""
        if audience_id not in self._snapshot.audience_by_id:
            raise UnknownAudience(f"{audience_id!r}.", fix="Use the id of a defined audience.")
        hot = self.held(key)
        if hot is None or not self._caught_up(hot) or self._lacking(hot):
            return None
        hot.committed = self._brought(hot.committed, now_ms)
        state = self.keeping.living(hot.committed, now_ms)
        profile = state.qualified.profile if state.qualified else Profile(key=key)
        return explained(profile, audience_id, self._snapshot, now_ms=now_ms)

    def profile(self, key: str, *, now_ms: int) -> Profile | NeedProfile | None:
        """The committed profile as of now; None: nothing is kept under this key."""
        hot = self.held(key)
        if hot is None or not self._caught_up(hot):
            return NeedProfile(key)
        lacking = self._lacking(hot)
        if lacking is not None:
            return lacking
        state = self.keeping.living(self._brought(hot.committed, now_ms), now_ms)
        return state.qualified.profile if state.qualified else None

    @property
    def room(self) -> int:
        """How many entries more may wait for the store."""
        return self._journal_limit - len(self._journal)

    @property
    def waiting(self) -> int:
        """How many entries wait for the store."""
        return len(self._journal)

    def held(self, key: str) -> Hot | None:
        """The profile as it is in memory, to be read alone; None: it is not there."""
        return self._by_key.get(key) or self._hot.woken(key)

    def holds(self, key: str) -> bool:
        """Whether the profile is in memory. For any thread."""
        return key in self._hot

    def keys(self) -> frozenset[str]:
        """Of the profiles in memory."""
        return self._hot.keys()

    def hot(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of them that are in memory."""
        return self._hot.among(keys)

    def seen(self, key: str) -> Seen:
        """How far the profile is committed, as far as is known here; nothing for one not in
        memory."""
        hot = self.held(key)
        return self.following.seen(hot) if hot is not None else NOTHING_SEEN

    def tells_of_consent(self, key: str, said: Iterable[Change], *, now_ms: int) -> bool:
        """Whether something of what is said of a consent is news; of a profile that is not in
        memory all may be."""
        hot = self.held(key)
        if hot is None:
            return any(True for _ in said)
        before = hot.latest
        return any(self._apply(key, before, one, now_ms).state is not before for one in said)

    # ---- profiles in and out ----------------------------------------------------

    def admit(
        self,
        key: str,
        profile: Profile | None,
        consent: Consent | None,
        *,
        now_ms: int,
        linked_to: str = "",
        first_visit_ms: int = 0,
        ahead: Ahead | None = None,
    ) -> None:
        """Take in what the store holds under a key. What is hot already stays: another request
        may have admitted it meanwhile, and written since. Of events that were loaded for other
        definitions than are in force nothing is taken: whoever asks next has them loaded again.
        ahead: as for decide."""
        if key not in self._hot and (profile is None or knows_for(profile, self._projection)):
            if ahead is not None:
                ahead.begin((profile, self._snapshot, now_ms))
                self._deciding_by = structs.replace(self._snapshot, ahead=ahead)
            try:
                state = self._state(profile, consent, linked_to, first_visit_ms, now_ms)
            finally:
                self._deciding_by = self._snapshot
            self._hot.add(key, self._packed(state))

    def renew(
        self,
        key: str,
        profile: Profile | None,
        consent: Consent | None,
        *,
        now_ms: int,
        erased: Erased = NEVER_ERASED,
        whole: bool = False,
        linked_to: str = "",
        first_visit_ms: int = 0,
    ) -> NeedProfile | None:
        """Another process wrote this profile: take it, and decide again, on top of it, what of
        ours waits for its commit; nothing that was before the profile was erased. A
        profile that is not hot stays so. whole: its events stay whole for the next decision.
        Returns what has to be loaded instead, as of these events too little is; then nothing was
        taken."""
        hot = self.held(key)
        if hot is None:
            self.following.renewed(key)
            return None
        if profile is not None and not knows_for(profile, self._projection):
            return NeedProfile(key, behind=True)
        state = self._state(profile, consent, linked_to, first_visit_ms, now_ms)
        lacking = self._lacking_again(hot, state)
        if lacking is not None:
            return lacking
        self.following.renewed(key)
        forget_appended(hot, profile)
        self._decide_again(hot, state, now_ms, erased)
        if not whole:
            self._pack(hot)
        return None

    def overtaken(self, key: str, *, now_ms: int) -> bool:
        """Others were faster with this profile: what of ours waits for its commit is decided again
        on top of the events that they are known to have added. False: it has to be renewed."""
        hot = self._by_key.get(key)
        if hot is None or self.following.behind(hot, NOTHING_SEEN):
            return False
        state = added(hot, self._snapshot, self._caps.events)
        waiting = (entry.change for entry, owner, _ in self._journal.values() if owner is hot)
        if state is None or whole_needed(state, waiting, now_ms, self.keeping.now_ms(now_ms)):
            return False
        self._decide_again(hot, state, now_ms)
        return True

    def _decide_again(
        self, hot: Hot, committed: State, now_ms: int, erased: Erased = NEVER_ERASED
    ) -> None:
        hot.answers.clear()
        hot.committed = hot.latest = committed
        for sequence, (entry, owner, _) in list(self._journal.items()):
            if owner is not hot:
                continue
            before = before_again(self._brought(hot.latest, entry.now_ms), entry)
            change = entry.change
            barred = withheld(change, before.consent, self._snapshot) or erased.bars(entry, now_ms)
            if barred or elsewhere(change, before):
                applied = Applied(before)
            else:
                applied = self._apply(hot.key, before, change, entry.now_ms)
            hot.latest = applied.state
            at_ms, from_ms, epoch = entry.now_ms, entry.events_from_ms, self.following.epoch
            again = entry_of(applied, change, hot.key, before, at_ms, sequence, from_ms, epoch)
            self.following.decided_again.note(sequence)
            self._journal[sequence] = (again, hot, applied.state)

    def appended(self, key: str, news: Appended) -> None:
        """Other processes added events to this profile: whoever asks for it next sees them. What
        cannot be taken over by itself has the profile loaded again then."""
        hot = None if self._hot.put_by(key, news) else self.held(key)
        if hot is not None and put_by(hot, news):
            if self._caught_up(hot):
                self._pack(hot)
            else:
                self._lagging.add(key)

    def forget_appended(self, key: str) -> None:
        """What is about to be renewed was read after all that was heard of it."""
        if (hot := self._by_key.get(key)) is not None:
            hot.appended = None

    def lagging(self) -> frozenset[str]:
        """Profiles that were answered from since the last call, though more is stored than could be
        taken over: they are to be renewed."""
        lagging, self._lagging = frozenset(self._lagging), set()
        return lagging

    # ---- the journal ------------------------------------------------------------

    def pending(self, limit: int) -> tuple[Entry, ...]:
        """The oldest entries that are not yet committed, in order."""
        return tuple([entry for entry, _, _ in islice(self._journal.values(), limit)])

    def kept(self, sequences: Iterable[int]) -> None:
        """These entries are on disk, given in order. Their states become what others see."""
        for sequence in sequences:
            found = self._journal.pop(sequence, None)
            if found is None:
                continue
            _, hot, state = found
            hot.pending -= 1
            hot.committed = hot.latest if not hot.pending else state
            if not hot.pending:
                self._pack(hot)

    def committed(self, sequence: int) -> None:
        """Every entry up to and including this one is on disk."""
        self.kept([waiting for waiting in self._journal if waiting <= sequence])

    def abandon(self) -> None:
        """The store took nothing: forget what waits; profiles go back to what is committed."""
        for _, hot, _ in self._journal.values():
            hot.pending = 0
            hot.latest = hot.committed
        self._journal.clear()

    # ---- inside -----------------------------------------------------------------

    def _missed(self, key: str, datastream_id: str, now_ms: int) -> Lookup | NeedProfile:
        """The answer where no kept one holds."""
        hot = self.held(key)
        if hot is None:
            return NeedProfile(key)
        if not self._caught_up(hot):
            # Who renders a page cannot wait: it is as known here until it is read again.
            self._lagging.add(key)
        return self._lacking(hot) or self._committed(hot, datastream_id, now_ms)

    def _changed(
        self, hot: Hot, interaction: Interaction, now_ms: int, enough: Callable[[], bool] | None
    ) -> Answer:
        datastream_id = interaction.datastream_id
        lookups: list[Lookup] = []
        hot.used = True
        before = state = self._brought(hot.latest, now_ms)
        due = self.keeping.due(state, now_ms, visits=interaction.visits)
        if due is not None:
            state = self._applied(hot, state, due, now_ms)
        if interaction.unsigned:
            state = self.keeping.made_up(state, now_ms)
        for change in interaction.changes:
            if self._may_apply(change, state, datastream_id):
                try:
                    state = self._applied(hot, state, change, now_ms)
                except NotYet:
                    if not lookups:
                        if due is not None:
                            hot.latest = state
                        raise
                    if state.complete:  # the next part begins with this one
                        break
                    self._deciding_by = self._snapshot  # else it would begin by running all rules
                    state = self._applied(hot, state, change, now_ms)
            lookups.append(self._found(hot, state, datastream_id, now_ms))
            more = len(lookups) < len(interaction.changes)
            # Where the rules were not run they are before the next part: that is no time saved.
            if more and enough is not None and state.complete and enough():
                break
        else:
            if interaction.visits and self.keeping.was_here(before, state, now_ms):
                state = self._applied(hot, state, Visited(), now_ms)
        hot.latest = state
        if not hot.pending:
            hot.committed = state
            self._pack(hot)
        # Also where nothing changed: an earlier report of this very event may still wait.
        waits_for = hot.last_sequence if hot.pending else 0
        answer = self._answer(state, tuple(lookups), waits_for, datastream_id)
        return with_dropped(answer, before, state) if interaction.counts_dropped else answer

    def _note_visit(self, hot: Hot, now_ms: int) -> None:
        """Nobody waits for it to be stored: where it is not, the next visit is noted."""
        if len(self._journal) < self._journal_limit:
            hot.latest = self._applied(hot, self._brought(hot.latest, now_ms), Visited(), now_ms)

    def _applied(self, hot: Hot, state: State, change: Change, now_ms: int) -> State:
        applied = self._apply(hot.key, state, change, now_ms)
        if applied.state is state:
            return state
        self._sequence += 1
        from_ms, epoch = self.keeping.events_from_ms(now_ms), self.following.epoch
        entry = entry_of(applied, change, hot.key, state, now_ms, self._sequence, from_ms, epoch)
        self._journal[self._sequence] = (entry, hot, applied.state)
        hot.pending += 1
        hot.last_sequence = self._sequence
        return applied.state

    def _caught_up(self, hot: Hot) -> bool:
        """Whether the profile has what others added to it. False: it has to be renewed."""
        return take_over(hot, self._deciding_by, self._caps.events)

    def _lacking(
        self, hot: Hot, changes: Sequence[Change] = (), now_ms: int = 0
    ) -> NeedProfile | None:
        """What has to be loaded before the profile can be asked, or changed; None: nothing."""
        qualified = hot.latest.qualified
        if qualified is None:
            return None
        if not knows_for(qualified.profile, self._projection):
            if not hot.pending:
                self._hot.drop(hot.key)
            return NeedProfile(hot.key, behind=bool(hot.pending))
        if not changes:
            return None
        return whole_needed(hot.latest, changes, now_ms, self.keeping.now_ms(now_ms))

    def _lacking_again(self, hot: Hot, committed: State) -> NeedProfile | None:
        """What has to be loaded before what waits can be decided again on top of this; None:
        nothing."""
        for entry, owner, _ in self._journal.values():
            if owner is hot:
                machine_ms = self.keeping.now_ms(entry.now_ms)
                lacking = whole_needed(committed, (entry.change,), entry.now_ms, machine_ms)
                if lacking is not None:
                    return lacking
        return None

    def _committed(self, hot: Hot, datastream_id: str, now_ms: int) -> Lookup:
        hot.used = True
        alone = hot.latest is hot.committed
        hot.committed = self._brought(hot.committed, now_ms)
        if alone:
            hot.latest = hot.committed
        state = self.keeping.living(hot.committed, now_ms)
        return self._found(hot, state, datastream_id, now_ms)
