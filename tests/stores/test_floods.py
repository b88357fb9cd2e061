"""A flood of hits without cookies: each is kept while it may return, and little is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import structs

from perso_core.engine.engine import Engine
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_writer import Writer
from perso_core.worker import sweeping
from perso_core.worker.sweeping import Sweeper
from tests.building import HOUR_MS, MINUTE_MS, NOON_MS, event, snapshot
from tests.soaking import times
from tests.stores.building import arrived, forgot
from tests.stores.test_forgetting import first_visit, returned
from tests.stores.test_sqlite import sql

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


def test_of_many_who_are_erased_at_once_the_queue_is_looked_through_once(tmp_path: Path) -> None:
    """Behind a flood of a million each look took 35 ms, in which nothing else was kept."""
    keys = [f"ECID:{number:038d}" for number in range(9)]
    path = tmp_path / "perso.sqlite"
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    came = [first_visit(key=key) for key in keys]
    writer.commit(came, False)
    said: list[str] = []
    connection = writer.in_transaction(lambda connection: connection)
    connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda told: said.append(told["sql"]))

    writer.commit([*(forgot(key) for key in keys[1:]), came[3]], False)

    assert sum(one.startswith("DELETE FROM first_visit") for one in said) == 1
    assert sql(path, "SELECT key FROM first_visit") == [(keys[0],), (keys[3],)]
    writer.close()
