"""A flood of hits without cookies: each is kept while it may return, and little is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from perso_core.engine.engine import Engine
from perso_core.stores.sqlite import open_sqlite
from perso_core.worker import sweeping
from perso_core.worker.sweeping import Sweeper
from tests.building import HOUR_MS, MINUTE_MS, NOON_MS, event, snapshot
from tests.soaking import times
from tests.stores.building import arrived
from tests.stores.test_forgetting import first_visit, returned

HITS = times(5_000, 1_000_000)
BATCH = 500
RETURNING = 100
# What a page's event has in it beside its type.
PAGE: dict[str, Any] = {"web": {"webPageDetails": {"URL": "https://www.shop.test/" + "x" * 300}}}
MOST_LEFT_BYTES = 50_000_000


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


async def test_a_million_hits_leave_less_than_50_mb_and_whoever_returned_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MIN_PAUSE_S", 0.0)
    monkeypatch.setattr(sweeping, "PAUSE_TIMES", 0)
    store = await open_sqlite(tmp_path / "perso.sqlite")
    stay = [f"ECID:stay{number}" for number in range(RETURNING)]
    await store.commit([first_visit(key=key) for key in stay])
    await store.commit([returned(key) for key in stay])
    before = size(tmp_path)

    for at in range(0, HITS, BATCH):
        page = event(at_ms=NOON_MS, **PAGE)
        hits = (arrived(page, f"ECID:{at + n:038d}") for n in range(BATCH))
        await store.commit([structs.replace(one, first_visit_ms=NOON_MS) for one in hits])
    peak = size(tmp_path)
    engine = Engine(snapshot(), first_visit_ms=30 * MINUTE_MS)
    sweeper = Sweeper(
        engine, store, wall_ms=lambda: NOON_MS + HOUR_MS, mine=lambda: True, commits=lambda: 0
    )
    await sweeper.round()
    left = [(await store.load(key)).profile is not None for key in stay]
    gone = (await store.load(f"ECID:{0:038d}")).profile
    await store.close()

    after = size(tmp_path)
    print(f"{HITS:,} hits: {peak - before:,} bytes more, then {after - before:,}")
    assert all(left)
    assert gone is None
    assert sweeper.removed >= HITS
    assert after - before < min(MOST_LEFT_BYTES, HITS * 1_000)
