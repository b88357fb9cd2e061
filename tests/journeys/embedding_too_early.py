"""An application that opens Perso as it is imported: under `gunicorn --preload` before the fork."""

from __future__ import annotations

import asyncio

from aiohttp import web

from perso_core.assembly import open_perso
from tests.journeys.embedding import serving, settings

_opening = open_perso(settings())
_perso = asyncio.new_event_loop().run_until_complete(_opening.__aenter__())


async def application() -> web.Application:
    return serving(_perso)
