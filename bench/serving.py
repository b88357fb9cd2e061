"""One application in a process of its own: prints its port, serves until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket

from aiohttp import web


def plain(app: web.Application) -> web.AppRunner:
    """As aiohttp runs it, without an access log."""
    return web.AppRunner(app, access_log=None)


async def serve_until_told(runner: web.BaseRunner, own: socket.socket | None = None) -> None:
    """On this socket; None: on any free port of the loopback address."""
    stopping = asyncio.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(told, stopping.set)
    await runner.setup()
    try:
        own = own or socket.create_server(("127.0.0.1", 0), backlog=1024)
        await web.SockSite(runner, own, backlog=1024).start()
        print(runner.addresses[0][1], flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()
