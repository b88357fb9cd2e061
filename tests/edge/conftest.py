from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.edge.running import RunningEdge, ordinary, running_edge


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    """Datastream `demo`, consent `in` by default, no audiences, a page at www.shop.test."""
    async with running_edge(ordinary()) as running:
        yield running
