"""What is stored of profiles: read once for all who ask meanwhile, in time or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from msgspec import Struct, field

from perso_core.decision.event import Event
from perso_core.engine.engine import Engine
from perso_core.errors import Overloaded, StoreUnavailable
from perso_core.stores.protocol import Store, Stored
from perso_core.worker.outcome import read_outcome


class Asked(Struct):
    """A profile that is being loaded. askers: who waits for it. news: how often it was written by
    others meanwhile. turn: of whoever takes it into memory where that takes several parts."""

    askers: int = 0
    news: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


def nobody_asks() -> None:
    """Nobody is told that something was set aside."""


class Loading:
    """engine: says what rules read of a profile. timeout_ms: how long who asks waits. at_most:
    profiles that may be loading at once. set_aside: called in the context of whoever asked, where
    something of the profile could not be read. A failed load is not remembered.

    Methods raise StoreUnavailable, and Overloaded where too many are loading.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        *,
        timeout_ms: int,
        at_most: int,
        set_aside: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._timeout_ms = timeout_ms
        self._at_most = at_most
        self._set_aside = set_aside
        # By key, and whether the events are read whole.
        self._tasks: dict[tuple[str, bool], asyncio.Task[Stored]] = {}
        self._asked: dict[str, Asked] = {}
        self._looking = 0  # who has single events of a profile read

    async def current(self, key: str, *, whole: bool = False) -> Stored:
        """What is stored; read again where others wrote it since the reading began. Otherwise a
        refusal that came in between would not be heard of: the profile is not in memory yet.
        whole: with its events whole."""
        with self.asking(key) as asked:
            while True:
                news = asked.news
                stored = await self._once_for_all(key, whole)
                if stored.set_aside:
                    self._set_aside()
                if asked.news == news:
                    return stored

    @contextmanager
    def asking(self, key: str) -> Iterator[Asked]:
        """What is heard of a profile until it is in memory."""
        asked = self._asked.setdefault(key, Asked())
        asked.askers += 1
        try:
            yield asked
        finally:
            asked.askers -= 1
            if not asked.askers:
                del self._asked[key]

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        """What is stored of the events of these ids, by id."""
        self._refuse_too_many()
        self._looking += 1
        try:
            async with self._in_time():
                return await self._store.events_of(key, ids)
        finally:
            self._looking -= 1

    def heard(self, key: str | None) -> None:
        """It was written, past this process's engine: what is being read of it is not what is
        stored. None: it may have been any."""
        for one in (key,) if key is not None else tuple(self._asked):
            self.let_go(one)
            if one in self._asked:
                self._asked[one].news += 1

    def let_go(self, key: str) -> None:
        """Who asks from now on is not to wait for what is being read of it."""
        for whole in (False, True):
            self._tasks.pop((key, whole), None)

    def under_way(self, key: str) -> bool:
        """Whether it is still being read, if nobody waits for it any more: whoever asks again waits
        for the same reading."""
        return (key, False) in self._tasks or (key, True) in self._tasks

    # ---- inside -----------------------------------------------------------------

    async def _once_for_all(self, key: str, whole: bool) -> Stored:
        """One load for all who ask meanwhile; one who gives up does not end it for the others."""
        async with self._in_time():
            return await asyncio.shield(self._tasks.get((key, whole)) or self._begin(key, whole))

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raises StoreUnavailable where the block takes longer than a load may."""
        try:
            async with asyncio.timeout(self._timeout_ms / 1_000):
                yield
        except TimeoutError as error:
            raise StoreUnavailable(
                f"a profile was not loaded within {self._timeout_ms} ms.",
                fix="Find what slows the disk, or raise load_timeout_ms.",
            ) from error

    def _begin(self, key: str, whole: bool) -> asyncio.Task[Stored]:
        self._refuse_too_many()
        task = asyncio.create_task(self._stored(key, whole))
        self._tasks[key, whole] = task
        task.add_done_callback(lambda done: self._end((key, whole), done))
        return task

    async def _stored(self, key: str, whole: bool) -> Stored:
        return await self._store.load(key, None if whole else self._engine.projection)

    def _end(self, loading: tuple[str, bool], task: asyncio.Task[Stored]) -> None:
        if self._tasks.get(loading) is task:
            del self._tasks[loading]
        read_outcome(task)

    def _refuse_too_many(self) -> None:
        loading = len(self._tasks) + self._looking
        if loading >= self._at_most:
            raise Overloaded(f"{loading:,} profiles are loading.", fix="Find what slows the disk.")
