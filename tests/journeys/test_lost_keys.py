"""Cookie keys that are gone: the server starts, and its log says what that does to visitors."""

from __future__ import annotations

from pathlib import Path

import pytest

from perso_core.assembly import DATABASE, open_perso
from perso_core.beside import KEYS
from perso_core.settings import Settings
from perso_core.stores.sqlite import open_sqlite
from tests.building import event
from tests.stores.building import ANNA, arrived


async def opened_and_closed(directory: Path) -> None:
    async with open_perso(Settings(data_dir=str(directory))):
        pass


async def test_that_nobody_is_known_by_their_cookies_any_more_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await opened_and_closed(tmp_path)
    store = await open_sqlite(tmp_path / DATABASE)
    await store.commit([arrived(event(), ANNA)])
    await store.close()
    await opened_and_closed(tmp_path)
    assert "cookie-keys" not in caplog.text

    (tmp_path / KEYS).unlink()
    await opened_and_closed(tmp_path)

    assert "cookie-keys.json is missing" in caplog.text


async def test_of_a_store_that_no_visitor_came_to_none_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_sqlite(tmp_path / DATABASE)
    await store.commit([arrived(None, ANNA)])
    await store.close()

    await opened_and_closed(tmp_path)

    assert "cookie-keys" not in caplog.text
