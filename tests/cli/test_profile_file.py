"""A file of profile attributes is read whole, or every fault of it is told at its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.cli.patch_groups import patch_groups
from perso_core.cli.profile_file import ProfilePatch, RecordFault
from perso_core.cli.profile_file import patches_from_json as patches_within
from perso_core.decision.identity import Identity


def record(identity_id: str = "1", **attributes: Any) -> dict[str, Any]:
    return {"identity": {"namespace": "CRMID", "id": identity_id}, "attributes": attributes}


def patches_from_json(text: str) -> tuple[list[ProfilePatch], list[RecordFault]]:
    return patches_within(text, max_bytes=102_400)


def faults_of(text: str) -> list[RecordFault]:
    return patches_from_json(text)[1]


def fault_of(text: str) -> RecordFault:
    (fault,) = faults_of(text)
    return fault


# ---- the three forms ---------------------------------------------------------


def test_one_object_is_one_record() -> None:
    patches, faults = patches_from_json(json.dumps(record("7", tier="gold"), indent=1))

    assert faults == []
    assert patches == [ProfilePatch(1, Identity("CRMID", "7"), {"tier": "gold"})]


def test_a_list_has_records_at_their_lines() -> None:
    patches, faults = patches_from_json(json.dumps([record("1"), record("2")], indent=1))

    assert faults == []
    assert [(one.line, one.identity.id) for one in patches] == [(2, "1"), (9, "2")]


def test_lines_have_a_record_each_and_blank_lines_do_not_matter() -> None:
    patches, faults = patches_from_json(f"\n{json.dumps(record('1'))}\n\n{json.dumps(record('2'))}")

    assert faults == []
    assert [(one.line, one.identity.id) for one in patches] == [(2, "1"), (4, "2")]


def test_an_empty_list_is_no_record_and_no_fault() -> None:
    assert patches_from_json(" [ ] \n") == ([], [])


def test_a_line_separator_inside_a_text_ends_no_line() -> None:
    lines = "\n".join(
        json.dumps(record(one, note="a\u2028b"), ensure_ascii=False) for one in ("1", "2")
    )

    assert len(patches_from_json(lines)[0]) == 2


@given(st.lists(st.integers(0, 9), max_size=6), st.sampled_from([None, 1]))
def test_every_form_reads_the_same_records(ids: list[int], indent: int | None) -> None:
    records = [record(str(one), value=one) for one in ids]
    listed, no_faults = patches_from_json(json.dumps(records, indent=indent))

    assert no_faults == []
    assert [one.identity.id for one in listed] == [str(one) for one in ids]
    if ids:
        lined, no_faults = patches_from_json("\n".join(json.dumps(one) for one in records))
        assert no_faults == []
        assert [one.attributes for one in lined] == [one.attributes for one in listed]


# ---- faults ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("\n \n", 1, "empty"),
        ("[\n{}x]", 2, "no comma"),
        ('[\n\n{"a":]', 3, "not JSON"),
        ("[1", 1, "no comma"),
        ("[", 1, "not JSON"),
        ('{"identity":\n oops}', 2, "not JSON"),
        ("nothing", 1, "not JSON"),
        ("5", 1, "not an object"),
        ("[\n5]", 2, "not an object"),
        ('{"a":' * 100_000, 1, "too deeply"),
    ],
)
def test_what_is_no_json_or_no_record_is_told_at_its_line(text: str, line: int, words: str) -> None:
    faults = faults_of(text)

    assert any(fault.line == line and words in fault.detail for fault in faults), faults


@pytest.mark.parametrize("end", [",]", "] x", " {}]"])
def test_what_follows_a_list_wrongly_is_a_fault(end: str) -> None:
    assert faults_of(f"[{json.dumps(record())}{end}")


def test_what_follows_a_record_on_its_line_is_a_fault() -> None:
    one = json.dumps(record())

    assert fault_of(f"{one}\n{one} x").line == 2


def test_a_bad_line_does_not_hide_the_faults_of_others() -> None:
    lines = ["{oops", json.dumps(record()), '{"identity": 5, "attributes": {}}']

    assert [fault.line for fault in faults_of("\n".join(lines))] == [1, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"identity": None}, "identity is not an object"),
        ({"identity": {"namespace": "CRMID"}}, "identity has no id"),
        ({"identity": {"id": "1"}}, "identity has no namespace"),
        ({"identity": {"namespace": "CRMID", "id": 5}}, "id is not text"),
        ({"identity": {"namespace": "CRMID", "id": ""}}, "The id “”"),
        ({"identity": {"namespace": "A:B", "id": "1"}}, "namespace “A:B”"),
        ({"identity": {"namespace": "ECID", "id": "12"}}, "not 38 digits"),
        ({"identity": {"namespace": "CRMID", "id": "1", "x": 1}}, "unknown key “x”"),
        ({"attributes": []}, "not an object"),
        ({"attributes": {"xEvent": []}}, "xEvent"),
        ({"attributes": {"segmentMembership": {}}}, "segmentMembership"),
        ({"attributes": {"a": "x" * 102_400}}, "102,400"),
        ({"attribute": {}}, "unknown key “attribute”"),
    ],
)
def test_a_record_with_a_fault_is_told_at_its_line(change: dict[str, Any], words: str) -> None:
    fault = fault_of(f"{json.dumps(record())}\n{json.dumps({**record(), **change})}")

    assert fault.line == 2
    assert words in fault.detail


def test_a_record_without_attributes_is_a_fault() -> None:
    assert "no attributes" in fault_of('{"identity": {"namespace": "CRMID", "id": "1"}}').detail


@pytest.mark.parametrize("digits", ["18446744073709551616", "-9223372036854775809", "9" * 5_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_number_of_any_length_beyond_64_bits_is_told_by_its_path(
    digits: str, indent: int | None
) -> None:
    """Of one with thousands of digits it had been said what Python allows."""
    text = json.dumps(record(a=0), indent=indent).replace('"a": 0', f'"a": {digits}')

    fault = fault_of(text)

    assert fault.detail == "attributes: a is a number beyond 64 bits."
    assert fault.fix == "Write an identifying number as text."


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_a_fault(word: str) -> None:
    text = json.dumps(record(a=0)).replace('"a": 0', f'"a": {word}')

    assert faults_of(text)


def test_a_name_said_twice_is_a_fault() -> None:
    text = json.dumps(record(a=0)).replace('"a": 0', '"a": 0, "a": 1')

    assert "“a” stands twice" in fault_of(text).detail


# ---- writing in groups -------------------------------------------------------


def test_patches_of_one_profile_are_never_in_one_group() -> None:
    patches = [ProfilePatch(at, Identity("CRMID", one), {}) for at, one in enumerate("aabcdb")]

    groups = patch_groups(patches, 3, whose=lambda one: one.identity)
    ids = [[one.identity.id for one in group] for group in groups]

    assert ids == [["a"], ["a", "b", "c"], ["d", "b"]]
