"""After a start, in between: what the first visitor would have to wait for, and what the next
start needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from perso_core.definitions.snapshot import Snapshot
from perso_core.stores.compiled_file import CompiledFile

# Of a rule they take about 20 microseconds: nobody waits for more than one step.
AT_ONCE = 25


@asynccontextmanager
async def keeping(compiled: CompiledFile, snapshot: Snapshot) -> AsyncIterator[None]:
    """Where many rules had to be compiled, keep them for the next start while the block runs."""
    if not compiled.lacked:
        yield
        return
    task = asyncio.create_task(asyncio.to_thread(compiled.keep, snapshot), name="perso-keep")
    try:
        yield
    finally:
        await asyncio.wait([task])


@asynccontextmanager
async def warming(snapshot: Snapshot) -> AsyncIterator[asyncio.Task[None]]:
    """Make the functions of the rules in the background, until all are made or the block ends."""
    task = asyncio.create_task(_make_functions(snapshot), name="perso-warm")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _make_functions(snapshot: Snapshot) -> None:
    for number, rule in enumerate(snapshot.rules.run_for_a_visitor()):
        rule.linked  # noqa: B018 - makes them
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
