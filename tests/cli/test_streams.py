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

from tests.cli.test_commands import COMMAND_LIMIT_S, environment, free_port


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
