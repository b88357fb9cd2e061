"""Imported memberships in the SQLite file, beyond what every store promises."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from perso_core.stores import sqlite_imports
from perso_core.stores.imports import Batch, Progress
from perso_core.stores.sqlite import open_sqlite
from tests.building import DAY_MS, NOON_MS
from tests.stores.building import ANNA

LATER_MS = NOON_MS + DAY_MS
ROW = (ANNA, "risk", LATER_MS)


def batch(*rows: tuple[str, str, int], tell: bool = True) -> Batch:
    return Batch(rows=rows, now_ms=NOON_MS, began_ms=NOON_MS, tell=tell)


async def test_an_import_into_an_empty_house_says_only_that_it_was(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "perso.sqlite")
    await store.import_memberships(batch(ROW, tell=False))

    news = await store.news()
    await store.close()

    assert news.imported_any
    assert news.imported == frozenset()


async def test_whoever_slept_through_announcements_hears_that_it_may_be_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_imports, "KEPT_ANNOUNCEMENTS", 3)
    store = await open_sqlite(tmp_path / "perso.sqlite")
    server = await open_sqlite(tmp_path / "perso.sqlite")
    for number in range(sqlite_imports.KEPT_ANNOUNCEMENTS + 1):
        await store.import_memberships(batch((f"CRMID:{number}", "risk", LATER_MS)))

    news = await server.news()
    await store.close()
    await server.close()

    assert news.imported_any


async def test_what_ended_long_ago_is_swept_a_part_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    await store.import_memberships(
        batch(*((f"CRMID:{n}", "risk", NOON_MS + n + 1) for n in range(10)), ROW)
    )
    await store.close()
    connection = apsw.Connection(str(path))
    after: tuple[str, str] | None = ("", "")
    parts = 0

    while after is not None:
        after = sqlite_imports.sweep(connection, after, ended_ms=NOON_MS + 6, limit=4)
        parts += 1

    left = {key for (key,) in connection.execute("SELECT key FROM imported").fetchall()}
    assert parts == 3
    assert left == {ANNA, *(f"CRMID:{n}" for n in range(5, 10))}


async def test_only_the_files_imported_last_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_imports, "KEPT_FILES", 3)
    store = await open_sqlite(tmp_path / "perso.sqlite")
    first, *others = [b"%d" % n for n in range(sqlite_imports.KEPT_FILES + 1)]
    for name in (first, *others):
        await store.keep_progress(name, Progress(began_ms=NOON_MS))

    known = [await store.progress(name) for name in (first, others[0], others[-1])]
    await store.close()

    assert [one is not None for one in known] == [False, True, True]


async def test_announcements_that_all_have_heard_go_and_later_ones_stay(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "perso.sqlite")
    server = await open_sqlite(tmp_path / "perso.sqlite")
    await store.import_memberships(batch(ROW))
    heard = await store.last_announced()
    await server.news()
    await store.import_memberships(batch(("CRMID:4711", "risk", LATER_MS)))

    await store.sweep_imported(0, heard=heard)
    news = await server.news()
    await store.close()
    await server.close()

    assert (news.imported, news.imported_any) == (frozenset({"CRMID:4711"}), False)
