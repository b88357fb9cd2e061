"""Rows of texts: CSV with a header line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from perso_core.definitions.finding import nearest
from perso_core.errors import BadImportFile
from perso_core.imports.lines import Lines
from perso_core.imports.quotes import Quotes
from perso_core.imports.refusal import RowRefused, shown

DELIMITERS = (",", ";", "\t")
MAX_COLUMNS = 1_000
UNCLOSED = 'A quote is opened and not closed. Close it, or take it out; in quotes write "" for one.'


class Header:
    """The columns of a file, and how its lines are taken apart."""

    def __init__(self, line: bytes | None) -> None:
        """Raises BadImportFile."""
        text = _header_text(line)
        # The delimiter of most columns; of none a comma.
        self.delimiter = max(DELIMITERS, key=text.count)
        try:
            cells = _quoted(text, self.delimiter)
        except RowRefused as refused:
            raise BadImportFile(f"line 1: {refused}", fix="Mend the first line.") from None
        self.columns = [cell.strip() for cell in cells]
        if len(self.columns) > MAX_COLUMNS:
            raise BadImportFile(
                f"line 1 has {len(self.columns):,} columns.", fix=f"Keep at most {MAX_COLUMNS:,}."
            )
        refuse_twice(self.columns)

    def cells(self, line: bytes) -> list[str]:
        """One row's cells, as many as there are columns; in quotes they may have line breaks.
        Raises RowRefused."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            byte = line[error.start]
            raise RowRefused(
                f"The line is not UTF-8 (byte 0x{byte:02x}). Save the file as UTF-8."
            ) from None
        found = _quoted(text, self.delimiter) if '"' in text else text.split(self.delimiter)
        if len(found) != len(self.columns):
            raise RowRefused(
                f"The line has {len(found):,} cells, the first line {len(self.columns):,} columns."
                " Put cells with a delimiter or a line break in them in quotes."
            )
        return found


def header_of(lines: Lines) -> Header:
    """The header that they begin with; from here on they are rows. Raises BadImportFile."""
    header = Header(lines.first())
    lines.quotes = Quotes(header.delimiter)
    return header


def refuse_twice(columns: Sequence[str]) -> None:
    """Raises BadImportFile: which of the two is meant nobody knows."""
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise BadImportFile(f"The column {shown(twice[0])} stands twice.", fix="Keep one.")


def refuse_missing(columns: Sequence[str], needed: Mapping[str, str]) -> None:
    """needed: of each column that there must be what is given instead; "": nothing. Raises
    BadImportFile."""
    for name, given in needed.items():
        if name not in columns and not given:
            option = "" if name == "id" else f", or give --{name}"
            raise BadImportFile(f"There is no column {name}.", fix=f"Add the column{option}.")


def refuse_unknown(columns: Sequence[str], known: Sequence[str]) -> None:
    """Raises BadImportFile for a column that nobody reads."""
    for name in columns:
        if name not in known:
            near = nearest(name, known)
            raise BadImportFile(
                f"There is no column {shown(name)}.",
                fix=f"Write {near}." if near else f"The columns are {', '.join(known)}.",
            )


def _header_text(line: bytes | None) -> str:
    if not line:
        raise BadImportFile(
            "The first line is empty or too long.", fix="Name the columns there, e.g. namespace,id."
        )
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadImportFile("The first line is not UTF-8.", fix="Save the file as UTF-8.") from None
    if "\0" in text:  # UTF-16 that does not say so
        raise BadImportFile("The first line is not UTF-8.", fix="Save the file as UTF-8.")
    if "\r" in text:
        raise BadImportFile(
            "The lines end with a carriage return alone.", fix="Save the file with line feeds."
        )
    return text


def _quoted(text: str, delimiter: str) -> list[str]:
    """Raises RowRefused."""
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        if "field limit" in str(error):
            raise RowRefused(
                f"A cell in quotes has more than {csv.field_size_limit():,} characters."
            ) from None
        if "unexpected end" in str(error):
            raise RowRefused(UNCLOSED) from None
        if "new-line" in str(error):  # of which csv says how Python opens files
            raise RowRefused(
                "A carriage return stands outside the quotes. Take it out, or put its cell in them."
            ) from None
        told = error if isinstance(error, csv.Error) else "it is no one row"
        raise RowRefused(f'The quotes of the line are amiss: {told}. Write "" for one.') from None
    return cells
