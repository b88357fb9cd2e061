"""The demo's clock: the real time, moved on by as many days as visitors asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

DAY_MS = 24 * 60 * 60 * 1000


def real_time_ms() -> int:
    """Epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000


class DemoClock:
    """Called, it gives epoch milliseconds. The offset stays in a file, so that a restart is no
    trip back: a visitor who came back tomorrow is still there."""

    def __init__(self, path: Path, *, real_ms: Callable[[], int] = real_time_ms) -> None:
        self._path = path
        self._real_ms = real_ms
        self.offset_ms = _kept(path)

    def __call__(self) -> int:
        return self._real_ms() + self.offset_ms

    def now(self) -> datetime:
        """The demo's instant, UTC."""
        return datetime.fromtimestamp(self() / 1000, UTC)

    def move_on(self, duration_ms: int) -> None:
        """Move the clock forward, for every visitor of this demo, and keep it moved."""
        assert duration_ms >= 0, "the demo's clock never goes back"
        self.offset_ms += duration_ms
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{self.offset_ms}\n")
        os.replace(beside, self._path)


def _kept(path: Path) -> int:
    """0 where there is no file, or one that somebody else wrote."""
    try:
        return max(0, int(path.read_text()))
    except (FileNotFoundError, ValueError):
        return 0
