"""A line break in quotes is part of its cell: whoever writes what stands in one writes no rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perso_core.imports import lines as lines_module
from perso_core.imports.lines import Lines
from perso_core.imports.quotes import QUOTED, START, Quotes
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import LineSource, Place
from perso_core.imports.table import header_of
from tests.soaking import times

HEAD = "namespace,id,text\n"
NUMBERED = tuple[int, list[str]]

# What a cell may hold, and what a file may: signs that mean something, and some that do not.
TEXTS = st.text(st.sampled_from(list('",;\r\n a\u2028é')), max_size=12)
FILES = st.lists(
    st.sampled_from(['"', '"', '""', ",", ",", "\n", "\n", "\r\n", "a", 'a,b,"', '"\n', '",', " "]),
    max_size=40,
).map("".join)


def source_of(text: str) -> LineSource[list[str]]:
    lines = Lines(io.BytesIO(text.encode()))
    return LineSource(lines, header_of(lines).cells)


def read(source: LineSource[list[str]], at_once: int = 3) -> tuple[list[NUMBERED], list[Refusal]]:
    rows: list[NUMBERED] = []
    refusals: list[Refusal] = []
    while (part := source.next(at_once)) is not None:
        rows += zip(part.lines, part.rows, strict=True)
        refusals += part.refusals
    return rows, refusals


def as_python_reads(text: str) -> Iterator[NUMBERED | None]:
    """The rows of the whole text, by the line they begin in; None for a fault, after which it goes
    on with the next line."""
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            yield begins, next(reader)
        except csv.Error:
            yield None
        except StopIteration:
            return


def test_lines_in_quotes_are_no_rows() -> None:
    told = 'CRMID,attacker,"x\nCRMID,victim,gotcha\ny"\nCRMID,1,b\n'

    assert read(source_of(HEAD + told)) == (
        [(2, ["CRMID", "attacker", "x\nCRMID,victim,gotcha\ny"]), (5, ["CRMID", "1", "b"])],
        [],
    )


@settings(max_examples=times(150, 10_000))
@given(
    st.lists(st.tuples(st.just("CRMID"), TEXTS, TEXTS).map(list), max_size=8),
    # With line feeds alone it would leave a carriage return without quotes.
    st.sampled_from([(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]),
    st.integers(1, 4),
)
def test_what_csv_writes_comes_back(
    rows: list[list[str]], way: tuple[int, str], at_once: int
) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=way[0], lineterminator=way[1]).writerows(rows)  # type: ignore[arg-type]  # a constant of csv

    found, refusals = read(source_of(HEAD + file.getvalue()), at_once)

    assert ([cells for _, cells in found], refusals) == (rows, [])


@settings(max_examples=times(300, 50_000))
@given(FILES, st.integers(1, 4))
@example('1,2,"a" b"\n1,2,3\n', 1)
@example('1,2,"\\" \n1,2,3\n"\n1,2,3\n', 1)
@example('a"b,,"\n1,2,3\n"\n', 1)
def test_no_row_is_made_that_python_does_not_read(text: str, at_once: int) -> None:
    whole = list(as_python_reads(HEAD + text))
    fault = whole.index(None) if None in whole else len(whole)
    read_by_python = [one for one in whole if one and len(one[1]) == 3][1:]
    before = [one for one in whole[:fault] if one and len(one[1]) == 3][1:]

    rows, _ = read(source_of(HEAD + text), at_once)

    assert rows[: len(before)] == before
    assert all(one in read_by_python for one in rows)


@settings(max_examples=times(150, 10_000))
@given(FILES, st.integers(1, 4), st.integers(0, 12))
def test_reading_on_begins_at_a_row(text: str, at_once: int, parts: int) -> None:
    whole, killed = source_of(HEAD + text), source_of(HEAD + text)
    expected = read(whole, at_once)
    rows: list[NUMBERED] = []
    refusals: list[Refusal] = []
    place = killed.place
    for _ in range(parts):
        if (part := killed.next(at_once)) is None:
            break
        rows += zip(part.lines, part.rows, strict=True)
        refusals += part.refusals
        place = killed.place
    again = source_of(HEAD + text)

    assert again.resume(place)
    later = read(again, at_once)

    assert (rows + later[0], refusals + later[1]) == expected
    assert again.place == whole.place


def test_within_a_row_a_file_is_as_far_as_before_it() -> None:
    source = source_of(HEAD + 'CRMID,1,a\nCRMID,2,"x\ny\nz"\nCRMID,3,c\n')

    places = [source.place.line]
    while source.next(1) is not None:
        places.append(source.place.line)

    assert places == [1, 2, 2, 2, 5, 6]


@settings(max_examples=times(150, 10_000))
@given(FILES, st.lists(st.integers(0, 80), max_size=6), st.sampled_from([START, QUOTED]))
def test_a_text_may_be_read_in_any_pieces(text: str, cuts: list[int], begins: int) -> None:
    content, quotes = text.encode(), Quotes(",")
    readings, at = begins, 0
    for cut in sorted(cuts):
        readings, at = quotes.after(readings, content[at:cut], whole=False), max(at, cut)

    readings = quotes.after(readings, content[at:], whole=False)

    assert readings == quotes.after(begins, content, whole=False)


@pytest.mark.parametrize(
    ("opened", "why", "where"),
    [
        ('CRMID,1,"a', "A quote is opened and not closed.", "opened stands in line 3, sign 9"),
        ('CRMID,"é","a', "A quote is opened and not closed.", "opened stands in line 3, sign 11"),
        ('CRMID,1,"a" b', "The quotes of the line are amiss", "amiss stands in line 3, sign 11"),
        # As Spark writes a quote.
        ('CRMID,1,"\\" ', "The quotes of the line are amiss", "amiss stands in line 3, sign 11"),
        ('CRMID,1,a\rb,"', "A carriage return stands outside the quotes.", "line 3, sign 13"),
    ],
)
def test_a_stray_quote_is_told_with_the_lines_that_may_be_part_of_its_cell(
    opened: str, why: str, where: str
) -> None:
    rows, (refusal,) = read(source_of(f"{HEAD}CRMID,0,a\n{opened}\nCRMID,2,b\nCRMID,3,c\n"))

    assert rows == [(2, ["CRMID", "0", "a"])]
    assert (refusal.line, refusal.lines) == (3, 3)
    assert refusal.reason.startswith(why)
    assert f"{where}. " in refusal.reason
    assert refusal.reason.endswith(
        " By its quotes the row may be the lines 3 to 5, 3 lines: nothing of them was taken. Where"
        " they are rows, mend the quotes, and import the file again."
    )


@given(text=FILES)
@settings(max_examples=times(100, 5_000))
def test_a_quote_is_called_open_or_amiss_where_python_reads_one_so(text: str) -> None:
    text = text.replace("\r", "")
    quotes, quoted, amiss = Quotes(","), False, False
    for line in text.encode().splitlines(keepends=True):
        traced = quotes.traced(line, quoted=quoted)
        quoted, amiss = traced.quoted, amiss or traced.amiss is not None
    told = ""
    try:
        list(csv.reader(io.StringIO(text, newline="\n"), strict=True))
    except csv.Error as error:
        told = str(error)

    assert amiss == ("expected after" in told)
    assert amiss or quoted == ("unexpected end" in told)


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
@pytest.mark.parametrize("breaks", [1, 9])
def test_of_a_row_of_several_lines_the_quote_is_told_that_was_left_open(
    breaks: int, at_once: int
) -> None:
    """The line in which the row begins had been told alone. Also of a row too long to be kept."""
    cell = f"{'x' * 60_000}\n" * breaks + "ab"
    rows, (refusal,) = read(source_of(f'{HEAD}CRMID,"{cell}","c\nCRMID,2,b\n'), at_once)

    assert rows == []
    assert (refusal.line, refusal.lines) == (2, breaks + 2)
    assert f"opened stands in line {breaks + 2}, sign 5. " in refusal.reason


def test_a_refused_row_whose_quotes_are_well_is_one_however_many_lines_it_has() -> None:
    _, (refusal,) = read(source_of(f'{HEAD}CRMID,"1\n2",b,c\nCRMID,2,b\n'))

    assert (refusal.line, refusal.lines) == (2, 1)
    assert "has 4 cells" in refusal.reason


def test_after_a_stray_quote_rows_begin_anew_behind_quotes_that_are_well() -> None:
    rows, refusals = read(
        source_of(f'{HEAD}CRMID,1,"a\nCRMID,2,b\nCRMID,3,"c, d"\nCRMID,4,"e ""f"""\n')
    )

    assert rows == [(5, ["CRMID", "4", 'e "f"'])]
    assert [one.line for one in refusals] == [2]
    assert "the lines 2 to 4" in refusals[0].reason


@pytest.mark.parametrize("opened", ['"a', '"é'])
@pytest.mark.parametrize("breaks", [1, 40, 200_000])
def test_a_row_that_is_too_long_is_refused_with_all_its_lines(opened: str, breaks: int) -> None:
    long = "x" * (lines_module.MAX_LINE_BYTES // breaks + 2)
    cell = f"{opened}\n" + f"{long}\n" * breaks + 'CRMID,victim,gotcha\n"'
    rows, (refusal,) = read(source_of(f"{HEAD}CRMID,1,{cell}\nCRMID,2,b\n"), 1_000)

    assert rows == [(breaks + 5, ["CRMID", "2", "b"])]
    assert refusal.line == 2
    assert "is too long. Shorten it to 262,144 bytes." in refusal.reason
    assert f"the lines 2 to {breaks + 4:,}, {breaks + 3:,} lines: nothing" in refusal.reason


@pytest.mark.parametrize("quote", ['"', 'x,"', '""', "x"])
def test_a_line_that_is_too_long_opens_a_cell_as_any_line_does(quote: str) -> None:
    long = "x" * 3 * lines_module.MAX_LINE_BYTES
    source = source_of(f"{HEAD}CRMID,1,{quote}{long}\nCRMID,2,b\n")

    rows, (refusal,) = read(source)

    assert refusal.line == 2
    assert [cells for _, cells in rows] == ([["CRMID", "2", "b"]] if quote == "x" else [])


def test_a_line_that_is_no_utf_8_opens_a_cell_as_any_line_does() -> None:
    lines = Lines(io.BytesIO(HEAD.encode() + b'CRMID,1,"\xff\nCRMID,victim,gotcha\n"\nCRMID,2,b\n'))
    rows, (refusal,) = read(LineSource(lines, header_of(lines).cells))

    assert rows == [(5, ["CRMID", "2", "b"])]
    assert refusal.reason.startswith("The line is not UTF-8 (byte 0xff).")
    assert "the lines 2 to 4, 3 lines: nothing" in refusal.reason


def test_a_place_within_a_row_is_where_the_row_begins() -> None:
    source = source_of(f'{HEAD}CRMID,1,a\n\nCRMID,2,"b\nc"\n')
    source.next(3)

    assert source.place.line == 3
    assert source.place.offset == len(f"{HEAD}CRMID,1,a\n\n")
    assert source.place != Place(source.place.offset, 3, 0)
