"""The values of now that take a window's end to some instant or past it, against trying each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.windows import Later, Shift, StepOf, UnitStart, reaching, state
from tests.pql.making_profiles import DAYS_MS, HOUR_MS

units = st.sampled_from(["minute", "hour", "day", "week", "month", "year"])
steps = st.lists(
    st.one_of(
        st.builds(Shift, st.integers(-14, 14), units),
        st.builds(UnitStart, units, st.integers(-2, 2)),
        st.just(Later()),
    ),
    min_size=1,
    max_size=3,
).filter(lambda steps: sum(_clamps(step) for step in steps) < 2)


def _clamps(step: StepOf) -> bool:
    """Two shifts by months in one window: no form of the language has them."""
    return isinstance(step, Shift) and step.unit in ("month", "year")


def led(steps: list[StepOf], now_ms: int) -> int:
    for step in steps:
        now_ms = step.apply(now_ms)
    return now_ms


@given(steps, st.sampled_from(DAYS_MS), st.integers(-100, 100), st.integers(-3, 3))
def test_the_steps_reach_the_goal_exactly_from_the_values_of_now_that_are_named(
    steps: list[StepOf], day_ms: int, hours: int, beside_ms: int
) -> None:
    goal = led(steps, day_ms) + beside_ms

    spans = reaching(steps, goal)

    near = {day_ms + hours * HOUR_MS + step for step in (-1, 0, 1)}
    ends = {end + step for span in spans for end in span for step in (-1, 0, 1)}
    for now_ms in near | {end for end in ends if abs(end) < 2**60}:
        assert state(spans, now_ms)[0] is (led(steps, now_ms) >= goal), now_ms
