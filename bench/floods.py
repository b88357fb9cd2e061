"""flood_p50, flood_all_p50, flood_full_p50, flood_batches_p50, flood_store_mb: what other visitors
notice of a flood, and what is left of it.

One visitor sends 1,000 events a second (5,000 and 50 a second may be kept, the others are refused
by the limits), and hits without cookies come, 500 a second; others' calls are timed in turns alone
and beside both. Each connection of the flood (flood_client.py) waits for its answers: of 64 for
each kind (flood_p50) fewer calls come than they would send, of more (flood_all_p50) all do. Then
hits come over 64 as fast as they are answered, and the visitor's events in batches beside 500 hits.
Then a million hits come, and the store is looked at once they are forgotten.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO

import apsw
from msgspec import Struct, structs

from bench.audiences import definitions
from bench.figures import ROOT, record
from bench.flood_client import VISITOR_PER_S, Caller, callers, paced
from perso_core.assembly import DATABASE, open_perso
from perso_core.settings import Settings

AT_ONCE = 16  # of the others
FEW = 64
# So many that all come.
VISITOR_AT_ONCE = 512
HITS_AT_ONCE = 256
BATCH = 20  # events
HITS_PER_S = 500
AS_ANSWERED_PER_S = 1_000_000  # more than can be answered
HITS = 1_000_000
RETENTION_S = 60
TURNS = 6
TURN_S = 4.0
# First visits gather for 20 ms: of fewer connections most would wait for their turn.
CROWD = 128
LEAD_S = 0.3  # the flood begins so much before, and ends so much after
OTHERS_PER_S = 100
FORGOTTEN_WITHIN_S = 600
LOOKED_EACH_S, STILL_LOOKS = 5, 12


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        asyncio.run(_prepared(scratch))
        with _served(scratch) as port:
            few = asyncio.run(_timed(Flood(port, FEW, 1, HITS_PER_S, FEW)))
            everything = Flood(port, VISITOR_AT_ONCE, 1, HITS_PER_S, HITS_AT_ONCE)
            all_come = asyncio.run(_timed(everything))
            full = asyncio.run(_timed(Flood(port, FEW, 1, AS_ANSWERED_PER_S, FEW)))
            batches = asyncio.run(_timed(Flood(port, FEW, BATCH, HITS_PER_S, FEW)))
            before = _stored_bytes(scratch)
            began_s = time.monotonic()
            asyncio.run(_flood(port, HITS))
            flood_s, peak = time.monotonic() - began_s, _stored_bytes(scratch)
            forgotten_s = _forgotten(scratch)
            after = _stored_bytes(scratch)
    _record_p50("flood_p50", few)
    _record_p50("flood_all_p50", all_come)
    _record_p50("flood_full_p50", full)
    _record_p50("flood_batches_p50", batches)
    record(
        "flood_store_mb",
        (after - before) / 1_000_000,
        unit="MB",
        hits=HITS,
        hits_per_s=round(HITS / flood_s),
        peak_mb=round((peak - before) / 1_000_000, 1),
        first_visit_retention_s=RETENTION_S,
        forgotten_after_s=round(forgotten_s, 1),
    )


def _record_p50(name: str, timed: Timed) -> None:
    alone, beside = median(timed.alone_ms), median(timed.beside_ms)
    record(
        name,
        beside / alone,
        unit="ratio",
        alone_p50_ms=round(alone, 2),
        beside_p50_ms=round(beside, 2),
        visitor_per_s=VISITOR_PER_S,
        visitor_connections=timed.flood.visitor_at_once,
        visitor_batch=timed.flood.visitor_batch,
        hits_per_s=timed.flood.hits_per_s,
        hits_connections=timed.flood.hits_at_once,
        flood_calls=timed.flood_calls,
        flood_calls_per_s=round(timed.flood_calls / (TURNS * (LEAD_S + TURN_S + LEAD_S))),
        flood_events_kept=timed.flood_kept,
        calls=len(timed.beside_ms),
    )


async def _prepared(data_dir: str) -> None:
    async with open_perso(Settings(data_dir=data_dir), announce=True) as perso:
        await perso.apply(definitions(100))


@contextmanager
def _served(data_dir: str) -> Iterator[int]:
    """The port of `perso serve`, which has a core of its own from then on: callers on others come
    as from another machine."""
    settings = Path(data_dir) / "settings.toml"
    settings.write_text(f"first_visit_retention_s = {RETENTION_S}\n")
    words = ["serve", "--data-dir", data_dir, "--port", "0", "--settings", str(settings)]
    cores = os.sched_getaffinity(0)
    own = min(cores)
    os.sched_setaffinity(0, {own})  # the server inherits it
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "perso_core", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, cores - {own} or cores)
    try:
        assert process.stdout is not None, "it was asked for"
        said = process.stdout.readline()
        yield int(said.split(" answers at ")[1].split("/ee")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)
        os.sched_setaffinity(0, cores)


# ---- callers ---------------------------------------------------------------------


class Flood(Struct, frozen=True):
    """As flood_client.py is told."""

    port: int
    visitor_at_once: int
    visitor_batch: int
    hits_per_s: int
    hits_at_once: int


class Timed(Struct, frozen=True):
    """Milliseconds of others' calls, alone and beside a flood. flood_calls: those of the flood that
    were answered; flood_kept: with an event kept."""

    flood: Flood
    alone_ms: list[float]
    beside_ms: list[float]
    flood_calls: int
    flood_kept: int


async def _timed(asked: Flood) -> Timed:
    """In turns. The flood comes from a process of its own: what is timed is the server, not a
    client that has others to care for."""
    others = await callers(asked.port, AT_ONCE)
    for caller in others:
        caller.keep(await caller.call())
    alone: list[float] = []
    beside: list[float] = []
    came = [0, 0]
    with _flooding(asked) as flood:
        for _ in range(TURNS):
            alone += await paced(others, OTHERS_PER_S, TURN_S)
            print(LEAD_S + TURN_S + LEAD_S, file=flood.stdin, flush=True)
            await asyncio.sleep(LEAD_S)
            beside += await paced(others, OTHERS_PER_S, TURN_S)
            said = await asyncio.to_thread(flood.stdout.readline)
            came = [before + now for before, now in zip(came, map(int, said.split()), strict=True)]
    for caller in others:
        caller.close()
    return Timed(asked, alone, beside, *came)


@contextmanager
def _flooding(asked: Flood) -> Iterator[_Pipes]:
    """Floods for as many seconds as its input says, and tells what came of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.flood_client", *map(str, structs.astuple(asked))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None, "it was asked for"
    assert process.stdout is not None, "it was asked for"
    try:
        yield _Pipes(process.stdin, process.stdout)
        process.stdin.close()
        process.wait(30)
    finally:
        process.kill()
        process.wait()


class _Pipes(Struct, frozen=True):
    stdin: IO[str]
    stdout: IO[str]


async def _flood(port: int, hits: int) -> None:
    """So many hits without cookies, as fast as they are answered."""
    asking = await callers(port, CROWD)
    left = iter(range(hits))

    async def go_on(caller: Caller) -> None:
        for _ in left:
            await caller.call()

    await asyncio.gather(*map(go_on, asking))
    for caller in asking:
        caller.close()


# ---- the store -------------------------------------------------------------------


def _stored_bytes(data_dir: str) -> int:
    """Of the database with what stands beside it."""
    return sum(path.stat().st_size for path in Path(data_dir).glob(f"{DATABASE}*"))


def _forgotten(data_dir: str) -> float:
    """Seconds until no first visit is left and the file gets no smaller: it begins to once all
    profiles were looked at, and not only those. Raises RuntimeError."""
    began_s, size, still = time.monotonic(), 0, 0
    while (waited_s := time.monotonic() - began_s) < FORGOTTEN_WITHIN_S:
        reading = apsw.Connection(str(Path(data_dir) / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        left = reading.execute("SELECT count(*) FROM first_visit").get
        reading.close()
        before, size = size, _stored_bytes(data_dir)
        still = still + 1 if not left and size >= before else 0
        if still == STILL_LOOKS:
            return waited_s - (STILL_LOOKS - 1) * LOOKED_EACH_S
        time.sleep(LOOKED_EACH_S)
    raise RuntimeError(f"after {FORGOTTEN_WITHIN_S} s not everything was forgotten")


if __name__ == "__main__":
    measure()
