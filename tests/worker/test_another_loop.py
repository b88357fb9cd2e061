"""Perso in an application with several event loops: it is asked in its own one, or says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perso_core.assembly import open_perso
from perso_core.engine.engine import Answer
from perso_core.errors import AnotherEventLoop
from perso_core.settings import Settings
from tests.building import definitions
from tests.worker.stack import Stack, running


def asked_elsewhere(stack: Stack) -> Answer:
    return asyncio.run(stack.visit())


async def test_who_asks_in_another_event_loop_is_refused_and_nothing_is_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as stack:
        for _ in range(2):
            with pytest.raises(AnotherEventLoop, match="in the event loop that opened it"):
                await asyncio.to_thread(asked_elsewhere, stack)

        assert len(stack.engine) == 0
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        await stack.begin_visit()


async def test_nor_are_definitions_put_in_force_from_another_event_loop(tmp_path: Path) -> None:
    async with open_perso(Settings(data_dir=str(tmp_path))) as perso:
        with pytest.raises(AnotherEventLoop):
            await asyncio.to_thread(lambda: asyncio.run(perso.apply(definitions())))

        assert perso.definitions() is None
        assert await perso.apply(definitions()) == 1
