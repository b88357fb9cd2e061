"""kill -9 while events come in: what was acknowledged is in its profile after the restart."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import aiohttp
import apsw
import pytest

from perso_core.assembly import DATABASE
from perso_core.stores.protocol import Store
from perso_core.stores.sqlite import open_sqlite
from tests.journeys.server import Server, Visitor, prepare, serving, session
from tests.soaking import Progress, times

RUNS = times(10, 200)
# In each run at least so many events are acknowledged, and so many sent and not answered.
LEAST = 50
VISITORS = 200
UNDER_WAY = 150  # sent and not answered as the kill is decided; some answers still come
# Acknowledged events that are waited for before the kill: some runs die young, some later.
KILL_AFTER = (LEAST, 500)


@pytest.mark.alone
async def test_every_acknowledged_event_is_in_its_profile_after_kill_9(tmp_path: Path) -> None:
    await asyncio.to_thread(prepare, tmp_path)
    rng = random.Random(20)
    everyone: list[Visitor] = []
    visitors: list[Visitor] = []
    trials = 0
    progress = Progress("kills")
    for run in range(RUNS + max(10, RUNS // 4)):
        progress.tell(trials, RUNS)
        with serving(tmp_path) as server:  # from the second on: the restart
            await _check(tmp_path, visitors)
            await _answered_as_before(server, visitors)
            if trials == RUNS:
                break
            visitors = [Visitor(f"{run}-{number}") for number in range(VISITORS)]
            everyone += visitors
            await _killed_under_load(server, visitors, after=rng.randint(*KILL_AFTER))
        acknowledged = sum(len(one.acknowledged) for one in visitors)
        unanswered = sum(one.under_way for one in visitors)
        trials += acknowledged >= LEAST and unanswered >= LEAST
    await _check(tmp_path, everyone)
    assert trials == RUNS, f"only {trials} runs were a trial"


async def _killed_under_load(server: Server, visitors: list[Visitor], *, after: int) -> None:
    """Every visitor sends one event after the other until the server is gone."""
    enough = asyncio.Event()

    async def visit(visitor: Visitor) -> None:
        with suppress(aiohttp.ClientError):
            # Once it is enough nobody sends: what is under way is what the kill leaves unanswered.
            while not enough.is_set():
                acknowledged = sum(len(one.acknowledged) for one in visitors)
                under_way = sum(one.under_way for one in visitors)
                if acknowledged >= after and under_way >= UNDER_WAY:
                    enough.set()
                    return
                await visitor.send(http, server.url)

    async with session() as http:
        visits = [asyncio.create_task(visit(visitor)) for visitor in visitors]
        async with asyncio.timeout(60):
            await enough.wait()
        server.process.kill()
        await asyncio.gather(*visits)
    await asyncio.to_thread(server.process.wait)


async def _check(data_dir: Path, visitors: list[Visitor]) -> None:
    store = await open_sqlite(data_dir / DATABASE)
    try:
        for visitor in visitors:
            await _check_one(store, visitor)
    finally:
        await store.close()
    assert await asyncio.to_thread(_integrity, data_dir / DATABASE) == "ok"


async def _check_one(store: Store, visitor: Visitor) -> None:
    if not visitor.ecid:
        return  # none of its events was answered: nobody knows its profile's key
    profile = (await store.load(visitor.profile_key)).profile
    kept = [event.id for event in profile.events] if profile else []
    assert set(visitor.acknowledged) <= set(kept), f"lost of visitor {visitor.name}"
    assert set(kept) <= set(visitor.sent), f"another's in visitor {visitor.name}"
    assert len(set(kept)) == len(kept), f"twice in visitor {visitor.name}"


def _integrity(path: Path) -> object:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return connection.pragma("integrity_check")
    finally:
        connection.close()


async def _answered_as_before(server: Server, visitors: list[Visitor]) -> None:
    """The visitor killed last is known again, and still in the audience of its events."""
    known = [visitor for visitor in visitors if visitor.acknowledged]
    if not known:
        return
    ecid = known[-1].ecid
    async with session() as http:
        told = await known[-1].send(http, server.url)
    assert known[-1].ecid == ecid
    lookups = [handle for handle in told["handle"] if handle["type"] == "activation:pull"]
    assert [one["id"] for one in lookups[0]["payload"][0]["segments"]] == ["basket"]
