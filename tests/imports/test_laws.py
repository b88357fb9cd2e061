"""Whatever a file holds, each of its lines is a row, a refusal, blank, or part of a row of CSV."""

from __future__ import annotations

import io
import json
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from perso_core.definitions.audience import Audience
from perso_core.definitions.external import with_membership_rule
from perso_core.errors import BadImportFile
from perso_core.imports import lines as lines_module
from perso_core.imports.identity import row_problem
from perso_core.imports.lines import Lines
from perso_core.imports.memberships import (
    Defaults,
    Member,
    Memberships,
    stated_in_csv,
    stated_in_json,
)
from perso_core.imports.patches import Patch, patch_in_csv, patch_in_json
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import LineSource, Source
from perso_core.imports.table import Header, header_of
from perso_core.pql.fields import KNOWN
from tests.building import NOON_MS
from tests.soaking import times

RISK = with_membership_rule(Audience(id="risk", name="Risk", pql="", source="external"))
HEAD = b"namespace,id,audience,expires,status\n"

# fmt: off
CELLS = st.sampled_from([
    "CRMID", "ECID", "4711", "1" * 38, "risk", "Risk", "gold", "", " 4711", '"', '"a""b"',
    "realized", "exited", "1890000000000", "1890000000", "2030-01-01T00:00:00Z", "2030-13-01",
    "9" * 30, "\u2028", "\ud7ff", "a\x00b", "\x1b[31m",
])
# fmt: on
ROWS = st.lists(CELLS, max_size=7).map(lambda cells: ",".join(cells).encode())
OBJECTS = st.dictionaries(
    st.sampled_from(["namespace", "id", "identity", "audience", "expires", "status", "more"]),
    CELLS | st.integers() | st.none() | st.floats() | st.dictionaries(CELLS, CELLS, max_size=2),
    max_size=6,
).map(lambda one: json.dumps(one).encode())
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r", b""])


def file_of(lines: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.tuples(lines, ENDS), max_size=12).map(
        lambda found: b"".join(text + end for text, end in found)
    )


def members(content: bytes, *, csv: bool) -> Source[Member]:
    lines = Lines(io.BytesIO(content))
    checked = Memberships([RISK], defaults=Defaults(), now_ms=NOON_MS)
    stated = stated_in_json
    if csv:
        stated = stated_in_csv(header_of(lines), Defaults())  # type: ignore[assignment]  # both are
    return LineSource(lines, lambda line: checked.member(stated(line)))


def read(source: Source[Member], at_once: int) -> tuple[list[Member], list[Refusal], int]:
    rows: list[Member] = []
    refusals: list[Refusal] = []
    blank = 0
    while (part := source.next(at_once)) is not None:
        rows += part.rows
        refusals += part.refusals
        blank += part.blank
    return rows, refusals, blank


def lines_in(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


@settings(max_examples=times(50, 5_000))
@given(st.binary(max_size=300) | file_of(ROWS), st.integers(1, 5))
@example(b'CRMID,"4711,risk,,\nCRMID,4711,risk,,\n', 1)
@example(b",4711,risk,,\n", 1)
def test_every_line_of_csv_is_a_row_a_refusal_or_blank(content: bytes, at_once: int) -> None:
    rows, refusals, blank = read(members(HEAD + content, csv=True), at_once)

    found, lines = len(rows) + len(refusals) + blank, lines_in(content)
    assert found <= lines
    assert found == lines or any("may be the lines" in one.reason for one in refusals)
    assert all(2 <= one.line <= lines_in(content) + 1 and one.reason for one in refusals)
    assert not any(row_problem(namespace, identity) for namespace, identity, _, _ in rows)


@settings(max_examples=times(50, 5_000))
@given(st.binary(max_size=300) | file_of(OBJECTS), st.integers(1, 5))
def test_every_line_of_ndjson_is_a_row_a_refusal_or_blank(content: bytes, at_once: int) -> None:
    rows, refusals, blank = read(members(content, csv=False), at_once)

    bom = content == lines_module.BOM
    assert len(rows) + len(refusals) + blank == lines_in(content), bom
    for namespace, identity, audience_id, until_ms in rows:
        # Any namespace is one, also what is left of CRMID where bytes of it are others.
        assert (row_problem(namespace, identity), audience_id) == (None, "risk")
        assert until_ms == 0 or until_ms > 100_000_000_000


@settings(max_examples=times(50, 5_000))
@given(st.binary(max_size=120))
def test_a_first_line_is_taken_or_refused_whatever_it_is(content: bytes) -> None:
    with suppress(BadImportFile):
        stated_in_csv(Header(content), Defaults())


@settings(max_examples=times(50, 5_000))
@given(file_of(ROWS | OBJECTS), st.integers(1, 4), st.integers(0, 12))
def test_reading_on_from_any_line_gives_what_is_left(
    content: bytes, at_once: int, parts: int
) -> None:
    whole, broken = members(content, csv=False), members(content, csv=False)
    expected = read(whole, 1_000)
    before: list[Member] = []
    refused: list[Refusal] = []
    for _ in range(parts):
        part = broken.next(at_once)
        if part is None:
            break
        before += part.rows
        refused += part.refusals
    again = members(content, csv=False)

    assert again.resume(broken.place)
    rows, refusals, _ = read(again, at_once)

    assert before + rows == expected[0]
    assert refused + refusals == expected[1]
    assert again.place == whole.place


@settings(max_examples=times(50, 5_000))
@given(file_of(ROWS), st.binary(min_size=1, max_size=3))
def test_nothing_goes_on_in_a_file_that_differs_from_what_was_read(
    content: bytes, change: bytes
) -> None:
    source = members(content, csv=False)
    read(source, 3)
    other = bytes(a ^ b for a, b in zip(content, change + bytes(len(content)), strict=False))

    changed = other[: len(content)] != content
    assert members(other, csv=False).resume(source.place) is not changed


@settings(max_examples=times(50, 5_000))
@given(st.lists(CELLS, max_size=5).map(lambda cells: ",".join(cells).encode()) | st.binary())
def test_any_line_is_a_patch_or_a_refusal(content: bytes) -> None:
    line = content.replace(b"\n", b" ")
    columns = patch_in_csv(Header(b"namespace,id,a.b:number,c:json,d"), KNOWN.profile, "")

    for patch in (columns, patch_in_json):
        source: LineSource[Patch] = LineSource(Lines(io.BytesIO(line)), patch)
        part = source.next(10)
        found = len(part.rows) + len(part.refusals) + part.blank if part else 0
        assert found == bool(line)


def test_a_line_that_is_too_long_is_refused_and_the_next_is_read() -> None:
    long = b"CRMID," + b"x" * (3 * lines_module.MAX_LINE_BYTES)
    rows, refusals, _ = read(members(HEAD + long + b"\nCRMID,1,risk,,\n", csv=True), 10)

    assert [one.line for one in refusals] == [2]
    assert [row[1] for row in rows] == ["1"]
