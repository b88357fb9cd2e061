"""What a site may say of a profile."""

from __future__ import annotations

import tracemalloc
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.attributes import (
    MAX_RECORD_BYTES,
    check_attributes,
    sound_attributes,
    sound_event,
)
from perso_core.errors import BadAttributes, BadEvent


class Name(str):
    __slots__ = ()


class Points(int):
    pass


class Rate(float):
    pass


class Tier(IntEnum):
    GOLD = 2


def problem_of(attributes: Any, max_bytes: int | None = None) -> BadAttributes:
    with pytest.raises(BadAttributes) as raised:
        check_attributes(attributes, max_bytes=max_bytes)
    return raised.value


def nested(levels: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for _ in range(levels - 1):
        attributes = {"a": attributes}
    return attributes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-9e9, 9e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text().map(lambda name: f"x{name}"), JSON, max_size=5))
def test_any_json_object_of_reasonable_size_is_taken(attributes: dict[str, Any]) -> None:
    check_attributes(attributes)


@pytest.mark.parametrize("name", ["xEvent", "segmentMembership"])
def test_a_name_that_perso_writes_itself_is_refused_also_to_remove(name: str) -> None:
    problem = problem_of({name: None})

    assert name in problem.detail
    assert name in problem.fix


def test_a_reserved_name_deeper_down_is_a_name_like_any_other() -> None:
    check_attributes({"shop": {"xEvent": 1}})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "a.b[1] is not a finite number"),
        (float("inf"), "a.b[1] is not a finite number"),
        (2**64, "a.b[1] is a number beyond 64 bits"),
        ("\ud800", "a.b[1] has half a character"),
        (b"x", "a.b[1] is a bytes"),
        ({1: 2}, "a.b[1] has a name that is not text"),
        ({"\ud800": 2}, "a.b[1] has a name with half a character"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_path(value: Any, words: str) -> None:
    assert words in problem_of({"a": {"b": [0, value]}}).detail


@pytest.mark.parametrize("number", [Points(250), Points(-1), Tier.GOLD])
def test_a_number_of_a_class_of_the_sites_own_is_looked_at_at_once(number: int) -> None:
    """Each of the 64 bits' numbers had been compared with it, for ever."""
    check_attributes({"points": number})
    assert "beyond 64 bits" in problem_of({"points": Points(2**64)}).detail


def test_what_a_program_gives_is_what_the_store_will_give_back() -> None:
    sound = sound_attributes(
        {
            "name": Name("Ann"),
            "points": Points(3),
            "tier": Tier.GOLD,
            "rate": Rate(0.5),
            "tags": ("a", ["b"]),
            "map": MappingProxyType({Name("k"): None}),
        }
    )

    assert sound == {
        "name": "Ann",
        "points": 3,
        "tier": 2,
        "rate": 0.5,
        "tags": ["a", ["b"]],
        "map": {"k": None},
    }
    kinds = [type(one) for one in sound.values()]
    assert kinds == [str, int, int, float, list, dict]


@pytest.mark.parametrize(
    "value",
    [float("nan"), 2**64, -(2**63) - 1, "\ud800", {1}, {1: 2}, b"x", object(), nested(32)],
    ids=lambda value: type(value).__name__,
)
def test_an_event_is_held_to_what_attributes_are(value: Any) -> None:
    with pytest.raises(BadEvent, match=r"xdm\.a"):
        sound_event({"a": value})


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_an_event_that_json_can_say_stays_as_it_is(event: dict[str, Any]) -> None:
    assert sound_event(event) == event


def test_what_is_no_object_is_refused() -> None:
    assert "not an object" in problem_of(["a"]).detail


def test_thirty_two_levels_are_taken_and_one_more_refused() -> None:
    check_attributes(nested(32))

    assert "32 levels" in problem_of(nested(33)).detail


def test_hostile_depth_is_refused_without_a_crash() -> None:
    assert "32 levels" in problem_of(nested(100_000)).detail


@pytest.mark.parametrize("max_bytes", [1_024, MAX_RECORD_BYTES, 10_485_760])
def test_as_much_is_taken_as_the_setting_says_and_one_byte_more_refused(max_bytes: int) -> None:
    text = "x" * (max_bytes - len('{"a":""}'))
    check_attributes({"a": text}, max_bytes=max_bytes)

    problem = problem_of({"a": text + "x"}, max_bytes)
    assert f"{max_bytes + 1:,} bytes as JSON; {max_bytes:,} is the limit" in problem.detail
    assert problem.fix.endswith("raise max_record_bytes.")


def test_all_problems_are_told_at_once() -> None:
    problem = problem_of({"xEvent": 1, "a": float("nan"), "b": 2**70})

    assert all(words in problem.detail for words in ("xEvent", "a is not", "b is a number"))


def test_a_thousand_problems_are_counted_after_the_first_twenty() -> None:
    assert "and 980 more" in problem_of({f"a{at}": 2**64 for at in range(1_000)}).detail


def test_a_long_name_is_not_kept_for_each_element_below_it() -> None:
    tracemalloc.start()
    try:
        check_attributes({"a" * 20_000: [*[1] * 5_000, *[0.5] * 5_000]})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 5_000_000


def test_of_a_long_list_each_element_that_is_unsound_is_found() -> None:
    problem = problem_of(
        {"b" * 100: ["x", 1, None, True, 2**64, "\ud800", float("inf"), -(2**63) - 1]}
    )

    assert [f"b[{at}] " in problem.detail for at in range(8)] == [
        at in (4, 5, 6, 7) for at in range(8)
    ]
    assert problem.detail.count("…") == 4
