"""One demo for all tests here, a browser for each module; each test has a visitor of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.demo.browser import chromium
from tests.demo.running import Demo
from tests.demo.running import demo as running_demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For modules without async tests: Playwright's own loop runs as long as the browser does."""
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running
