from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.edge.raw import LISTED
from tests.edge.running import RunningEdge, ordinary, running_edge
from tests.journeys.server import prepare, serving


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    """Datastream `demo`, consent `in` by default, no audiences, a page at www.shop.test."""
    async with running_edge(ordinary()) as running:
        yield running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `perso serve`, a process of its own: `demo` too, for the pages LISTED."""
    data_dir = tmp_path_factory.mktemp("served")
    prepare(data_dir, ordinary(allowed_origins=LISTED))
    with serving(data_dir) as server:
        yield server.url
