"""Engine, store, drain and admission put together, and a store that can be held or spoiled."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.projection import Projection
from perso_core.definitions.document import Definitions
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import Entry, EventArrived
from perso_core.errors import StoreUnavailable
from perso_core.stores.links import Joined, Joining, Link
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import (
    Committed,
    Held,
    News,
    Store,
    Stored,
    StoredDefinitions,
    held_by_nobody,
)
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from tests.building import NOON_MS, event, snapshot

ANNA = "ECID:" + "1" * 38
BERT = "ECID:" + "2" * 38


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class WatchedStore:
    """A real store behind a gate. batches: what was committed. looks: a key, and the ids of its
    events that were asked for. failing: raised instead.

    gate: closed, it holds commits that came to it. always_conflicts: keys never kept,
    by the commits up to the number conflicts_through.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[Entry]] = []
        self.loads: list[str] = []
        self.looks: list[tuple[str, ...]] = []
        self.failing: Exception | None = None
        self.always_conflicts: frozenset[str] = frozenset()
        self.conflicts_through = sys.maxsize

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        self.loads.append(key)
        await self.gate.wait()
        if self.failing:
            raise self.failing
        return await self._store.load(key, projection)

    async def events_of(self, key: str, ids: Sequence[str]) -> Mapping[str, Event]:
        self.looks.append((key, *ids))
        await self.gate.wait()
        return await self._store.events_of(key, ids)

    async def keys_of(self, identity: Identity) -> tuple[str, ...]:
        return await self._store.keys_of(identity)

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        self.batches.append(list(entries))
        await self.gate.wait()
        if self.failing:
            raise self.failing
        late = len(self.batches) > self.conflicts_through
        conflicting = frozenset() if late else self.always_conflicts
        kept = [entry for entry in entries if entry.key not in conflicting]
        committed = await self._store.commit(kept, announce=announce)
        refused = conflicting & {entry.key for entry in entries}
        return Committed(committed.conflicts | refused)

    async def join(self, joining: Joining) -> Joined:
        await self.gate.wait()
        if self.failing:
            raise self.failing
        return await self._store.join(joining)

    async def links(self, key: str) -> tuple[Link, ...]:
        return await self._store.links(key)

    async def definitions(self) -> StoredDefinitions | None:
        if self.failing:
            raise self.failing
        return await self._store.definitions()

    async def save_definitions(self, definitions: Definitions, *, saved_ms: int = 0) -> int:
        return await self._store.save_definitions(definitions, saved_ms=saved_ms)

    async def news(self, held: Held = held_by_nobody) -> News:
        return await self._store.news(held)

    async def close(self) -> None:
        await self._store.close()


class Stack(Struct):
    engine: Engine
    store: Store
    drain: Drain
    admission: Admission
    problems: list[Exception]

    async def visit(
        self, key: str = ANNA, *, event_id: str = "e1", new: bool = False, at_ms: int = NOON_MS
    ) -> Answer:
        """Decide an event, and not wait for its commit."""
        return await self.admission.decided(
            Interaction(
                profile_key=key,
                datastream_id="demo",
                changes=(EventArrived(event=event(event_id=event_id, at_ms=at_ms)),),
                new=new,
            )
        )

    def begin_visit(
        self, key: str = ANNA, *, event_id: str = "e1", new: bool = False, at_ms: int = NOON_MS
    ) -> asyncio.Task[None]:
        """Decide an event and wait until it is durable."""

        async def visit() -> None:
            answer = await self.visit(key, event_id=event_id, new=new, at_ms=at_ms)
            await self.drain.durable(answer.sequence)

        return asyncio.create_task(visit())

    async def event_ids(self, key: str = ANNA) -> set[str]:
        """As the store has them."""
        profile = (await self.store.load(key)).profile
        return {one.id for one in profile.events} if profile else set()


@asynccontextmanager
async def running(store: Store | None = None, **options: Any) -> AsyncIterator[Stack]:
    """A stack whose drain runs until the block ends. store None: one in memory. in_force: a
    snapshot. elapsed_s: see Parts. engine: more of what Engine is told."""
    store = store or MemoryStore()
    told = options.pop("engine", {}) | {"first_visit_ms": options.pop("first_visit_ms", 0)}
    engine = Engine(options.pop("in_force", None) or snapshot(), **told)
    problems: list[Exception] = []
    load_timeout_ms = options.pop("load_timeout_ms", 2_000)
    clock_ms = options.pop("clock_ms", lambda: NOON_MS)
    hearing = options.pop("hearing", None)
    max_loads = options.pop("max_loads", 1_000)
    elapsed_s = options.pop("elapsed_s", time.monotonic)
    drain = Drain(engine, store, clock_ms=clock_ms, on_problem=problems.append, **options)
    admission = Admission(
        engine,
        store,
        drain,
        clock_ms=clock_ms,
        load_timeout_ms=load_timeout_ms,
        max_loads=max_loads,
        hearing=hearing,
        elapsed_s=elapsed_s,
    )
    drain.start()
    try:
        yield Stack(engine, store, drain, admission, problems)
    finally:
        await admission.parts.close()
        await drain.close(5)


async def settled() -> None:
    """Everything that can go on without the gate has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def broken() -> StoreUnavailable:
    return StoreUnavailable("the disk is gone.", fix="Find it.")
