"""What visitors were told while workers were killed: nothing lost, nothing stale, nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random

import aiohttp
import pytest

from perso_core.assembly import DATABASE
from perso_core.stores.sqlite import open_sqlite
from tests.journeys.history import (
    Account,
    Kept,
    Read,
    Visitor,
    counting,
    violations,
    visit,
    visit_and_sign_in,
)
from tests.journeys.server import prepare
from tests.journeys.test_workers import Running, supervised
from tests.soaking import Progress, times

Visits = Callable[..., Awaitable[list[Read]]]
VISITORS = 200
AT_ONCE = 24
# An answered event is a read.
READS = times(100_000, 1_000_000)
SEED = 11
KILL_EACH_S = 1.5


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare(tmp_path / "data", counting())
    return tmp_path


@asynccontextmanager
async def killing(running: Running, chance: Random) -> AsyncIterator[list[int]]:
    """A worker is killed every now and then. Tells which."""
    killed: list[int] = []

    async def kill() -> None:
        while True:
            await asyncio.sleep(KILL_EACH_S)
            workers = running.workers
            if len(workers) == 4:
                killed.append(chance.choice(workers))
                os.kill(killed[-1], signal.SIGKILL)

    task = asyncio.create_task(kill())
    try:
        yield killed
    finally:
        task.cancel()


async def visited(
    url: str, *, reads: int, steps: int = 40, keeps_token: bool = True, visits: Visits = visit
) -> tuple[list[Read], list[Visitor]]:
    """steps: of each visitor's way."""
    everyone: list[Visitor] = []
    found: list[Read] = []
    numbers, progress = count(), Progress("reads")

    async def one_after_the_other(http: aiohttp.ClientSession) -> None:
        while len(found) < reads:
            number = next(numbers)
            visitor = Visitor(f"v{number}", Random(SEED + number), keeps_token)
            everyone.append(visitor)
            progress.tell(len(found), reads)
            found.extend(await visits(visitor, http, url, steps=steps, tabs=1 + number % 3))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        await asyncio.gather(*(one_after_the_other(http) for _ in range(AT_ONCE)))
    return found, everyone


async def kept_of(data_dir: Path, everyone: list[Visitor]) -> list[Kept]:
    store = await open_sqlite(data_dir / DATABASE)
    found = []
    for visitor in everyone:
        for holder, account in visitor.accounts.items():
            profile = (await store.load(visitor.key(holder))).profile
            clicks = [
                event.id
                for event in (profile.events if profile else ())
                if event.xdm["eventType"] == "click"
            ]
            found.append(
                Kept(
                    f"{visitor.name} {holder}",
                    frozenset(account.acknowledged),
                    frozenset(account.sent),
                    tuple(clicks),
                )
            )
    await store.close()
    return found


@pytest.mark.alone
async def test_whatever_workers_die_nothing_is_lost_stale_doubled_or_anothers(
    directory: Path,
) -> None:
    with supervised(directory, workers=4, settings="answer_within_ms = 5000") as running:
        async with killing(running, Random(SEED)) as killed:
            reads, everyone = await visited(running.url, reads=READS, visits=visit_and_sign_in)
    kept = await kept_of(directory / "data", everyone)

    broken = list(violations(reads, kept))
    for visitor in everyone:
        if any(f" {visitor.name} " in line for line in broken):
            print(f"{visitor.name} is {visitor.ecid}", *visitor.exchanges, sep="\n")
    assert broken == []
    assert len(reads) >= READS
    assert len(killed) >= 3
    clicks = sum(len(one.acknowledged) for who in everyone for one in who.accounts.values())
    print(
        f"{len(reads):,} reads of {len(everyone)} visitors, {clicks:,} clicks, {len(killed)} kills"
    )


@pytest.mark.alone
async def test_without_the_token_the_same_check_finds_stale_answers(directory: Path) -> None:
    """So that the check says something."""
    settings = "answer_within_ms = 5000\nnews_interval_ms = 10000"
    with supervised(directory, workers=4, settings=settings) as running:
        reads, _ = await visited(running.url, reads=4_000, steps=15, keeps_token=False)
        # Of each some hundred are found.
        signing, _ = await visited(
            running.url, reads=9_000, steps=15, keeps_token=False, visits=visit_and_sign_in
        )

    assert {line[:2] for line in violations(reads)} == {"P2"}
    # A device is answered by what has moved away from it, too.
    assert {line[:2] for line in violations(signing)} == {"P2", "P5"}


def test_what_a_device_carried_in_is_known_once_however_often_its_token_comes_along() -> None:
    """As where a worker moved the device's click, and was killed before it answered: whoever
    answered then had no newer token for the device."""
    device, customer = Account(floors={"device": 1}), Account(floors={"earlier": 3})
    customer.take(device)
    assert customer.least("earlier.device") == 3 + 1
    assert customer.least("device") == 1

    customer.floors["since"] = 4

    assert customer.least("since.device") == 4
    assert customer.least("since.earlier") == 4


@pytest.mark.parametrize(
    ("read", "promise"),
    [
        (Read("v", 3, 4, 9, own=True), "P2"),
        (Read("v", 5, 4, 4, own=True), "P5"),
        (Read("v", 4, 4, 4, own=False), "P7"),
    ],
)
def test_a_broken_promise_is_told(read: Read, promise: str) -> None:
    assert [line[:2] for line in violations([read])] == [promise]


def test_what_the_store_lacks_doubles_or_mixes_up_is_told() -> None:
    def kept(*ids: str) -> Kept:
        return Kept("v", frozenset("ab"), frozenset("abc"), ids)

    assert not list(violations([], [kept("a", "b"), kept("c", "b", "a")]))
    assert [line[:2] for line in violations([], [kept("a")])] == ["P1"]
    assert [line[:2] for line in violations([], [kept("a", "b", "b")])] == ["P5"]
    assert [line[:2] for line in violations([], [kept("a", "b", "x")])] == ["P7"]
