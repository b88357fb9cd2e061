"""What a row of an attribute file says, and what is told of one that says it wrongly."""

from __future__ import annotations

import time
from typing import Any

import pytest

from perso_core.definitions.schema import Field, Schema, field_types
from perso_core.errors import BadImportFile
from perso_core.imports.patches import (
    Column,
    patch_in_columns,
    patch_in_csv,
    patch_in_json,
    value_of,
)
from perso_core.imports.refusal import RowRefused
from perso_core.imports.table import Header
from perso_core.pql.fields import KNOWN, FieldType

HEAD = "namespace,id,loyalty.tier,loyalty.points:number,vip:boolean,tags:json"


def csv(header: str, line: str, profile: FieldType = KNOWN.profile) -> Any:
    return patch_in_csv(Header(header.encode()), profile, "")(line.encode())


def test_a_column_is_a_path_and_an_empty_cell_says_nothing() -> None:
    row = csv(HEAD, 'CRMID,4711,gold,1200,true,"[1, ""a""]"')

    assert row == (
        "CRMID",
        "4711",
        {"loyalty": {"tier": "gold", "points": 1200}, "vip": True, "tags": [1, "a"]},
    )
    assert csv(HEAD, "CRMID,4711,,,,") == ("CRMID", "4711", {})


def test_null_as_json_removes_an_attribute() -> None:
    assert csv("namespace,id,tier:json", "CRMID,1,null")[2] == {"tier": None}


def test_a_cell_is_text_unless_the_column_or_the_schema_says_otherwise() -> None:
    schema = Schema(profile=(Field(path="points", type="number"), Field(path="zip", type="text")))
    typed = field_types(schema).profile

    assert csv("namespace,id,points,zip", "CRMID,1,12,0123")[2] == {"points": "12", "zip": "0123"}
    assert csv("namespace,id,points,zip", "CRMID,1,12,0123", typed)[2] == {
        "points": 12,
        "zip": "0123",
    }


def test_json_is_as_profile_put_takes_it() -> None:
    line = b'{"identity": {"namespace": "CRMID", "id": "1"}, "attributes": {"a": null, "b": [1]}}'

    assert patch_in_json(line) == ("CRMID", "1", {"a": None, "b": [1]})


def test_a_column_of_parquet_has_its_own_kind_and_null_says_nothing() -> None:
    patch = patch_in_columns(["id", "a.b", "c"], KNOWN.profile, "CRMID")

    assert patch({"id": "1", "a.b": 3, "c": None}) == ("CRMID", "1", {"a": {"b": 3}})
    with pytest.raises(RowRefused, match="no text"):
        patch({"id": 4711, "a.b": 3, "c": None})


def test_a_text_of_parquet_is_what_the_column_or_the_schema_says() -> None:
    typed = field_types(Schema(profile=(Field(path="points", type="number"),))).profile
    names = ["id", "points", "vip:boolean", "tags:json", "tier:json"]
    patch = patch_in_columns(names, typed, "CRMID")

    told = patch(
        {"id": "1", "points": "12", "vip:boolean": "", "tags:json": "[1]", "tier:json": "null"}
    )
    assert told == ("CRMID", "1", {"points": 12, "tags": [1], "tier": None})
    assert patch({"id": "1", "points": 12.5, "vip:boolean": True}) == (
        "CRMID",
        "1",
        {"points": 12.5, "vip": True},
    )
    with pytest.raises(RowRefused, match='points is "many", which is no number'):
        patch({"id": "1", "points": "many"})


def test_who_it_is_may_stand_in_capitals_and_stands_once() -> None:
    patch = patch_in_columns(["Namespace", "ID", "vip"], KNOWN.profile, "")

    assert patch({"Namespace": "CRMID", "ID": "1", "vip": True}) == ("CRMID", "1", {"vip": True})
    with pytest.raises(BadImportFile, match='The column "id" stands twice'):
        csv("namespace,id,Id,vip", "CRMID,1,2,x")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CRMID,1,,12a,,", "loyalty.points is"),
        ("CRMID,1,,01,,", "which is no number"),
        ("CRMID,1,,,yes,", "neither true nor false"),
        ("CRMID,1,,,,[1", "tags is no JSON"),
        ("CRMID,1,,1e999,,", "loyalty.points is no JSON"),
        ("CRMID, 1,,,,", "begins or ends with a space"),
    ],
)
def test_a_value_of_another_kind_is_refused(line: str, why: str) -> None:
    with pytest.raises(RowRefused) as refused:
        csv(HEAD, line)

    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("namespace,id", "no column of an attribute"),
        ("id,a", "give --namespace"),
        ("namespace,id,a b", "no path of an attribute"),
        ("namespace,id,externalAudience.risk", "externalAudience, which is a reserved name"),
        ("namespace,id,a,a.b", "is part of another"),
        ("namespace,id,a:int", "Write one of text, number, boolean, json"),
    ],
)
def test_columns_that_are_amiss_are_told_before_any_row_is_read(header: str, why: str) -> None:
    with pytest.raises(BadImportFile) as fault:
        csv(header, "")

    assert why in str(fault.value)


def test_a_patch_that_says_a_name_twice_is_refused_as_profile_put_does() -> None:
    row = b'{"identity":{"namespace":"CRMID","id":"1"},"attributes":{"a":{"b":1,"b":2}}}'

    with pytest.raises(RowRefused, match='The name "b" stands twice in one object'):
        patch_in_json(row)
    with pytest.raises(RowRefused, match='The name "b" stands twice in one object'):
        value_of(Column(("a",), "json"), '{"b":1,"b":2}')


HALVES = (r'"\ud800"', r'"\udc00"', r'"a\ud83d b"', r'{"b":["\ud800"]}')


@pytest.mark.parametrize("half", HALVES)
def test_half_a_character_is_told_as_profile_put_tells_it(half: str) -> None:
    """It had been said that the file is cut off there."""
    row = '{"identity":{"namespace":"CRMID","id":"1"},"attributes":{"a":' + half + "}}"

    for read in (
        lambda: patch_in_json(row.encode()),
        lambda: value_of(Column(("a",), "json"), half),
    ):
        with pytest.raises(RowRefused, match=r"a.* has half a character in it\. Write text as"):
            read()


def test_a_name_with_half_a_character_is_told_too() -> None:
    with pytest.raises(RowRefused, match="a name with half a character in it"):
        patch_in_json(rb'{"identity":{"namespace":"CRMID","id":"1"},"attributes":{"\ud800":1}}')


def test_a_line_that_is_cut_off_is_still_said_to_be() -> None:
    with pytest.raises(RowRefused, match="no row in JSON: Input data was truncated"):
        patch_in_json(rb'{"identity":{"namespace":"CRMID","id":"\ud800')


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("a.b,c,a", '"a" stands twice, or is part of another'),
        ("a:number,b,a", '"a" stands twice, or is part of another'),
        ("a.b.c,a.bc,a.b", '"a.b" stands twice, or is part of another'),
        (".".join("a" * 33), "more than 32 levels deep"),
    ],
)
def test_a_column_that_can_be_put_nowhere_is_refused(columns: str, told: str) -> None:
    with pytest.raises(BadImportFile, match=told):
        csv(f"namespace,id,{columns}", "CRMID,1,2")


def test_columns_may_begin_alike_and_be_as_deep_as_attributes() -> None:
    deep = ".".join("d" * 31)

    row = csv(f"namespace,id,a.b,a.bc,ab,{deep}", "CRMID,1,2,3,4,")

    assert row[2] == {"a": {"b": "2", "bc": "3"}, "ab": "4"}


def test_many_long_columns_are_told_apart_at_once() -> None:
    shared = ".".join("a" * 30)
    header = Header(b"id," + ",".join(f"{shared}.b{each}" for each in range(990)).encode())
    began_s = time.process_time()

    for _ in range(10):
        patch_in_csv(header, KNOWN.profile, "CRMID")

    assert time.process_time() - began_s < 1
