"""cold_load_1000000/cold_load_10000: a profile that is not in memory, from a store a hundred times
the size; and what is in memory, which should not notice.

Wall time of Perso in this process, its store's threads and its commits included. The files are in
the page cache of the machine: what a disk adds is its own.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import perf_counter_ns

from bench.figures import ROOT, record
from bench.stored import NOW_MS, apply, definitions, ecids, fill, of_the_mix
from perso_core.assembly import Perso, open_perso
from perso_core.decision.identity import Identity
from perso_core.settings import Settings

SIZES = (10_000, 100_000, 1_000_000)
AUDIENCES = 100
EVENTS = 2
LOADS = 1_500
# How the same profile is asked once it is in memory: read, and changed durably.
KINDS = ("cold_load", "hot_read", "hot_change")

Times = dict[str, list[float]]


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        for size in SIZES:
            data_dir = Path(scratch) / str(size)
            apply(data_dir, definitions(of_the_mix(AUDIENCES)))
            fill(data_dir, size, events=EVENTS)
        times = asyncio.run(_measured(Path(scratch)))
        stored = {size: _bytes(Path(scratch) / str(size)) for size in SIZES}
    for kind in KINDS:
        for size in SIZES[1:]:
            _record(kind, size, times, stored[size])


async def _measured(scratch: Path) -> dict[int, Times]:
    times: dict[int, Times] = {size: {kind: [] for kind in KINDS} for size in SIZES}
    asked = {size: _some_of(size) for size in SIZES}
    async with AsyncExitStack() as opened:
        servers = {
            size: await opened.enter_async_context(
                # Long waits are to be seen, not refused.
                open_perso(
                    Settings(data_dir=str(scratch / str(size)), load_timeout_ms=10_000),
                    clock_ms=lambda: NOW_MS,
                )
            )
            for size in SIZES
        }
        for turn in range(LOADS):
            for size in SIZES:
                await _ask(servers[size], next(asked[size]), turn, times[size])
    return times


def _some_of(size: int) -> Iterator[Identity]:
    """Any of the stored profiles, each once."""
    wanted = set(Random(size).sample(range(size), LOADS))
    return (Identity("ECID", ecid) for n, ecid in enumerate(ecids(size)) if n in wanted)


async def _ask(perso: Perso, identity: Identity, turn: int, times: Times) -> None:
    times["cold_load"].append(await _us(lambda: perso.profile(identity)))
    times["hot_read"].append(await _us(lambda: perso.profile(identity)))
    # The last answer is on its way to the disk before the next begins.
    change = {"_shopco": {"turn": turn}}
    times["hot_change"].append(await _us(lambda: perso.put_profile(identity, change)))


async def _us(ask: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter_ns()
    found = await ask()
    spent = perf_counter_ns() - began
    assert found, "it is stored, and may be changed"
    return spent / 1_000


def _record(kind: str, size: int, times: dict[int, Times], stored_bytes: int) -> None:
    few, many = times[SIZES[0]][kind], times[size][kind]
    record(
        f"{kind}_{size}/{kind}_{SIZES[0]}",
        median(many) / median(few),
        unit="ratio",
        p50_us={size: round(median(many), 1), SIZES[0]: round(median(few), 1)},
        p95_us={size: round(_p95(many), 1), SIZES[0]: round(_p95(few), 1)},
        loads=LOADS,
        events_per_profile=EVENTS,
        audiences=AUDIENCES,
        store_bytes=stored_bytes,
    )


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def _bytes(data_dir: Path) -> int:
    return sum(one.stat().st_size for one in islice(data_dir.glob("perso.sqlite*"), 3))
