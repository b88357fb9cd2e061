from __future__ import annotations

import gc

from perso_core.worker.collection import old_left_alone


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


def test_afterwards_everything_is_looked_at_as_before() -> None:
    callbacks = list(gc.callbacks)
    kept: list[list[int]] = [[]]

    with old_left_alone():
        pass

    assert gc.callbacks == callbacks
    assert any(one is kept for one in gc.get_objects())
