"""Identifiers are made of bytes that the system gave, each of them once."""

from __future__ import annotations

import os

import pytest

from perso_core.edge.entropy import DRAWN_BYTES, Entropy


def test_every_byte_is_given_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []

    def urandom(count: int) -> bytes:
        drawn.append(bytes(number % 251 + len(drawn) for number in range(count)))
        return drawn[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    entropy = Entropy()
    given = b"".join(entropy(16) for _ in range(DRAWN_BYTES // 16))

    assert given == drawn[0]
    assert entropy(16) == drawn[1][:16]


@pytest.mark.parametrize("count", [1, 8, 16, 100, DRAWN_BYTES])
def test_as_many_are_given_as_were_asked_for(count: int) -> None:
    entropy = Entropy()

    assert len({entropy(count) for _ in range(50 if count > 1 else 1)}) == (50 if count > 1 else 1)
    assert len(entropy(count)) == count


def test_a_process_that_was_forked_gives_others() -> None:
    entropy = Entropy()
    entropy(16)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, entropy(16))
        finally:
            os._exit(0)
    os.close(writing)  # so that a child that fails is read as nothing, and not waited for
    theirs = os.read(reading, 16)
    os.close(reading)
    os.waitpid(child, 0)

    assert len(theirs) == 16
    assert theirs != entropy(16)
