"""Who came once is forgotten after half an hour, and whoever came back by then is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from perso_core.assembly import DATABASE, Perso
from perso_core.beside import kept_profile
from perso_core.decision.identity import Identity
from perso_core.settings import Settings
from perso_core.stores.protocol import StoredDefinitions
from perso_core.stores.sqlite import open_sqlite
from perso_core.worker import sweeping
from tests.building import MINUTE_MS, definitions
from tests.journeys.server import Visitor, prepare, serving, session
from tests.journeys.test_clock import Clock, served


async def looked(http: aiohttp.ClientSession, url: str, visitor: Visitor) -> None:
    """The browser asks who it is, and sends nothing."""
    cookies = "; ".join(f"{key}={value}" for key, value in visitor.cookies.items())
    async with http.post(
        f"{url}/v1/identity/acquire",
        params={"configId": "demo"},
        json={"query": {"identity": {"fetch": ["ECID"]}}},
        headers={"Cookie": cookies},
    ) as answer:
        assert answer.status == 200


async def kept_of(perso: Perso, visitor: Visitor) -> int:
    """Events."""
    kept = await perso.everything(Identity("ECID", visitor.ecid))
    profiles = [whole.stored.profile for whole in kept.values()]
    return sum(len(profile.events) for profile in profiles if profile is not None)


async def until_forgotten(perso: Perso, visitor: Visitor) -> None:
    for _ in range(3_000):
        if not await kept_of(perso, visitor):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it was not removed")


async def test_whoever_did_not_come_back_is_forgotten_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TICK_S", 0.01)
    clock = Clock()
    async with served(tmp_path, clock) as (perso, url), session() as http:
        never, by_an_event, by_a_look = Visitor("never"), Visitor("event"), Visitor("look")
        for visitor in (never, by_an_event, by_a_look):
            await visitor.send(http, url)
        clock.now_ms += 29 * MINUTE_MS
        await by_an_event.send(http, url)
        await looked(http, url, by_a_look)

        clock.now_ms += 2 * MINUTE_MS
        await until_forgotten(perso, never)
        clock.now_ms += 60 * MINUTE_MS
        await never.send(http, url)  # its cookies are good, and it begins anew

        assert await kept_of(perso, never) == 1
        assert await kept_of(perso, by_an_event) == 2
        assert await kept_of(perso, by_a_look) == 1


async def test_an_operator_is_told_no_more_of_them_than_a_page_is(tmp_path: Path) -> None:
    clock, visitor = Clock(), Visitor("once")
    async with served(tmp_path, clock) as (_, url), session() as http:
        await visitor.send(http, url)

    def told(after_ms: int) -> bool:
        settings = Settings(data_dir=str(tmp_path))
        identity = Identity("ECID", visitor.ecid)
        stored = StoredDefinitions(1, definitions())
        return kept_profile(identity, stored, settings, now_ms=clock.now_ms + after_ms) is not None

    assert told(30 * MINUTE_MS - 1)
    assert not told(30 * MINUTE_MS)


def test_processes_that_serve_one_store_forget_together(tmp_path: Path) -> None:
    """By the machine's own clock, from one of them."""
    prepare(tmp_path)
    visitors = [Visitor(f"v{number}") for number in range(20)]

    async def come(url: str) -> None:
        async with session() as http:
            for visitor in visitors:
                await visitor.send(http, url)

    async def left() -> int:
        store = await open_sqlite(tmp_path / DATABASE)
        try:
            loaded = [await store.load(visitor.profile_key) for visitor in visitors]
        finally:
            await store.close()
        return sum(one.profile is not None for one in loaded)

    async def forgotten() -> None:
        for _ in range(600):
            if not await left():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("they were not removed")

    settings = {"workers": 2, "first_visit_retention_s": 1}
    with serving(tmp_path, settings=settings) as server:
        url = server.url.split(",")[0]
        asyncio.run(come(url))
        asyncio.run(forgotten())
        asyncio.run(come(url))  # their cookies are good, and they begin anew

        assert all(len(visitor.acknowledged) == 2 for visitor in visitors)
