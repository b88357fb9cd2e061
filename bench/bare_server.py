"""`python -m bench.bare_server BYTES [WORKERS]`: reads each body, answers with BYTES constant
bytes. WORKERS: processes at one address (default: 1)."""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvloop
from aiohttp import web

from bench.serving import plain, serve_until_told
from perso_core.cli.address import bound


def application(size: int) -> web.Application:
    constant = b"x" * size

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=constant, content_type="application/json")

    app = web.Application()
    app.router.add_post("/ee/v1/interact", answer)
    return app


def serve(size: int, workers: int) -> None:
    """The first process tells the port, once the others have their sockets as well."""
    (first,) = bound("127.0.0.1", 0, shared=True)
    port = first.getsockname()[1]
    sockets = [first, *(bound("127.0.0.1", port, shared=True)[0] for _ in range(1, workers))]
    children = [child for own in sockets[1:] if (child := _forked(size, own))]
    try:
        uvloop.run(serve_until_told(plain(application(size)), first))
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


def _forked(size: int, own: socket.socket) -> int:
    """The new process's id. In it this does not return."""
    child = os.fork()
    if child:
        return child
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 the process ends with it
    uvloop.run(serve_until_told(plain(application(size)), own))
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
