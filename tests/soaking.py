"""How long a test goes on: short in every run, long in `make soak`."""

from __future__ import annotations

import os
import time

SOAK = os.environ.get("PERSO_SOAK") == "1"
_EACH_S = 10.0


def times(short: int, soak: int) -> int:
    """How many times to do something that may go wrong."""
    return soak if SOAK else short


class Progress:
    """How far a test has come that goes on for long: a line each 10 seconds. words: what is done,
    e.g. "kills"."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._told_s = time.monotonic()

    def tell(self, done: int, of: int) -> None:
        now_s = time.monotonic()
        if SOAK and now_s - self._told_s >= _EACH_S:
            self._told_s = now_s
            print(f"    {done:,} of {of:,} {self._words} …", flush=True)
