"""Signals to `perso serve` while it starts: they do what they do once it serves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.server import ROOT

LIMIT_S = 60
DEFINITIONS = 'org = "shop"'


def open_once_read(fifo: Path) -> int:
    """A descriptor to write to, once a process waits for what is in the file."""
    give_up_s = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up_s:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that nobody reads it yet
                raise
            time.sleep(0.02)
    raise AssertionError("nobody reads it")


@contextmanager
def starting(
    directory: Path, option: str, *words: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`perso serve` as it waits for a file that an option names, and where to write that file."""
    fifo = directory / "held"
    os.mkfifo(fifo)
    # Where the tests are run by nohup it would be ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, "-m", "perso_core", "serve", "--port", "0", option, str(fifo), *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PERSO_DATA_DIR": "data"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGHUP, before)
    writing = open_once_read(fifo)
    try:
        yield process, writing
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_a_restart_asked_for_while_several_processes_start_does_not_end_them(
    tmp_path: Path,
) -> None:
    with starting(tmp_path, "--definitions", "--workers", "2") as (process, writing):
        process.send_signal(signal.SIGHUP)
        os.write(writing, DEFINITIONS.encode())
        os.close(writing)
        assert process.stdout is not None
        assert " answers at " in process.stdout.readline()
        process.terminate()
        assert process.wait(LIMIT_S) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_asked_for_during_the_start_is_no_failure(tmp_path: Path, workers: str) -> None:
    with starting(tmp_path, "--definitions", "--workers", workers) as (process, writing):
        process.terminate()
        os.close(writing)
        assert process.wait(LIMIT_S) == 0


def test_one_process_alone_ends_with_its_terminal_also_while_it_starts(tmp_path: Path) -> None:
    with starting(tmp_path, "--settings") as (process, writing):
        process.send_signal(signal.SIGHUP)
        os.write(writing, b"workers = 1")
        os.close(writing)
        assert process.wait(LIMIT_S) == -signal.SIGHUP
