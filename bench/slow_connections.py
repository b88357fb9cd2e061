"""slow_500_p99_ms: what a healthy visitor notices of 500 connections that hold on.

A third of them say nothing, a third send a head a line at a time, a third a body a byte at a
time. All traffic is on the loopback address and ends with the last healthy call.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp

from bench.audiences import DATASTREAM, definitions
from bench.figures import ROOT, record
from perso_core.assembly import open_perso
from perso_core.settings import Settings

SLOW = 500
CALLS = 600
AT_ONCE = 4
PATH = f"/ee/v1/interact?configId={DATASTREAM}"
EVENT = {"events": [{"xdm": {"eventType": "commerce.productListAdds"}}]}
# Longer than the run, so that the server's deadlines do not clear the connections away.
HEAD_WITHIN_S = 600


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        asyncio.run(_prepared(scratch))
        with _served(scratch) as (port, pid):
            alone, before = asyncio.run(_calls(port, 0)), _resident_kb(pid)
            beside, after = asyncio.run(_calls(port, SLOW)), _resident_kb(pid)
    record(
        "slow_500_p99_ms",
        _p99(beside),
        unit="ms",
        alone_p99_ms=round(_p99(alone), 2),
        slow_connections=SLOW,
        calls=CALLS,
        at_once=AT_ONCE,
        resident_before_kb=before,
        resident_after_kb=after,
        kb_per_connection=round((after - before) / SLOW, 1),
    )


def _p99(times_ms: list[float]) -> float:
    return quantiles(times_ms, n=100)[98]


async def _prepared(data_dir: str) -> None:
    async with open_perso(Settings(data_dir=data_dir), announce=True) as perso:
        await perso.apply(definitions(100))


@contextmanager
def _served(data_dir: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of `perso serve`."""
    words = ["serve", "--data-dir", data_dir, "--port", "0"]
    settings = Path(data_dir) / "settings.toml"
    settings.write_text(f"head_within_s = {HEAD_WITHIN_S}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "perso_core", *words, "--settings", str(settings)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it was asked for"
        said = process.stdout.readline()
        yield int(said.split(" answers at ")[1].split("/ee")[0].rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(15)


async def _calls(port: int, slow: int) -> list[float]:
    """Milliseconds of each healthy call."""
    dripping = asyncio.create_task(_drip(port, slow)) if slow else None
    if dripping is not None:
        await asyncio.sleep(1)
    times_ms: list[float] = []
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            await asyncio.gather(*(_healthy(http, port, times_ms) for _ in range(AT_ONCE)))
    finally:
        if dripping is not None:
            dripping.cancel()
    return times_ms


async def _healthy(http: aiohttp.ClientSession, port: int, times_ms: list[float]) -> None:
    while len(times_ms) < CALLS:
        began = time.perf_counter()
        async with http.post(f"http://127.0.0.1:{port}{PATH}", json=EVENT) as answer:
            told: Any = await answer.json()
        assert answer.status == 200, told
        times_ms.append((time.perf_counter() - began) * 1_000)


async def _drip(port: int, slow: int) -> None:
    """Holds the connections, and sends each a little twice a second."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(slow)]
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n".encode()
    for number, (_, writer) in enumerate(opened):
        if number % 3:
            writer.write(head)
        if number % 3 == 2:
            writer.write(b"Content-Length: 60000\r\n\r\n")
    try:
        while True:
            for number, (_, writer) in enumerate(opened):
                if number % 3:
                    writer.write(b"X-Slow: 1\r\n" if number % 3 == 1 else b"x")
            await asyncio.sleep(0.5)
    finally:
        for _, writer in opened:
            writer.close()


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


if __name__ == "__main__":
    measure()
