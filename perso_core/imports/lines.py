"""A file in lines, each with its number, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO
from zlib import crc32

# A longer line is no row: it is refused, and the next one is read.
MAX_LINE_BYTES = 256 * 1024
_AT_ONCE = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Lines:
    """The lines of a file opened in binary mode, without their ends.

    offset, line, checksum: of what was given out so far. A line that is too long is given as None.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
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

    def next(self, at_most: int) -> list[bytes | None]:
        """The next lines; fewer than at_most at the end, or where they are large."""
        found: list[bytes | None] = []
        room = _AT_ONCE * 8
        for raw in self._raw(at_most):
            found.append(raw)
            room -= len(raw or b"")
            if room < 0:
                break
        self.line += len(found)
        return found

    def first(self) -> bytes | None:
        """The next line alone, such as a header; None where it is too long, or there is none."""
        found = self.next(1)
        return found[0] if found else None

    def _raw(self, at_most: int) -> Iterator[bytes | None]:
        for _ in range(at_most):
            read = self._file.readline(MAX_LINE_BYTES + 1)
            if not read:
                return
            whole = self.offset == 0 and read.startswith(BOM)
            self._took(read)
            if read.endswith(b"\n"):
                yield (read[3:] if whole else read).rstrip(b"\r\n")
            elif len(read) <= MAX_LINE_BYTES:
                yield read[3:] if whole else read  # the last one
            else:
                self._pass_over()
                yield None

    def _pass_over(self) -> None:
        """The rest of a line that is too long."""
        while True:
            read = self._file.readline(_AT_ONCE)
            self._took(read)
            if not read or read.endswith(b"\n"):
                return

    def _took(self, read: bytes) -> None:
        self.offset += len(read)
        self.checksum = crc32(read, self.checksum)
