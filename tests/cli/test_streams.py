"""A server that is started without its standard streams, or with one that takes nothing."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_commands import (
    COMMAND_LIMIT_S,
    ECID,
    environment,
    free_port,
    perso,
    record,
    write,
)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=COMMAND_LIMIT_S) as connection:
            connection.sendall(b"GET /ee/openapi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"200 OK" in connection.recv(100)
    except ConnectionRefusedError:  # not yet
        return False


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "> /dev/full"])
def test_a_server_answers_whatever_became_of_its_standard_streams(
    streams: str, tmp_path: Path
) -> None:
    """Without them it had been aborted by its event loop; on a full disk it said that the address
    was taken."""
    port = free_port()
    # Not as other tests start one: what watches its streams needs them.
    words = shlex.join([sys.executable, "-m", "perso_core", "serve", "--port", port])
    server = subprocess.Popen(
        ["sh", "-c", f"exec {words} {streams}"], cwd=tmp_path, env=environment()
    )
    try:
        give_up_s = time.monotonic() + COMMAND_LIMIT_S
        while not _answers(int(port)):
            assert server.poll() is None, f"it ended with {server.returncode}"
            assert time.monotonic() < give_up_s, "it does not answer"
            time.sleep(0.02)
        server.send_signal(signal.SIGTERM)
        assert server.wait(COMMAND_LIMIT_S) == 0
    finally:
        server.kill()
        server.wait()


def _run(words: str, streams: str, directory: Path) -> subprocess.CompletedProcess[str]:
    interpreter = shlex.join([sys.executable, "-m", "perso_core"])
    return subprocess.run(
        ["sh", "-c", f"exec {interpreter} {words} {streams}"],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        "export",
        f"profile show ECID {ECID}",
        f"profile export ECID {ECID}",
        "key create --name a --datastream demo",
    ],
)
def test_what_is_asked_for_and_cannot_be_printed_is_said_to_be_lost(
    words: str, tmp_path: Path
) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    perso(tmp_path, "profile", "put", "-", stdin=record(a=1))

    told = _run(words, ">&-", tmp_path)

    assert told.returncode == 1
    assert (
        told.stderr == "error: standard output is closed. Open it, or send it somewhere: > FILE.\n"
    )
    assert perso(tmp_path, "key", "list").stdout == ""


def test_what_is_written_to_a_file_needs_no_standard_output(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    assert _run("export -o written.toml", ">&-", tmp_path).returncode == 0
    assert (tmp_path / "written.toml").read_bytes()


def test_without_standard_error_a_message_does_not_get_into_what_is_printed(
    tmp_path: Path,
) -> None:
    told = _run(f"profile show ECID {ECID}", "2>&-", tmp_path)

    assert (told.returncode, told.stdout) == (1, "")


def test_a_backup_is_made_without_standard_streams(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    assert _run("backup made", "<&- >&- 2>&-", tmp_path).returncode == 0


def test_what_is_printed_on_a_full_disk_ends_with_one_message(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    told = _run("export", "> /dev/full", tmp_path)

    assert told.returncode == 1
    assert told.stderr == "error: No space left on device. Make room on that disk.\n"
