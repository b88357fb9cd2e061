"""What `make fuzz` runs on TC strings, on fixed inputs."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.tcf import TEXTS, fuzz_one, mutated


def test_the_searchs_own_inputs_pass() -> None:
    for text in TEXTS:
        fuzz_one(text)


@pytest.mark.parametrize("seed", range(4))
def test_changed_strings_pass(seed: int) -> None:
    chance = random.Random(seed)
    for number in range(1_500):
        text = chance.choice(TEXTS)
        fuzz_one(mutated(text, 16_384, seed * 10_000 + number))


def test_bytes_of_no_text_pass() -> None:
    chance = random.Random(1)
    for length in range(300):
        fuzz_one(chance.randbytes(length))
