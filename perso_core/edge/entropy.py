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
        # Two processes must never give the same.
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, count: int) -> bytes:
        """count: at most DRAWN_BYTES."""
        assert count <= DRAWN_BYTES, "more than are drawn at a time"
        if len(self._drawn) - self._used < count:
            self._drawn, self._used = os.urandom(DRAWN_BYTES), 0
        first = self._used
        self._used += count
        return self._drawn[first : self._used]

    def _forget(self) -> None:
        self._drawn, self._used = b"", 0
