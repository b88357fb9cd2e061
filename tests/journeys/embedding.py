"""What gunicorn serves in tests: an application that embeds Perso, opened in each process.

PERSO_TEST_DATA_DIR: where. PERSO_TEST_WORKERS: how many processes there are.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from aiohttp import web

from perso_core.assembly import GuardedRunner, Perso, open_perso
from perso_core.settings import Settings
from tests.patience import PATIENT_MS


def settings() -> Settings:
    return Settings(
        data_dir=os.environ["PERSO_TEST_DATA_DIR"],
        workers=int(os.environ["PERSO_TEST_WORKERS"]),
        answer_within_ms=PATIENT_MS,
        load_timeout_ms=PATIENT_MS,
    )


def serving(perso: Perso) -> web.Application:
    app = web.Application()
    app.add_subapp("/ee", perso.edge_app())
    return app


async def application() -> web.AppRunner:
    """gunicorn awaits it in each process, after the fork."""
    opened = AsyncExitStack()
    app = serving(await opened.enter_async_context(open_perso(settings())))

    async def close(_: web.Application) -> None:
        await opened.aclose()

    app.on_cleanup.append(close)
    return GuardedRunner(app, access_log=None)
