"""CPU time of several works taken in turn, so that a noisy machine disturbs them alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from itertools import repeat
from statistics import median
from time import process_time_ns

from msgspec import Struct

Work = Callable[[], object]


class Spent(Struct, frozen=True):
    """CPU microseconds of one call, in each round."""

    rounds_us: tuple[float, ...]

    @property
    def median_us(self) -> float:
        return median(self.rounds_us)

    def over(self, other: Spent) -> float:
        """The median of the ratios within one round: the machine's speed changes between them."""
        pairs = zip(self.rounds_us, other.rounds_us, strict=True)
        return median(mine / theirs for mine, theirs in pairs)

    def told(self) -> dict[str, float]:
        return {"median_us": round(self.median_us, 3), "least_us": round(min(self.rounds_us), 3)}


def interleaved(works: Mapping[str, Work], *, rounds: int, turn_ms: float) -> dict[str, Spent]:
    """Each work once a round, called again until turn_ms of it are spent, at least once."""
    gc.collect()
    calls = {name: _calls(work, turn_ms) for name, work in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(cpu_us(work, calls[name]))
    return {name: Spent(tuple(found)) for name, found in times.items()}


def cpu_us(work: Work, calls: int = 1) -> float:
    """CPU microseconds of one call, over so many."""
    began = process_time_ns()
    for _ in repeat(None, calls):
        work()
    return (process_time_ns() - began) / calls / 1_000


def _calls(work: Work, turn_ms: float) -> int:
    calls = 1
    while (took_us := cpu_us(work, calls) * calls) < turn_ms * 1_000 / 4:
        calls *= 4
    return max(1, round(turn_ms * 1_000 / took_us * calls))
