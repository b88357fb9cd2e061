"""Every store, opened as often as a test likes on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Store
from perso_core.stores.sqlite import open_sqlite


class OpenStore(Protocol):
    async def __call__(self, **bounds: Any) -> Store:
        """Another store object on the same database."""
        ...


@pytest.fixture(params=["memory", "sqlite"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    database = MemoryDatabase()
    opened: list[Store] = []

    async def open_one(**bounds: Any) -> Store:
        store: Store = (
            MemoryStore(database, **bounds)
            if request.param == "memory"
            else await open_sqlite(tmp_path / "perso.sqlite", **bounds)
        )
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
