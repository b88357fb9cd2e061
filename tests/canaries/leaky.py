"""A server that leaks canaries in each way there is, for the test of the search: it asks itself for
the paths it is given. `python -m tests.canaries tests.canaries.leaky FILE PATH …`"""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from perso_core.edge.asked import Asked
from perso_core.edge.guard import GuardedRunner
from perso_core.edge.http_answer import HttpAnswer
from tests.canaries.planting import CANARY

ATTRIBUTES = f'{{"attributes":{{"canary":{{"value":"{CANARY}"}}}}}}'


async def body(_: web.Request) -> web.Response:
    return web.Response(text=f"so {CANARY}")


async def header(_: web.Request) -> web.Response:
    return web.Response(headers={"X-A": CANARY})


async def encoded(_: web.Request) -> web.Response:
    return web.Response(body=b"x" + base64.b64encode(f"ab{CANARY}c".encode()))


async def file(_: web.Request) -> web.FileResponse:
    return web.FileResponse(sys.argv[1])


async def stream(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(CANARY.encode())
    return answer


async def log(_: web.Request) -> web.Response:
    logging.getLogger("some.where").warning("there is %s", CANARY)
    return web.Response()


async def fails(_: web.Request) -> web.Response:
    raise RuntimeError(CANARY)


async def prints(_: web.Request) -> web.Response:
    print(CANARY)
    return web.Response()


async def clean(_: web.Request) -> web.Response:
    return web.Response(text="nothing")


async def good(_: web.Request) -> web.Response:
    return web.Response(text=ATTRIBUTES)


async def bad(_: web.Request) -> web.Response:
    return web.Response(text=ATTRIBUTES, status=401)


PATHS: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    **{
        f"/{answer.__name__}": answer
        for answer in (body, header, encoded, file, stream, log, fails, prints, clean)
    },
    "/v2/good": good,
    "/v2/bad": bad,
    "/v1/good": good,
}


async def _straight(_: Asked) -> HttpAnswer:
    return HttpAnswer(200, (), ATTRIBUTES.encode())


# What answers a POST without aiohttp's request and response.
STRAIGHT = {"/v1/straight": _straight, "/v2/straight": _straight}


async def main(paths: list[str]) -> None:
    app = web.Application()
    for path, answer in PATHS.items():
        app.router.add_get(path, answer)
    runner = GuardedRunner(app, straight=STRAIGHT, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as http:
        for path in paths:
            async with http.request("POST" if path in STRAIGHT else "GET", url + path) as told:
                await told.read()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2:]))
