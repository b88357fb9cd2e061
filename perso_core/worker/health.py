"""Whether this process can keep what is decided, now, and what it has counted since it began."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping

from perso_core.engine.engine import Engine
from perso_core.errors import Overloaded, StoreUnavailable
from perso_core.worker.drain import Drain
from perso_core.worker.outcome import read_outcome


class Health:
    """deaf: whether what others revoke is not heard, so that nobody is answered. try_commit:
    returns once something was written and is on disk. Raises StoreUnavailable."""

    def __init__(
        self,
        engine: Engine,
        drain: Drain,
        deaf: Callable[[], bool],
        try_commit: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._drain = drain
        self._deaf = deaf
        self._try_commit = try_commit
        self._trying: asyncio.Future[None] | None = None

    async def why_not(self) -> str:
        """The code of the error that nothing can be stored for, or nobody answered; "": none. A
        disk that stands still is waited for: whoever asks has a deadline."""
        if self._deaf():
            return StoreUnavailable.code
        if self._engine.room <= 0:
            return Overloaded.code
        # One at a time, whoever asks and gives up: else they would stand before what is to be kept.
        if self._trying is None or self._trying.done():
            self._trying = asyncio.ensure_future(self._try_commit())
            self._trying.add_done_callback(read_outcome)
        try:
            await asyncio.shield(self._trying)
        except StoreUnavailable as error:
            return error.code
        return ""

    def counts(self) -> Mapping[str, int]:
        """pid: of this process. waiting, room: changes on their way to the disk, and how many more
        there may be. The others since it began: commits, those that failed, and how often what
        commits had to begin again."""
        drain, engine = self._drain, self._engine
        return {
            "pid": os.getpid(),
            "waiting": engine.waiting,
            "room": engine.room,
            "commits": drain.commits,
            "failedCommits": drain.failures,
            "restarts": drain.crashes,
        }
