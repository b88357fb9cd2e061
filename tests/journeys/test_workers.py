"""Several processes at one address: what visitors notice when one of them ends. Nothing."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import aiohttp
import pytest
from msgspec import Struct

from perso_core.beside import KEYS
from perso_core.cli.address import bound, close
from perso_core.cli.own_core import stay_on_own_core
from tests.journeys.server import ROOT, STOP_LIMIT_S, Visitor, prepare, session

WAIT_LIMIT_S = 60


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where definitions are stored already."""
    prepare(tmp_path / "data")
    return tmp_path


class Running(Struct):
    """A supervisor with its workers. log: what it told."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def workers(self) -> list[int]:
        """Process ids."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @property
    def told(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def supervised(
    directory: Path,
    *,
    workers: int | None = 2,
    settings: str = "",
    port: str = "0",
    starting: Callable[[Running], None] | None = None,
) -> Iterator[Running]:
    """workers: None: as the settings say. starting: what is done while they start."""
    (directory / "settings.toml").write_text(settings, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERSO_")}
    words = ["--data-dir", "data", "--port", port, "--settings", "settings.toml"]
    if workers is not None:
        words += ["--workers", str(workers)]
    log = directory / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*(sys.executable, "-m", "perso_core", "serve"), *words],
            cwd=directory,
            env={**kept, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            if starting is not None:
                starting(Running(process, "", log))
            said = process.stdout.readline()
            assert " answers at " in said, log.read_text(encoding="utf-8")
            yield Running(process, said.split(" answers at ")[1].split(",")[0].split(". ")[0], log)
        finally:
            process.terminate()
            process.wait(STOP_LIMIT_S)
            if process.stdout:
                process.stdout.close()


def finished(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A server that does not come up, and what it told."""
    return subprocess.run(
        [*(sys.executable, "-m", "perso_core", "serve"), *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )


def alive(pid: int) -> bool:
    """Whether a process runs. One that nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits for something that other processes do."""
    give_up_s = time.monotonic() + WAIT_LIMIT_S
    while not holds():
        assert time.monotonic() < give_up_s, f"{what} did not come about"
        time.sleep(0.05)


@asynccontextmanager
async def visited(url: str) -> AsyncIterator[Counter[object]]:
    """Visitors who come again and again on connections of their own. Counts answers by status,
    and connections that were refused or dropped, by kind."""
    seen: Counter[object] = Counter()
    stopping = asyncio.Event()

    async def visitor() -> None:
        while not stopping.is_set():
            connector = aiohttp.TCPConnector(force_close=True)
            try:
                async with (
                    aiohttp.ClientSession(connector=connector) as http,
                    http.get(f"{url}/openapi.json") as answer,
                ):
                    await answer.read()
                    seen[answer.status] += 1
            except aiohttp.ClientError as fault:
                seen[type(fault).__name__] += 1

    visitors = [asyncio.create_task(visitor()) for _ in range(4)]
    try:
        yield seen
    finally:
        stopping.set()
        await asyncio.gather(*visitors)


async def kept(url: str, stopping: asyncio.Event) -> int:
    """A visitor who keeps their connection while they are let, and asks again and again. Returns
    how many connections they were told to leave; one that ends untold is an error."""
    left = 0
    address = urlsplit(url)
    asked = f"GET {address.path}/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    while not stopping.is_set():
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            last = False
            while not last and not stopping.is_set():
                writer.write(asked)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length: ")[1].split()[0]))
                last = b"connection: close" in head
                await asyncio.sleep(0.01)  # a visitor who reads: the connection is idle
            left += last
        finally:
            writer.close()
    return left


async def soon(holds: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, holds, what)


def test_every_process_answers_and_all_end_with_the_supervisor(directory: Path) -> None:
    with supervised(directory, workers=3) as running:
        workers = running.workers
        assert len(workers) == 3
        running.process.terminate()
        assert running.process.wait(STOP_LIMIT_S) == 0
        until(lambda: not any(map(alive, workers)), "the workers' end")


async def test_a_killed_worker_is_replaced_and_no_new_connection_is_refused(
    directory: Path,
) -> None:
    with supervised(directory) as running:
        killed = running.workers[0]
        async with visited(running.url) as seen:
            await soon(lambda: seen[200] > 50, "visits")
            os.kill(killed, signal.SIGKILL)
            await soon(
                lambda: len(running.workers) == 2 and killed not in running.workers,
                "a worker in its place",
            )
            after = seen[200]
            await soon(lambda: seen[200] > after + 50, "visits afterwards")

        assert "ClientConnectorError" not in seen
        assert seen[200] == sum(seen.values()) - seen["ServerDisconnectedError"]
        # Those whose request the killed one had begun.
        assert seen["ServerDisconnectedError"] <= 4
        assert "was ended by SIGKILL" in running.told


def test_a_worker_killed_while_they_start_is_replaced_and_the_log_says_so(directory: Path) -> None:
    killed = []

    def out_of_memory(starting: Running) -> None:
        until(lambda: len(starting.workers) == 4, "the others' start")
        killed.append(starting.workers[-1])
        os.kill(killed[0], signal.SIGKILL)

    with supervised(directory, workers=4, starting=out_of_memory) as running:
        assert f"(process {killed[0]}) was ended by SIGKILL. Another one starts." in running.told
        assert len({*running.workers} - {*killed}) == 4


async def test_a_restart_takes_up_new_settings_and_drops_no_visitor(directory: Path) -> None:
    with supervised(directory, settings='location_hint = "before"') as running:
        before = running.workers
        (directory / "settings.toml").write_text('location_hint = "after"', encoding="utf-8")
        async with visited(running.url) as seen:
            restarted = asyncio.Event()
            keepers = [asyncio.create_task(kept(running.url, restarted)) for _ in range(4)]
            running.process.send_signal(signal.SIGHUP)
            await soon(lambda: "All 2 workers are restarted." in running.told, "the restart")
            restarted.set()

        assert sum(await asyncio.gather(*keepers)) >= 4, "each was told to leave, and came again"
        assert set(seen) == {200}
        assert not any(one in running.workers for one in before)
        async with aiohttp.ClientSession() as http:
            event = {"events": [{"xdm": {"eventType": "page"}}]}
            async with http.post(f"{running.url}/v1/interact?configId=demo", json=event) as answer:
                assert "after" in await answer.text()


async def test_workers_go_on_hearing_of_each_other_where_the_settings_speak_of_one_alone(
    directory: Path,
) -> None:
    """Each had taken itself for the only one: no visitor had a version token, and what one worker
    was told the others did not know."""
    with supervised(directory, workers=None, settings="workers = 2") as running:
        (directory / "settings.toml").write_text("", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        await soon(lambda: "All 2 workers are restarted." in running.told, "the restart")

        async with aiohttp.ClientSession() as http:
            event = {"events": [{"xdm": {"eventType": "page"}}]}
            async with http.post(f"{running.url}/v1/interact?configId=demo", json=event) as answer:
                (stored,) = (
                    part["payload"]
                    for part in (await answer.json())["handle"]
                    if part["type"] == "state:store"
                )
        assert any(entry["key"].endswith("_v") for entry in stored)
        assert "“workers” stays 2" in running.told


async def test_cookie_keys_that_are_renewed_in_two_steps_lose_no_visitor(directory: Path) -> None:
    """As docs/operating.md says: what a new worker signs an old one has to know."""
    path = directory / "data" / KEYS
    with supervised(directory) as running:
        anna, ecids = Visitor("anna"), set()

        async def visiting(restarts: int) -> None:
            running.process.send_signal(signal.SIGHUP)
            async with session() as http, asyncio.timeout(WAIT_LIMIT_S):
                while running.told.count("workers are restarted") < restarts:
                    for visitor in (anna, Visitor("newcomer")):
                        await visitor.send(http, running.url)
                        first = visitor.ecid
                        await visitor.send(http, running.url)
                        assert visitor.ecid == first
                    ecids.add(anna.ecid)

        keys = json.loads(path.read_text(encoding="ascii"))
        keys["keys"]["2"] = secrets.token_hex(32)
        path.write_text(json.dumps(keys), encoding="ascii")
        await visiting(1)
        path.write_text(json.dumps({**keys, "current": 2}), encoding="ascii")
        await visiting(2)

    assert ecids == {anna.ecid}


async def test_settings_that_cannot_work_leave_the_running_workers_alone(directory: Path) -> None:
    with supervised(directory) as running:
        before = running.workers
        (directory / "settings.toml").write_text("hot_profiles = 0", encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        await soon(lambda: "did not come up" in running.told, "the refusal")

        assert running.workers == before
        assert "hot_profiles" in running.told


async def test_a_worker_that_is_replaced_while_the_directory_is_away_begins_no_other_store(
    directory: Path,
) -> None:
    """As while a disk is not mounted: with cookie keys of its own it would take each visitor of the
    other's for a new one from then on."""
    data, away, anna = directory / "data", directory / "away", Visitor("anna")
    with supervised(directory) as running:
        async with session() as http:
            await anna.send(http, running.url)
        ecid = anna.ecid
        data.rename(away)
        os.kill(running.workers[0], signal.SIGKILL)
        await soon(lambda: "is not there any more" in running.told, "the refusal")
        assert not data.exists()
        away.rename(data)
        await soon(lambda: len(running.workers) == 2, "a worker in its place")

        ecids = set()
        for _ in range(20):  # on a connection of its own each
            async with session() as http:
                await anna.send(http, running.url)
            ecids.add(anna.ecid)
    assert ecids == {ecid}


# ---- cores -------------------------------------------------------------------------

ON_TWO_CORES = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="two workers on cores of their own need two",
)


@pytest.fixture
def two_cores() -> Iterator[set[int]]:
    """On which all runs that the test starts."""
    before = os.sched_getaffinity(0)
    cores = set(sorted(before)[:2])
    os.sched_setaffinity(0, cores)
    yield cores
    os.sched_setaffinity(0, before)


def cores_of(worker: int) -> set[frozenset[int]]:
    """Where the threads of a process may run."""
    cores = set()
    for thread in os.listdir(f"/proc/{worker}/task"):
        with suppress(ProcessLookupError):  # it has ended
            cores.add(frozenset(os.sched_getaffinity(int(thread))))
    return cores


@ON_TWO_CORES
def test_as_many_workers_as_cores_stay_on_one_each_and_so_does_whoever_replaces_one(
    directory: Path, two_cores: set[int]
) -> None:
    with supervised(directory) as running:
        killed, other = running.workers
        ((kept,),) = cores_of(other)
        assert len(os.listdir(f"/proc/{other}/task")) > 1, "threads"
        os.kill(killed, signal.SIGKILL)
        until(lambda: len({*running.workers} - {killed}) == 2, "another one")
        (replacing,) = {*running.workers} - {other, killed}
        until(lambda: cores_of(replacing) == {frozenset(two_cores - {kept})}, "its core")

        assert cores_of(other) == {frozenset({kept})}


@ON_TWO_CORES
def test_a_worker_whom_nobody_told_a_number_stays_on_no_core(two_cores: set[int]) -> None:
    """It was started by an earlier Perso's supervisor, as this one was installed."""
    stay_on_own_core("", 2)
    assert os.sched_getaffinity(0) == two_cores
    for beyond in ("2", "-1"):
        stay_on_own_core(beyond, 2)
    assert os.sched_getaffinity(0) == two_cores


@ON_TWO_CORES
def test_where_the_system_says_nothing_of_cores_a_worker_comes_up_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", forbidden)
    stay_on_own_core("0", 2)


@ON_TWO_CORES
@pytest.mark.parametrize(("workers", "settings"), [(2, "own_core = 0"), (3, "")])
def test_workers_of_another_number_or_told_to_go_where_the_system_has_room(
    directory: Path, two_cores: set[int], workers: int, settings: str
) -> None:
    with supervised(directory, workers=workers, settings=settings) as running:
        for worker in running.workers:
            assert cores_of(worker) == {frozenset(two_cores)}


def test_workers_do_not_outlive_a_supervisor_that_was_killed(directory: Path) -> None:
    with supervised(directory) as running:
        workers = running.workers
        running.process.kill()
        running.process.wait(STOP_LIMIT_S)
        until(lambda: not any(map(alive, workers)), "the workers' end")


@pytest.mark.skipif(sys.platform != "linux", reason="the claim to an address is Linux's")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_is_started_again_at_once_after_its_supervisor_was_killed(
    directory: Path, workers: int
) -> None:
    """It was refused while the workers that were left still listened: a service manager that tries
    a few times within a second gave it up."""
    with supervised(directory) as killed:
        port = killed.url.rpartition(":")[2].removesuffix("/ee")
        left = killed.workers
        for one in left:  # busy, as it were: they do not end before the next server looks
            os.kill(one, signal.SIGSTOP)
        killed.process.kill()
        killed.process.wait(STOP_LIMIT_S)

        def let_end(starting: Running) -> None:
            try:
                until(lambda: "wait" in starting.told, "waiting for those that are left")
            finally:
                for one in left:
                    os.kill(one, signal.SIGCONT)

        with (
            supervised(directory, workers=workers, port=port, starting=let_end) as running,
            urlopen(f"{running.url}/openapi.json", timeout=WAIT_LIMIT_S) as answer,
        ):
            assert answer.status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_server_at_an_address_is_refused_whatever_the_first_would_share(
    directory: Path, workers: int
) -> None:
    with supervised(directory) as running:
        port = running.url.rpartition(":")[2].removesuffix("/ee")
        other = ("--data-dir", "other", "--port", port, "--workers", str(workers))
        done = finished(directory, *other)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use." in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("host", "workers"), [("300.1.1.1", 1), ("a..b", 1), ("192.0.2.1", 1), ("300.1.1.1", 2)]
)
def test_who_names_no_address_of_this_machine_is_told_to_name_one(
    tmp_path: Path, host: str, workers: int
) -> None:
    words = ("--data-dir", "data", "--port", "0", "--host", host, "--workers", str(workers))
    done = finished(tmp_path, *words)

    assert done.returncode == 1
    assert f"cannot listen on {host}, port 0: " in done.stderr
    assert "Name an address of this machine with --host" in done.stderr
    assert "Stop what listens there" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_the_address_that_is_told_can_be_called_also_by_ipv6(directory: Path, workers: int) -> None:
    try:
        close(bound("::1", 0, shared=False))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with (
        supervised(directory, workers=workers, settings='host = "::1"') as running,
        urlopen(f"{running.url}/openapi.json", timeout=WAIT_LIMIT_S) as answer,
    ):
        assert answer.status == 200
        assert "http://[::1]:" in running.url


def test_workers_that_cannot_start_are_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "perso.sqlite").write_text("no database, but of some length" * 100)
    done = finished(tmp_path, "--workers", "2", "--port", "0", "--data-dir", "data")
    assert done.returncode == 1
    assert "perso.sqlite" in done.stderr
    assert "Traceback" not in done.stderr
