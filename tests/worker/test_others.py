"""Several servers on one data directory have to know of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from perso_core.assembly import open_perso
from perso_core.settings import Settings


@pytest.mark.parametrize(("workers", "told"), [(1, True), (2, False)])
async def test_a_server_that_takes_itself_for_the_only_one_says_that_another_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int, *, told: bool
) -> None:
    """They answered without each other's events, for good, and nobody was told."""
    settings = Settings(data_dir=str(tmp_path), workers=workers)
    async with open_perso(settings):
        assert "as well" not in caplog.text
        async with open_perso(settings):
            assert ("is served by process" in caplog.text) is told


async def test_a_server_says_nothing_of_one_that_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        async with open_perso(Settings(data_dir=str(tmp_path))):
            pass
    assert "is served by" not in caplog.text
