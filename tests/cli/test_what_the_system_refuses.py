"""Where the system lets a process do less, the command says what it was, and what changes that."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from perso_core.cli import main
from perso_core.cli.open_files import LEAST
from tests.cli.test_commands import COMMAND_LIMIT_S, command, environment, perso, write


def limited(tmp_path: Path, limit: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"ulimit {limit}; exec {shlex.join(command(*words))}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize("files", [10, 14, 19, 21, LEAST - 1])
@pytest.mark.parametrize(
    "words", [("export",), ("serve", "--port", "0")], ids=["a command", "a server"]
)
def test_a_process_that_may_open_too_few_files_says_so_and_nothing_else(
    tmp_path: Path, files: int, words: tuple[str, ...]
) -> None:
    """It had said that the disk, the user or the address was at fault, whichever came first."""
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    ended = limited(tmp_path, f"-n {files}", *words)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"error: the system lets this process open {files} files, and Perso needs {LEAST}. Raise"
        " that limit (ulimit -n, LimitNOFILE).\n"
    )


def test_a_process_that_may_open_more_where_it_asks_for_it_asks(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    ended = limited(tmp_path, "-Sn 10", "export")

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            errno.EACCES,
            f"{os.strerror(errno.EACCES)}. Ports below 1,024 are root's on most systems: choose"
            " another --port, such as 8080 behind a proxy, or let this user have it"
            " (CAP_NET_BIND_SERVICE).",
        ),
        (
            errno.EMFILE,
            f"{os.strerror(errno.EMFILE)}. Let this process open more files (ulimit -n,"
            " LimitNOFILE).",
        ),
    ],
)
def test_an_address_that_the_system_refuses_is_told_with_what_changes_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    why: str,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("perso_core.cli.address._bound", refused)

    assert main(["serve", "--port", "80", "--data-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.endswith(f"cannot listen on 127.0.0.1, port 80: {why}\n")


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.EMFILE, "Let this process open more files (ulimit -n, LimitNOFILE)."),
        (errno.ENOSPC, "Make room on that disk."),
        (errno.EACCES, "Check the path and who may use it."),
    ],
)
def test_what_the_system_refuses_of_a_file_is_told_with_what_changes_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    fix: str,
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code), "a.toml")

    monkeypatch.setattr("perso_core.cli.definitions.kept", refused)

    assert main(["export", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: a.toml: {os.strerror(code)}. {fix}\n"
