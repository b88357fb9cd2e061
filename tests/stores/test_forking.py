"""A process that was forked off one with an open store says so, and harms nothing there."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from perso_core.errors import OpenedBeforeFork
from perso_core.stores.presence import Presence, serving
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.turn import OnlyOne, turn
from perso_core.worker.hearing import Hearing
from tests.building import event
from tests.stores.building import ANNA, BERT, arrived

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def forked(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The status of a child that does this, and then ends as any Python process does."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            # The parent's loop is not the child's.
            asyncio.events._set_running_loop(None)
            asyncio.run(work())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_a_store_refuses_the_child_and_serves_the_parent(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "perso.sqlite")
    await store.commit([arrived(event(), ANNA)])

    async def child() -> None:
        for call in (
            lambda: store.load(ANNA),
            lambda: store.commit([arrived(event(), BERT)]),
            lambda: store.news(),
            # SQLite would take itself for the parent, and its locks for held.
            lambda: open_sqlite(tmp_path / "perso.sqlite"),
            lambda: open_sqlite(tmp_path / "another.sqlite"),
        ):
            with pytest.raises(OpenedBeforeFork, match="each process"):
                await call()
        await store.close()

    assert forked(child) == 0
    await store.commit([arrived(event(), BERT)])
    assert (await store.load(BERT)).profile is not None
    await store.close()


async def test_a_child_of_a_process_that_closed_its_store_opens_its_own(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "perso.sqlite")
    await store.close()

    async def child() -> None:
        its_own = await open_sqlite(tmp_path / "perso.sqlite")
        await its_own.commit([arrived(event(), ANNA)])
        await its_own.close()

    assert forked(child) == 0


async def test_a_child_never_answers_by_what_its_parent_held() -> None:
    hearing = Hearing()
    assert not hearing.deaf

    async def child() -> None:
        assert hearing.deaf
        hearing.caught_up()
        assert hearing.deaf
        assert isinstance(hearing.refusal(), OpenedBeforeFork)

    assert forked(child) == 0
    assert not hearing.deaf


async def test_a_child_is_no_process_that_serves(tmp_path: Path) -> None:
    """Else `perso apply` would wait for a server that is gone."""
    presence = Presence(tmp_path)
    with child_that_stays():
        assert [one.pid for one in serving(tmp_path)] == [os.getpid()]
        os.close(presence._descriptor)  # as a kill of the parent does it
        assert serving(tmp_path) == []
    presence._closed = True


async def test_what_is_past_its_retention_waits_for_no_child(tmp_path: Path) -> None:
    """Such as a pool of multiprocessing's: as long as it lives nobody would remove anything."""
    parents = OnlyOne(tmp_path)
    assert parents.mine()
    with child_that_stays():
        assert parents.mine()
        parents.close()
        another = OnlyOne(tmp_path)
        assert another.mine()
        another.close()


async def test_nobody_waits_for_a_child_of_who_had_the_turn(tmp_path: Path) -> None:
    with ExitStack() as staying:
        async with turn(tmp_path):
            staying.enter_context(child_that_stays())
        async with asyncio.timeout(1), turn(tmp_path):
            pass


async def test_a_child_removes_nothing(tmp_path: Path) -> None:
    parents = OnlyOne(tmp_path)
    assert parents.mine()

    async def child() -> None:
        assert not parents.mine()

    assert forked(child) == 0
    parents.close()


@contextmanager
def child_that_stays() -> Iterator[None]:
    """It has all that its parent had open, until the block ends."""
    told, tells = os.pipe()
    waits, ends = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(tells, b"!")
        os.read(waits, 1)
        os._exit(0)
    try:
        os.read(told, 1)
        yield
    finally:
        os.write(ends, b"!")
        os.waitpid(pid, 0)
        for descriptor in (told, tells, waits, ends):
            os.close(descriptor)
