"""workers_scaling/bare_scaling: two workers over one, ours over what aiohttp alone gains by them on
this machine, where the client takes its part of the same cores."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
AUDIENCES = 100


def measure() -> None:
    """Raises MissingWrk; RuntimeError where too much was not answered 200."""
    if shutil.which("wrk") is None:
        raise MissingWrk
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch, ExitStack() as running:
        ours: dict[int, int] = {}
        bodies: dict[int, Path] = {}
        for count in COUNTS:
            data_dir = Path(scratch) / f"of-{count}"
            asyncio.run(_prepare(data_dir))
            ours[count] = running.enter_context(_serving(data_dir, count))
            bodies[count] = Path(scratch) / f"bodies-{count}"
            _, answer_bytes = write_bodies(ours[count], bodies[count])
        bare = {
            count: running.enter_context(server("bare_server", str(answer_bytes), str(count)))
            for count in COUNTS
        }
        loads = _loads(ours, bare, bodies)
    _record(loads)


def _loads(
    ours: dict[int, int], bare: dict[int, int], bodies: dict[int, Path]
) -> dict[tuple[str, int], list[Load]]:
    loads: dict[tuple[str, int], list[Load]] = {}
    for turn in range(ROUNDS + 1):
        for name, ports in (("perso", ours), ("bare", bare)):
            for count, port in ports.items():
                one = load(
                    port,
                    bodies[count],
                    f"{name}{turn}",
                    seconds=SECONDS if turn else 1,
                    connections=CONNECTIONS,
                )
                if turn:  # the first one warms up
                    loads.setdefault((name, count), []).append(one)
    return loads


def _record(loads: dict[tuple[str, int], list[Load]]) -> None:
    rps = {of: median(one.rps for one in found) for of, found in loads.items()}
    scaling = {name: rps[name, 2] / rps[name, 1] for name in ("perso", "bare")}
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
