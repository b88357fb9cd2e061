"""For pytest: every run is planted and watched, and says at its end what it searched and found.

A test in whose process a canary was found fails; where another process said one, the run does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canaries.ledger import VARIABLE, leaks, told
from tests.canaries.planting import plant
from tests.canaries.watching import LEAKS, watch

_OWN = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    # The processes of one run (pytest-xdist's, and servers that tests start) share a directory.
    if VARIABLE not in os.environ:
        config.stash[_OWN] = Path(tempfile.mkdtemp(prefix="perso-canaries-"))
        os.environ[VARIABLE] = str(config.stash[_OWN])
    plant()
    watch()


def pytest_unconfigure(config: pytest.Config) -> None:
    own = config.stash.get(_OWN, None)
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_canary_was_found() -> Iterator[None]:
    before = len(LEAKS)
    yield
    assert LEAKS[before:] == [], "an attribute left the process where none may"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and leaks(_directory()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("canaries")
    for line in told(_directory()):
        terminalreporter.write_line(line)


def _directory() -> Path:
    return Path(os.environ[VARIABLE])
