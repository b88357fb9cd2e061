"""Profiles and instants that lie where answers go wrong: month ends, equal and future times, events
that have ended, lists where one value is expected, null, texts that look like something else.

The same field names exist in the profile, in each event and in each element of `os`, so that any
condition can stand anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WINDOWS_MS = (2 * DAY_MS, 35 * DAY_MS, 35 * DAY_MS, 2**60)

# Ends of months, a leap day, year ends.
DAYS_MS = (
    1_769_731_200_000,  # 2026-01-30
    1_769_817_600_000,  # 2026-01-31
    1_772_236_800_000,  # 2026-02-28
    1_774_742_400_000,  # 2026-03-29
    1_774_915_200_000,  # 2026-03-31
    1_798_675_200_000,  # 2026-12-31
    1_709_164_800_000,  # 2024-02-29
    4_107_456_000_000,  # 2100-02-28, no leap year
)
# At midnight, a millisecond beside it, and in the day.
TIMES_MS = (0, 0, -1, 1, 45_045_000, 45_045_000)
DATES = (
    *("2026-01-31", "2026-02-28", "2024-02-29", "2026-03-30", "1990-12-31", "2026-04-01"),
    *("1900-02-28", "2100-03-01"),
)
TEXTS = ("a", "A", "b", "ab", "true", "false", "ß", "İ", "ς", "Σ", "1", "sale/a", "")
SCALARS: tuple[Any, ...] = (None, True, False, 0, 1, 2, 3, 1.0, 0.5, -1, *TEXTS)
# How long before now something was: equal times, ends of windows, the future.
AGES_MS = (
    *(n * DAY_MS for n in (-2, -1, 0, 1, 1, 2, 2, 3, 7, 31, 35, 36, 60)),
    *(n * HOUR_MS for n in (-1, 1, 1, 2, 3, 5, 20)),
    *(-1, 0, 1, 2, 2, 5),
)


# One string of bytes is one example: a hundred times cheaper than as many draws, evenly spread,
# and hypothesis still finds the smallest that fails.
tapes = st.binary(min_size=500, max_size=500)


class Chooser:
    """Chooses by a tape of bytes, the first option when it is at its end. What is written twice
    comes twice as often."""

    def __init__(self, tape: bytes) -> None:
        self.tape = iter(tape)

    def below(self, end: int) -> int:
        assert end <= 256, "a byte chooses"
        return next(self.tape, 0) % end

    def pick(self, options: tuple[Any, ...]) -> Any:
        return options[self.below(len(options))]

    def several(self, most: int, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.below(most + 1))]


class Person(Chooser):
    """One profile with its events, as seen from now."""

    now_ms = 0
    dense = False  # everything within a few hours: sequences need neighbours

    def age(self) -> int:
        age: int = HOUR_MS * (self.below(8) - 1) if self.dense else self.pick(AGES_MS)
        return self.now_ms - age

    def time(self) -> Any:
        return self.pick(DATES) if self.below(4) == 0 else self.age()

    def scalar(self) -> Any:
        return self.pick(SCALARS)

    def fields(self) -> dict[str, Any]:
        made: dict[str, Callable[[], Any]] = {
            "a": lambda: self.several(2, self.scalar) if self.below(4) == 0 else self.scalar(),
            "b": self.scalar,
            "n": lambda: self.pick((0, 1, 1, 2, 2, 3, 2.5, -1, None, "2")),
            "t": lambda: self.several(2, self.time) if self.below(4) == 0 else self.time(),
            "u": self.time,
            "tags": lambda: self.several(3, self.tag) if self.below(5) else "a",
            "m": lambda: {self.pick(("k", "a", "true")): self.scalar()},
        }
        return {name: make() for name, make in made.items() if self.below(5)}

    def tag(self) -> Any:
        return self.pick(("a", "b", 1, None, True))

    def event(self) -> dict[str, Any]:
        kind = self.pick(("x", "x", "x", "y", "y", "X", None))
        at = self.age() if self.below(10) else self.pick((None, "never", DATES[0], [1], True))
        return {**self.fields(), "timestamp": at, "e": kind, "os": self.several(2, self.fields)}

    def profile(self) -> dict[str, Any]:
        status = self.pick(("realized", "existing", "exited", None))
        found = {
            **self.fields(),
            "os": self.pick(
                (self.fields, lambda: None, *[lambda: self.several(3, self.fields)] * 3)
            )(),
            "segmentMembership": {"ups": {"s": {"status": status}}},
        }
        happened = [self.event() for _ in range(self.pick((0, 1, 2, 3, 3, 4, 4, 5, 6, 6)))]
        return {**found, "xEvent": happened} if self.below(12) else found

    def situation(self) -> tuple[dict[str, Any], int, int]:
        """A profile, an instant and an event window."""
        day = self.pick(DAYS_MS) + DAY_MS * (self.below(7) - 3)
        self.now_ms = day + self.pick(TIMES_MS)
        self.dense = self.below(3) > 0
        return self.profile(), self.now_ms, self.pick(WINDOWS_MS)


@st.composite
def situations(draw: Any) -> Any:
    return Person(draw(tapes)).situation()
