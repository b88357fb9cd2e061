"""Deciding about a profile that may not be in memory: ask, load, admit, ask again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec import structs

from perso_core.engine.engine import NOTHING_SEEN, Answer, Engine, Interaction, NeedProfile, Seen
from perso_core.engine.journal import (
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from perso_core.errors import AnotherEventLoop, StoreUnavailable
from perso_core.rules.ahead import Ahead, NotYet
from perso_core.stores.protocol import Store, Stored
from perso_core.worker.drain import Drain, renew
from perso_core.worker.hearing import Hearing
from perso_core.worker.loading import Asked, Loading, nobody_asks
from perso_core.worker.parts import Begun, Parts

_log = logging.getLogger("perso.worker")


class Admission:
    """load_timeout_ms: how long one decision waits for a load. max_loads: profiles that may be
    loading at once. hearing: whether others are heard; None: there are none. set_aside: as Loading
    has it. A failed load is never taken for "no profile". elapsed_s: a clock that nobody can set.
    parts: how what takes long is decided.
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
        self._drain = drain
        self._clock_ms = clock_ms
        self._load_timeout_ms = load_timeout_ms
        self._hearing = hearing or Hearing(lambda: 0.0)
        self._loading = Loading(
            engine, store, timeout_ms=load_timeout_ms, at_most=max_loads, set_aside=set_aside
        )
        self._asked_elsewhere = False
        # By key, for each who has it unchanged: set once they have not.
        self._unchanged: dict[str, list[asyncio.Event]] = {}
        self.parts = Parts(engine, drain, self._part, self._part_at_once, elapsed_s=elapsed_s)
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
        if self._hearing.unsure or self._waits(interaction):
            once = self._once_free(interaction)
            begun = interaction.changes and self.parts.is_deciding(interaction.profile_key)
            return self.parts.goes_on(once) if begun else once
        return self._begun(interaction)

    async def decided_at_once(self, interaction: Interaction) -> Answer:
        """As decided, for whoever has the profile unchanged: of one change then, as further parts
        would wait."""
        now_ms = self._clock_ms()
        answer = self._engine.decide(interaction, now_ms=now_ms, enough=self.parts.enough())
        if isinstance(answer, NeedProfile):
            return await self._whole_once_known(interaction, answer, parted=False)
        whole = self._whole(interaction, answer, now_ms, None)
        return whole if isinstance(whole, Answer) else await whole

    @contextmanager
    def unchanged(self, *keys: str) -> Iterator[None]:
        """Whoever changes these profiles meanwhile, in this process, waits, but for
        decided_at_once."""
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

    def _waits(self, interaction: Interaction) -> bool:
        """Whether what it changes is to stay as it is for now."""
        key = interaction.profile_key
        if not interaction.changes:
            return False
        if key in self._unchanged or (key in self._under_way and _forgets(interaction)):
            return True
        return self.parts.is_deciding(key) and not self._goes_first(interaction)

    def _goes_first(self, interaction: Interaction) -> bool:
        """What is news of consent waits for nobody: a refusal bars what is being decided. What
        comes with an event and is known, as the signal of a browser that sends it with each,
        waits with it."""
        says = tuple(filter(_says_of_consent, interaction.changes))
        if len(says) == len(interaction.changes):
            return True
        key, now_ms = interaction.profile_key, self._clock_ms()
        return self._engine.tells_of_consent(key, says, now_ms=now_ms)

    async def _once_free(self, interaction: Interaction) -> Answer:
        """Waits until what it asks about is known, and what it changes may change."""
        if self._hearing.unsure:
            await self.heard_all()
        key = interaction.profile_key
        while self._waits(interaction):
            await self._until_changed(key)
            if _forgets(interaction) or self.parts.is_deciding(key):
                # Else what is under way would bring the rest of it. A refusal bars that.
                await self.parts.over(key)
        answer = self._begun(interaction)
        return answer if isinstance(answer, Answer) else await answer

    async def _until_changed(self, key: str) -> None:
        """Returns once nobody has the profile unchanged."""
        while until := self._unchanged.get(key):
            await until[0].wait()

    def _begun(self, interaction: Interaction) -> Answer | Awaitable[Answer]:
        """As decide, of what need not wait for others."""
        ahead = self.parts.ahead()
        # Most calls are one change while nothing is done in parts: nobody need time them.
        many = len(interaction.changes) > 1
        timed = many or ahead is not None or self._unchanged or self._under_way
        enough = self.parts.enough() if timed else None
        now_ms = self._clock_ms()
        try:
            answer = self._engine.decide(interaction, now_ms=now_ms, enough=enough, ahead=ahead)
        except NotYet:
            return self.parts.decided(interaction, None, now_ms, ahead)
        if isinstance(answer, NeedProfile):
            return self._whole_once_known(interaction, answer)
        return self._whole(interaction, answer, now_ms, ahead)

    def _whole(
        self, interaction: Interaction, first: Answer, now_ms: int, ahead: Ahead | None
    ) -> Answer | Awaitable[Answer]:
        """first: the answer to its first part, as of now_ms, with no await since."""
        self._wake_for(first)
        if len(first.lookups) < len(interaction.changes):
            return self.parts.decided(interaction, first, now_ms, ahead)
        return first

    async def _whole_once_known(
        self, interaction: Interaction, needed: NeedProfile, *, parted: bool = True
    ) -> Answer:
        """parted: one change may take several parts."""
        ahead = self.parts.ahead() if parted else None
        try:
            first, now_ms = await self._once_known(interaction, needed, ahead=ahead)
        except NotYet:
            return await self.parts.decided(interaction, None, self._clock_ms(), ahead)
        answer = self._whole(interaction, first, now_ms, ahead)
        return answer if isinstance(answer, Answer) else await answer

    async def _part(self, begun: Begun, ahead: Ahead | None) -> Answer:
        """The answer to what was begun, as far as it goes. Raises NotYet."""
        rest, now_ms, some = begun.rest, begun.now_ms, begun.some
        if self._hearing.unsure:
            await self.heard_all()
        if rest.changes:
            await self._until_changed(rest.profile_key)
        answer = self._asked_of(rest, now_ms, ahead, begun=some)
        if isinstance(answer, NeedProfile):
            answer, _ = await self._once_known(
                rest, answer, begun_ms=now_ms, begun=some, ahead=ahead
            )
        self._wake_for(answer)
        return answer

    def _part_at_once(self, begun: Begun, ahead: Ahead | None) -> Answer | None:
        """As _part; None: something has to be waited for. Raises NotYet."""
        rest = begun.rest
        if self._hearing.unsure or (rest.changes and rest.profile_key in self._unchanged):
            return None
        answer = self._asked_of(rest, begun.now_ms, ahead, begun=begun.some)
        if isinstance(answer, NeedProfile):
            return None
        self._wake_for(answer)
        return answer

    def _asked_of(
        self, interaction: Interaction, now_ms: int, ahead: Ahead | None, *, begun: bool
    ) -> Answer | NeedProfile:
        """The engine's answer in a part that begins now. Raises NotYet."""
        if ahead is not None:
            self.parts.further(ahead)
        enough = self.parts.enough()
        return self._engine.decide(
            interaction, now_ms=now_ms, enough=enough, begun=begun, ahead=ahead
        )

    def _wake_for(self, answer: Answer) -> None:
        if answer.sequence or self._engine.waiting:
            self._drain.wake()

    async def _once_known(
        self,
        interaction: Interaction,
        needed: NeedProfile,
        *,
        begun_ms: int | None = None,
        begun: bool = False,
        ahead: Ahead | None = None,
    ) -> tuple[Answer, int]:
        """The engine's answer once it has what it needs, and as of when. begun_ms: as of when that
        was begun of which this is the rest; None: it begins here. begun: a part of it is decided.
        Raises NotYet."""
        looked = False
        while True:
            key, asked = needed.profile_key, interaction
            if needed.again and not looked:
                looked = True
                # At once: later there may be more of what is stored.
                asked = await self._with_stored(interaction, needed.again)
                if ahead is not None and begun_ms is not None:
                    part = self._part_with_stored(asked, begun_ms, ahead, begun=begun)
                    return await part, begun_ms
            elif needed.behind:
                await self._catch_up(key, whole=needed.whole)
                # What the store has is all there is: whoever has seen more saw what was undone.
                asked = interaction = structs.replace(interaction, seen=NOTHING_SEEN)
            else:
                await self._admitted(key, parted=ahead is not None)
            # No await between admitting and deciding: nothing can evict what was just admitted.
            now_ms = self._clock_ms() if begun_ms is None else begun_ms
            answer = self._asked_of(asked, now_ms, ahead, begun=begun)
            if isinstance(answer, Answer):
                return answer, now_ms
            needed = answer

    async def _part_with_stored(
        self, asked: Interaction, now_ms: int, ahead: Ahead, *, begun: bool
    ) -> Answer:
        """The answer by what was just read for it, in as many parts as that takes. Raises NotYet:
        what is stored is another by now, or something has to be waited for."""
        key = asked.profile_key
        as_read = self._known_of(key)

        def part(ahead: Ahead | None) -> Answer | None:
            if self._hearing.unsure or key in self._unchanged or self._known_of(key) != as_read:
                return None
            answer = self._asked_of(asked, now_ms, ahead, begun=begun)
            return answer if isinstance(answer, Answer) else None

        answer = await self.parts.at_length(ahead, part)
        if answer is None:
            raise NotYet
        return answer

    async def _admitted(self, key: str, *, parted: bool) -> None:
        """What is stored of it is in memory, with no await since. parted: it may take several
        parts."""
        if not parted:
            self._admit(key, await self._loading.current(key), self._clock_ms(), None)
            return
        ahead = Ahead()
        with self._loading.asking(key) as asked:
            async with asked.turn:  # one of those who ask does it for all
                while self._engine.held(key) is None:
                    stored, news = await self._loading.current(key), asked.news
                    now_ms = self._clock_ms()
                    admit = partial(self._admit_unless, asked, news, key, stored, now_ms)
                    await self.parts.at_length(ahead, admit)

    def _admit_unless(
        self,
        asked: Asked,
        news: int,
        key: str,
        stored: Stored,
        now_ms: int,
        ahead: Ahead | None,
    ) -> None:
        """Unless others wrote it meanwhile. Raises NotYet."""
        if asked.news == news:
            self._admit(key, stored, now_ms, ahead)

    def _admit(self, key: str, stored: Stored, now_ms: int, ahead: Ahead | None) -> None:
        """Raises NotYet."""
        if ahead is not None:
            self.parts.further(ahead)
        self._engine.following.follow(stored.epoch)
        self._engine.admit(
            key,
            stored.profile,
            stored.consent,
            now_ms=now_ms,
            linked_to=stored.linked_to,
            first_visit_ms=stored.first_visit_ms,
            ahead=ahead,
        )

    async def _with_stored(self, interaction: Interaction, ids: Sequence[str]) -> Interaction:
        """With what is stored of the events of these ids, which it reports again, as of the profile
        that is in memory. To read all of its events would take longer the more it has."""
        key = interaction.profile_key
        before = None
        while before != self._known_of(key):
            before = self._known_of(key)
            stored = await self._loading.events_of(key, ids)
        changes = tuple(
            structs.replace(change, known=stored.get(change.event.id))
            if isinstance(change, EventArrived)
            else change
            for change in interaction.changes
        )
        return structs.replace(interaction, changes=changes)

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
        """Another process wrote this profile. None: it may have been any."""
        self._loading.heard(key)

    def is_loading(self, key: str) -> bool:
        """Whether the profile is still being read, if nobody waits for it any more."""
        return self._loading.under_way(key)

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
            self._loading.let_go(key)
            before = self._engine.seen(key)
            stored = await self._loading.current(key, whole=whole or again_whole)
            # What we committed meanwhile is not in what was read.
            if self._engine.seen(key) == before:
                now_ms = self._clock_ms()
                lacking = renew(self._engine, key, stored, now_ms=now_ms, whole=whole)
                if lacking is None:
                    self._engine.forget_appended(key)
                    return
                again_whole = lacking.whole


def _says_of_consent(change: Change) -> bool:
    return isinstance(change, (ConsentChosen, PrivacySignalled))


def _forgets(interaction: Interaction) -> bool:
    return any(isinstance(change, Forgotten) for change in interaction.changes)
