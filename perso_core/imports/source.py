"""A file as it is imported: in parts, from where an earlier run ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Generic, Literal, Protocol, TypeVar, get_args
from zlib import crc32

from msgspec import Struct

from perso_core.errors import BadImportFile
from perso_core.imports.lines import BOM, MAX_LINE_BYTES, Lines
from perso_core.imports.quotes import START, Ended, Quotes
from perso_core.imports.refusal import Refusal, RowRefused
from perso_core.imports.table import UNCLOSED

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
_MOST_BYTES = max(map(len, _COMPRESSED))

Row = TypeVar("Row")


class Part(Struct, Generic[Row]):
    """What some lines are: rows, refusals and blank lines. lines: the numbers of the rows; of one
    that is several lines the first."""

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
        """The next lines, which may be within one row; None: there are no more."""
        ...


class LineSource(Generic[Row]):
    """CSV or NDJSON. What was read from `lines` already, such as a header, is passed over."""

    def __init__(self, lines: Lines, row: Callable[[bytes], Row]) -> None:
        self._lines = lines
        self._row = row
        self._broken: _BrokenRow | None = None
        self._broken_from = Place(0, 0)

    @property
    def place(self) -> Place:
        return self._broken_from if self._broken else self._read_to()

    def _read_to(self) -> Place:
        return Place(self._lines.offset, self._lines.line, self._lines.checksum)

    def resume(self, place: Place) -> bool:
        if not self._lines.skip_to(place.offset) or self._lines.checksum != place.checksum:
            return False
        self._lines.line = place.line
        return True

    def next(self, at_most: int) -> Part[Row] | None:
        begin = self._read_to()
        lines, too_long = self._lines.next(at_most)
        part: Part[Row] = Part()
        rows, numbers, row = part.rows, part.lines, self._row
        broken = self._broken
        if not lines and too_long is None:
            if broken is None:
                return None
            self._broken = None
            self._end(broken, part)
            return part
        for number, line in enumerate(lines, begin.line + 1):
            if broken is None:
                if not line or line.isspace():
                    part.blank += 1
                    continue
                try:
                    rows.append(row(line.rstrip(b"\r\n")))
                    numbers.append(number)
                    continue
                except RowRefused as refused:
                    if self._lines.quotes is None or b'"' not in line:
                        part.refusals.append(Refusal(number, str(refused)))
                        continue
                broken = _BrokenRow(number, self._lines.quotes)
            broken = self._gone_on(broken, line, part)
        if too_long is not None:
            broken = broken or _BrokenRow(self._lines.line, self._lines.quotes)
            broken = self._gone_on(broken, too_long, part)
        if broken is not None and broken is not self._broken:
            self._broken_from = _after(begin, lines[: broken.first - begin.line - 1])
        self._broken = broken
        return part

    def _gone_on(
        self, broken: _BrokenRow, line: bytes | Ended, part: Part[Row]
    ) -> _BrokenRow | None:
        """With its next line. None: that was its last."""
        broken.add(line)
        if not broken.ended:
            return broken
        self._end(broken, part)
        return None

    def _end(self, broken: _BrokenRow, part: Part[Row]) -> None:
        try:
            part.rows.append(self._row(broken.text()))
            part.lines.append(broken.first)
        except RowRefused as refused:
            reason = f"{refused}{broken.where()}{broken.taken_with_it()}"
            part.refusals.append(Refusal(broken.first, reason, broken.lines))


class _BrokenRow:
    """A row that its quotes make of several lines, or a line that may be one. Of one that is too
    long nothing is kept but where it ends. quotes: of CSV."""

    def __init__(self, first: int, quotes: Quotes | None) -> None:
        self.first, self._last = first, first - 1
        self._quotes = quotes
        self._readings = START
        self._text = bytearray()
        self._too_long = False
        self._quoted = False  # by RFC 4180, as is what follows
        self._opened: str | None = None  # where the quote stands that is open
        self._amiss: str | None = None  # the first one that is amiss
        self._unknown = False  # of a line it is not known

    @property
    def ended(self) -> bool:
        return self._readings == START

    @property
    def lines(self) -> int:
        """As many as may be rows: one, where its quotes are well."""
        well = self.ended and self._amiss is None and not self._unknown
        return 1 if well else self._last - self.first + 1

    def add(self, line: bytes | Ended) -> None:
        self._last += 1
        if self._quotes is not None:
            self._readings = self._quotes.after_line(self._readings, line)
            self._trace(line, self._quotes)
        if isinstance(line, Ended) or len(self._text) + len(line) > MAX_LINE_BYTES + 1:
            self._too_long = True
            self._text.clear()
        elif not self._too_long:
            self._text += line

    def text(self) -> bytes:
        """Raises RowRefused."""
        if self._too_long and self._last == self.first:
            raise RowRefused(
                f"The line is too long for a row. Shorten it to {MAX_LINE_BYTES:,} bytes."
            )
        if self._too_long and self.ended:
            raise RowRefused(
                "By its quotes the row has more lines, and is too long. Shorten it to"
                f" {MAX_LINE_BYTES:,} bytes."
            )
        if self._too_long:
            raise RowRefused(UNCLOSED)
        return bytes(self._text).rstrip(b"\r\n")

    def _trace(self, line: bytes | Ended, quotes: Quotes) -> None:
        if isinstance(line, Ended):
            self._unknown, self._opened = True, None
            return
        if b'"' not in line:
            return
        traced = quotes.traced(line, quoted=self._quoted)
        self._quoted = traced.quoted
        if traced.opened is not None:
            self._opened = self._place(line, traced.opened)
        if traced.amiss is not None:
            self._amiss = self._amiss or self._place(line, traced.amiss)

    def _place(self, line: bytes, at: int) -> str:
        return f"line {self._last:,}, sign {len(line[:at].decode(errors='replace')) + 1:,}"

    def where(self) -> str:
        """Which quote the refusal is about, where it is one."""
        if self._amiss is not None:
            return f" The quote that is amiss stands in {self._amiss}."
        if not self.ended and self._opened is not None:
            return f" The quote that is opened stands in {self._opened}."
        return ""

    def taken_with_it(self) -> str:
        """What a refusal has to say where there are more lines than the one that it names."""
        if self._last == self.first:
            return ""
        return (
            f" By its quotes the row may be the lines {self.first:,} to {self._last:,},"
            f" {self._last - self.first + 1:,} lines: nothing of them was taken. Where they are"
            " rows, mend the quotes, and import the file again."
        )


def _after(place: Place, lines: Sequence[bytes]) -> Place:
    passed = b"".join(lines)
    return Place(place.offset + len(passed), place.line + len(lines), crc32(passed, place.checksum))


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


def says_format(head: bytes) -> bool:
    """Whether so much of a file is enough for format_of."""
    begins = head.removeprefix(BOM).lstrip()
    return len(begins) >= _MOST_BYTES or len(head) >= HEAD_BYTES


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
    begins = head.removeprefix(BOM).lstrip()[:1]
    if not begins and says_format(head):
        raise BadImportFile(
            f"{name} begins with {len(head):,} blanks.", fix="Take them out, or give --format."
        )
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
