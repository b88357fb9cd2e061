"""A visitor's standing between visits: what it was, and what comes after is as it would be."""

from __future__ import annotations

from array import array
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from perso_core.rules.layered import everything
from perso_core.rules.parked import ParkedStanding, StandingParking
from perso_core.rules.standing import Standing, newest_first
from tests.rules.making_stories import Story, randoms
from tests.soaking import times

STEPS = 12
_decode = msgspec.msgpack.Decoder(ParkedStanding).decode


def through_bytes(parking: StandingParking, standing: Standing, event_times: bytes) -> Standing:
    parked = parking.parked(standing, event_times)
    return parking.standing(_decode(msgspec.msgpack.encode(parked)), event_times)


def told(standing: Standing) -> dict[str, object]:
    """Each part of a standing, however it lies."""
    return {
        **{name: getattr(standing, name) for name in Standing.__struct_fields__},
        **{name: everything(getattr(standing, name)) for name in ("times", "runs", "judged")},
        "log": list(newest_first(standing.log)),
    }


@settings(max_examples=times(40, 2_000))
@given(randoms)
def test_a_standing_that_was_parked_is_what_it_was(chance: Random) -> None:
    story = Story(chance)
    parking = StandingParking(story.set)

    for standing in story.told(STEPS):
        known = array("q", [int(one["timestamp"]) for one in story.events]).tobytes()
        assert told(through_bytes(parking, standing, known)) == told(standing)


@settings(max_examples=times(40, 2_000))
@given(st.integers(0, 2**32))
def test_what_comes_after_is_what_comes_of_a_standing_that_never_was_parked(seed: int) -> None:
    one, other, chance = Story(Random(seed)), Story(Random(seed)), Random(seed)
    parking = StandingParking(other.set)

    for standing in one.told(STEPS):
        if chance.random() < 0.7:
            other.standing = through_bytes(parking, other.standing, b"")
        other.happen()
        assert told(other.standing) == told(standing)


def test_what_many_have_in_common_is_there_once() -> None:
    story = Story(Random(3), rules_count=20)
    parking = StandingParking(story.set)
    for _ in range(STEPS):
        story.happen()

    one = through_bytes(parking, story.standing, b"")
    other = through_bytes(parking, story.standing, b"")

    pairs = zip(newest_first(one.log), newest_first(other.log), strict=True)
    assert all(first is second for (_, first), (_, second) in pairs)
    shared = zip(one.judged[0], other.judged[0], strict=True)
    assert any(first is second for first, second in shared)
