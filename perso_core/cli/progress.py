"""How far work is that takes longer than a second."""

from __future__ import annotations

import sys
import time


class Progress:
    """At most a line a second. words: what becomes of each, e.g. "read" or "pages copied"."""

    def __init__(self, words: str, *, now_s: float | None = None) -> None:
        self._words = words
        self._told_s = time.monotonic() if now_s is None else now_s

    def line(self, done: int, of: int, *, now_s: float) -> str | None:
        """None: nothing to tell yet."""
        if now_s - self._told_s < 1:
            return None
        self._told_s = now_s
        return f"{done:,} of {of:,} {self._words} …"

    def tell(self, done: int, of: int) -> None:
        """On stderr, where there is something to tell."""
        line = self.line(done, of, now_s=time.monotonic())
        if line:
            print(line, file=sys.stderr)
