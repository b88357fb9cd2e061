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
    unseen are forgotten, and may come again. at_once: as how many one call may count."""

    __slots__ = ("_furthest_us", "_interval_us", "_max_keys", "_older", "_slack_us", "_younger")

    def __init__(self, rate: Rate, *, max_keys: int = 100_000, at_once: int = 1) -> None:
        # Whole numbers: a fraction that is rounded looks like a clock that went back.
        self._interval_us = ceil(1_000_000 / rate.per_s)
        self._slack_us = self._interval_us * (rate.burst - 1)
        self._furthest_us = self._slack_us + self._interval_us * at_once
        self._max_keys = max_keys
        # By key: when its bucket is full again. Two generations instead of an order of use: the
        # oldest goes as a whole.
        self._younger: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def wait_ms(self, key: str, now_ms: int) -> int:
        """0: it may, and this counts. Else how long it has to wait, at least 1; nothing counts."""
        full_us, wait_ms = self._full_us(key, now_ms)
        if wait_ms:
            return wait_ms
        self._younger[key] = full_us + self._interval_us
        if len(self._younger) >= self._max_keys:
            self._older, self._younger = self._younger, {}
        return 0

    def count(self, key: str, more: int, now_ms: int) -> None:
        """For a call that came just now: it counts as so many more, whether they may come or not.
        more: below at_once."""
        full_us, _ = self._full_us(key, now_ms)
        self._younger[key] = full_us + more * self._interval_us

    def ahead_ms(self, key: str, now_ms: int) -> int:
        """As wait_ms. Counts nothing."""
        return self._full_us(key, now_ms)[1]

    def _full_us(self, key: str, now_ms: int) -> tuple[int, int]:
        """When its bucket is full again, and how long it has to wait, in ms."""
        now_us = now_ms * 1_000
        full_us = self._younger.get(key)
        if full_us is None:
            full_us = self._older.get(key, now_us)
        ahead_us = full_us - now_us
        # Further ahead than any burst leads: the clock went back.
        if ahead_us < 0 or ahead_us > self._furthest_us:
            full_us, ahead_us = now_us, 0
        if ahead_us > self._slack_us:
            return full_us, -((self._slack_us - ahead_us) // 1_000)  # in whole milliseconds, up
        return full_us, 0

    def taken(self, key: str, now_ms: int) -> int:
        """How many calls of the key's burst are not there again yet; below 0: all are, for long."""
        full_us = self._younger.get(key) or self._older.get(key, 0)
        return (full_us - now_ms * 1_000) // self._interval_us

    def __len__(self) -> int:
        """Keys remembered."""
        return len(self._younger) + len(self._older)
