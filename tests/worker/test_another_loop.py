"""Perso in an application with several event loops: it is asked in its own one, or says so."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from perso_core import PageRequest
from perso_core.assembly import open_perso
from perso_core.engine.engine import Answer
from perso_core.engine.explaining import explained
from perso_core.errors import AnotherEventLoop, OpenedBeforeFork, StoreUnavailable
from perso_core.pql.explain import Explanation
from perso_core.settings import Settings
from tests.building import NOON_MS, definitions
from tests.stores.test_forking import forked
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


async def test_a_reason_that_a_templates_thread_asks_for_is_told_in_the_loop_that_opened_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads changed the profile in memory: an event that was acknowledged meanwhile was gone
    from answers until the next one."""
    async with open_perso(Settings(data_dir=str(tmp_path)), clock_ms=lambda: NOON_MS) as perso:
        await perso.apply(definitions())
        event = {"eventType": "commerce.productListAdds"}
        shown = await perso.visit(PageRequest(datastream_id="demo", xdm=event, wait_ms=10_000))
        asked_in: list[int] = []

        def told(*args: Any, **more: Any) -> Explanation:
            asked_in.append(threading.get_ident())
            return explained(*args, **more)

        # The engine itself may be a class of C, which nobody changes.
        monkeypatch.setattr("perso_core.engine.engine.explained", told)

        why = await asyncio.to_thread(shown.reason, "basket", "cms")

        assert why.holds
        assert asked_in == [threading.get_ident()]
        assert shown.reason("basket", "cms") == why


async def test_a_reason_is_not_waited_for_where_the_loop_does_not_come_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_perso(Settings(data_dir=str(tmp_path))) as perso:
        await perso.apply(definitions())
        event = {"eventType": "commerce.productListAdds"}
        shown = await perso.visit(PageRequest(datastream_id="demo", xdm=event, wait_ms=10_000))
        monkeypatch.setattr("perso_core.assembly.EXPLAINED_WITHIN_S", 0.01)
        told: list[str] = []

        def ask() -> None:
            with pytest.raises(StoreUnavailable) as raised:
                shown.reason("basket", "cms")
            told.append(raised.value.detail)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()  # the loop stands still meanwhile

        assert told == ["its event loop did not come round in time."]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_child_that_was_forked_off_is_refused_a_reason_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had waited for an event loop that does not go on there, for a second each time; where that
    stood still as it forked it was told what the parent held."""
    async with open_perso(Settings(data_dir=str(tmp_path))) as perso:
        await perso.apply(definitions())
        event = {"eventType": "commerce.productListAdds"}
        shown = await perso.visit(PageRequest(datastream_id="demo", xdm=event, wait_ms=10_000))
        monkeypatch.setattr("perso_core.assembly.EXPLAINED_WITHIN_S", 0.01)

        async def child() -> None:
            with pytest.raises(OpenedBeforeFork):
                await asyncio.to_thread(shown.reason, "basket", "cms")

        assert forked(child) == 0
