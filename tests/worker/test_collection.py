from __future__ import annotations

import gc
import signal
from functools import partial
from types import FrameType
from typing import NoReturn

import pytest

from perso_core.worker.collection import old_left_alone


@pytest.fixture(autouse=True)
def _the_suite_left_alone() -> None:
    """Each full collection here would go through all tests of the suite, which are frozen until a
    test here has ended."""
    gc.freeze()


class Cycle:
    """Counts itself out."""

    freed = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Cycle.freed += 1


def test_what_a_full_collection_found_alive_is_not_looked_at_again() -> None:
    kept = [[number] for number in range(1_000)]

    with old_left_alone():
        looked_at = {id(one) for one in gc.get_objects()}
        assert not looked_at & {id(one) for one in kept}


def test_what_became_garbage_before_is_freed() -> None:
    with old_left_alone():
        Cycle()
        before = Cycle.freed
        gc.collect()

        assert Cycle.freed == before + 1


def test_what_requests_under_way_have_in_use_is_not_looked_at() -> None:
    begun: list[int] = []

    def note(phase: str, collected: dict[str, int]) -> None:
        if phase == "start":
            begun.append(collected["generation"])

    with old_left_alone():
        gc.callbacks.append(note)
        in_use = [[number] for number in range(3_000)]
        gc.callbacks.remove(note)

    assert len(in_use) == 3_000
    assert not begun


def test_what_is_young_and_no_longer_in_use_is_freed_without_a_full_collection() -> None:
    with old_left_alone():
        Cycle()
        before = Cycle.freed
        kept = [[number] for number in range(6_000)]

        assert Cycle.freed == before + 1
        assert len(kept) == 6_000


def test_afterwards_everything_is_looked_at_as_before() -> None:
    callbacks, thresholds = list(gc.callbacks), gc.get_threshold()
    kept: list[list[int]] = [[]]

    with old_left_alone():
        pass

    assert gc.callbacks == callbacks
    assert gc.get_threshold() == thresholds
    assert any(one is kept for one in gc.get_objects())


def test_a_stop_that_is_asked_for_during_the_first_collection_is_heard() -> None:
    class Alarm:
        def __init__(self) -> None:
            self.itself = self

        # In C, as what goes on then is: the signal is heard by what Python runs next.
        __del__ = staticmethod(partial(signal.setitimer, signal.ITIMER_REAL, 0.000_001))

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGALRM, leave)
    others = gc.callbacks.copy()  # hypothesis has one, which would take it as well
    gc.callbacks.clear()
    gc.disable()
    try:
        for _ in range(100_000):  # what is still to be freed as the signal comes
            garbage: list[object] = []
            garbage.append(garbage)
        Alarm()
        with pytest.raises(SystemExit), old_left_alone():
            pass
    finally:
        gc.enable()
        gc.callbacks.extend(others)
        signal.signal(signal.SIGALRM, before)
