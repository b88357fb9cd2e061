"""What we take for JSON, another reader takes for the same JSON."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.edge.problem import FieldBad, JsonBad
from perso_core.edge.strict_json import _depth, parsed

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_json_reads_as_its_writer_meant_it(value: Any, indent: int | None, ascii: bool) -> None:
    assert parsed(json.dumps(value, indent=indent, ensure_ascii=ascii).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'[{"x":{"a":1,"a":2}}]',
        b'{ "a" : 1 , "a" : 2 }',
        b'{"a":1,"\\u0061":2}',
        '{"é":1,"\\u00e9":2}'.encode(),
        b'{"":1,"":2}',
        b'{"a":[{"b":{"c":1,"c":1}}],"d":"\\"a\\":1"}',
    ],
)
def test_a_name_twice_in_one_object_is_refused_in_any_spelling(body: bytes) -> None:
    with pytest.raises(JsonBad, match="stands twice"):
        parsed(body)


@given(JSON, st.text(), JSON, JSON, st.sampled_from([None, 2]), st.booleans())
def test_a_name_twice_is_found_whatever_else_there_is(
    value: Any, name: str, first: Any, second: Any, indent: int | None, ascii: bool
) -> None:
    def text(one: Any) -> bytes:
        return json.dumps(one, indent=indent, ensure_ascii=ascii).encode()

    body = b"[%b,{%b:%b,%b:%b}]" % tuple(map(text, (value, name, first, name, second)))

    with pytest.raises(JsonBad, match="stands twice"):
        parsed(body)


def test_a_name_may_stand_in_several_objects() -> None:
    body = b'{"a":{"a":[{"a":1},{"a":2}]}, "b":"\\"a\\":1,\\"a\\":2"}'

    assert parsed(body) == {"a": {"a": [{"a": 1}, {"a": 2}]}, "b": '"a":1,"a":2'}


def test_32_levels_are_taken_and_33_are_not() -> None:
    assert parsed(nested(32))
    with pytest.raises(JsonBad, match="32 levels"):
        parsed(nested(33))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + nested(32) + b',"a":1}',  # of which nothing stays once it is read
        nested(33)[:-1],
        nested(33) + b"x",
        b'{"a":"\xff","b":' + nested(32) + b"}",
        nested(32).replace(b"1", b"[]"),
        nested(31).replace(b"1", b'[[],"[",{"c":0}]'),
    ],
)
def test_too_many_levels_are_told_before_whatever_else_is_wrong(body: bytes) -> None:
    with pytest.raises(JsonBad, match="32 levels"):
        parsed(body)


@given(JSON, st.integers(0, 33), st.sampled_from([b"[%b]", b'{"a":%b}', b'[1,{"a":"]","b":[%b]}]']))
def test_levels_are_counted_as_they_stand_in_the_text(
    value: Any, times: int, around: bytes
) -> None:
    body = json.dumps(value).encode()
    for _ in range(times):
        body = around.replace(b"%b", body)
    if _depth(body) > 32:
        with pytest.raises(JsonBad, match="32 levels"):
            parsed(body)
    else:
        parsed(body)


def test_many_objects_side_by_side_are_not_deep() -> None:
    assert len(parsed(b"[" + b",".join([b'{"a":[]}'] * 1_000) + b"]")) == 1_000


def test_brackets_inside_strings_are_not_nesting() -> None:
    text = '\\"' + "[{" * 200

    assert parsed(json.dumps([text]).encode()) == [text]


@pytest.mark.parametrize("body", [b"[" * 60_000, b'["' + b"[" * 60_000, b"[" * 500 + b"]" * 500])
def test_no_depth_is_a_failure_of_ours(body: bytes) -> None:
    with pytest.raises(JsonBad):
        parsed(body)


@pytest.mark.parametrize("end", [b"", b"\\", b"[" * 40])
def test_a_string_that_does_not_end_is_looked_through_once(end: bytes) -> None:
    body = b"[" * 33 + b'"' + b'\\"' * 30_000 + end
    began_s = time.process_time()

    with pytest.raises(JsonBad, match="32 levels"):
        parsed(body)

    assert time.process_time() - began_s < 1


@pytest.mark.parametrize("digits", [b"9" * 6_000, b"-" + b"9" * 6_000, b"1" + b"0" * 60_000])
def test_an_integer_of_any_length_is_refused_as_one_of_more_than_64_bits(digits: bytes) -> None:
    with pytest.raises(FieldBad, match=r"an integer of more than 64 bits\. Send it as a string"):
        parsed(b'{"a": ' + digits + b"}")


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 6_000 + b".5", b"1e99999999999"])
def test_a_number_that_is_too_large_is_told_to_be_that(number: bytes) -> None:
    with pytest.raises(JsonBad, match=r"a number larger than 1\.8e308 before byte \d+\. Send"):
        parsed(b'{"a": ' + number + b"}")


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(JsonBad, FieldBad):
        parsed(body)
