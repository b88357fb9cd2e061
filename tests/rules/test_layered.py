from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.rules.layered import MOST, changed, entry_at, everything, layered

COMMON = ("never",)
CHANGES = 60


@given(st.randoms(use_true_random=False), st.sampled_from((1, 20, MOST, 2_000)))
def test_every_entry_is_the_one_that_was_put_there_last(chance: Random, places: int) -> None:
    expected = [COMMON] * places
    entries, before = layered(expected), [*expected]
    for number in range(CHANGES):
        touched = chance.choices(range(places), k=chance.choice((0, 1, 3, 40)))
        changes = {place: (f"{number}-{place}",) for place in touched}
        earlier, entries = entries, changed(entries, changes)
        assert everything(earlier) == expected, "the value before stays as it was"
        for place, entry in changes.items():
            expected[place] = entry
        assert everything(entries) == expected
        assert all(entry_at(entries, place) == expected[place] for place in changes)
    assert all(entry_at(entries, place) == expected[place] for place in range(places))
    assert everything(layered(before)) == before


def test_what_lies_at_many_places_is_kept_once() -> None:
    below, index, _, _ = changed(layered([COMMON] * 1_000), {5: ("now",), 7: ("then",)})

    assert below == (COMMON, ("now",), ("then",))
    assert index is not None
    assert len(index) == 1_000


def test_an_entry_that_changes_again_and_again_takes_the_place_it_has() -> None:
    entries = layered([COMMON] * 10)
    for number in range(1_000):
        entries = changed(entries, {3: (str(number),)})

    assert entries[0] == (COMMON, ("999",))


@pytest.mark.parametrize("different", [MOST - 1, MOST, MOST + 1])
def test_as_many_entries_as_a_byte_tells_apart_have_an_index(different: int) -> None:
    whole = [(str(number),) for number in range(different)]

    at_once = layered([*whole, whole[-1]])
    one_by_one = layered([COMMON] * (different + 1))
    for place, entry in enumerate(whole):
        one_by_one = changed(one_by_one, {place: entry})

    assert (at_once[1] is not None) == (different <= MOST)
    assert (one_by_one[1] is not None) == (different + 1 <= MOST)
    assert everything(at_once)[:different] == everything(one_by_one)[:different] == whole
