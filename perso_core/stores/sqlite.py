"""The embedded store: one SQLite file, durable at each commit, open to several processes."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.projection import Projection
from perso_core.decision.retention import Retention
from perso_core.definitions.document import Definitions
from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores import sqlite_imports as imports
from perso_core.stores.clock import Clock, system_clock_ms
from perso_core.stores.forking import (
    leave_to_parent_at_fork,
    no_store_from_now_on,
    opened_before_fork,
    refuse_after_fork,
)
from perso_core.stores.imports import Batch, Progress
from perso_core.stores.links import Joined, Joining, Link
from perso_core.stores.protocol import (
    ClockMark,
    Committed,
    Held,
    News,
    Stored,
    StoredDefinitions,
    Swept,
    Whole,
    held_by_nobody,
)
from perso_core.stores.soundness import refuse_damaged, refuse_lost, refuse_missing, sync_log
from perso_core.stores.sqlite_expiry import sweep_set_aside
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from perso_core.stores.surroundings import refuse_unsafe

_log = logging.getLogger("perso.stores")

Result = TypeVar("Result")


class SqliteStore:
    """A Store (protocol.py). Made by open_sqlite; the event loop never touches the disk.

    quarantined: rows found unreadable since the store was opened. After close every method
    raises StoreUnavailable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = self._forked = False
        self.quarantined = 0
        # One thread each: work is done in the order in which it was asked for.
        self._writing = ThreadPoolExecutor(1, "perso-store-write")
        self._reading = ThreadPoolExecutor(1, "perso-store-read")
        leave_to_parent_at_fork(self)

    async def open(self, *, max_events: int, clock_ms: Clock, anew: bool) -> None:
        """Raises UnsafeStore, DamagedStore, StoreTooNew, StoreUnavailable."""
        self._clock_ms = clock_ms
        origin = secrets.randbits(62)
        await self._write(lambda: _looked_after(self._path, anew))
        self._writer = await self._write(
            lambda: Writer(self._path, origin=origin, max_events=max_events, clock_ms=clock_ms)
        )
        self._reader = await self._read(lambda: Reader(self._path, origin=origin))

    def age_by(self, clock_ms: Clock) -> None:
        """What is known of the erased gets old by this clock, too: nobody can set it (epoch
        milliseconds)."""
        self._writer.aging_ms = clock_ms

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        loaded = await self._read(lambda: self._reader.load(key, projection))
        if loaded.unreadable:
            self.quarantined += len(loaded.unreadable)
            for row in loaded.unreadable:  # not whose it is
                _log.error("A stored %s is set aside: it cannot be read. %s", row.kind, row.reason)
            # Before anyone decides on what is left: else the row stands in the next write's way.
            await self._write(lambda: self._writer.quarantine(loaded.unreadable))
        return loaded.stored

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        return await self._read(lambda: self._reader.events_of(key, ids))

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        return await self._read(lambda: self._reader.keys_of(identity))

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        return Committed(await self._write(lambda: self._writer.commit(entries, announce)))

    async def join(self, joining: Joining) -> Joined:
        return await self._write(lambda: self._writer.join(joining))

    async def links(self, key: str) -> tuple[Link, ...]:
        return await self._read(lambda: self._reader.links(key))

    async def definitions(self) -> StoredDefinitions | None:
        return await self._read(lambda: self._reader.definitions())

    async def save_definitions(self, definitions: Definitions, *, saved_ms: int = 0) -> int:
        return await self._write(lambda: self._writer.save_definitions(definitions, saved_ms))

    async def news(self, held: Held = held_by_nobody) -> News:
        return await self._read(lambda: self._reader.news(held))

    async def sweep_first_visits(self, retention: Retention, *, now_ms: int, at_most: int) -> int:
        return await self._write(
            lambda: self._writer.sweep_first_visits(retention, now_ms, at_most)
        )

    async def sweep_notices(self, through: int) -> int:
        return await self._write(lambda: self._writer.sweep_notices(through))

    async def sweep_profiles(
        self,
        retention: Retention,
        *,
        now_ms: int,
        events_from_ms: int,
        after: int = 0,
        at_most: int = 200,
    ) -> Swept:
        found = await self._read(
            lambda: self._reader.aged(
                retention,
                now_ms=now_ms,
                events_from_ms=events_from_ms,
                after=after,
                at_most=at_most,
            )
        )
        if not found.profiles and not found.old_events:
            return Swept(0, found.after)
        removed = await self._write(lambda: self._writer.remove_aged(found, events_from_ms))
        return Swept(removed, found.after)

    async def sweep_set_aside(
        self, retention: Retention, *, now_ms: int, after: int, at_most: int = 64
    ) -> int:
        def sweep(connection: apsw.Connection) -> int:
            return sweep_set_aside(
                connection, retention, now_ms=now_ms, after=after, at_most=at_most
            )

        return await self._write(lambda: self._writer.in_transaction(sweep))

    async def whole(self, key: str) -> Whole:
        return await self._read(lambda: self._reader.whole(key))

    async def devices_of(self, device_key: str) -> tuple[str, ...]:
        return await self._read(lambda: self._reader.devices_of(device_key))

    async def has_devices(self) -> bool:
        """Whether a visitor's device was ever here, and is kept."""
        return await self._read(lambda: self._reader.has_devices())

    async def shrink(self) -> bool:
        return await self._write(lambda: self._writer.shrink())

    async def try_commit(self) -> None:
        """Returns once something was written and is on disk; it changes nothing. Raises
        StoreUnavailable."""
        await self._write(self._writer.try_commit)

    async def clock_mark(self) -> ClockMark | None:
        return await self._read(lambda: self._reader.clock_mark())

    async def keep_clock_mark(self, mark: ClockMark) -> None:
        await self._write(lambda: self._writer.keep_clock_mark(mark))

    async def import_memberships(self, batch: Batch) -> frozenset[str]:
        return await self._write(
            lambda: self._writer.in_transaction(
                lambda connection: imports.keep(connection, batch, at_ms=self._clock_ms())
            )
        )

    async def withheld(self, keys: Sequence[str], *, since_ms: int) -> frozenset[str]:
        return await self._read(lambda: self._reader.withheld(keys, since_ms, self._clock_ms()))

    async def leading(self, keys: Sequence[str]) -> Mapping[str, str]:
        return await self._read(lambda: self._reader.leading(keys))

    async def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        return await self._read(lambda: self._reader.seen_on(keys, datastream_id))

    async def progress(self, name: bytes) -> Progress | None:
        return await self._read(lambda: self._reader.progress(name))

    async def keep_progress(self, name: bytes, progress: Progress) -> None:
        await self._write(
            lambda: self._writer.in_transaction(
                lambda connection: imports.keep_progress(connection, name, progress)
            )
        )

    async def last_announced(self) -> int:
        """The number of the last announcement of imported memberships; 0: there was none."""
        return await self._read(lambda: self._reader.last_announced())

    async def sweep_imported(self, ended_ms: int, *, heard: int) -> None:
        """Remove memberships that ended before, a part at a time, so that others get between; and
        the announcements that everybody has heard, which name people."""
        after: tuple[str, str] | None = ("", "")
        if not await self._read(lambda: self._reader.has_ended(ended_ms)):
            after = None
        while after is not None:
            after = await self.sweep_ended(after, ended_ms=ended_ms)
        await self._write(
            lambda: self._writer.in_transaction(
                lambda connection: imports.forget_announcements(connection, heard)
            )
        )

    async def sweep_ended(
        self, after: tuple[str, str], *, ended_ms: int, at_most: int = 2_000
    ) -> tuple[str, str] | None:
        def sweep(connection: apsw.Connection) -> tuple[str, str] | None:
            return imports.sweep(connection, after, ended_ms=ended_ms, limit=at_most)

        return await self._write(lambda: self._writer.in_transaction(sweep))

    @property
    def epoch(self) -> int:
        """The incarnation of the file that was read last."""
        return self._reader.epoch

    async def close(self) -> None:
        """Finish what was asked for, checkpoint, close. A second call does nothing."""
        if self._closed or self._forked:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._reading, self._reader.close)
            # The last connection to close takes the -wal file with it: that is the writer's part.
            await loop.run_in_executor(self._writing, self._writer.close)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let the threads end with what they have. For an opening that failed, too."""
        self._closed = True
        self._reading.shutdown(wait=False)
        self._writing.shutdown(wait=False)

    def leave_to_parent(self) -> None:
        """We are in a child of the process that opened it: see forking.py."""
        self._forked = True
        if not self._closed:
            no_store_from_now_on()
        for name in ("_writer", "_reader"):
            if hasattr(self, name):  # not while it is still being opened
                getattr(self, name).leave_to_parent()

    def _write(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        return self._run(self._writing, work)

    def _read(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        return self._run(self._reading, work)

    def _run(
        self, thread: ThreadPoolExecutor, work: Callable[[], Result]
    ) -> asyncio.Future[Result]:
        if self._forked:
            raise opened_before_fork()
        if self._closed:
            raise StoreUnavailable(f"{self._path.name} is closed.", fix="Open the store again.")
        return asyncio.get_running_loop().run_in_executor(thread, work)


async def open_sqlite(
    path: Path, *, max_events: int = 5_000, clock_ms: Clock = system_clock_ms, anew: bool = True
) -> SqliteStore:
    """Open a store, making file (0600) and directory (0700) where there are none.

    max_events: of two profiles that become one so many, the newest, are kept. clock_ms: the one by
    which entries are dated. anew: also where there is no file; False: that is
    StoreUnavailable.
    Raises OpenedBeforeFork, UnsafeStore, DamagedStore, StoreTooNew, StoreUnavailable.
    """
    refuse_after_fork()
    store = SqliteStore(path)
    try:
        await store.open(max_events=max_events, clock_ms=clock_ms, anew=anew)
    except BaseException:
        store.abandon()
        raise
    return store


def _looked_after(path: Path, anew: bool) -> None:
    """The file is there, where it is safe, and whole as far as a short look tells."""
    refuse_lost(path)
    if not anew:
        refuse_missing(path)
    made = anew and create_file(path)
    refuse_unsafe(path)
    refuse_damaged(path, made=made)
    sync_log(path)
