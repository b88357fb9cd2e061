"""Random bytes of the system's, drawn many at a time."""

from __future__ import annotations

import os

DRAWN_BYTES = 4_096


class Entropy:
    """Gives random bytes, each of them once. For one thread.

    The system is asked once in 256 identifiers: while it answers another thread may take the
    interpreter, and a request waits until it gives it back.
    """

    def __init__(self) -> None:
        self._drawn = b""
        self._used = 0
        self._pid = os.getpid()

    def __call__(self, count: int) -> bytes:
        """count: at most DRAWN_BYTES."""
        assert count <= DRAWN_BYTES, "more than are drawn at a time"
        # Two processes must never give the same.
        if len(self._drawn) - self._used < count or self._pid != os.getpid():
            self._pid = os.getpid()
            self._drawn, self._used = os.urandom(DRAWN_BYTES), 0
        first = self._used
        self._used += count
        return self._drawn[first : self._used]
