"""The file gets smaller again, in steps; one that an earlier Perso made once it is compacted."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from msgspec import structs

from perso_core.decision.retention import Retention
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_compact import compact_store
from perso_core.stores.sqlite_expiry import KEPT_FREE_PAGES
from tests.building import DAY_MS, MINUTE_MS, NOON_MS, event
from tests.stores.building import ANNA, arrived
from tests.stores.test_forgetting import first_visit

PAGE_BYTES = 4_096
VISITORS = 1_500
FIRST_VISITS = Retention(first_visit_ms=30 * MINUTE_MS)
# A visit that fills more than a page.
BODY = "x" * 5_000


async def flooded(store: SqliteStore) -> None:
    """A flood came, and one visitor who returned."""
    page = event(text=BODY)
    for at in range(0, VISITORS, 500):
        await store.commit(
            [
                structs.replace(arrived(page, f"ECID:{at + n}"), first_visit_ms=NOON_MS)
                for n in range(500)
            ]
        )
    await store.commit([arrived(event())])


async def swept(store: SqliteStore) -> None:
    looked = 64
    while looked == 64:
        looked = await store.sweep_first_visits(FIRST_VISITS, now_ms=NOON_MS + DAY_MS, at_most=64)


async def test_the_file_is_small_again_after_a_flood_was_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    await flooded(store)
    await swept(store)

    steps = 1
    while await store.shrink():
        steps += 1
    kept = await store.load(ANNA)
    await store.close()

    assert steps > 5
    assert path.stat().st_size < (KEPT_FREE_PAGES + 100) * PAGE_BYTES < VISITORS * PAGE_BYTES
    assert kept.profile is not None


async def test_a_file_that_an_earlier_perso_made_is_left_as_it_is_until_it_is_compacted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perso.sqlite"
    await (await open_sqlite(path)).close()
    earlier = apsw.Connection(str(path))
    earlier.execute("PRAGMA auto_vacuum = NONE")
    earlier.execute("VACUUM")
    earlier.close()
    store = await open_sqlite(path)
    await flooded(store)
    await swept(store)
    assert not await store.shrink()
    await store.close()
    large = path.stat().st_size

    before, after = compact_store(path)

    assert before == large
    assert after == path.stat().st_size < 100 * PAGE_BYTES
    again = await open_sqlite(path)
    assert (await again.load(ANNA)).profile is not None
    await flooded(again)
    await swept(again)
    assert await again.shrink()
    await again.close()


async def test_compacting_does_not_take_the_store_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    await flooded(store)
    await store.close()
    monkeypatch.setattr("perso_core.stores.sqlite_file._CACHE_KIB", 500)
    before = apsw.memory_used()
    apsw.memory_high_water(reset=True)

    compact_store(path)

    assert apsw.memory_high_water() - before < path.stat().st_size / 2


async def test_what_a_first_visit_left_in_the_queue_is_little(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "perso.sqlite")
    await store.commit([first_visit(), first_visit("e2", base=1), first_visit("e3", base=2)])
    await swept(store)
    await store.close()

    reading = apsw.Connection(str(tmp_path / "perso.sqlite"))
    tables = ("profile", "event", "consent", "first_visit", "quarantine", "notice")
    left = {table: reading.execute(f"SELECT count(*) FROM {table}").get for table in tables}
    reading.close()
    assert left == dict.fromkeys(tables, 0)
