"""workers_scaling/bare_scaling: two workers over one, ours over what aiohttp alone gains by them on
this machine, where the client takes its part of the same cores.

floor_scaling/bare_scaling: two of ours that know nothing of each other, each with a store and half
of the connections, over one: what is left of the machine's cores where nothing is shared."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.audiences import definitions
from bench.figures import ROOT, record
from bench.interact import Load, MissingWrk, load, server, write_bodies
from perso_core.assembly import open_perso
from perso_core.settings import Settings

ROUNDS = 4
SECONDS = 3
CONNECTIONS = 64
COUNTS = (1, 2)
APART = "apart"
OURS = (("perso", 1), ("perso", 2), (APART, 2))
Of = tuple[str, int]  # whose, and how many processes
Site = tuple[int, Path]  # a port, and what is sent there
AUDIENCES = 100


def measure() -> None:
    """Raises MissingWrk; RuntimeError where too much was not answered 200."""
    if shutil.which("wrk") is None:
        raise MissingWrk
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch, ExitStack() as running:
        servers: dict[Of, list[Site]] = {}
        for name, count in OURS:
            servers[name, count] = found = []
            for number in range(count if name == APART else 1):
                data_dir = Path(scratch) / f"{name}-{count}-{number}"
                asyncio.run(_prepare(data_dir))
                workers = 1 if name == APART else count
                port = running.enter_context(_serving(data_dir, workers))
                bodies = Path(scratch) / f"{name}-{count}-{number}.bodies"
                _, answer_bytes = write_bodies(port, bodies)
                found.append((port, bodies))
        for count in COUNTS:
            port = running.enter_context(server("bare_server", str(answer_bytes), str(count)))
            servers["bare", count] = [(port, bodies)]
        _record(_loads(servers))


def _loads(servers: dict[Of, list[Site]]) -> dict[Of, list[Load]]:
    loads: dict[Of, list[Load]] = {of: [] for of in servers}
    for turn in range(ROUNDS + 1):
        for (name, count), sites in servers.items():
            one = _together(sites, f"{name}{count}{turn}", seconds=SECONDS if turn else 1)
            if turn:  # the first one warms up
                loads[name, count].append(one)
    return loads


def _together(sites: list[Site], run: str, *, seconds: int) -> Load:
    """What wrk counts at all of them, each with its part of the connections."""

    def loaded(site: Site) -> Load:
        port, bodies = site
        each = CONNECTIONS // len(sites)
        return load(port, bodies, run, seconds=seconds, connections=each)

    with ThreadPoolExecutor(len(sites)) as clients:
        found = list(clients.map(loaded, sites))
    return Load(
        sum(one.requests for one in found),
        max(one.seconds for one in found),
        sum(one.wrong for one in found),
        sum(one.broken for one in found),
    )


def _record(loads: dict[Of, list[Load]]) -> None:
    rps = {of: median(one.rps for one in found) for of, found in loads.items()}
    scaling = {name: rps[name, 2] / rps[name, 1] for name in ("perso", "bare")}
    record(
        "floor_scaling/bare_scaling",
        rps[APART, 2] / rps["perso", 1] / scaling["bare"],
        unit="ratio",
        requests_per_s=round(rps[APART, 2]),
        rounds=ROUNDS,
    )
    record(
        "workers_scaling/bare_scaling",
        scaling["perso"] / scaling["bare"],
        unit="ratio",
        workers_scaling=round(scaling["perso"], 3),
        bare_scaling=round(scaling["bare"], 3),
        requests_per_s={f"{name}_{count}": round(found) for (name, count), found in rps.items()},
        failed=max(one.failed for found in loads.values() for one in found),
        rounds=ROUNDS,
        seconds=SECONDS,
        connections=CONNECTIONS,
    )


async def _prepare(data_dir: Path) -> None:
    async with open_perso(Settings(data_dir=str(data_dir))) as perso:
        await perso.apply(definitions(AUDIENCES))


@contextmanager
def _serving(data_dir: Path, count: int) -> Iterator[int]:
    """The port of `perso serve` with so many workers, until the block ends."""
    limits = {"PERSO_VISITOR_PER_S": "100000", "PERSO_NETWORK_PER_S": "1000000"}
    words = ["serve", "--data-dir", str(data_dir), "--port", "0", "--workers", str(count)]
    process = subprocess.Popen(
        [sys.executable, "-m", "perso_core", *words],
        cwd=ROOT,
        env=os.environ | limits,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it was asked for"
        told = process.stdout.readline()
        if "http://" not in told:
            raise RuntimeError("perso serve ended before it served; see its error above.")
        yield int(told.partition("127.0.0.1:")[2].partition("/")[0])
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
