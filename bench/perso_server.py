"""`python -m bench.perso_server DIRECTORY AUDIENCES`: Perso with SQLite there, under /ee."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

from bench.audiences import definitions
from bench.serving import serve_until_told
from perso_core.assembly import open_perso
from perso_core.settings import Settings


async def serve(data_dir: str, audiences: int) -> None:
    async with open_perso(Settings(data_dir=data_dir)) as perso:
        await perso.apply(definitions(audiences))
        app = web.Application()
        app.add_subapp("/ee", perso.edge_app())
        await serve_until_told(app)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
