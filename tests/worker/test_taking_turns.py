"""A server's threads take short turns; whoever embeds Perso has their own way."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from perso_core import serving
from perso_core.settings import Settings
from perso_core.worker.taking_turns import WAITS_S, in_short_turns


def test_turns_are_short_until_the_block_ends_however_it_does() -> None:
    before = sys.getswitchinterval()

    with pytest.raises(KeyError):
        _fails_in_short_turns()

    assert sys.getswitchinterval() == before


def test_perso_serve_is_such_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[float] = []

    def run(served: Coroutine[Any, Any, None]) -> None:
        served.close()
        took.append(sys.getswitchinterval())

    monkeypatch.setattr(uvloop, "run", run)

    serving.serve(Settings(data_dir=str(tmp_path)), ready=lambda _: None)

    assert took == [pytest.approx(WAITS_S)]


def _fails_in_short_turns() -> None:
    with in_short_turns():
        assert sys.getswitchinterval() == pytest.approx(WAITS_S)
        raise KeyError
