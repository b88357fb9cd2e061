"""`perso serve` and `perso demo`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import runpy
import socket
import sys
import time
from collections.abc import Sequence

from perso_core.cli.address import NOT_HERE, bound, left_behind, refuse_taken, url
from perso_core.cli.at_start import (
    AFTER_OTHERS,
    STOP_MARGIN_S,
    at_start,
    not_taken_up,
    stop_within_s,
)
from perso_core.cli.definitions import checked, saved
from perso_core.cli.early_signals import EarlySignals
from perso_core.cli.files import settings_of
from perso_core.cli.own_core import NUMBER, stay_on_own_core
from perso_core.cli.streams import told_if_possible
from perso_core.cli.supervisor import Supervisor, told
from perso_core.cli.worker_pipe import LEAVE, Pipe
from perso_core.errors import BadSettings
from perso_core.settings import Settings
from perso_core.stores.system_limits import fix_of

LOOK_AGAIN_S = 0.05


def serve(arguments: argparse.Namespace, early: EarlySignals) -> int:
    """Run until stopped. Raises PersoErrors of settings, definitions and store."""
    settings = settings_of(arguments)
    if arguments.sockets is not None:  # SIGHUP, also to all processes, is for the supervisor
        return _serve_as_worker(arguments, settings)
    if settings.workers == 1:
        early.let_hang_up()
    if arguments.definitions is not None:
        definitions = checked(arguments.definitions, settings)
        # Other servers on the directory follow; this one need not wait for them.
        asyncio.run(saved(definitions, settings))
    try:
        _wait_for_left_behind(settings)
        if settings.workers > 1:
            return asyncio.run(_supervised(arguments, settings))
        _serve_alone(settings)
    except OSError as error:
        if error.filename:  # a file or directory, which the error names
            raise
        raise BadSettings(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}.",
            fix=_to_listen(error),
        ) from None
    return 0


def _wait_for_left_behind(settings: Settings) -> None:
    """Where workers of a supervisor that was killed listen still: returns once they stopped, or
    should have."""
    host, port = settings.host, settings.port
    give_up_s = time.monotonic() + settings.drain_timeout_s + STOP_MARGIN_S
    telling = True
    while time.monotonic() < give_up_s and _is_taken(host, port) and left_behind(host, port):
        if telling:
            told(f"Workers whose supervisor was killed still listen at {url(host, port)}: we wait.")
            telling = False
        time.sleep(LOOK_AGAIN_S)


def _is_taken(host: str, port: int) -> bool:
    try:
        refuse_taken(host, port)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _to_listen(error: OSError) -> str:
    """What to do where an address cannot be listened to."""
    if isinstance(error, socket.gaierror) or error.errno in NOT_HERE:
        return "Name an address of this machine with --host; 0.0.0.0 is all of them."
    if error.errno == errno.EADDRINUSE:
        return "Stop what listens there, or choose another --host or --port."
    if error.errno == errno.EACCES:
        return (
            "Ports below 1,024 are root's on most systems: choose another --port, such as 8080"
            " behind a proxy, or let this user have it (CAP_NET_BIND_SERVICE)."
        )
    return fix_of(error, "Choose another --host or --port.")


def _ready(address: str) -> None:
    told_if_possible(f"Perso answers at {address}. Stop it with Ctrl-C.")


def _serve_alone(settings: Settings) -> None:
    from perso_core import serving

    sockets = bound(settings.host, settings.port, shared=False)
    address = url(settings.host, sockets[0].getsockname()[1])
    serving.serve(settings, ready=lambda _: _ready(address), sockets=sockets)


# ---- several processes ---------------------------------------------------------


async def _supervised(arguments: argparse.Namespace, settings: Settings) -> int:
    """Several processes, until stopped. Returns the exit status. Raises OSError for an address that
    is taken."""
    supervisor = Supervisor(
        _worker_command(arguments, settings),
        host=settings.host,
        port=settings.port,
        count=settings.workers,
        stop_within_s=lambda: stop_within_s(arguments, settings),
        tell=told,
        not_taken_up=lambda: not_taken_up(arguments, settings),
    )
    address = url(settings.host, supervisor.port)
    return await supervisor.run(lambda: _ready(f"{address}, from {settings.workers} processes"))


def _worker_command(arguments: argparse.Namespace, settings: Settings) -> list[str]:
    """Starts a worker of ours, which reads the settings anew: a restart takes up changed ones, but
    for those that all agree on."""
    command = [sys.executable, "-m", "perso_core", "serve", *at_start(settings)]
    if arguments.settings is not None:
        command += ["--settings", arguments.settings]
    return command


def _serve_as_worker(arguments: argparse.Namespace, settings: Settings) -> int:
    """On the sockets of the supervisor that started us, until it stops us or is gone."""
    from perso_core import serving

    pipe = Pipe(arguments.pipe)
    sockets = [socket.socket(fileno=int(one)) for one in arguments.sockets.split(",")]

    def ready(_: object) -> None:
        if settings.own_core:
            stay_on_own_core(os.environ.get(NUMBER, ""), settings.workers)
        pipe.ready()

    serving.serve(
        settings,
        ready=ready,
        sockets=sockets,
        alive=pipe.alive,
        leave_on=LEAVE,
        anew=not os.environ.get(AFTER_OTHERS),
    )
    return 0


# ---- the demo --------------------------------------------------------------------


def demo(rest: Sequence[str]) -> int:
    """Run the demo as `python -m demo_site` would. It is a package of its own, which this one
    does not import: the demo stands on Perso, not Perso on the demo."""
    before = sys.argv
    sys.argv = ["perso demo", *rest]
    try:
        runpy.run_module("demo_site", run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
    return 0
