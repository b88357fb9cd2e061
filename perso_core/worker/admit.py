"""Deciding about a profile that may not be in memory: ask, load, admit, ask again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from msgspec import Struct, structs

from perso_core.decision.event import Event
from perso_core.engine.engine import NOTHING_SEEN, Answer, Engine, Interaction, NeedProfile, Seen
from perso_core.engine.journal import EventArrived, Forgotten
from perso_core.errors import AnotherEventLoop, Overloaded, StoreUnavailable
from perso_core.stores.protocol import Store, Stored
from perso_core.worker.drain import Drain, renew
from perso_core.worker.hearing import Hearing
from perso_core.worker.outcome import read_outcome
from perso_core.worker.parts import Parts

_log = logging.getLogger("perso.worker")


class _Asked(Struct):
    """A profile that is being loaded. askers: who waits for it. news: how often it was written by
    others meanwhile."""

    askers: int = 0
    news: int = 0


def nobody_asks() -> None:
    """Nobody is told that something was set aside."""


class Admission:
    """load_timeout_ms: how long one decision waits for a load. max_loads: profiles that may be
    loading at once. hearing: whether others are heard; None: there are none. set_aside: called in
    the context of whoever asked, where something of the profile could not be read. A failed load is
    never taken for "no profile", nor remembered. elapsed_s: a clock that nobody can set. parts: how
    what takes long is decided.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        drain: Drain,
        *,
        clock_ms: Callable[[], int],
        load_timeout_ms: int,
        max_loads: int = 1_000,
        hearing: Hearing | None = None,
        set_aside: Callable[[], None] = nobody_asks,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._store = store
        self._drain = drain
        self._clock_ms = clock_ms
        self._load_timeout_ms = load_timeout_ms
        self._max_loads = max_loads
        self._set_aside = set_aside
        self._hearing = hearing or Hearing(lambda: 0.0)
        self._looking = 0  # who has events of a profile read that is in memory
        # By key, and whether the events are read whole.
        self._loading: dict[tuple[str, bool], asyncio.Task[Stored]] = {}
        self._asked: dict[str, _Asked] = {}
        self._asked_elsewhere = False
        # By key, for each who has it unchanged: set once they have not.
        self._unchanged: dict[str, list[asyncio.Event]] = {}
        self.parts = Parts(engine, drain, self._part, elapsed_s=elapsed_s)
        self._under_way = self.parts.under_way

    def deaf(self) -> bool:
        """Whether nobody is answered, since what others revoke is not heard."""
        return self._hearing.deaf

    async def decided(self, interaction: Interaction) -> Answer:
        """The engine's answer. Raises UnknownDatastream, Overloaded, StoreUnavailable."""
        answer = self.decide(interaction)
        return answer if isinstance(answer, Answer) else await answer

    def decide(self, interaction: Interaction) -> Answer | Awaitable[Answer]:
        """The same, as what gives it where something has to be waited for: for most calls nothing
        has."""
        self.refuse_another_loop()
        several = len(interaction.changes) > 1
        if several or self._unchanged or self._under_way or self._hearing.unsure:
            return self._decide_with_care(interaction)
        now_ms = self._clock_ms()
        answer = self._engine.decide(interaction, now_ms=now_ms)
        if isinstance(answer, NeedProfile):
            return self._decided(interaction, answer, now_ms)
        self._wake_for(answer)
        return answer

    def _decide_with_care(self, interaction: Interaction) -> Answer | Awaitable[Answer]:
        """As decide, of what may have to wait, or to be parted."""
        if self._hearing.unsure or self._waits(interaction):
            return self._decided_later(interaction)
        now_ms = self._clock_ms()
        answer = self._engine.decide(interaction, now_ms=now_ms, enough=self.parts.enough())
        if isinstance(answer, NeedProfile):
            return self._decided(interaction, answer, now_ms)
        self._wake_for(answer)
        if len(answer.lookups) < len(interaction.changes):
            return self.parts.decided(interaction, answer, now_ms)
        return answer

    def _waits(self, interaction: Interaction) -> bool:
        """Whether what it changes is to stay as it is for now."""
        key = interaction.profile_key
        if not interaction.changes:
            return False
        return key in self._unchanged or (key in self._under_way and _forgets(interaction))

    async def _decided_later(self, interaction: Interaction) -> Answer:
        if self._hearing.unsure:
            await self.heard_all()
        key = interaction.profile_key
        while self._waits(interaction):
            await self._until_changed(key)
            if _forgets(interaction):
                # Else what is under way would bring the rest of it. A refusal bars that.
                await self.parts.over(key)
        return await self.decide_at_once(interaction)

    async def _until_changed(self, key: str) -> None:
        """Returns once nobody has the profile unchanged."""
        while until := self._unchanged.get(key):
            await until[0].wait()

    async def _part(self, rest: Interaction, now_ms: int) -> Answer:
        """The answer to what was begun as of now_ms, as far as it goes at once."""
        if self._hearing.unsure:
            await self.heard_all()
        await self._until_changed(rest.profile_key)
        enough = self.parts.enough()
        answer = self._engine.decide(rest, now_ms=now_ms, enough=enough, begun=True)
        if isinstance(answer, NeedProfile):
            answer, _ = await self._once_known(rest, answer, begun_ms=now_ms)
        self._wake_for(answer)
        return answer

    @contextmanager
    def unchanged(self, *keys: str) -> Iterator[None]:
        """Whoever changes these profiles meanwhile, in this process, waits, but for
        decide_at_once."""
        done = asyncio.Event()
        for key in keys:
            self._unchanged.setdefault(key, []).append(done)
        try:
            yield
        finally:
            done.set()
            for key in keys:
                self._unchanged[key].remove(done)
                if not self._unchanged[key]:
                    del self._unchanged[key]

    async def decide_at_once(self, interaction: Interaction) -> Answer:
        """As decided, for whoever has the profile unchanged: of one change then, as further parts
        would wait."""
        now_ms = self._clock_ms()
        enough = self.parts.enough()
        answer = self._engine.decide(interaction, now_ms=now_ms, enough=enough)
        return await self._decided(interaction, answer, now_ms)

    async def _decided(
        self, interaction: Interaction, answer: Answer | NeedProfile, now_ms: int
    ) -> Answer:
        """answer: the engine's, as things are."""
        if isinstance(answer, NeedProfile):
            answer, now_ms = await self._once_known(interaction, answer)
        self._wake_for(answer)
        if len(answer.lookups) < len(interaction.changes):
            return await self.parts.decided(interaction, answer, now_ms)
        return answer

    async def _once_known(
        self, interaction: Interaction, needed: NeedProfile, *, begun_ms: int | None = None
    ) -> tuple[Answer, int]:
        """The engine's answer once it has what it needs, and as of when. begun_ms: as of when that
        was begun of which this is the rest; None: it begins here."""
        looked = False
        while True:
            key, asked = needed.profile_key, interaction
            if needed.again and not looked:
                looked = True
                # At once: later there may be more of what is stored.
                asked = await self._with_stored(interaction, needed.again)
            elif needed.behind:
                await self._catch_up(key, whole=needed.whole)
                # What the store has is all there is: whoever has seen more saw what was undone.
                asked = interaction = structs.replace(interaction, seen=NOTHING_SEEN)
            else:
                stored = await self._current(key)
                self._engine.following.follow(stored.epoch)
                self._engine.admit(
                    key,
                    stored.profile,
                    stored.consent,
                    now_ms=self._clock_ms(),
                    linked_to=stored.linked_to,
                    first_visit_ms=stored.first_visit_ms,
                )
            # No await between admitting and deciding: nothing can evict what was just admitted.
            now_ms = self._clock_ms() if begun_ms is None else begun_ms
            begun, enough = begun_ms is not None, self.parts.enough()
            answer = self._engine.decide(asked, now_ms=now_ms, enough=enough, begun=begun)
            if isinstance(answer, Answer):
                return answer, now_ms
            needed = answer

    def _wake_for(self, answer: Answer) -> None:
        if answer.sequence or self._engine.waiting:
            self._drain.wake()

    async def _with_stored(self, interaction: Interaction, ids: Sequence[str]) -> Interaction:
        """With what is stored of the events of these ids, which it reports again, as of the profile
        that is in memory. To read all of its events would take longer the more it has."""
        key = interaction.profile_key
        before = None
        while before != self._known_of(key):
            before = self._known_of(key)
            stored = await self._events_of(key, ids)
        changes = tuple(
            structs.replace(change, known=stored.get(change.event.id))
            if isinstance(change, EventArrived)
            else change
            for change in interaction.changes
        )
        return structs.replace(interaction, changes=changes)

    async def _events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        self._refuse_too_many()
        self._looking += 1
        try:
            async with self._in_time():
                return await self._store.events_of(key, ids)
        finally:
            self._looking -= 1

    def _known_of(self, key: str) -> tuple[Seen, object]:
        """How far the profile is known, and what was heard of it that is not in it yet."""
        hot = self._engine.held(key)
        return self._engine.seen(key), hot.appended if hot is not None else None

    async def heard_all(self) -> None:
        """Returns once what others wrote while this process stood still is taken over. Raises
        StoreUnavailable: it was not in time."""
        if self._hearing.unsure:
            await self._hearing.catch_up(self._load_timeout_ms / 1_000)
            if self._hearing.deaf or self._hearing.behind:
                raise self._hearing.refusal()

    def heard(self, key: str | None) -> None:
        """Another process wrote this profile: what is being read of it is not what is stored.
        None: it may have been any."""
        for one in (key,) if key is not None else tuple(self._asked):
            self._let_go(one)
            if one in self._asked:
                self._asked[one].news += 1

    def refuse_another_loop(self) -> None:
        """Raises AnotherEventLoop: whoever asks there would change what is in memory in another
        thread."""
        opened_by = self._drain.loop
        if opened_by is not None and opened_by is not asyncio.get_running_loop():
            raise self._another_loop()

    def refuse_after_fork(self) -> None:
        """Raises OpenedBeforeFork in a child: its parent's event loop does not go on there."""
        if self._hearing.forked:
            raise self._hearing.refusal()

    def _another_loop(self) -> StoreUnavailable:
        """The log says it once: it would be of every call."""
        self.refuse_after_fork()
        refused = AnotherEventLoop(
            f"it was asked in the thread {threading.current_thread().name}.",
            fix="Ask in the event loop that opened it, such as by"
            " asyncio.run_coroutine_threadsafe, or open Perso in each event loop.",
        )
        if not self._asked_elsewhere:
            self._asked_elsewhere = True
            _log.error("%s", refused)
        return refused

    async def take_over(self, key: str) -> None:
        """This process wrote the profile itself, past the engine."""
        self.heard(key)
        if self._engine.held(key) is not None:
            await self._catch_up(key, whole=False)

    async def _catch_up(self, key: str, *, whole: bool) -> None:
        """Take over what is stored, such as what another process wrote, before its announcement is
        heard. whole: its events stay so until the next decision."""
        again_whole = False
        while True:
            # A reading that began before may not have it.
            self._let_go(key)
            before = self._engine.seen(key)
            stored = await self._current(key, whole=whole or again_whole)
            # What we committed meanwhile is not in what was read.
            if self._engine.seen(key) == before:
                now_ms = self._clock_ms()
                lacking = renew(self._engine, key, stored, now_ms=now_ms, whole=whole)
                if lacking is None:
                    self._engine.forget_appended(key)
                    return
                again_whole = lacking.whole

    async def _current(self, key: str, *, whole: bool = False) -> Stored:
        """What is stored; read again where others wrote it since the reading began. Otherwise a
        refusal that came in between would not be heard of: the profile is not in memory yet."""
        asked = self._asked.setdefault(key, _Asked())
        asked.askers += 1
        try:
            while True:
                news = asked.news
                stored = await self._load(key, whole)
                if stored.set_aside:
                    self._set_aside()
                if asked.news == news:
                    return stored
        finally:
            asked.askers -= 1
            if not asked.askers:
                del self._asked[key]

    async def _load(self, key: str, whole: bool) -> Stored:
        """One load for all who ask meanwhile; one who gives up does not end it for the others."""
        async with self._in_time():
            return await asyncio.shield(self._loading.get((key, whole)) or self._begin(key, whole))

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raises StoreUnavailable where the block takes longer than a load may."""
        try:
            async with asyncio.timeout(self._load_timeout_ms / 1_000):
                yield
        except TimeoutError as error:
            raise StoreUnavailable(
                f"a profile was not loaded within {self._load_timeout_ms} ms.",
                fix="Find what slows the disk, or raise load_timeout_ms.",
            ) from error

    def is_loading(self, key: str) -> bool:
        """Whether the profile is still being read, if nobody waits for it any more: whoever asks
        again waits for the same reading."""
        return (key, False) in self._loading or (key, True) in self._loading

    def _begin(self, key: str, whole: bool) -> asyncio.Task[Stored]:
        self._refuse_too_many()
        task = asyncio.create_task(self._stored(key, whole))
        self._loading[key, whole] = task
        task.add_done_callback(lambda done: self._end((key, whole), done))
        return task

    def _let_go(self, key: str) -> None:
        """Nobody else is to wait for what is being read of it."""
        for whole in (False, True):
            self._loading.pop((key, whole), None)

    def _refuse_too_many(self) -> None:
        loading = len(self._loading) + self._looking
        if loading >= self._max_loads:
            raise Overloaded(f"{loading:,} profiles are loading.", fix="Find what slows the disk.")

    async def _stored(self, key: str, whole: bool) -> Stored:
        return await self._store.load(key, None if whole else self._engine.projection)

    def _end(self, loading: tuple[str, bool], task: asyncio.Task[Stored]) -> None:
        if self._loading.get(loading) is task:
            del self._loading[loading]
        read_outcome(task)


def _forgets(interaction: Interaction) -> bool:
    return any(isinstance(change, Forgotten) for change in interaction.changes)
