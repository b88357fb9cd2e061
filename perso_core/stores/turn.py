"""One process at a time changes what was saved before: reads, changes, saves."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

FILE = "definitions.lock"


@asynccontextmanager
async def turn(data_dir: Path) -> AsyncIterator[None]:
    """Alone among the processes on a data directory, until the block ends.

    Without it, `perso apply` beside `perso key revoke` could bring the key back. The system lets
    go of it for a process that is killed.
    """
    descriptor = os.open(data_dir / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
