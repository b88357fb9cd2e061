"""One server process: the edge at an address of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
from collections.abc import Callable, Sequence

import uvloop
from aiohttp import web

from perso_core.assembly import MAX_HEADER_BYTES, open_perso
from perso_core.edge.app import refused_again, straight
from perso_core.edge.guard import GuardedRunner
from perso_core.settings import Settings
from perso_core.worker.collection import old_left_alone
from perso_core.worker.taking_turns import in_short_turns

PREFIX = "/ee"
BACKLOG = 1_024  # connections that may wait to be accepted
# Told to leave, since another process listens in its place: for so long callers that keep their
# connections are waited for, to be answered once more. A connection that is closed as its next
# request is on the way breaks that.
LEAVE_WITHIN_S = 2.0
ALIVE_EACH_S = 1.0  # how often a worker tells its supervisor that it lives
# Files of the database, sockets that listen, keys of issuers that are fetched, and some.
OTHER_FILES = 100

_log = logging.getLogger("perso.serving")


async def _serve(
    settings: Settings,
    ready: Callable[[str], None],
    sockets: Sequence[socket.socket],
    alive: Callable[[], bool],
    leave_on: signal.Signals | None,
    anew: bool,
) -> None:
    stopping, leaving = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stopping.set)
    if leave_on is not None:
        loop.add_signal_handler(leave_on, _set, leaving, stopping)
    async with open_perso(settings, anew=anew) as perso:
        # Where it is to take another process's place that one goes on with what it has in force.
        perso.refuse_unreadable()
        app = web.Application()
        edge = perso.edge_app()
        app.add_subapp(PREFIX, edge)
        runner = GuardedRunner(
            app,
            straight=straight(edge, PREFIX),
            again=refused_again(edge),
            max_connections=_connections(settings.max_connections),
            head_within_s=settings.head_within_s,
            idle_s=settings.idle_within_s,
            access_log=None,
            shutdown_timeout=settings.drain_timeout_s,
            max_field_size=MAX_HEADER_BYTES,
        )
        await runner.setup()
        try:
            for one in sockets:
                await web.SockSite(runner, one, backlog=BACKLOG).start()
            if not sockets:
                await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
            port = runner.addresses[0][1]  # the bound one: settings.port may be 0, any free
            ready(f"http://{settings.host}:{port}{PREFIX}")
            while alive() and not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), ALIVE_EACH_S)
            if leaving.is_set():
                await runner.leave(LEAVE_WITHIN_S)
        finally:
            await runner.cleanup()


def _connections(most: int) -> int:
    """How many connections there may be: `most`, for which the system is asked for more open files
    where it allows few; fewer where it allows no more, as it would close what comes beyond without
    a word, and leave none for the database."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        allowed = soft
    if allowed >= wanted:
        return most
    affordable = max(allowed - OTHER_FILES, allowed // 2)
    _log.warning(
        "Only %d connections at a time are taken, of %d (max_connections): the system lets a"
        " process open %d files. Raise that limit (ulimit -n, LimitNOFILE).",
        affordable,
        most,
        allowed,
    )
    return affordable


def _set(*events: asyncio.Event) -> None:
    for event in events:
        event.set()


def serve(
    settings: Settings,
    *,
    ready: Callable[[str], None],
    sockets: Sequence[socket.socket] = (),
    alive: Callable[[], bool] = lambda: True,
    leave_on: signal.Signals | None = None,
    anew: bool = True,
) -> None:
    """The whole process: one edge, until SIGINT or SIGTERM; then requests under way are answered
    and what waits is written.

    ready: called with the edge's address once it answers. sockets: bound ones to listen on; none:
    settings.host and port. alive: called each second; False stops as a signal does. leave_on:
    this signal stops it, too, once those who keep their connections had an answer that ends them:
    another process listens. anew: see open_perso. Raises as that does, and OSError for a port that
    is taken.
    """
    with old_left_alone(), in_short_turns():
        uvloop.run(_serve(settings, ready, sockets, alive, leave_on, anew))
