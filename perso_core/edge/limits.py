"""How often one key may come: a rate with a burst, for many keys in bounded memory. Pure.

The generic cell rate algorithm: of each key one number is kept, the instant at which its bucket
is full again.
"""

from __future__ import annotations

from math import ceil

from msgspec import Struct


class Rate(Struct, frozen=True):
    """per_s: how many a second in the long run. burst: how many at once, after a pause."""

    per_s: float
    burst: int


class Limiter:
    """max_keys: keys remembered at least; at most twice as many. Beyond that the ones longest
    unseen are forgotten, and may come again."""

    __slots__ = ("_interval_ms", "_max_keys", "_older", "_slack_ms", "_younger")

    def __init__(self, rate: Rate, *, max_keys: int = 100_000) -> None:
        self._interval_ms = 1_000 / rate.per_s
        self._slack_ms = self._interval_ms * (rate.burst - 1)
        self._max_keys = max_keys
        # By key: when its bucket is full again. Two generations instead of an order of use: the
        # oldest goes as a whole.
        self._younger: dict[str, float] = {}
        self._older: dict[str, float] = {}

    def wait_ms(self, key: str, now_ms: int) -> int:
        """0: it may, and this counts. Else how long it has to wait, at least 1; nothing counts."""
        full_ms = self._younger.get(key)
        if full_ms is None:
            full_ms = self._older.get(key, now_ms)
        ahead_ms = full_ms - now_ms
        # Further ahead than any burst leads: the clock went back.
        if ahead_ms < 0 or ahead_ms > self._slack_ms + self._interval_ms:
            full_ms, ahead_ms = now_ms, 0
        if ahead_ms > self._slack_ms:
            return max(1, ceil(ahead_ms - self._slack_ms))
        self._younger[key] = full_ms + self._interval_ms
        if len(self._younger) >= self._max_keys:
            self._older, self._younger = self._younger, {}
        return 0

    def __len__(self) -> int:
        """Keys remembered."""
        return len(self._younger) + len(self._older)
