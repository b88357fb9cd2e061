"""`python -m bench.perso_server DIRECTORY AUDIENCES [MIX BEHIND]`: Perso with SQLite there, under
/ee. MIX: of which audiences, `varied` or `mixed`. BEHIND: 1: answers before the disk."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

from bench.audiences import definitions
from bench.audiences_mixed import mixed
from bench.mixed_site import site
from bench.serving import serve_until_told
from perso_core.assembly import open_perso
from perso_core.edge.app import straight
from perso_core.edge.guard import GuardedRunner
from perso_core.settings import Settings
from perso_core.worker.collection import old_left_alone
from perso_core.worker.taking_turns import in_short_turns


async def serve(data_dir: str, audiences: int, mix: str = "varied", behind: int = 0) -> None:
    # Limits are on, and never reached: all the load comes from one network.
    settings = Settings(
        data_dir=data_dir,
        visitor_per_s=100_000,
        network_per_s=1_000_000,
        answer_behind=behind,
    )
    defined = site(mixed(audiences)) if mix == "mixed" else definitions(audiences)
    async with open_perso(settings) as perso:
        await perso.apply(defined)
        app = web.Application()
        edge = perso.edge_app()
        app.add_subapp("/ee", edge)
        # As perso serve does.
        runner = GuardedRunner(app, straight=straight(edge, "/ee"), access_log=None)
        await serve_until_told(runner)


if __name__ == "__main__":
    with old_left_alone(), in_short_turns():  # as perso serve does
        mix, behind = sys.argv[3:5] or ("varied", "0")
        uvloop.run(serve(sys.argv[1], int(sys.argv[2]), mix, int(behind)))
