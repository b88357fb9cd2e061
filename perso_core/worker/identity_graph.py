"""What is one person's becomes one profile: a device's part moves in, identities are linked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, structs

from perso_core.decision.caps import DEFAULT_CAPS, Caps
from perso_core.decision.consent import refused
from perso_core.decision.dropped import NOTHING_DROPPED, Dropped, Linked, dropped_of
from perso_core.decision.event import Event
from perso_core.decision.profile import Profile
from perso_core.decision.union import (
    MAX_MARKS,
    United,
    holds_something,
    knowing,
    left_in,
    united,
    version_to_see,
)
from perso_core.engine.engine import (
    NOTHING_SEEN,
    OPERATOR,
    Answer,
    Engine,
    Interaction,
    NeedProfile,
    Seen,
)
from perso_core.engine.journal import Nothing
from perso_core.errors import StoreUnavailable
from perso_core.stores.links import Joined, Joining
from perso_core.stores.protocol import Store
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from perso_core.worker.outcome import read_outcome

# So often may others be faster with one of two profiles before whoever waits hears that it failed.
MAX_ROUNDS = 8


class _SamePerson(Struct, frozen=True, kw_only=True):
    """What is said of two profiles: all that the source holds becomes part of the target. priority:
    see graph.rank. linked: the source's identity leads there from now on. by: see Joining."""

    source: str
    target: str
    priority: Sequence[str] = ()
    linked: bool = False
    by: Event | None = None


class _Both(Struct, frozen=True):
    """Two such profiles as they are committed, and the one that the source leads to until now; its
    own where it leads nowhere. None: nothing is kept there."""

    source: Profile | None
    target: Profile | None
    led: Profile | None


async def _at_once() -> None:
    """There is no other process."""


class IdentityGraph:
    """Keys are told apart by their tenant (decision/identity.py), which is in them: nothing here
    looks for an identity without it.

    caps: of each profile. until_heard: returns once other processes may be taken to have heard what
    was written before. Methods raise StoreUnavailable, and Overloaded where too many
    profiles are loading. What one of them began goes on when its caller gives up.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        drain: Drain,
        admission: Admission,
        *,
        clock_ms: Callable[[], int],
        caps: Caps = DEFAULT_CAPS,
        until_heard: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._engine = engine
        self._store = store
        self._drain = drain
        self._admission = admission
        self._clock_ms = clock_ms
        self._caps = caps
        self._until_heard = until_heard
        self._joining: dict[tuple[str, str, str], asyncio.Task[Dropped]] = {}

    async def canonical(self, key: str, *, priority: Sequence[str] = (), anew: bool = False) -> str:
        """The key of the profile that an identity is part of; its own where it is of none. Costs no
        read where both profiles are in memory. anew: read it in any case. What was kept under the
        identity by a process that had not heard of it has become the profile's. priority: see
        graph.rank."""
        await self._admission.heard_all()
        if anew:
            await self._admission.take_over(key)
        led_to = await self._leads_to(key)
        if led_to != key and self.holds_something(key):
            await self.move(key, led_to, priority)
            led_to = await self._leads_to(key)  # it may have gone further meanwhile
        return led_to

    async def _leads_to(self, key: str) -> str:
        led_to = await self._known_lead(key)
        hot = self._engine.held(led_to) if led_to != key else None
        if hot is None or not hot.committed.linked_to:
            return led_to
        # No link leads to a link: another process has stated this one anew.
        await self._admission.take_over(key)
        return await self._known_lead(key)

    async def _known_lead(self, key: str) -> str:
        hot = self._engine.held(key)
        if hot is None:
            await self._admitted(key)
            hot = self._engine.held(key)
            assert hot is not None, "it was admitted, with no await since"
        led_to = hot.committed.linked_to
        return key if not led_to or await self._forgotten(led_to) else led_to

    def holds_something(self, key: str) -> bool:
        """Whether the profile, which was just asked for, has something to be moved. One that has
        left memory since may have: to move it looks."""
        hot = self._engine.held(key)
        if hot is None:
            return True
        qualified = hot.latest.qualified
        return qualified is not None and holds_something(qualified.profile)

    def to_see(self, key: str, *, left: str) -> Seen:
        """How far a profile has to be told to have what was moved into it from `left`; nothing was
        lately, as far as is known here."""
        hot = self._engine.held(left)
        qualified = hot.committed.qualified if hot is not None else None
        version = version_to_see(qualified.profile, key) if qualified is not None else 0
        return Seen(version, epoch=self._engine.following.epoch) if version else NOTHING_SEEN

    async def move(
        self,
        source: str,
        target: str,
        priority: Sequence[str] = (),
        *,
        by: Event | None = None,
    ) -> Dropped:
        """All that the source holds becomes part of the target, durably. Nothing does where either
        visitor has refused. priority: see graph.rank. by: see Joining; of one that was erased
        nothing is kept. Returns what gave way in the target."""
        said = _SamePerson(source=source, target=target, priority=priority, by=by)
        return await self._once(said)

    async def link(
        self, keys: Sequence[str], priority: Sequence[str] = (), *, by: Event | None = None
    ) -> Linked:
        """Identities of one person, the canonical one first: what the others have becomes part of
        its profile, durably, and they lead there from now on. One that led elsewhere leads here;
        what it brought there stays there. Those beyond the cap stay as they are. by: as in move."""
        dropped = Dropped(unlinked=max(len(keys) - self._caps.identities, 0))
        for _ in range(MAX_ROUNDS):
            target = await self._leads_to(keys[0])
            for key in keys[1 : self._caps.identities]:
                if await self._leads_to(key) != target:
                    said = _SamePerson(
                        source=key, target=target, priority=priority, linked=True, by=by
                    )
                    dropped += await self._once(said)
            for key in keys:
                if key != target == await self._leads_to(key) and self.holds_something(key):
                    # A process kept it before it heard of the link.
                    dropped += await self.move(key, target, priority)
            # The first may have been linked meanwhile, or before this process heard of it.
            if await self._leads_to(keys[0]) == target:
                break
        return Linked(target, dropped)

    async def leading(self, key: str) -> tuple[str, ...]:
        """The keys of the other identities that are part of the profile, as it is stored."""
        return tuple(link.key for link in await self._store.links(key))

    # ---- inside -----------------------------------------------------------------

    async def _once(self, said: _SamePerson) -> Dropped:
        """One at a time for the same two by one event's word; whoever gives up does not end it for
        the others."""
        of = (said.source, said.target, said.by.id if said.by is not None else "")
        task = self._joining.get(of)
        if task is None:
            task = self._joining[of] = asyncio.create_task(self._join(said))
            task.add_done_callback(lambda done: self._end(of, done))
        return await asyncio.shield(task)

    def _end(self, of: tuple[str, str, str], task: asyncio.Task[Dropped]) -> None:
        del self._joining[of]
        read_outcome(task)

    async def _join(self, said: _SamePerson) -> Dropped:
        """Returns what gave way in the target."""
        joined = await self._joined(said, rounds=1)
        if joined is not None:
            return joined
        # Others in this process were faster: they wait now. Those of other processes do not.
        with self._admission.unchanged(said.source, said.target):
            joined = await self._joined(said, rounds=MAX_ROUNDS - 1)
        if joined is not None:
            return joined
        raise StoreUnavailable(
            "two profiles of one person were not joined: others wrote them all the while.",
            fix="Send it again; if it stays, find who writes that profile so often.",
        )

    async def _joined(self, said: _SamePerson, *, rounds: int) -> Dropped | None:
        """As _join; None: others were faster each time."""
        for _ in range(rounds):
            led_to = await self._leads_to(said.source)
            if said.linked and led_to == said.target:
                return NOTHING_DROPPED  # by what another call said meanwhile
            await self._all_settled(said, led_to)
            full = said.linked and await self._full_with(said.source, said.target)
            if await self._leads_to(said.target) != said.target:
                return NOTHING_DROPPED  # it is part of another one: the next call finds that
            both = self._both(said, led_to)
            if both is None:
                continue  # evicted meanwhile
            if self._refused(said.source) or self._refused(said.target):
                return NOTHING_DROPPED
            joining = self._decided(said, both, led_to, full=full)
            if joining is None:
                return NOTHING_DROPPED
            joined = await self._kept(joining)
            if joined.barred:
                return NOTHING_DROPPED
            if joined.kept:
                if said.linked:
                    await self._heard_of(said, led_to, joined)
                return _gave_way(joining, both, joined)
        return None

    async def _all_settled(self, said: _SamePerson, led_to: str) -> None:
        for key in (said.source, said.target, led_to):
            await self._settled(key)
        if said.linked and led_to not in (said.source, said.target):
            # What others have just added counts among what it leaves.
            await self._admission.take_over(led_to)

    def _both(self, said: _SamePerson, led_to: str) -> _Both | None:
        """None: one of them is not in memory."""
        source, target, led = (self._committed(key) for key in (said.source, said.target, led_to))
        if (
            isinstance(source, NeedProfile)
            or isinstance(target, NeedProfile)
            or isinstance(led, NeedProfile)
        ):
            return None
        return _Both(source, target, led)

    async def _kept(self, joining: Joining) -> Joined:
        """What the store made of it, which is in memory as well."""
        joined = await self._store.join(joining)
        for key in (joining.source, joining.target, *joined.links):
            await self._admission.take_over(key)
        return joined

    async def _heard_of(self, said: _SamePerson, led_to: str, joined: Joined) -> None:
        """Whose an identity was is told of it nowhere once the call is answered."""
        if led_to != said.source or joined.dropped:
            await self._until_heard()
            if led_to != said.source:
                await self._know_late(said, led_to)

    async def _forgotten(self, key: str) -> bool:
        """Whether the profile is past its retention. No identity leads to it then, be it removed
        yet or not: what came by one of them would be left behind as the links go."""
        keeping = self._engine.keeping
        if not keeping.retention.by_datastream:
            return False
        hot = self._engine.held(key)
        if hot is None or keeping.expired(hot.committed, self._clock_ms()):
            await self._admitted(key)  # others may have added to it since
            hot = self._engine.held(key)
        # Where it begins anew just now the links go with that commit.
        return hot is not None and keeping.expired(hot.committed, self._clock_ms())

    async def _settled(self, key: str) -> None:
        """In memory, and all that was decided of it is on disk; nothing past its retention is left
        that would stand in the way of what begins anew."""
        await self._admitted(key)
        hot = self._engine.held(key)
        led_to = hot.committed.linked_to if hot is not None else ""
        if led_to and await self._forgotten(led_to):
            links = await self._store.links(led_to)
            await self._settled(led_to)
            for link in links:  # they went with it
                await self._admission.take_over(link.key)
        hot = self._engine.held(key)
        if hot is not None and self._engine.keeping.expired(hot.latest, self._clock_ms()):
            gone = Interaction(profile_key=key, datastream_id=OPERATOR, changes=(Nothing(),))
            await self._admission.decided_at_once(gone)
            hot = self._engine.held(key)
        if hot is not None and hot.pending:
            self._drain.wake()
            await self._drain.durable(hot.last_sequence)

    async def _admitted(self, key: str) -> Answer:
        return await self._admission.decided(Interaction(profile_key=key, datastream_id=OPERATOR))

    def _decided(
        self, said: _SamePerson, both: _Both, led_to: str, *, full: bool
    ) -> Joining | None:
        """What the store is asked for; None: there is nothing to be done. full: identities make
        room."""
        source, target = both.source, both.target
        moved = None
        if source is not None and holds_something(source):
            moved = self._united(said, source, target)
        elif not said.linked:
            return None
        joining = self._asked(said, both, moved)
        if said.linked and led_to != said.source and both.led is not None:
            joining = self._knowing(joining, target, both.led)
        elif said.linked and source is not None and source.moved:
            # What it had left elsewhere, as it made room there, counts no more here either.
            joining = self._knowing(joining, target, structs.replace(source, events=()))
        if full and target is not None:
            leave = (target,) if source is None else (target, source)
            joining = structs.replace(joining, left=left_in(*leave, now_ms=self._clock_ms()))
        return joining

    def _asked(self, said: _SamePerson, both: _Both, moved: United | None) -> Joining:
        return Joining(
            source=said.source,
            target=said.target,
            decided_ms=self._clock_ms(),
            united=moved,
            source_version=both.source.version if both.source else 0,
            target_version=both.target.version if both.target else 0,
            linked=said.linked,
            max_identities=self._caps.identities,
            epoch=self._engine.following.epoch,
            by=said.by,
        )

    def _united(self, said: _SamePerson, source: Profile, target: Profile | None) -> United:
        """The store has the events whole, makes one history of them, and counts those that have no
        room. Here they are asked for their marks alone: to go through thousands would hold up every
        request."""
        return united(
            structs.replace(target or Profile(key=said.target), events=()),
            structs.replace(source, events=source.events[-MAX_MARKS:]),
            now_ms=self._clock_ms(),
            caps=self._caps,
            priority=said.priority,
        )

    def _knowing(self, joining: Joining, into: Profile | None, led: Profile) -> Joining:
        """The same for an identity that leads elsewhere until now: what it reported there counts no
        more here. led: the profile that it has there, which keeps what it brought."""
        now_ms = self._clock_ms()
        left = left_in(led, now_ms=now_ms)
        if left is None:
            return joining
        both = joining.united or self._with_nothing_moved(joining, into, now_ms)
        knows = knowing(both.profile, left, now_ms=now_ms)
        return structs.replace(joining, united=structs.replace(both, profile=knows))

    def _with_nothing_moved(self, joining: Joining, into: Profile | None, now_ms: int) -> United:
        known = into or Profile(key=joining.target, evaluated_ms=now_ms)
        if not known.version:
            # Also where it is known by an import alone: as of now, with what is over of that.
            touched_ms = self._engine.keeping.now_ms(now_ms)
            known = structs.replace(known, evaluated_ms=now_ms, touched_ms=touched_ms)
        return United(profile=structs.replace(known, events=()), rest=Profile(key=joining.source))

    async def _know_late(self, said: _SamePerson, led_to: str) -> None:
        """What came by an identity while it was being said to be another person's, and was kept of
        whom it had led to, counts no more here either. Where others write faster it is left: the
        identity is that person's, and the call is answered."""
        for _ in range(MAX_ROUNDS):
            await self._settled(led_to)
            await self._admission.take_over(led_to)
            if await self._leads_to(said.source) != said.target:
                return  # somebody else's by now
            await self._settled(said.target)
            both = self._both(said, led_to)
            if both is None:
                continue
            joining = self._known_late(said, both)
            if joining is None or (await self._kept(joining)).kept:
                return

    def _known_late(self, said: _SamePerson, both: _Both) -> Joining | None:
        """None: there is nothing that is not known."""
        if both.source is not None or both.target is None or both.led is None:
            return None
        now_ms = self._clock_ms()
        left = left_in(both.led, now_ms=now_ms)
        known = {mark for one in both.target.moved for mark in one.marks}
        if left is None or left.marks <= known:
            return None
        late = structs.replace(left, marks=left.marks - known)
        knows = knowing(structs.replace(both.target, events=()), late, now_ms=now_ms)
        nothing_moved = United(profile=knows, rest=Profile(key=said.source))
        # By nobody's new word, and where it still holds.
        return structs.replace(self._asked(said, both, nothing_moved), by=None, led=True)

    async def _full_with(self, source: str, target: str) -> bool:
        """Whether identities of the target make room for the source's."""
        linked = len(await self._store.links(target)) + len(await self._store.links(source))
        return linked + 1 > self._caps.identities - 1

    def _refused(self, key: str) -> bool:
        asked = Interaction(profile_key=key, datastream_id=OPERATOR)
        answer = self._engine.decide(asked, now_ms=self._clock_ms())
        return isinstance(answer, Answer) and refused(answer.consent)

    def _committed(self, key: str) -> Profile | NeedProfile | None:
        return self._engine.profile(key, now_ms=self._clock_ms())


def _gave_way(joining: Joining, both: _Both, joined: Joined) -> Dropped:
    """In the target."""
    made = joining.united.profile if joining.united is not None else both.target
    lost = dropped_of(made).since(dropped_of(both.target), dropped_of(both.source))
    return lost + Dropped(joined.dropped_events, joined.dropped)
