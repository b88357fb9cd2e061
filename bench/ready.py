"""ready/import_aiohttp: `perso serve` from its start until its port answers, with 10,000 audiences
and 1,000,000 stored profiles, in starts of `python -c "import aiohttp.web"`.

CPU time of the whole processes: a machine that is busy otherwise changes it less than a clock's.
Byte code is written by the first start and read by the others, as of what is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from bench.audiences_mixed import mixed
from bench.audiences_parts import pql
from bench.audiences_shapes import distinct
from bench.figures import ROOT, record
from bench.stored import Rules, apply, definitions, fill
from bench.timing import Spent
from perso_core.stores.compiled_file import NAME

AUDIENCES = 10_000
PROFILES = 1_000_000
# Of a checkout it would be made anew by each start: pip makes it for what it installs.
_KEEPS_BYTE_CODE = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
ROUNDS = 5
RULES: Mapping[str, Callable[[], Rules]] = {
    "": lambda: ((rule.id, pql(rule.part)) for rule in mixed(AUDIENCES)),
    "_distinct": lambda: ((f"a{n}", text) for n, text in enumerate(distinct(AUDIENCES))),
}


class Started(Struct, frozen=True):
    """cpu_us: until the port answered. wall_s: the same by the clock."""

    cpu_us: float
    wall_s: float


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        data_dir = Path(scratch) / "perso"
        for number, (name, rules) in enumerate(RULES.items()):
            apply(data_dir, definitions(rules()))
            if number == 0:
                fill(data_dir, PROFILES, events=0)
            _measure(name, data_dir)


def _measure(name: str, data_dir: Path) -> None:
    importing: list[float] = []
    second: list[Started] = []
    first: list[Started] = []
    _import_us()  # byte code is written once, and then read
    _start(data_dir)
    for _ in range(ROUNDS):
        importing.append(_import_us())
        second.append(_start(data_dir))
    for _ in range(2):
        (data_dir / NAME).unlink()
        first.append(_start(data_dir))
    aiohttp, ours = Spent(tuple(importing)), Spent(tuple(one.cpu_us for one in second))
    record(
        f"ready{name}/import_aiohttp",
        ours.over(aiohttp),
        unit="ratio",
        ready_us=ours.told(),
        import_aiohttp_us=aiohttp.told(),
        wall_s=[round(one.wall_s, 3) for one in second],
        first_start_us=round(min(one.cpu_us for one in first)),
        audiences=AUDIENCES,
        profiles=PROFILES,
        store_bytes=(data_dir / "perso.sqlite").stat().st_size,
        rounds=ROUNDS,
    )


def _import_us() -> float:
    """Of the whole process but its end."""
    code = "import aiohttp.web, time; print(time.process_time_ns())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=_KEEPS_BYTE_CODE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(told.stdout) / 1_000


def _start(data_dir: Path) -> Started:
    """One start; the process is stopped, and what it keeps for the next is written, before this
    returns."""
    command = [sys.executable, "-m", "perso_core", "serve", "--port", "0"]
    began_s = time.monotonic()
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir)],
        cwd=ROOT,
        env=_KEEPS_BYTE_CODE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it was asked for"
        told = process.stdout.readline().split()
        if len(told) < 4:
            raise RuntimeError("perso serve ended before it served; see its error above.")
        _answered(told[3].rstrip("."))
        return Started(_cpu_us(process.pid), time.monotonic() - began_s)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answered(address: str) -> None:
    """Whatever it says: it answers."""
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except urllib.error.HTTPError as answer:
        answer.close()


def _cpu_us(pid: int) -> float:
    """What all threads of a process have spent so far."""
    clock = (~pid << 3) | 2  # Linux's name for that process's CPU time
    return time.clock_gettime_ns(clock) / 1_000
