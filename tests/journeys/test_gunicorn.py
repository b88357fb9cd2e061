"""An application of one's own, in several processes of gunicorn's over one store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perso_core.cli.address import bound, close
from tests.journeys.history import counting, violations
from tests.journeys.server import ROOT, STOP_LIMIT_S, Visitor, prepare, session
from tests.journeys.test_history import kept_of, visited
from tests.journeys.test_workers import Running, soon, until
from tests.soaking import times

READS = times(500, 100_000)
STEPS = times(3, 40)
WORKERS = 3


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare(tmp_path / "data", counting())
    return tmp_path


@contextmanager
def gunicorn(directory: Path, module: str, *more: str) -> Iterator[Running]:
    """Once all its processes answer."""
    (listening,) = bound("127.0.0.1", 0, shared=False)
    port = listening.getsockname()[1]
    log = directory / "log"
    words = ["--worker-class", "aiohttp.GunicornWebWorker", "--workers", str(WORKERS)]
    words += ["--bind", f"fd://{listening.fileno()}", "--graceful-timeout", "10"]
    told = {"PERSO_TEST_DATA_DIR": str(directory / "data"), "PERSO_TEST_WORKERS": str(WORKERS)}
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*(sys.executable, "-m", "gunicorn"), *words, *more, f"{module}:application"],
            cwd=directory,
            # It keeps a socket in the home directory.
            env={**os.environ, **told, "PYTHONPATH": str(ROOT), "HOME": str(directory)},
            stderr=errors,
            pass_fds=(listening.fileno(),),
            text=True,
        )
    running = Running(process, f"http://127.0.0.1:{port}/ee", log)
    close((listening,))
    try:
        until(lambda: running.told.count("Booting worker") >= WORKERS, "its processes")
        yield running
    finally:
        process.terminate()
        process.wait(STOP_LIMIT_S)


@pytest.mark.alone
async def test_a_visitor_of_several_processes_is_one_visitor(directory: Path) -> None:
    with gunicorn(directory, "tests.journeys.embedding") as running:
        first = running.workers
        reads, everyone = await visited(running.url, reads=READS // 2, steps=STEPS)
        os.kill(first[0], signal.SIGKILL)
        await soon(lambda: first[0] not in running.workers, "the end of one")
        running.process.send_signal(signal.SIGHUP)
        more, others = await visited(running.url, reads=READS // 2, steps=STEPS)
        await soon(lambda: not set(first) & set(running.workers), "a restart of all")
    kept = await kept_of(directory / "data", [*everyone, *others])

    assert list(violations([*reads, *more], kept)) == []
    assert "Traceback" not in running.told


async def test_a_perso_that_was_opened_before_the_fork_stores_nothing_and_says_why(
    directory: Path,
) -> None:
    with gunicorn(directory, "tests.journeys.embedding_too_early", "--preload") as running:
        async with session() as http:
            told = await Visitor("anna").send(http, running.url)

    assert [one["type"].rpartition("/")[2] for one in told["errors"]] == ["EXEG-0201-503"]
    assert "Perso was opened before the process forked" in running.told
    assert "Open Perso in each process" in running.told
