"""P6: what is revoked at one process, no other one answers with two seconds later: a consent that
is withdrawn, a profile that is erased, destinations that are switched off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct, structs

from perso_core.assembly import Perso, open_perso, system_clock_ms
from perso_core.decision.identity import Identity
from perso_core.settings import Settings
from tests.building import definitions
from tests.edge.servers import api_key, asking, shown_key
from tests.journeys.server import Server, Visitor, prepare, serving, session
from tests.journeys.test_withdrawal import activations, choose
from tests.soaking import Progress, times

IN_FORCE_WITHIN_S = 2
# Of each kind.
REVOCATIONS = times(10, 1_000)
AT_ONCE = 10
DAY_MS = 86_400_000


class Site(Struct):
    """here, there: two processes. operator: a third one, as the command line is."""

    here: Server
    there: Server
    operator: Perso
    http: aiohttp.ClientSession


@asynccontextmanager
async def site(data_dir: Path) -> AsyncIterator[Site]:
    until_ms = system_clock_ms() + DAY_MS
    key = api_key(secrets={"s": until_ms}, may=("identities",))
    await asyncio.to_thread(prepare, data_dir, structs.replace(definitions(), api_keys=(key,)))
    async with AsyncExitStack() as opened:
        here, there = (opened.enter_context(serving(data_dir)) for _ in range(2))
        settings = Settings(data_dir=str(data_dir))
        operator = await opened.enter_async_context(open_perso(settings, announce=True))
        yield Site(here, there, operator, await opened.enter_async_context(session()))


async def asked(site: Site, server: Server, visitor: Visitor) -> bool:
    """Whether a server of the site's is told that the visitor is in the audience. That writes
    nothing, so the process has to hear of the revocation by itself."""
    async with site.http.post(
        f"{server.url}/v2/interact",
        params={"configId": "demo"},
        json=asking(ECID=visitor.ecid),
        headers=shown_key(),
    ) as answer:
        assert answer.status == 200, await answer.text()
        return told_basket(await answer.json())


def told_basket(told: dict[str, Any]) -> bool:
    pulls = [entry for pull in activations(told) for entry in pull["payload"]]
    return any(one["id"] == "basket" for entry in pulls for one in entry["segments"])


async def in_force(answers_with_it: Callable[[], Awaitable[bool]]) -> float:
    """Asked again and again from now on. Returns when it was last answered with what is revoked, in
    seconds."""
    began_s, last_s, without = time.monotonic(), 0.0, 0
    while without < 3:
        asked_s = time.monotonic() - began_s
        if await answers_with_it():
            last_s, without = asked_s, 0
            assert asked_s < IN_FORCE_WITHIN_S, "it is not in force"
        else:
            without += 1
    return last_s


async def known(site: Site, name: str) -> Visitor:
    """In the audience, and in memory of both processes."""
    visitor = Visitor(name)
    for server in (site.here, site.there):
        assert told_basket(await visitor.send(site.http, server.url))
        assert await asked(site, server, visitor)
    return visitor


async def withdrawn(site: Site, name: str) -> float:
    visitor = await known(site, name)
    await choose(site.http, site.here, visitor, "out")
    return await in_force(lambda: asked(site, site.there, visitor))


async def erased(site: Site, name: str) -> float:
    visitor = await known(site, name)
    assert await site.operator.erase(Identity("ECID", visitor.ecid)) == 1
    return max(
        await in_force(lambda: asked(site, site.there, visitor)),
        await in_force(lambda: asked(site, site.here, visitor)),
    )


@pytest.mark.parametrize("revoked", [withdrawn, erased])
async def test_what_one_visitor_revokes_is_in_force_in_all_processes_within_two_seconds(
    revoked: Callable[[Site, str], Awaitable[float]], tmp_path: Path
) -> None:
    latest_s, progress = 0.0, Progress(f"{revoked.__name__}")
    async with site(tmp_path) as both:
        for first in range(0, REVOCATIONS, AT_ONCE):
            names = [f"v{number}" for number in range(first, first + AT_ONCE)]
            latest_s = max(latest_s, *await asyncio.gather(*(revoked(both, one) for one in names)))
            progress.tell(first + AT_ONCE, REVOCATIONS)
    print(f"{REVOCATIONS:,} {revoked.__name__}, the last answer with it after {latest_s:.3f} s")


async def test_destinations_that_are_switched_off_are_off_in_all_processes_within_two_seconds(
    tmp_path: Path,
) -> None:
    latest_s, progress = 0.0, Progress("switched off")
    off, on = definitions(personalization_destinations=False), definitions()
    async with site(tmp_path) as both:
        visitor = await known(both, "anna")
        for number in range(REVOCATIONS // AT_ONCE * 2):
            await both.operator.apply(off)
            latest_s = max(latest_s, await in_force(lambda: asked(both, both.there, visitor)))
            await both.operator.apply(on)
            async with asyncio.timeout(IN_FORCE_WITHIN_S):
                while not await asked(both, both.there, visitor):
                    pass
            progress.tell(number + 1, REVOCATIONS // AT_ONCE * 2)
    print(f"Destinations switched off: the last answer with them after {latest_s:.3f} s")
