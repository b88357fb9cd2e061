"""Waiting until every process that serves a store has taken over what was written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from perso_core.errors import NotHeardEverywhere, StoreUnavailable
from perso_core.stores.presence import Serving, serving

HEARD_LIMIT_S = 30.0
LOOK_AGAIN_S = 0.005


class Everywhere:
    """announce: saves a further version, that each process tells once it has taken over all that
    was written before; None: there is none to tell. Those who wait at the same time share one.
    """

    def __init__(self, data_dir: Path, announce: Callable[[], Awaitable[int | None]]) -> None:
        self._data_dir = data_dir
        self._announce = announce
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def heard(self) -> None:
        """Returns once all that is written by now is known everywhere. Raises
        NotHeardEverywhere, also where the store takes no announcement."""
        if self._next is None:
            self._next = asyncio.create_task(self._told())
        await asyncio.shield(self._next)

    async def _told(self) -> None:
        async with self._turn:
            self._next = None  # who comes from now on wrote after this announcement
            try:
                version = await self._announce()
            except StoreUnavailable as error:
                raise NotHeardEverywhere(
                    "whether every server has heard of it cannot be told now.",
                    fix="They hear of it by themselves. Send the same again to be told.",
                ) from error
            if version is not None:
                await self._wait(version)

    async def _wait(self, version: int) -> None:
        give_up_s = time.monotonic() + HEARD_LIMIT_S
        while late := [one for one in serving(self._data_dir) if one.version < version]:
            if time.monotonic() > give_up_s:
                raise NotHeardEverywhere(
                    f"not heard of after {HEARD_LIMIT_S:g} s by {_named(late)}.",
                    fix="Look why in its log, and restart it.",
                )
            await asyncio.sleep(LOOK_AGAIN_S)


def _named(late: Sequence[Serving]) -> str:
    return ", ".join(f"process {one.pid}" for one in late)
