"""What other processes changed: new definitions are put in force, profiles are read again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.projection import Projection
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Engine, NeedProfile
from perso_core.errors import DamagedStore, StoreUnavailable
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS
from perso_core.stores.protocol import News, Store, StoredDefinitions
from perso_core.worker.drain import renew
from perso_core.worker.hearing import Hearing
from perso_core.worker.problems import Logged

_log = logging.getLogger("perso.worker")

# Of profiles with imported memberships so many are read before news is asked for again, some 10 ms:
# no withdrawal waits for an import, nor who imports for longer than Imports does.
IMPORTED_AT_ONCE = 50
# A profile of thousands of events takes some 50 ms to be read, and more on a busy machine: so
# often, and the news of all others are late by no more than that.
MOST_READINGS = 3


class _Held(Struct, frozen=True):
    version: int
    consent: Consent | None


def log_off(snapshot: Snapshot) -> None:
    """Say which audiences are off: an operator has to mend and apply them."""
    for audience_id, why in snapshot.off.items():
        _log.error("The audience %s is off until its rule is mended. %s", audience_id, why)


def told_to_nobody(version: int) -> None:
    """For processes that do not serve."""


def heard_by_nobody(key: str | None) -> None:
    """For engines into which nothing is being loaded."""


class Refresh:
    """Asks the store for news every interval_ms, and keeps the newest version in force.

    version: of the definitions in the engine; 0: none that was saved. tell: called in a thread
    with each version that is in force from then on, with all that was written before it. heard:
    told of each profile that others wrote, before it is read again here; None: it may be any.
    hearing: told whenever all is taken over. on_problem: hears of what could not be taken over;
    what was in force stays. problems: how many there were. compiled: compile_snapshot, or as it.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        *,
        clock_ms: Callable[[], int],
        interval_ms: int,
        event_window_ms: int = DEFAULT_EVENT_WINDOW_MS,
        version: int = 0,
        tell: Callable[[int], None] = told_to_nobody,
        heard: Callable[[str | None], None] = heard_by_nobody,
        hearing: Hearing | None = None,
        on_problem: Callable[[Exception], None] | None = None,
        compiled: Callable[..., Snapshot] = compile_snapshot,
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock_ms = clock_ms
        self._interval_s = interval_ms / 1_000
        self._event_window_ms = event_window_ms
        self._version = version
        self._tell = tell
        self._heard = heard
        self._hearing = hearing or Hearing()
        self._told: int | None = None  # the version that was told last
        self._on_problem = on_problem or Logged()
        self._compiled = compiled
        self.problems = 0
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        # News is told once: what could not be done yet stays due. At first, definitions that were
        # saved between their load and our start.
        self._definitions_due = True
        self._may_be_another = False
        self._keys_due: set[str] = set()
        self._imported_due: set[str] = set()
        self._polls = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def start(self) -> None:
        self._tasks = (
            asyncio.create_task(self._run(), name="perso-refresh"),
            asyncio.create_task(self._hearing.look(), name="perso-hearing"),
        )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            try:
                await self.poll()
            except Exception as error:  # the supervisor: counts, reports, goes on
                self.problems += 1
                self._on_problem(error)
            await asyncio.sleep(0 if self._imported_due else self._interval_s)

    async def poll(self) -> None:
        """Take over what changed since the last call; of many imported memberships a part. Raises
        what went wrong; the rest is due at the next call."""
        self._polls += 1
        poll = self._polls
        self._hearing.asks()
        await self.hear()
        if self._definitions_due:
            await self._definitions_taken()
        await self._renew_due()
        await self._renew_imported()
        # Nothing that was imported is a revocation.
        self._hearing.caught_up()
        if not self._imported_due:
            self._let_go(poll)
            # Whoever waits for a version waits for all that was written before it, too. Last: a
            # full disk has no room for it.
            await self._tell_version()

    async def hear(self) -> None:
        """Of what others wrote since: events that they added are put by with the profiles, the rest
        is due at the next poll. Raises StoreUnavailable."""
        news = await self._store.news(self._engine.holds)
        self._definitions_due |= news.definitions
        due = news.keys - news.appended.keys()
        self._keys_due |= due
        self._engine.following.written(due)
        if news.missed:
            # Whatever is held may be old.
            self._definitions_due = self._may_be_another = True
            self._told = None  # another store's directory has not heard of us
            self._keys_due |= self._engine.following.written(self._engine.keys())
            self._heard(None)
        for key in news.keys:
            self._heard(key)
        for key, appended in news.appended.items():
            if key not in self._keys_due:  # what went before was not read yet: all of it will be
                self._engine.appended(key, appended)
        self._note_imported(news)

    def look_again(self) -> None:
        """This very process saved definitions: what it announces it does not hear."""
        self._definitions_due = True

    def _note_imported(self, news: News) -> None:
        keys = self._engine.keys() if news.imported_any else news.imported
        self._imported_due |= self._engine.following.written(keys)
        if news.imported_any:
            self._heard(None)
        for key in news.imported:
            self._heard(key)

    async def _renew_imported(self) -> None:
        due = [
            self._imported_due.pop() for _ in range(min(IMPORTED_AT_ONCE, len(self._imported_due)))
        ]
        try:
            while due:
                await self._renew(due[-1])
                due.pop()
        finally:
            self._imported_due.update(due)

    async def up_to_date(self) -> None:
        """Returns once all is taken over here that is written by now. Only while it runs."""
        future = asyncio.get_running_loop().create_future()
        # A poll that is under way may have asked for news already.
        self._waiting.append((self._polls + 1, future))
        await future

    def _let_go(self, poll: int) -> None:
        for waits_for, future in self._waiting:
            if waits_for <= poll and not future.done():
                future.set_result(None)
        self._waiting = [one for one in self._waiting if not one[1].done()]

    def put_in_force(self, version: int, snapshot: Snapshot) -> None:
        """From the next event on, unless a later version is in force already."""
        if version > self._version:
            self._engine.swap(snapshot)
            self._version = version

    async def _tell_version(self) -> None:
        """Where it was not told. Raises what tell raises; the next poll tells it again."""
        version = self._version
        if version != self._told:
            await asyncio.to_thread(self._tell, version)
            self._told = version

    async def _definitions_taken(self) -> None:
        """Thousands of audiences take seconds to compile: what a visitor withdrew does not wait for
        them. Nor do they begin anew where the store fails meanwhile: what is due stays so, and the
        next poll raises what is still amiss."""
        taking = asyncio.create_task(self._take_definitions())
        try:
            while not (await asyncio.wait([taking], timeout=self._interval_s))[0]:
                with suppress(StoreUnavailable):
                    await self.hear()
                    await self._renew_due()
        except BaseException:
            self._definitions_due = True
            taking.cancel()
            raise
        await taking

    async def _take_definitions(self) -> None:
        self._definitions_due = False  # what fails to compile will not do better next time
        try:
            stored = await self._store.definitions()
        except StoreUnavailable:
            self._definitions_due = True
            raise
        if self._may_be_another and self._is_anothers(stored):
            self._version = 0
        self._may_be_another = False
        if stored is None or stored.version <= self._version:
            return
        before = self._engine.snapshot
        if stored.definitions == before.definitions:
            self.put_in_force(stored.version, before)
            return
        snapshot = await asyncio.to_thread(
            self._compiled,
            stored.definitions,
            event_window_ms=self._event_window_ms,
            before=before,
            in_force_ms=stored.saved_ms,
            # Of those that were off already; otherwise what was in force before stays.
            tolerant=bool(before.off),
        )
        log_off(snapshot)
        self.put_in_force(stored.version, snapshot)

    def _is_anothers(self, stored: StoredDefinitions | None) -> bool:
        """Whether it is neither in force nor came after what is: another store, in the place of
        the one before, has its own versions."""
        if stored is None or stored.version < self._version:
            return True
        before = self._engine.snapshot.definitions
        return stored.version == self._version and stored.definitions != before

    async def _renew_due(self) -> None:
        self._keys_due |= self._engine.lagging()
        while self._keys_due:
            key = self._keys_due.pop()  # what is heard of it from now on is due once more
            try:
                await self._renew(key)
            except BaseException:
                self._keys_due.add(key)
                raise

    async def _renew(self, key: str) -> None:
        """Read a profile that others wrote, where it is in memory at all.

        A commit of ours that came between the reading and now is not in what was read, so it is
        read again. A commit still under way is: the engine decides it again on top. Where it is
        written faster than it is read, whoever comes next waits for it to be read, and none is
        decided on it meanwhile: the others are not to wait for that.
        """
        before, readings = self._held(key), 0
        projection: Projection | None = self._engine.projection
        while before is not None:
            if readings == MOST_READINGS:
                self._engine.following.unreadable(key)
                return
            readings += 1
            try:
                stored = await self._store.load(key, projection)
            except DamagedStore as error:
                # A page of the file, and with it whoever is on it. The others are not to wait for
                # that: it would be for ever.
                self._engine.following.unreadable(key)
                self._on_problem(error)
                return
            now = self._held(key)
            lacking: NeedProfile | None = None
            if now == before:
                lacking = renew(self._engine, key, stored, now_ms=self._clock_ms())
            if lacking is not None:
                projection = None if lacking.whole else self._engine.projection
            elif now == before:
                if key in self._keys_due or key in self._imported_due:  # heard of since
                    self._engine.following.written([key])
                return
            before = now
        self._engine.following.renewed(key)

    def _held(self, key: str) -> _Held | None:
        """What is committed of a profile in memory; None: it is not in memory."""
        hot = self._engine.held(key)
        return None if hot is None else _Held(hot.committed.version, hot.committed.consent)
