"""A file as it is imported: in parts, from where an earlier run ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Generic, Literal, Protocol, TypeVar, get_args

from msgspec import Struct

from perso_core.errors import BadImportFile
from perso_core.imports.lines import MAX_LINE_BYTES, Lines
from perso_core.imports.refusal import Refusal, RowRefused

Format = Literal["csv", "ndjson", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
HEAD_BYTES = 64 * 1024
# How gzip, zip, Zstandard, bzip2 and xz begin.
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh91AY", b"\xfd7zXZ")

Row = TypeVar("Row")


class Part(Struct, Generic[Row]):
    """Some lines: rows, refusals and blank ones, together as many as there were. lines: the numbers
    of the rows."""

    rows: list[Row] = []
    refusals: list[Refusal] = []
    blank: int = 0
    lines: list[int] = []


class Place(Struct, frozen=True):
    """Up to where a file was read. Of Parquet offset and line are rows."""

    offset: int
    line: int
    checksum: int = 0


class Source(Protocol[Row]):
    """A file that is read in parts."""

    @property
    def place(self) -> Place: ...

    def resume(self, place: Place) -> bool:
        """Go on from there. False: up to there it is another file."""
        ...

    def next(self, at_most: int) -> Part[Row] | None:
        """The next lines; None: there are no more."""
        ...


class LineSource(Generic[Row]):
    """CSV or NDJSON. What was read from `lines` already, such as a header, is passed over."""

    def __init__(self, lines: Lines, row: Callable[[bytes], Row]) -> None:
        self._lines = lines
        self._row = row

    @property
    def place(self) -> Place:
        return Place(self._lines.offset, self._lines.line, self._lines.checksum)

    def resume(self, place: Place) -> bool:
        if not self._lines.skip_to(place.offset) or self._lines.checksum != place.checksum:
            return False
        self._lines.line = place.line
        return True

    def next(self, at_most: int) -> Part[Row] | None:
        first = self._lines.line + 1
        lines = self._lines.next(at_most)
        return read_lines(lines, first, self._row) if lines else None


def read_lines(lines: Sequence[bytes | None], first: int, row: Callable[[bytes], Row]) -> Part[Row]:
    """first: the number of the first of them."""
    part: Part[Row] = Part()
    rows = part.rows
    for number, line in enumerate(lines, first):
        if line is not None and (not line or line.isspace()):
            part.blank += 1
            continue
        try:
            if line is None:
                raise RowRefused(
                    f"The line is too long for a row. Shorten it to {MAX_LINE_BYTES:,} bytes."
                )
            rows.append(row(line))
            part.lines.append(number)
        except RowRefused as refused:
            part.refusals.append(Refusal(number, str(refused)))
    return part


def read_rows(
    given: Iterable[Mapping[str, Any] | RowRefused],
    first: int,
    row: Callable[[Mapping[str, Any]], Row],
) -> Part[Row]:
    """The same of rows that have columns, or were refused already."""
    part: Part[Row] = Part()
    for number, columns in enumerate(given, first):
        try:
            if isinstance(columns, RowRefused):
                raise columns
            part.rows.append(row(columns))
            part.lines.append(number)
        except RowRefused as refused:
            part.refusals.append(Refusal(number, str(refused)))
    return part


def format_of(name: str, head: bytes) -> Format:
    """By the file's name, or else by how it begins. Raises BadImportFile."""
    if head.startswith(_COMPRESSED):
        raise BadImportFile(f"{name} is compressed.", fix="Unpack it first.")
    lower = name.lower()
    for suffix, found in _SUFFIXES.items():
        if lower.endswith(suffix):
            return found
    if head.startswith(b"PAR1"):
        return "parquet"
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begins == b"[":
        raise BadImportFile(
            f"{name} is one JSON list.", fix="Write each of its objects on a line of its own."
        )
    return "ndjson" if begins == b"{" else "csv"


def name_of(
    file: IO[bytes],
    size: int,
    said: Sequence[str],
    *,
    whole: bool = False,
    tell: Callable[[int, int], None] = lambda done, size: None,
) -> bytes:
    """What a file is remembered by: its size, how it begins and ends, and what the command says of
    it. `file` is left at its beginning. whole: by all of it, where no checksum of what was read
    tells the rest; tell: how far that is, of size."""
    digest = hashlib.sha256("\0".join((*said, str(size))).encode())
    digest.update(file.read(HEAD_BYTES))
    if not whole:
        file.seek(max(0, size - HEAD_BYTES))
    while read := file.read(HEAD_BYTES):
        digest.update(read)
        tell(file.tell(), size)
    file.seek(0)
    return digest.digest()
