"""What a row of a membership file says, and what is told of one that says it wrongly."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Mapping

import pytest

from perso_core.definitions.audience import Audience
from perso_core.definitions.external import with_membership_rule
from perso_core.errors import BadImportFile
from perso_core.imports.expiry import expiry_ms
from perso_core.imports.memberships import (
    ENDED,
    Defaults,
    Member,
    Memberships,
    stated_in_columns,
    stated_in_csv,
    stated_in_json,
)
from perso_core.imports.refusal import RowRefused
from perso_core.imports.source import format_of
from perso_core.imports.table import Header
from tests.building import DAY_MS, NOON_MS

AUDIENCES = [
    with_membership_rule(
        Audience(id="a-risk", name="Risk", pql="", alias="risk", source="external")
    ),
    with_membership_rule(
        Audience(id="a-vip", name="VIP", pql="", source="external", membership_days=7)
    ),
    Audience(id="a-gold", name="Gold", pql="a = 1"),
]
NOBODY = Defaults()


def csv(header: str, line: str, defaults: Defaults = NOBODY) -> Member:
    checked = Memberships(AUDIENCES, defaults=defaults, now_ms=NOON_MS)
    return checked.member(stated_in_csv(Header(header.encode()), defaults)(line.encode()))


def ndjson(**row: object) -> Member:
    return ndjson_beside(NOBODY, row)


def ndjson_beside(defaults: Defaults, row: Mapping[str, object]) -> Member:
    checked = Memberships(AUDIENCES, defaults=defaults, now_ms=NOON_MS)
    return checked.member(stated_in_json(json.dumps(row).encode()))


def test_a_row_names_who_which_audience_and_until_when() -> None:
    row = csv("namespace,id,audience,expires", "CRMID,4711,a-risk,1890000000000")

    assert row == ("CRMID", "4711", "a-risk", 1_890_000_000_000)


@pytest.mark.parametrize("word", ["a-risk", "risk", "Risk"])
def test_an_audience_is_named_by_id_alias_or_name(word: str) -> None:
    assert csv("namespace,id,audience", f"CRMID,4711,{word}")[2] == "a-risk"


def test_columns_may_stand_in_any_order_and_case_and_have_other_delimiters() -> None:
    for header, line in (
        ("Audience;ID;Namespace", "risk;4711;CRMID"),
        ("audience\tid\tnamespace", "risk\t4711\tCRMID"),
        ('"audience","id","namespace"', 'risk,"4711",CRMID'),
    ):
        assert csv(header, line)[:3] == ("CRMID", "4711", "a-risk")


def test_what_rows_leave_out_the_command_may_say() -> None:
    assert csv("id", "4711", Defaults("CRMID", "risk"))[:3] == ("CRMID", "4711", "a-risk")
    assert csv("id,audience", "4711,VIP", Defaults("CRMID", "risk"))[2] == "a-vip"


def test_without_an_expiry_a_membership_lasts_as_its_audience_says() -> None:
    assert csv("namespace,id,audience", "CRMID,1,risk")[3] == NOON_MS + 30 * DAY_MS
    assert csv("namespace,id,audience,expires", "CRMID,1,VIP,")[3] == NOON_MS + 7 * DAY_MS
    assert ndjson(namespace="CRMID", id="1", audience="VIP")[3] == NOON_MS + 7 * DAY_MS


def test_exited_ends_a_membership_whatever_its_expiry() -> None:
    header = "namespace,id,audience,expires,status"

    assert csv(header, "CRMID,1,risk,1890000000000,exited")[3] == ENDED
    assert csv(header, "CRMID,1,risk,1890000000000,realized")[3] == 1_890_000_000_000


def test_json_has_the_identity_as_profile_put_has_it_or_flat() -> None:
    flat = ndjson(namespace="CRMID", id="1", audience="risk", expires=1_890_000_000_000)
    nested = ndjson(
        identity={"namespace": "CRMID", "id": "1"}, audience="risk", expires="2029-11-22T00:00:00Z"
    )

    assert flat == nested


def test_null_in_json_says_nothing_as_an_empty_cell_does() -> None:
    """Tools that write every column of every row write it."""
    null = {"namespace": None, "id": "1", "audience": None, "expires": None, "status": None}
    risk = Defaults(namespace="CRMID", audience="risk")

    expected = ndjson(namespace="CRMID", id="1", audience="risk")
    assert ndjson_beside(risk, null) == ndjson_beside(risk, {"id": "1", "status": ""}) == expected
    with pytest.raises(RowRefused, match="is not 1 to 256 printable"):
        ndjson_beside(risk, {"id": None})


def test_a_row_that_names_somebody_twice_is_refused_and_not_half_read() -> None:
    who = {"namespace": "CRMID", "id": "1"}

    for more in (who, {"id": "2"}, {"namespace": "Email"}):
        with pytest.raises(RowRefused, match="names somebody twice"):
            ndjson(identity=who, audience="risk", **more)


def test_a_row_of_parquet_has_instants_of_its_own() -> None:
    from datetime import UTC, datetime

    row = {"namespace": "CRMID", "id": "1", "audience": "risk"}

    stated_in = stated_in_columns([*row, "expires"], NOBODY)
    stated = stated_in({**row, "expires": datetime(2029, 11, 22, tzinfo=UTC)})

    assert Memberships(AUDIENCES, defaults=NOBODY, now_ms=0).member(stated)[3] == 1_890_000_000_000
    with pytest.raises(RowRefused, match="no instant"):
        stated_in({**row, "expires": 1.5})


def test_a_column_of_parquet_counts_in_any_case_and_none_is_passed_over() -> None:
    row = {"Namespace": "CRMID", "ID": "1", "Status": "exited"}

    stated = stated_in_columns(list(row), Defaults(audience="risk"))(row)

    assert stated == ("CRMID", "1", "", "", "exited")
    for names, said in (
        (["namespace", "id", "audience", "expiry"], "no column"),
        (["namespace", "audience"], "There is no column id"),
        (["namespace", "id", "id", "audience"], "stands twice"),
    ):
        with pytest.raises(BadImportFile, match=said):
            stated_in_columns(names, NOBODY)


def test_of_two_columns_that_differ_by_case_nobody_knows_which_is_meant() -> None:
    with pytest.raises(BadImportFile, match='The column "id" stands twice'):
        stated_in_csv(Header(b"namespace,id,ID,audience"), NOBODY)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1890000000000", 1_890_000_000_000),
        ("2029-11-22T00:00:00Z", 1_890_000_000_000),
        ("2029-11-22t02:00:00.0009+02:00", 1_890_000_000_000),
        ("2029-11-22 00:00:00.123456789Z", 1_890_000_000_123),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_an_expiry_is_epoch_milliseconds_or_an_instant_with_its_zone(text: str, ms: int) -> None:
    assert expiry_ms(text) == ms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1890000000", "are these seconds?"),
        ("0", "are these seconds?"),
        ("999999999999999", "after the year 9999"),
        ("9999-12-31T23:59:59-01:00", "after the year 9999"),
        ("2029-12-31T23:59:60Z", "on no calendar"),
        ("2029-11-21", "no instant"),
        ("2029-11-21T10:40:00", "no instant"),
        ("2029-02-30T10:40:00Z", "on no calendar"),
        ("tomorrow", "no instant"),
        ("-1", "no instant"),
    ],
)
def test_an_expiry_that_may_mean_something_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(RowRefused) as refused:
        expiry_ms(text)

    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CRMID,4711,a-gold", "has a rule, which decides alone"),
        ("CRMID,4711,a-rsk", "Write a-risk."),
        ("CRMID,4711,", "names no audience"),
        ("CRMID, 4711,risk", "begins or ends with a space"),
        ("CRMID,,risk", "is not 1 to 256 printable"),
        (f'CRMID,"{"1" * 140_000}",risk', "in quotes has more than 131,072 characters"),
        ("CRM ID,4711,risk", "The namespace"),
        (",4711,risk", "The row names no namespace. Write its code, e.g. ECID or CRMID; "),
        ("ecid,4711,risk", "names devices"),
        ("FPID,4711,risk", "names devices"),
        ("ECID,4711,risk", "is not 38 digits"),
        ("CRMID,4711", "The line has 2 cells, the first line 3 columns."),
        ("CRMID,4711,risk,more", "The line has 4 cells"),
        ('CRMID,"4711,risk', "quotes"),
        ('CRMID,"4711"\rx,risk', "carriage return"),
    ],
)
def test_a_row_that_is_refused_is_told_why_and_what_to_write(line: str, why: str) -> None:
    with pytest.raises(RowRefused) as refused:
        csv("namespace,id,audience", line)

    assert why in str(refused.value)


@pytest.mark.parametrize("before", [{}, {"namespace": "ECID", "id": "1" * 38}])
@pytest.mark.parametrize("who", [{"id": "1"}, {"identity": {"namespace": "", "id": "1"}}])
def test_a_row_of_json_without_a_namespace_is_refused_whatever_came_before_it(
    before: dict[str, str], who: dict[str, object]
) -> None:
    """What was kept of it could be neither exported nor erased: no command takes such a name."""
    checked = Memberships(AUDIENCES, defaults=NOBODY, now_ms=NOON_MS)
    lines = [json.dumps({**row, "audience": "risk"}).encode() for row in (before, who) if row]

    for line in lines[:-1]:
        checked.member(stated_in_json(line))
    with pytest.raises(RowRefused, match="names no namespace"):
        checked.member(stated_in_json(lines[-1]))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            {"namespace": "CRMID", "id": 4711, "audience": "risk"},
            "Expected `str | null`, got `int`",
        ),
        ({"namespace": "CRMID", "id": "1", "audience": "risk", "until": 1}, "unknown field"),
        ({"namespace": "CRMID", "id": "1", "audience": "risk", "status": "x"}, "Invalid enum"),
    ],
)
def test_json_of_another_shape_is_refused(row: dict[str, object], why: str) -> None:
    with pytest.raises(RowRefused) as refused:
        ndjson(**row)

    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("namespace,id,audiance", "Write audience."),
        ("namespace,id", "There is no column audience."),
        ("id,audience", "give --namespace"),
        ("namespace,id,id,audience", "stands twice"),
        ("", "first line is empty"),
        ("id,namespace,audience\r1,CRMID,risk", "carriage return alone"),
        ("i\0d\0,\0", "not UTF-8"),
    ],
)
def test_columns_that_are_amiss_are_told_before_any_row_is_read(header: str, why: str) -> None:
    with pytest.raises(BadImportFile) as fault:
        csv(header, "")

    assert why in str(fault.value)


def test_where_no_audience_is_external_nothing_can_be_imported() -> None:
    with pytest.raises(BadImportFile, match="No audience is external"):
        Memberships(AUDIENCES[2:], defaults=NOBODY, now_ms=0)


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("a.csv", b"{", "csv"),
        ("a.JSONL", b"", "ndjson"),
        ("a", b'\xef\xbb\xbf {"id"', "ndjson"),
        ("a", b"PAR1", "parquet"),
        ("a.txt", b"namespace,id", "csv"),
    ],
)
def test_a_format_is_told_by_the_name_or_by_how_the_file_begins(
    name: str, head: bytes, found: str
) -> None:
    assert format_of(name, head) == found


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("members.csv", content)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_compressed_file_is_to_be_unpacked_first(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadImportFile, match="compressed"):
        format_of("members.csv", pack(b"namespace,id,audience"))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('{"namespace":"CRMID","id":"1","audience":"risk","id":"2"}', "id"),
        (r'{"namespace":"CRMID","id":"1","audience":"risk","\u0069d":"2"}', "id"),
        ('{"identity":{"namespace":"CRMID","id":"1","id":"2"},"audience":"risk"}', "id"),
        (
            '{"namespace":"CRMID","id":"1","audience":"risk", "expires" : 1, "expires":null}',
            "expires",
        ),
    ],
)
def test_a_row_that_says_a_name_twice_is_refused(line: str, name: str) -> None:
    """The last one had won, unsaid."""
    with pytest.raises(RowRefused, match=f'The name "{name}" stands twice in one object'):
        stated_in_json(line.encode())


def test_half_a_character_in_a_row_is_told_with_where_it_stands() -> None:
    with pytest.raises(RowRefused, match=r"^id has half a character in it"):
        stated_in_json(rb'{"namespace":"CRMID","id":"\ud800","audience":"risk"}')


def test_a_row_may_have_a_name_as_its_value_and_signs_in_any_spelling() -> None:
    row = r'{"namespace":"id","id":"\u00fc","audience":"id"}'

    assert stated_in_json(row.encode())[:3] == ("id", "ü", "id")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": 4711}, 'id is "4711", which is no text. Write the column as text.'),
        ({"expires": 1.89e12}, 'expires is "1890000000000.0", which is no instant. Write epoch'),
        ({"expires": True}, "Write epoch milliseconds, or an instant with its zone"),
        ({"status": "left"}, 'The status "left" is neither realized nor exited. Write one of'),
    ],
)
def test_a_value_of_a_kind_that_a_column_has_not_is_told_with_what_to_write(
    row: dict[str, object], told: str
) -> None:
    """As pandas writes a column of whole numbers in which one is missing."""
    whole = {
        "namespace": "CRMID",
        "id": "4711",
        "audience": "risk",
        "expires": None,
        "status": None,
    }
    checked = Memberships(AUDIENCES, defaults=NOBODY, now_ms=NOON_MS)
    with pytest.raises(RowRefused) as refused:
        checked.member(stated_in_columns([*whole], NOBODY)({**whole, **row}))

    assert told in str(refused.value)
