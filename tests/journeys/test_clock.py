"""The clock jumps while visitors come: no call fails, nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from aiohttp.web import Application

from perso_core.assembly import Perso, open_perso
from perso_core.decision.identity import Identity
from perso_core.settings import Settings
from tests.building import NOON_MS, definitions
from tests.journeys.server import Visitor, session
from tests.patience import PATIENT_MS

ADDED = "commerce.productListAdds"
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
JUMPS = [-SECOND, -HOUR, -400 * DAY, HOUR, 400 * DAY]


class Clock:
    now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@asynccontextmanager
async def served(
    data_dir: Path, clock: Clock, *, workers: int = 1
) -> AsyncIterator[tuple[Perso, str]]:
    """An edge on disk, and its address. workers: how many there are of it."""
    settings = Settings(
        data_dir=str(data_dir),
        answer_within_ms=PATIENT_MS,
        load_timeout_ms=PATIENT_MS,
        workers=workers,
    )
    async with open_perso(settings, clock_ms=clock) as perso:
        await perso.apply(definitions())
        app = Application()
        app.add_subapp("/ee", perso.edge_app())
        server = TestServer(app)
        await server.start_server()
        try:
            yield perso, str(server.make_url("/ee"))
        finally:
            await server.close()


async def events_of(perso: Perso, visitor: Visitor) -> list[str]:
    kept = await perso.everything(Identity("ECID", visitor.ecid))
    profile = kept[visitor.profile_key].stored.profile
    assert profile is not None
    return [event.id for event in profile.events]


@pytest.mark.parametrize("jump", JUMPS)
async def test_whatever_the_clock_does_each_event_is_stored_once(jump: int, tmp_path: Path) -> None:
    clock, anna, bert = Clock(), Visitor("anna"), Visitor("bert")
    async with served(tmp_path, clock) as (perso, url), session() as http:
        for _ in range(3):
            await anna.send(http, url)
            clock.now_ms += SECOND
        clock.now_ms += jump
        for _ in range(3):
            await anna.send(http, url)
            await bert.send(http, url)
            clock.now_ms += SECOND
        await sent_again(anna, http, url)

        assert len(anna.acknowledged) == 7
        kept = await events_of(perso, anna)
        # Whoever comes after 400 days only is past their retention, and may be forgotten already.
        surely = set(anna.acknowledged[3 if jump > 300 * DAY else 0 :])
        assert surely <= set(kept) <= set(anna.acknowledged)
        assert len(kept) == len(set(kept))
        assert await events_of(perso, bert) == bert.acknowledged
    async with served(tmp_path, clock) as (perso, url), session() as http:
        await anna.send(http, url)
        assert surely | {anna.acknowledged[-1]} <= set(await events_of(perso, anna))


async def sent_again(visitor: Visitor, http: aiohttp.ClientSession, url: str) -> None:
    """The event sent last: a retry, with its id."""
    visitor.sent.pop()
    await visitor.send(http, url)


async def audiences_of(visitor: Visitor, http: aiohttp.ClientSession, url: str) -> list[str]:
    """What they are in after one more page."""
    told = await visitor.send(http, url)
    (handle,) = [one for one in told["handle"] if one["type"] == "activation:pull"]
    return [one["id"] for one in handle["payload"][0]["segments"]]


@pytest.mark.parametrize("ahead", [HOUR, DAY, 400 * DAY])
async def test_once_a_clock_that_ran_ahead_is_put_right_all_counts_as_it_should(
    ahead: int, tmp_path: Path
) -> None:
    """Whoever put something in the basket meanwhile is in the audience for an hour, and out of it
    after that, whichever process they come to."""
    clock, anna = Clock(), Visitor("anna")
    async with (
        served(tmp_path, clock, workers=2) as (perso, url),
        served(tmp_path, clock, workers=2) as (_, other_url),
        session() as http,
    ):
        clock.now_ms += ahead
        anna.event_type = "view"
        await anna.send(http, url)
        anna.event_type = ADDED
        await anna.send(http, other_url)
        anna.event_type = "view"
        clock.now_ms += SECOND - ahead

        assert await audiences_of(anna, http, url) == ["basket"]
        clock.now_ms += 59 * 60 * SECOND
        assert await audiences_of(anna, http, other_url) == ["basket"]
        clock.now_ms += 60 * SECOND
        assert await audiences_of(anna, http, url) == []
        anna.event_type = ADDED
        assert await audiences_of(anna, http, other_url) == ["basket"]

        assert sorted(await events_of(perso, anna)) == sorted(anna.acknowledged)


@pytest.mark.parametrize("jump", [jump for jump in JUMPS if jump < 0])
async def test_whoever_was_erased_begins_anew_though_the_clock_steps_back(
    jump: int, tmp_path: Path
) -> None:
    """The erasure is dated in the future then; it must not swallow what comes after it."""
    clock, anna = Clock(), Visitor("anna")
    async with served(tmp_path, clock) as (perso, url), session() as http:
        await anna.send(http, url)
        assert await perso.erase(Identity("ECID", anna.ecid)) == 1
        clock.now_ms += jump

        await anna.send(http, url)

        assert await events_of(perso, anna) == anna.acknowledged[1:]
