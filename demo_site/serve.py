"""The whole demo in one process: shop and edge on one address, ad server on another."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from demo_site.ad_server.app import build_ad_server
from demo_site.clock import DemoClock
from demo_site.cms.app import build_shop
from demo_site.cms.audiences import DEFINITIONS_FILE
from demo_site.in_force import put_in_force
from perso_core.assembly import GuardedRunner, open_perso
from perso_core.settings import Settings

HOST = "127.0.0.1"
PORT, AD_PORT = 8080, 8081
CLOCK = "clock-offset-ms"


class DemoSettings(Struct, frozen=True, kw_only=True):
    """port, ad_port: 0 takes any free one. alloy: the Adobe Web SDK's built file, if there."""

    data_dir: Path
    port: int = PORT
    ad_port: int = AD_PORT
    alloy: Path | None = None


class PortRefused(Exception):
    """str() is one line: the port, why the system refuses it, and what to do."""


class Running(Struct, frozen=True):
    """Where the demo answers."""

    shop_url: str
    ad_url: str


@asynccontextmanager
async def running(settings: DemoSettings) -> AsyncIterator[Running]:
    """The demo, until the block ends; then requests under way are answered and what waits is
    written. Raises PortRefused, and what open_perso and put_in_force raise."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    clock = DemoClock(settings.data_dir / CLOCK)
    async with contextlib.AsyncExitStack() as opened:
        perso = await opened.enter_async_context(
            open_perso(Settings(data_dir=str(settings.data_dir)), clock_ms=clock)
        )
        await put_in_force(perso, DEFINITIONS_FILE, settings.data_dir)
        ad_port = await _start(opened, build_ad_server(), settings.ad_port, "AD_PORT")
        shop = build_shop(
            perso, edge=perso.edge_app(), clock=clock, ad_port=ad_port, alloy=settings.alloy
        )
        port = await _start(opened, shop, settings.port, "PORT")
        yield Running(f"http://{HOST}:{port}", f"http://localhost:{ad_port}")


async def _start(
    opened: contextlib.AsyncExitStack, app: web.Application, port: int, variable: str
) -> int:
    """The port on which the app answers."""
    runner = GuardedRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise PortRefused(_refused(error, port, variable)) from error
    return int(runner.addresses[0][1])


def _refused(error: OSError, port: int, variable: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken ({error.strerror}). Give another: {variable}={port + 10}"
    if error.errno == errno.EACCES:
        usual = AD_PORT if variable == "AD_PORT" else PORT
        return (
            f"Port {port} is not this user's ({error.strerror}). Give another: {variable}={usual}"
        )
    return f"Port {port} cannot be listened to ({error.strerror}). Mend that, and start again."


async def serve(settings: DemoSettings, *, ready: Callable[[Running], None]) -> None:
    """Until SIGINT or SIGTERM. ready: called once both addresses answer."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings) as where:
        ready(where)
        await stopping.wait()
