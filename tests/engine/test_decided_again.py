"""Which changes were decided again is remembered, and not for ever."""

from __future__ import annotations

from perso_core.engine.decided_again import KEPT, DecidedAgain


def test_what_was_decided_again_is_known_and_nothing_else() -> None:
    again = DecidedAgain()
    again.note(7)

    assert again.includes(7)
    assert not again.includes(8)


def test_the_oldest_is_forgotten_first() -> None:
    again = DecidedAgain()
    for sequence in range(KEPT + 1):
        again.note(sequence)

    assert not again.includes(0)
    assert again.includes(1)
    assert again.includes(KEPT)
