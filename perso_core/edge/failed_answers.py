"""How many answers told of what failed here (status 207): in the log, and where `perso doctor`
finds it. Of a disk that is merely slow nothing else does."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from perso_core.edge.problem import Unexpected

TOLD_EACH_S = 10.0

_log = logging.getLogger("perso.edge")


class FailedAnswers:
    """keep: writes down how many there were since the start, and when the last one was (epoch
    milliseconds). It touches the disk, so it is called in a thread, and returns whether it could;
    None: nobody asks. total: since the start. kept: how many of these are written down."""

    def __init__(self, keep: Callable[[int, int], bool] | None = None) -> None:
        self._keep = keep
        self.total = self.kept = self._told = self._last_ms = 0
        self._codes: Counter[str] = Counter()  # of those that were not told yet
        self._alarm: asyncio.TimerHandle | None = None
        self._keeping: asyncio.Future[bool] | None = None

    def count(self, codes: Iterable[str], now_ms: int) -> None:
        """One more. codes: of its errors."""
        self.total += 1
        self._last_ms = now_ms
        # A fault of ours has its own line each time.
        self._codes.update(code for code in codes if code != Unexpected.code)
        if self._alarm is None:
            self._tell()
            self._alarm = asyncio.get_running_loop().call_later(TOLD_EACH_S, self.look_again)

    def look_again(self) -> None:
        """Tell of those that came since the last time, each TOLD_EACH_S as long as there are."""
        self._alarm = None
        if self._codes or self.kept != self.total:
            self._tell()
            self._alarm = asyncio.get_running_loop().call_later(TOLD_EACH_S, self.look_again)

    def close(self) -> None:
        """Tell of what was not told yet."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._log()

    def _tell(self) -> None:
        self._log()
        if self._keep is None:
            self.kept = self.total
        # One at a time: a disk that stands still takes a while.
        elif self._keeping is None or self._keeping.done():
            loop, total = asyncio.get_running_loop(), self.total
            self._keeping = loop.run_in_executor(None, self._keep, total, self._last_ms)
            self._keeping.add_done_callback(partial(self._note_kept, total))

    def _note_kept(self, total: int, kept: asyncio.Future[bool]) -> None:
        if not kept.cancelled() and kept.result():
            self.kept = total

    def _log(self) -> None:
        if not self._codes:
            return
        codes = ", ".join(f"{code} {count:,} times" for code, count in self._codes.most_common())
        _log.warning(
            "Answers with status 207: %s, and %s since the start (%s).",
            f"{self.total - self._told:,}",
            f"{self.total:,}",
            codes,
        )
        self._told = self.total
        self._codes.clear()
