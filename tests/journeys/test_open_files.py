"""Where the system lets a process open few files, connections are let in as far as it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.raw import GOOD, Connection, connected
from tests.journeys.server import Server, prepare, serving

FEW = 64


@contextlib.contextmanager
def limited(data_dir: Path, limits: str, **settings: object) -> Iterator[Server]:
    """A server in a shell that was told these limits."""
    prepare(data_dir)
    under = ("sh", "-c", f'{limits}; exec "$@"', "sh")
    with serving(data_dir, under=under, settings=settings) as server:
        yield server


def answered(several: list[Connection]) -> int:
    """How many of them have an answer."""
    for one in several:
        one.send(GOOD)
    return sum(one.answer() is not None for one in several)


def test_more_connections_are_taken_than_the_system_lets_files_be_open_at_first(
    tmp_path: Path,
) -> None:
    with (
        limited(tmp_path, f"ulimit -Sn {FEW}", max_connections=2 * FEW) as server,
        contextlib.ExitStack() as opened,
    ):
        several = [opened.enter_context(connected(server.url)) for _ in range(2 * FEW)]

        assert answered(several) == len(several)


def test_where_it_lets_no_more_be_open_fewer_are_taken_and_the_log_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        limited(tmp_path, f"ulimit -n {FEW}") as server,
        contextlib.ExitStack() as opened,
    ):
        several = [opened.enter_context(connected(server.url)) for _ in range(2 * FEW)]

        assert answered(several) == FEW // 2
    assert f"Only {FEW // 2} connections at a time are taken, of 10000" in capfd.readouterr().err
