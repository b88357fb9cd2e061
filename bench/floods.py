"""flood_p50, flood_store_mb: what other visitors notice of a flood, and what is left of it.

One visitor sends 1,000 events a second (half of them are refused by the limits), and hits without
cookies come, 500 a second; others' calls are timed in turns alone and beside both. Then a million
hits without cookies come as fast as they are answered, and the store is looked at once they are
forgotten.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import apsw

from bench.audiences import DATASTREAM, definitions
from bench.figures import ROOT, record
from bench.visitor import PRODUCT_VIEW
from perso_core.assembly import DATABASE, open_perso
from perso_core.settings import Settings

HITS = 1_000_000
RETENTION_S = 60
TURNS = 6
TURN_S = 4.0
OTHERS_PER_S, VISITOR_PER_S, HITS_PER_S = 100, 1_000, 500
AT_ONCE = 16
FORGOTTEN_WITHIN_S = 600
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        asyncio.run(_prepared(scratch))
        with _served(scratch) as port:
            alone, beside = asyncio.run(_timed(port))
            before = _stored_bytes(scratch)
            began_s = time.monotonic()
            asyncio.run(_flood(port, HITS))
            flood_s, peak = time.monotonic() - began_s, _stored_bytes(scratch)
            forgotten_s = _forgotten(scratch)
            after = _stored_bytes(scratch)
    record(
        "flood_p50",
        median(beside) / median(alone),
        unit="ratio",
        alone_p50_ms=round(median(alone), 2),
        beside_p50_ms=round(median(beside), 2),
        visitor_per_s=VISITOR_PER_S,
        hits_per_s=HITS_PER_S,
        calls=len(beside),
    )
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


async def _prepared(data_dir: str) -> None:
    async with open_perso(Settings(data_dir=data_dir), announce=True) as perso:
        await perso.apply(definitions(100))


@contextmanager
def _served(data_dir: str) -> Iterator[int]:
    """The port of `perso serve`."""
    settings = Path(data_dir) / "settings.toml"
    settings.write_text(f"first_visit_retention_s = {RETENTION_S}\n")
    words = ["serve", "--data-dir", data_dir, "--port", "0", "--settings", str(settings)]
    process = subprocess.Popen(
        [sys.executable, "-m", "perso_core", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it was asked for"
        said = process.stdout.readline()
        yield int(said.split(" answers at ")[1].split("/ee")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)


# ---- callers ---------------------------------------------------------------------


class Caller:
    """One connection, and the cookies that its answers told it to keep."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.cookies: dict[str, str] = {}

    async def call(self) -> bytes:
        """An event, and the body of its answer."""
        body = json.dumps({"events": [{"xdm": PRODUCT_VIEW}]}).encode()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = (
            f"POST /ee/v1/interact?configId={DATASTREAM} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        )
        kept = f"Cookie: {cookie}\r\n" if cookie else ""
        self._writer.write(f"{head}{kept}\r\n".encode() + body)
        told = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(told)
        assert length is not None, "each answer says how long it is"
        return await self._reader.readexactly(int(length[1]))

    def keep(self, body: bytes) -> None:
        for handle in json.loads(body)["handle"]:
            if handle["type"] == "state:store":
                self.cookies |= {one["key"]: one["value"] for one in handle["payload"]}

    def close(self) -> None:
        self._writer.close()


async def _callers(port: int, number: int) -> list[Caller]:
    return [Caller(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(number)]


async def _paced(callers: Sequence[Caller], per_s: float, until_s: float) -> list[float]:
    """Milliseconds of each call; all together so many a second, or as many as are answered."""
    times_ms: list[float] = []
    each_s = len(callers) / per_s

    async def go_on(caller: Caller, due_s: float) -> None:
        while (began_s := time.perf_counter()) < until_s:
            await caller.call()
            times_ms.append((time.perf_counter() - began_s) * 1_000)
            due_s = max(due_s + each_s, time.perf_counter() - each_s)
            await asyncio.sleep(max(due_s - time.perf_counter(), 0))

    now_s = time.perf_counter()
    starts = [now_s + number * each_s / len(callers) for number in range(len(callers))]
    await asyncio.gather(*map(go_on, callers, starts))
    return times_ms


async def _timed(port: int) -> tuple[list[float], list[float]]:
    """Others' calls alone, and beside the flood, in turns."""
    others, noisy, nobody = [await _callers(port, AT_ONCE) for _ in range(3)]
    for caller in others:
        caller.keep(await caller.call())
    noisy[0].keep(await noisy[0].call())
    for caller in noisy:
        caller.cookies = noisy[0].cookies
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(TURNS):
        alone += await _paced(others, OTHERS_PER_S, time.perf_counter() + TURN_S)
        until_s = time.perf_counter() + TURN_S
        timed, *_ = await asyncio.gather(
            _paced(others, OTHERS_PER_S, until_s),
            _paced(noisy, VISITOR_PER_S, until_s),
            _paced(nobody, HITS_PER_S, until_s),
        )
        beside += timed
    for caller in (*others, *noisy, *nobody):
        caller.close()
    return alone, beside


async def _flood(port: int, hits: int) -> None:
    """So many hits without cookies, as fast as they are answered."""
    callers = await _callers(port, AT_ONCE)
    left = iter(range(hits))

    async def go_on(caller: Caller) -> None:
        for _ in left:
            await caller.call()

    await asyncio.gather(*map(go_on, callers))
    for caller in callers:
        caller.close()


# ---- the store -------------------------------------------------------------------


def _stored_bytes(data_dir: str) -> int:
    """Of the database with what stands beside it."""
    return sum(path.stat().st_size for path in Path(data_dir).glob(f"{DATABASE}*"))


def _forgotten(data_dir: str) -> float:
    """Seconds until no first visit is left and the file gets no smaller. Raises RuntimeError."""
    began_s, size = time.monotonic(), 0
    while (waited_s := time.monotonic() - began_s) < FORGOTTEN_WITHIN_S:
        reading = apsw.Connection(str(Path(data_dir) / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        left = reading.execute("SELECT count(*) FROM first_visit").get
        reading.close()
        before, size = size, _stored_bytes(data_dir)
        if not left and size == before:
            return waited_s
        time.sleep(5)
    raise RuntimeError(f"after {FORGOTTEN_WITHIN_S} s not everything was forgotten")


if __name__ == "__main__":
    measure()
