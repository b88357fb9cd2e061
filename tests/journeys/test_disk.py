"""A disk that fails `perso serve`: pages are answered all the same, what is acknowledged is kept,
and once the disk is well nobody has to restart anything."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from perso_core.assembly import DATABASE
from perso_core.stores.presence import serving as present
from perso_core.stores.sqlite import open_sqlite
from tests.cli.test_commands import perso
from tests.journeys.faulty_system import (
    SYNCS,
    WRITES,
    calls_of,
    full,
    needs,
    read_only,
    small_disk,
    strace_works,
)
from tests.journeys.server import Server, Visitor, prepare, serving, session
from tests.journeys.test_workers import soon
from tests.soaking import times

# So soon a fault shows: a log that was begun anew has room for some events.
MOST_EVENTS = 2_000
# Of a call that is answered within 250 ms; a slow disk takes far longer.
ANSWER_LIMIT_S = 8
FILLINGS = 5
SLOW = "delay_enter=10000000"


async def sent(http: aiohttp.ClientSession, server: Server, visitor: Visitor) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_LIMIT_S):
        return await visitor.send(http, server.url)


def not_stored(told: dict[str, Any]) -> bool:
    return [one["type"].rpartition("/")[2] for one in told.get("errors", ())] == ["EXEG-0201-503"]


async def until_not_stored(
    http: aiohttp.ClientSession, server: Server, visitor: Visitor
) -> dict[str, Any]:
    """The first answer that says so; each before is a plain one."""
    for _ in range(MOST_EVENTS):
        told = await sent(http, server, visitor)
        if not_stored(told):
            return told
        assert "errors" not in told
    raise AssertionError("the fault does not show")


async def until_stored(http: aiohttp.ClientSession, server: Server, visitor: Visitor) -> None:
    """The disk is well: soon events are stored again."""
    async with asyncio.timeout(20):
        while not_stored(await visitor.send(http, server.url)):
            pass


def tells_what_was_decided(told: dict[str, Any], visitor: Visitor) -> bool:
    lookups = [one for one in told["handle"] if one["type"] == "activation:pull"]
    segments = [one["id"] for one in lookups[0]["payload"][0]["segments"]]
    ids = [one["payload"][0]["id"] for one in told["handle"] if one["type"] == "identity:result"]
    return segments == ["basket"] and ids == [visitor.ecid]


async def assert_kept(data_dir: Path, visitors: list[Visitor]) -> None:
    """All that was acknowledged, each once, and the file is whole."""
    store = await open_sqlite(data_dir / DATABASE, max_events=10 * MOST_EVENTS)
    kept = {}
    for visitor in visitors:
        profile = (await store.load(visitor.profile_key)).profile
        kept[visitor.name] = [event.id for event in profile.events] if profile else []
    await store.close()
    for visitor in visitors:
        ids = kept[visitor.name]
        assert set(visitor.acknowledged) <= set(ids) <= set(visitor.sent)
        assert len(ids) == len(set(ids))
    connection = apsw.Connection(str(data_dir / DATABASE))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


async def test_a_full_disk_breaks_no_page_loses_nothing_and_needs_no_restart(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", megabytes=4) as disk, ExitStack() as open_server:
        data = disk / "data"
        await asyncio.to_thread(prepare, data)
        server = open_server.enter_context(serving(data))
        async with session() as http:
            before, newcomer = Visitor("before"), Visitor("newcomer")
            await sent(http, server, before)
            with full(disk):
                told = await until_not_stored(http, server, before)
                assert tells_what_was_decided(told, before)
                # Also whoever comes for the first time, and again and again.
                assert tells_what_was_decided(await sent(http, server, newcomer), newcomer)
                for _ in range(20):
                    assert not_stored(await sent(http, server, before))
            await until_stored(http, server, before)
            await until_stored(http, server, newcomer)
        open_server.close()

        await assert_kept(data, [before, newcomer])


async def test_a_worker_that_is_killed_while_the_disk_is_full_is_replaced_and_no_page_breaks(
    tmp_path: Path,
) -> None:
    """The one in its place had not come up before somebody made room."""
    settings = {"workers": 2}
    with small_disk(tmp_path / "disk", megabytes=4) as disk, ExitStack() as open_server:
        data = disk / "data"
        await asyncio.to_thread(prepare, data)
        server = open_server.enter_context(serving(data, settings=settings))
        async with session() as http:
            visitor = Visitor("anna")
            await sent(http, server, visitor)
            with full(disk):
                await until_not_stored(http, server, visitor)
                for killed in workers_of(server.process.pid):
                    os.kill(killed, signal.SIGKILL)
                    await soon(
                        partial(one_in_the_place_of, killed, data, server), "one in its place"
                    )
                    assert tells_what_was_decided(await sent(http, server, visitor), visitor)
                words = ["profile", "export", "ECID", visitor.ecid, "--data-dir", str(data)]
                told = await asyncio.to_thread(perso, tmp_path, *words)
                assert told.returncode == 0, told.stderr
            await until_stored(http, server, visitor)
        open_server.close()

        await assert_kept(data, [visitor])


@pytest.mark.parametrize("disk_number", range(times(1, 20)))
async def test_a_disk_that_is_full_again_and_again_loses_nothing(
    tmp_path: Path, disk_number: int
) -> None:
    """With room for some pages more each time: what finds none is now the log, now the file, now
    what is moved from one to the other. The last time a worker is killed meanwhile."""
    chance = random.Random(disk_number)
    visitors = [Visitor(name) for name in ("anna", "berta", "clara", "dora")]
    with small_disk(tmp_path / "disk", megabytes=32) as disk, ExitStack() as open_server:
        data = disk / "data"
        await asyncio.to_thread(prepare, data)
        server = open_server.enter_context(serving(data, settings={"workers": 2}))
        async with session() as http:
            for filling in range(FILLINGS):
                with full(disk, but_for=chance.randrange(64)):
                    for told in await asyncio.gather(
                        *(until_not_stored(http, server, visitor) for visitor in visitors)
                    ):
                        assert told["handle"], "a page is answered all the same"
                    if filling == FILLINGS - 1:
                        os.kill(chance.choice(workers_of(server.process.pid)), signal.SIGKILL)
                await asyncio.gather(
                    *(until_kept_again(http, server, visitor) for visitor in visitors)
                )
        open_server.close()

        await assert_kept(data, visitors)


async def until_kept_again(http: aiohttp.ClientSession, server: Server, visitor: Visitor) -> None:
    """As until_stored, where a worker may have been killed with what it was asked."""
    async with asyncio.timeout(20):
        while True:
            with suppress(aiohttp.ClientError):
                if not not_stored(await visitor.send(http, server.url)):
                    return


def workers_of(supervisor: int) -> list[int]:
    """Process ids."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    return [int(one) for one in children.read_text(encoding="ascii").split()]


def one_in_the_place_of(killed: int, data_dir: Path, server: Server) -> bool:
    """Two serve, and it is none of them."""
    return killed not in workers_of(server.process.pid) and len(present(data_dir)) == 2


def refused_to_start(tmp_path: Path, data_dir: Path) -> str:
    told = perso(tmp_path, "serve", "--data-dir", str(data_dir), "--port", "0")
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    return told.stderr


async def test_a_server_that_cannot_start_on_a_disk_says_why_and_can_once_it_is_well(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        data, visitor = disk / "data", Visitor("anna")
        await asyncio.to_thread(prepare, data)
        async with session() as http:
            with full(disk):
                said = await asyncio.to_thread(refused_to_start, tmp_path, data)
            assert "Make room" in said
            with read_only(disk):
                said = await asyncio.to_thread(refused_to_start, tmp_path, data)
            assert "is read-only" in said
            with serving(data) as server:
                await sent(http, server, visitor)
                with full(disk):
                    await until_not_stored(http, server, visitor)
                    server.kill()
            with serving(data) as server:
                await sent(http, server, visitor)

        await assert_kept(data, [visitor])


FAULTS = {
    "read-only": (WRITES, "error=EROFS"),
    "broken": (SYNCS, "error=EIO"),
    "slow": (SYNCS, SLOW),
}


@contextmanager
def answering(data_dir: Path) -> Iterator[Server]:
    needs(strace_works(), "strace cannot trace here: apt install strace, and allow ptrace")
    with serving(data_dir, settings={"answer_within_ms": 250, "load_timeout_ms": 200}) as server:
        yield server


async def test_a_disk_that_is_read_only_broken_or_slow_breaks_no_page_and_loses_nothing(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(prepare, tmp_path)
    visitors = [Visitor(name) for name in FAULTS]
    with answering(tmp_path) as server:
        async with session() as http:
            for visitor in visitors:
                await until_stored(http, server, visitor)
                with calls_of(server.process.pid, *FAULTS[visitor.name]):
                    told = await until_not_stored(http, server, visitor)
                    assert tells_what_was_decided(told, visitor)
                await until_stored(http, server, visitor)

    await assert_kept(tmp_path, visitors)
