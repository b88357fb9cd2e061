"""interact_100_durable/bare_aiohttp and others: requests per second, with so many audiences of the
mix, against the framework alone. behind: answered before the disk. Others say what is out of reach:
floor_rules_100 and floor_rules_1000 ask the rules, and keep and tell nothing (rules_server.py);
floor_durable keeps each event as Perso does, and decides nothing (floor_server.py); floor_raw_100
and floor_raw_1000 ask the rules and keep a log, and leave aiohttp out as well (raw_server.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

from bench.audiences import DATASTREAM
from bench.figures import ROOT, record
from bench.visitor import interact_body

ROUNDS = 4
SECONDS = 3
CONNECTIONS = 32
# By name: how many audiences, and whether answers go before the disk.
SERVERS = {
    "interact_100_durable": (100, 0),
    "interact_1000_durable": (1_000, 0),
    "interact_1000_behind": (1_000, 1),
}
FIRST, BARE = "interact_100_durable", "bare_aiohttp"
# By name: the module that serves, its arguments after the answer's size, and which of ours it is
# under.
FLOORS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "floor_durable": ("floor_server", (), FIRST),
    "floor_rules_100": ("rules_server", ("100",), FIRST),
    "floor_rules_1000": ("rules_server", ("1000",), "interact_1000_behind"),
    "floor_raw_100": ("raw_server", ("100",), FIRST),
    "floor_raw_1000": ("raw_server", ("1000",), "interact_1000_durable"),
}
# Enough that a visitor's events stay few while the rounds last.
VISITORS = 1_000
# Of all requests, at most so many may be answered late or not at all; else there is no figure.
MOST_FAILED = 0.01
SCRIPT = Path(__file__).resolve().parent / "interact.lua"
PATH = f"/ee/v1/interact?configId={DATASTREAM}"


class MissingWrk(Exception):
    """wrk is not installed, so requests per second cannot be measured."""


class Load(Struct, frozen=True):
    """What wrk counted. requests: answers of any kind. wrong: those other than 200, such as 207
    where a commit came too late. broken: socket errors and timeouts."""

    requests: int
    seconds: float
    wrong: int
    broken: int

    @property
    def rps(self) -> float:
        """Right answers alone."""
        return (self.requests - self.wrong) / self.seconds

    @property
    def failed(self) -> float:
        """The share of requests without a right answer."""
        asked = self.requests + self.broken
        return (self.wrong + self.broken) / asked if asked else 1.0


def measure() -> None:
    """Raises MissingWrk; RuntimeError where more of a run than MOST_FAILED was not answered 200."""
    if shutil.which("wrk") is None:
        raise MissingWrk
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch, ExitStack() as running:
        ports: dict[str, int] = {}
        bodies: dict[str, Path] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for name, (audiences, behind) in SERVERS.items():
            data_dir = str(Path(scratch) / name)
            words = (data_dir, str(audiences), "mixed", str(behind))
            ports[name] = running.enter_context(server("perso_server", *words))
            bodies[name] = Path(scratch) / f"{name}.bodies"
            sizes[name] = write_bodies(ports[name], bodies[name])
        _, answer_bytes = sizes[FIRST]
        ports[BARE] = running.enter_context(server("bare_server", str(answer_bytes)))
        bodies[BARE] = bodies[FIRST]
        for name, (module, more, ours) in FLOORS.items():
            ports[name] = running.enter_context(server(module, str(answer_bytes), *more))
            bodies[name], sizes[name] = bodies[ours], sizes[ours]
        loads: dict[str, list[Load]] = {name: [] for name in ports}
        for turn in range(ROUNDS + 1):
            for name, port in ports.items():
                one = load(port, bodies[name], f"{name}{turn}", seconds=SECONDS if turn else 1)
                if turn:  # the first one warms up
                    loads[name].append(one)
    _record(loads, sizes)


def _record(loads: dict[str, list[Load]], sizes: dict[str, tuple[int, int]]) -> None:
    rps = {name: median(load.rps for load in found) for name, found in loads.items()}
    failed = {name: max(load.failed for load in found) for name, found in loads.items()}
    print(f"not answered 200, not counted: at most {max(failed.values()):.2%} of a round")
    for name, found in loads.items():
        record(
            f"{name}_rps",
            rps[name],
            unit="requests/s",
            rounds=[round(load.rps) for load in found],
            failed=[round(load.failed, 5) for load in found],
        )
    for floor, (_, _, ours) in FLOORS.items():
        record(f"{ours}/{floor}", rps[ours] / rps[floor], unit="ratio", rounds=ROUNDS)
    for name, (body_bytes, answer_bytes) in sizes.items():
        record(
            f"{name}/{BARE}",
            rps[name] / rps[BARE],
            unit="ratio",
            rps=round(rps[name], 1),
            bare_aiohttp_rps=round(rps[BARE], 1),
            rounds=ROUNDS,
            seconds=SECONDS,
            connections=CONNECTIONS,
            failed=max(failed[name], failed[BARE]),
            visitors=VISITORS,
            events_per_visitor=round(sum(load.requests for load in loads[name]) / VISITORS, 1),
            body_bytes=body_bytes,
            answer_bytes=answer_bytes,
        )


@contextmanager
def server(module: str, *arguments: str) -> Iterator[int]:
    """The port of a server that runs until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it was asked for"
        told = process.stdout.readline()
        if not told:
            raise RuntimeError(f"bench.{module} ended before it served; see its error above.")
        yield int(told)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_bodies(port: int, bodies: Path) -> tuple[int, int]:
    """One body per returning visitor. Returns the bytes of such a body and of its answer."""
    with bodies.open("w", encoding="utf-8") as out:
        for number in range(VISITORS):
            cookies = _cookies(_post(port, interact_body(f"first-{number}", {})))
            out.write(_encoded(interact_body("@ID@", cookies)) + "\n")
    body = interact_body("an-event-of-usual-length", cookies)
    return len(_encoded(body)), len(_post(port, body))


def _encoded(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _post(port: int, body: dict[str, Any]) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{PATH}",
        data=_encoded(body).encode(),
        headers={"Content-Type": "text/plain; charset=UTF-8"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        if answer.status != 200:
            raise RuntimeError(f"POST {PATH} answered {answer.status}.")
        told: bytes = answer.read()
    return told


def _cookies(answer: bytes) -> dict[str, str]:
    return {
        cookie["key"]: cookie["value"]
        for handle in json.loads(answer)["handle"]
        if handle["type"] == "state:store"
        for cookie in handle["payload"]
    }


def load(
    port: int, bodies: Path, run: str, *, seconds: int, connections: int = CONNECTIONS
) -> Load:
    """What wrk counts at that port. run: a word that no other run has."""
    url = f"http://127.0.0.1:{port}{PATH}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), url]
    told = subprocess.run(
        [*command, "--", str(bodies), run],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    ).stdout
    counted = next(line for line in told.splitlines() if line.startswith("PERSO "))
    requests, micros, wrong, broken = (int(word) for word in counted.split()[1:])
    counted_load = Load(requests, micros / 1e6, wrong, broken)
    if counted_load.failed > MOST_FAILED:
        raise RuntimeError(
            f"Run {run}: {counted_load}. No figure: more than {MOST_FAILED:.0%} failed.\n{told}"
        )
    return counted_load
