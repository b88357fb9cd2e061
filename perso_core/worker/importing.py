"""Rows of an import on their way into the store, beside servers that write to it, too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct

from perso_core.stores.imports import Batch, Progress, Row, with_withheld
from perso_core.stores.protocol import ImportStore
from perso_core.worker.refresh import Refresh

# Beside servers a transaction holds the writer so long, and as long as that it is let go: their
# commits get in between.
HELD_S = 0.008
_FIRST, _FEWEST, _MOST = 500, 50, 4_000
# Within what time other processes hear of an import, with every core busy: they ask each 20 ms, and
# answer nobody by what they have not read of it from then on.
HEARD_S = 0.25

Recounted = Callable[[Progress, frozenset[str]], Progress]


class Importer(Struct):
    """Writes rows in transactions. beside: whether others write to the store now; alone, all rows
    given at once are one transaction. rows_at_once: how many fit into HELD_S, as far as is known.
    """

    store: ImportStore
    clock_ms: Callable[[], int]
    beside: Callable[[], bool]
    rows_at_once: int = _FIRST

    async def keep(
        self,
        rows: Sequence[Row],
        *,
        began_ms: int,
        name: bytes = b"",
        progress: Progress,
        recounted: Recounted | None = None,
    ) -> Progress:
        """The rows in the order of their keys, of the same key and audience the last. How far the
        file is, progress, is kept with the last of them. Returns it, with what was withheld.
        recounted: gives progress with its lines counted anew, from it and all keys that were
        withheld.
        Raises StoreUnavailable: then a part of the rows may be kept, and progress is not.
        """
        links = await self.store.leading(list({row[0] for row in rows}))
        left = _in_order(rows, links, self.clock_ms())
        gone: frozenset[str] = frozenset()
        while True:
            beside = self.beside()
            size = self.rows_at_once if beside else len(left)
            now, left = left[:size], left[size:]
            batch = Batch(
                rows=now,
                now_ms=self.clock_ms(),
                began_ms=began_ms,
                name=name,
                progress=None if left or not name else progress,
                recounted=None if left or not recounted else _after(gone, recounted),
                tell=beside,
            )
            began_s = time.monotonic()
            withheld = await self.store.import_memberships(batch)
            taken_s = time.monotonic() - began_s
            gone |= withheld
            progress = with_withheld(progress, batch, withheld)
            if not left:
                return progress
            if beside:
                self._learn(len(now), taken_s)
                await asyncio.sleep(taken_s)

    def _learn(self, rows: int, taken_s: float) -> None:
        fitting = int(rows * HELD_S / max(taken_s, 0.000_1))
        self.rows_at_once = min(max(fitting, _FEWEST, rows // 2), _MOST, rows * 2)


def _after(gone: frozenset[str], recounted: Recounted) -> Recounted:
    """With what earlier transactions withheld."""
    return lambda progress, withheld: recounted(progress, gone | withheld)


def _in_order(rows: Sequence[Row], links: Mapping[str, str], now_ms: int) -> list[Row]:
    """Neighbours in the table come together, which writes each of its pages once. Of one person
    they stay in their order: the store lets the last one count. links: keys that lead to
    another."""
    if any(until_ms <= now_ms for _, _, until_ms in rows):
        # Also where the two come in different transactions: nobody leaves in between.
        last = {(links.get(row[0], row[0]), row[1]): row for row in rows}
        rows = list(last.values())
    if not links:
        return sorted(rows, key=itemgetter(0))
    return sorted(rows, key=lambda row: links.get(row[0], row[0]))


class Imports:
    """What servers bring over HTTP, in a process that serves. patch: merges attributes, said at
    an instant, into a profile, durably. settled_s: how long others may take until they know; 0:
    there are none."""

    def __init__(
        self,
        store: ImportStore,
        refresh: Refresh,
        *,
        patch: Callable[[str, Mapping[str, Any], int], Awaitable[bool]],
        clock_ms: Callable[[], int],
        settled_s: float,
    ) -> None:
        self._store = store
        self._refresh = refresh
        self.patch = patch
        self._clock_ms = clock_ms
        self._settled_s = settled_s

    async def keep(self, rows: Sequence[Row], began_ms: int) -> frozenset[str]:
        importer = Importer(self._store, self._clock_ms, lambda: True)
        gone: set[str] = set()

        def noted(progress: Progress, withheld: frozenset[str]) -> Progress:
            gone.update(withheld)
            return progress

        progress = Progress(began_ms=began_ms)
        await importer.keep(rows, began_ms=began_ms, progress=progress, recounted=noted)
        return frozenset(gone)

    async def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        return await self._store.seen_on(keys, datastream_id)

    async def withheld(self, keys: Sequence[str], began_ms: int) -> frozenset[str]:
        return await self._store.withheld(keys, since_ms=began_ms)

    async def live(self) -> None:
        await self._refresh.up_to_date()
        await asyncio.sleep(self._settled_s)
