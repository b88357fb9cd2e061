"""A withdrawal is in force within two seconds in every process that shares the store, and what it
took does not come back, whichever process held the visitor in memory."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from perso_core.assembly import DATABASE
from perso_core.decision.consent import refused
from perso_core.stores.protocol import Stored
from perso_core.stores.sqlite import open_sqlite
from tests.journeys.server import Server, Visitor, prepare, serving, session

IN_FORCE_WITHIN_S = 2


async def choose(
    http: aiohttp.ClientSession, server: Server, visitor: Visitor, general: str
) -> None:
    consent = {"standard": "Adobe", "version": "1.0", "value": {"general": general}}
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    async with http.post(
        f"{server.url}/v1/privacy/set-consent",
        params={"configId": "demo"},
        json={"consent": [consent]},
        headers={"Cookie": cookies},
    ) as answer:
        assert answer.status == 200, await answer.text()


def withheld(told: dict[str, Any]) -> bool:
    warnings = [one["type"].rpartition("/")[2] for one in told.get("warnings", ())]
    return "EXEG-0301-200" in warnings and not activations(told)


def activations(told: dict[str, Any]) -> list[Any]:
    return [handle for handle in told["handle"] if handle["type"] == "activation:pull"]


async def asked(http: aiohttp.ClientSession, server: Server, visitor: Visitor) -> dict[str, Any]:
    """Who the visitor is, which records nothing. Without the consent cookie: the store decides."""
    cookies = "; ".join(
        f"{name}={value}" for name, value in visitor.cookies.items() if "consent" not in name
    )
    async with http.post(
        f"{server.url}/v1/identity/acquire",
        params={"configId": "demo"},
        json={"query": {"identity": {"fetch": ["ECID"]}}},
        headers={"Cookie": cookies},
    ) as answer:
        told: dict[str, Any] = await answer.json()
        return told


async def stored(data_dir: Path, visitor: Visitor) -> Stored:
    store = await open_sqlite(data_dir / DATABASE)
    try:
        return await store.load(visitor.profile_key)
    finally:
        await store.close()


async def until_withheld(http: aiohttp.ClientSession, server: Server, visitor: Visitor) -> float:
    """Seconds until the process knows of the refusal by itself, without a write of its own."""
    began_s = time.monotonic()
    while not withheld(await asked(http, server, visitor)):
        assert time.monotonic() - began_s < IN_FORCE_WITHIN_S, "the withdrawal is not in force"
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def test_a_withdrawal_at_one_process_is_in_force_at_the_other_within_two_seconds(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(prepare, tmp_path)
    with serving(tmp_path) as here, serving(tmp_path) as there:
        async with session() as http:
            visitor = Visitor("anna")
            for server in (here, there):  # hot in both
                assert activations(await visitor.send(http, server.url))
            assert not withheld(await asked(http, there, visitor))

            await choose(http, here, visitor, "out")
            await until_withheld(http, there, visitor)

            assert withheld(await visitor.send(http, there.url))
            kept = await stored(tmp_path, visitor)
            assert kept.profile is None
            assert refused(kept.consent)

            await choose(http, there, visitor, "in")
            told = await visitor.send(http, there.url)
            assert len(activations(told)) == 1
            await choose(http, there, visitor, "out")
            await until_withheld(http, here, visitor)


@pytest.mark.parametrize("round_", range(3))
async def test_events_at_one_process_while_another_withdraws_leave_no_profile(
    tmp_path: Path, round_: int
) -> None:
    """Whatever the order in which they reach the disk."""
    await asyncio.to_thread(prepare, tmp_path)
    with serving(tmp_path) as here, serving(tmp_path) as there:
        async with session() as http:
            visitors = [Visitor(f"v-{round_}-{number}") for number in range(12)]
            for visitor in visitors:
                await visitor.send(http, there.url)
                await visitor.send(http, here.url)

            async def goes_on(visitor: Visitor) -> None:
                for _ in range(8):
                    await visitor.send(http, there.url)

            async def withdraws(visitor: Visitor) -> None:
                await asyncio.sleep(0.005 * (int(visitor.name[-1]) % 4))
                await choose(http, here, visitor, "out")

            acts = [act(visitor) for visitor in visitors for act in (goes_on, withdraws)]
            await asyncio.gather(*acts)

            for visitor in visitors:
                assert withheld(await visitor.send(http, there.url))
                kept = await stored(tmp_path, visitor)
                assert kept.profile is None
                assert refused(kept.consent)
