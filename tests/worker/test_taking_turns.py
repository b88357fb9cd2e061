"""A server's threads take short turns; whoever embeds Perso has their own way."""

from __future__ import annotations

import sys

import pytest

from perso_core.worker.taking_turns import WAITS_S, in_short_turns


def test_turns_are_short_until_the_block_ends_however_it_does() -> None:
    before = sys.getswitchinterval()

    with pytest.raises(KeyError):
        _fails_in_short_turns()

    assert sys.getswitchinterval() == before


def _fails_in_short_turns() -> None:
    with in_short_turns():
        assert sys.getswitchinterval() == pytest.approx(WAITS_S)
        raise KeyError
