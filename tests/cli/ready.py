"""Commands as processes of their own, without an interpreter's start for each of them.

One process has Perso loaded and waits. For every command it forks: what runs then has its own
directory, environment, standard streams and exit code, and ends without a trace in the next one.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

# What commands load as they need it.
LOADED = ("cli", "definitions", "imports", "pql", "stores", "worker")


def run(
    words: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    stdin: bytes,
    limit_s: int,
) -> subprocess.CompletedProcess[bytes]:
    """`perso` with these words, run to its end; after limit_s it is ended by SIGALRM."""
    with tempfile.TemporaryDirectory() as streams:
        Path(streams, "stdin").write_bytes(stdin)
        asked = {
            "words": list(words),
            "directory": str(directory),
            "environment": dict(environment),
            "streams": streams,
            "limit_s": limit_s,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(_waiting())
            connection.sendall(json.dumps(asked).encode() + b"\n")
            code = int(connection.makefile().read())
        told, errors = (Path(streams, name).read_bytes() for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(words, code, told, errors)


@cache
def _waiting() -> str:
    """Where the process listens that has Perso loaded. It ends with this one."""
    directory = tempfile.TemporaryDirectory()
    address = str(Path(directory.name, "perso"))
    process = subprocess.Popen([sys.executable, "-m", __name__, address], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def end() -> None:
        process.kill()
        process.wait()
        directory.cleanup()

    atexit.register(end)
    return address


# ---- in the process that waits ------------------------------------------------


class _Command(socketserver.StreamRequestHandler):
    """In a process of its own already, which waits for the command's."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        child = os.fork()
        if not child:
            _become(asked)
        _, status = os.waitpid(child, 0)
        self.wfile.write(str(os.waitstatus_to_exitcode(status)).encode())


class _Process(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    started_by = os.getppid()

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self.started_by:
            os._exit(0)


def _become(asked: dict[str, Any]) -> None:
    """Runs the command, and never returns."""
    code = 1
    try:
        streams = Path(asked["streams"])
        for number, (name, mode) in enumerate(
            (("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb"))
        ):
            with (streams / name).open(mode) as stream:
                os.dup2(stream.fileno(), number)
        signal.alarm(asked["limit_s"])
        os.chdir(asked["directory"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        # As `python -m perso_core` there has it.
        sys.path[0] = asked["directory"]
        sys.argv = ["perso", *asked["words"]]
        runpy.run_module("perso_core", run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for package in LOADED:
        for found in iter_modules(import_module(f"perso_core.{package}").__path__):
            import_module(f"perso_core.{package}.{found.name}")
    import_module("perso_core.assembly")
    # Else the first collection of each command copies all of it.
    gc.collect()
    gc.freeze()
    with _Process(sys.argv[1], _Command) as server:
        print("ready", flush=True)
        server.serve_forever()
