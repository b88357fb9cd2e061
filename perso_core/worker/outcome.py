"""How work ended for which nobody may wait any more."""

from __future__ import annotations

import asyncio
from typing import Any


def read_outcome(done: asyncio.Future[Any]) -> None:
    """Of one that is done. asyncio complains of a failure that nobody has read, and whoever waited
    may have given up."""
    if not done.cancelled():
        done.exception()
