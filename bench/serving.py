"""One application in a process of its own: prints its port, serves until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket

from aiohttp import web


async def serve_until_told(app: web.Application, own: socket.socket | None = None) -> None:
    """On this socket; None: on any free port of the loopback address. With no access log."""
    stopping = asyncio.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(told, stopping.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        own = own or socket.create_server(("127.0.0.1", 0), backlog=1024)
        await web.SockSite(runner, own, backlog=1024).start()
        print(runner.addresses[0][1], flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()
