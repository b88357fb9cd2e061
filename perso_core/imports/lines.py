"""A file in lines, each with its number, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO
from zlib import crc32

from perso_core.imports.quotes import QUOTED, START, Ended, Quotes

# A longer line is no row: it is refused, and the next one is read.
MAX_LINE_BYTES = 256 * 1024
_AT_ONCE = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Lines:
    """The lines of a file opened in binary mode, with their ends.

    offset, line, checksum: of what was given out so far. quotes: of CSV, once its header is read.
    Of a line that is too long only how its quotes end is given. bytes_at_once: no more lines are
    given together once they have so many.
    """

    def __init__(self, file: IO[bytes], *, bytes_at_once: int = 8 * _AT_ONCE) -> None:
        self._file = file
        self._bytes_at_once = bytes_at_once
        self.quotes: Quotes | None = None
        self._too_long: Ended | None = None
        self.offset = self.line = self.checksum = 0

    def skip_to(self, offset: int) -> bool:
        """Read, and pass over, up to an offset at which a line began. False: the file ends before.
        The caller sets `line`."""
        while self.offset < offset:
            read = self._file.read(min(_AT_ONCE, offset - self.offset))
            if not read:
                return False
            self._took(read)
        return True

    def next(self, at_most: int) -> tuple[list[bytes], Ended | None]:
        """The next lines, and after them the one that is too long, if that is why they end; fewer
        than at_most also at the end of the file, and where they are large."""
        found: list[bytes] = []
        room = self._bytes_at_once
        for raw in self._raw(at_most):
            found.append(raw)
            room -= len(raw)
            if room < 0:
                break
        too_long, self._too_long = self._too_long, None
        self.line += len(found) + (too_long is not None)
        return found, too_long

    def first(self) -> bytes | None:
        """The next line alone, such as a header, without its end; None where it is too long, or
        there is none."""
        lines, _ = self.next(1)
        return lines[0].rstrip(b"\r\n") if lines else None

    def _raw(self, at_most: int) -> Iterator[bytes]:
        for _ in range(at_most):
            read = self._file.readline(MAX_LINE_BYTES + 1)
            if not read:
                return
            whole = self.offset == 0 and read.startswith(BOM)
            self._took(read)
            if len(read) > MAX_LINE_BYTES and not read.endswith(b"\n"):
                self._too_long = self._passed_over(read)
                return
            yield read[3:] if whole else read

    def _passed_over(self, read: bytes) -> Ended:
        """A line that is too long, of which this was read."""
        outside, quoted = START, QUOTED
        while True:
            whole = not read or read.endswith(b"\n")
            if self.quotes:
                outside = self.quotes.after(outside, read, whole=whole)
                quoted = self.quotes.after(quoted, read, whole=whole)
            if whole:
                return Ended(outside, quoted)
            read = self._file.readline(_AT_ONCE)
            self._took(read)

    def _took(self, read: bytes) -> None:
        self.offset += len(read)
        self.checksum = crc32(read, self.checksum)
