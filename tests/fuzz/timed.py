"""How long one input takes, told where it is worth telling."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

# A case worth telling the person who watches.
TOLD_FROM_MS = 100

Answer = TypeVar("Answer")
worst_ms = 0.0


class TooSlow(AssertionError):
    """An input within the limits took longer than it may."""


def soon(sent: str | bytes, asked: Callable[[], Answer], *, most_ms: int) -> Answer:
    """What is asked for. sent: the input, to be told. Raises TooSlow for more CPU time than
    most_ms."""
    global worst_ms
    started = time.process_time()
    answer = asked()
    spent_ms = (time.process_time() - started) * 1_000
    if spent_ms > worst_ms:
        worst_ms = spent_ms
        if spent_ms > TOLD_FROM_MS:
            print(f"worst so far: {spent_ms:.0f} ms for {sent[:200]!r}", file=sys.stderr)
    if spent_ms > most_ms:
        raise TooSlow(f"{spent_ms:.0f} ms")
    return answer
