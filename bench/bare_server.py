"""`python -m bench.bare_server BYTES`: reads each body, answers with BYTES constant bytes."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

from bench.serving import serve_until_told


def application(size: int) -> web.Application:
    constant = b"x" * size

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=constant, content_type="application/json")

    app = web.Application()
    app.router.add_post("/ee/v1/interact", answer)
    return app


if __name__ == "__main__":
    uvloop.run(serve_until_told(application(int(sys.argv[1]))))
