"""One process at a time changes what was saved before; who waits for that can be stopped."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from pathlib import Path

import pytest

from perso_core.stores.turn import FILE, turn


def test_who_waits_for_another_process_keeps_none_from_ending(tmp_path: Path) -> None:
    """As a server that erases somebody beside a `perso apply` that was suspended: told to stop, it
    had not before that went on."""
    another = os.open(tmp_path / FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(another, fcntl.LOCK_EX)

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), turn(tmp_path):
                raise AssertionError("it is another's turn")

    process = threading.Thread(target=asyncio.run, args=(wait(),), daemon=True)
    process.start()
    process.join(5)
    ended = not process.is_alive()
    os.close(another)

    assert ended


async def test_it_is_the_next_ones_turn_once_the_one_before_is_done(tmp_path: Path) -> None:
    order: list[int] = []

    async def take(number: int) -> None:
        async with turn(tmp_path):
            order.append(number)
            await asyncio.sleep(0.01)
            order.append(number)

    await asyncio.gather(*(take(number) for number in range(3)))

    assert order[::2] == order[1::2]
    assert sorted(order[::2]) == [0, 1, 2]
