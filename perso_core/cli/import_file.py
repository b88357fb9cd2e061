"""A file on its way in: opened, resumed where an earlier run ended, its refusals reported."""

from __future__ import annotations

import argparse
import asyncio
import csv
import fcntl
import io
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from msgspec import Struct, structs

from perso_core.cli.progress import Progress as Told
from perso_core.cli.terminal import shown
from perso_core.errors import BadImportFile, StoreUnavailable
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import (
    HEAD_BYTES,
    Format,
    Part,
    Place,
    Source,
    format_of,
    name_of,
    says_format,
)
from perso_core.stores.imports import Progress
from perso_core.stores.owner import made_or_opened

Row = TypeVar("Row")
# Rows that are put in order and written together. More would write each page less often, and take
# more memory: with so many the process has some 200 MB.
ROWS_AT_ONCE = 100_000
TOLD_REFUSALS = 20
LOCK = "import.lock"
HEADER = ("line", "reason")  # of a report

# Reports a part's refusals, keeps its rows and how far the file is; gives back the latter with what
# only the store knows.
Keep = Callable[[Part[Row], Progress], Awaitable[Progress]]


class Opened(Struct, frozen=True):
    """path: as given. name: what the file is remembered by; empty: it cannot be read again."""

    path: str
    file: IO[bytes]
    format: Format
    size: int
    name: bytes


@contextmanager
def opened(arguments: argparse.Namespace, said: list[str]) -> Iterator[Opened]:
    """said: whatever else decides what becomes of the rows. Raises BadImportFile."""
    path = arguments.file
    try:
        file = _stdin() if path == "-" else open(path, "rb")  # noqa: SIM115 closed below
    except OSError as error:
        raise BadImportFile(
            f"{path}: {error.strerror or error}.",
            fix="Name a file that exists and that you may read.",
        ) from None
    with file:
        about = os.fstat(file.fileno())
        _refuse_as_report(arguments.report, about)
        if path == "-" or not stat.S_ISREG(about.st_mode):
            found = arguments.format
            if found is None:
                head, file = _begun(file)
                found = format_of(path if path != "-" else "stdin", head)
            _refuse_unseekable(path, found)
            yield Opened(path, file, found, 0, b"")
            return
        found = arguments.format or format_of(path, file.read(HEAD_BYTES))
        file.seek(0)
        whole, tell = found == "parquet", Told("bytes looked through").tell
        name = name_of(file, about.st_size, [found, *said], whole=whole, tell=tell)
        yield Opened(path, file, found, about.st_size, name)


@contextmanager
def goes_on(arguments: argparse.Namespace, file: Opened) -> Iterator[None]:
    """Whoever stops it, or whose store fails, hears that it need not begin anew."""
    try:
        yield
    except (KeyboardInterrupt, StoreUnavailable) as error:
        if file.name:
            anew = " without --from-start" if arguments.from_start else ""
            after = "\n" if isinstance(error, KeyboardInterrupt) else ""  # the terminal shows ^C
            told = f"{after}The same command{anew} goes on where this one was stopped."
            print(told, file=sys.stderr)
        raise


def _begun(pipe: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """How it begins, as far as that says what it is, and the same pipe, still to be read whole. Its
    first bytes may come alone: a mark of their order, or an empty line."""
    assert isinstance(pipe, io.BufferedReader), "it was opened for reading, with a buffer"
    head = pipe.peek(1)
    if says_format(head):
        return head, pipe
    head = b""
    while not says_format(head) and (read := pipe.read1(HEAD_BYTES)):
        head += read
    return head, io.BufferedReader(_Begun(head, pipe), HEAD_BYTES)


class _Begun(io.RawIOBase):
    """A pipe of which something was read already, which is read again."""

    def __init__(self, read: bytes, pipe: io.BufferedReader) -> None:
        self._read = read
        self._pipe = pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._read:
            return self._pipe.readinto1(buffer)
        found = self._read[: len(buffer)]
        self._read = self._read[len(found) :]
        buffer[: len(found)] = found
        return len(found)


def _refuse_unseekable(path: str, found: Format) -> None:
    """Raises BadImportFile for Parquet, which is read from its end."""
    if found == "parquet":
        raise BadImportFile(f"{path} is no file, and Parquet is read from one.", fix="Name a file.")


def _stdin() -> IO[bytes]:
    if sys.stdin is None:  # closed by whoever started us
        raise OSError("the standard input is closed")
    return sys.stdin.buffer


def _refuse_as_report(report: str | None, about: os.stat_result) -> None:
    """Raises BadImportFile where the report would be written over the file that is imported."""
    if report is None or not stat.S_ISREG(about.st_mode):
        return
    with suppress(OSError):
        if os.path.samestat(os.stat(report), about):
            raise BadImportFile(
                f"{report} is the file that is imported, and would be written over.",
                fix="Name another file for --report.",
            )


class Report:
    """Refusals: the first to standard error, all of them to a file where one is named."""

    def __init__(self, name: str, path: str | None, after_line: int) -> None:
        """after_line: later refusals of the file are written anew. Raises OSError."""
        self._name = name
        self._path = path
        self._told = 0
        self._file = None if path is None else _continued(Path(path), after_line)

    def add(self, refusals: list[Refusal]) -> None:
        """Before the file's progress says that these lines are done. Raises OSError."""
        for refusal in refusals:
            if self._told < TOLD_REFUSALS:
                told = f"{self._name}:{refusal.line}: {refusal.reason}"
                print(shown(told.replace("\n", " ")), file=sys.stderr)
            self._told += 1
        if self._file is not None and refusals:
            with _naming(self._path):
                self._write(self._file, refusals)

    def _write(self, file: IO[str], refusals: list[Refusal]) -> None:
        csv.writer(file).writerows((one.line, one.reason) for one in refusals)
        file.flush()
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # /dev/null and pipes keep nothing
            os.fsync(file.fileno())

    def close(self) -> None:
        more = self._told - TOLD_REFUSALS
        if more > 0:
            where = "" if self._file else " --report FILE writes them all."
            print(f"… and {more:,} more refused.{where}", file=sys.stderr)
        if self._file is not None:
            with _naming(self._path):
                self._file.close()


@contextmanager
def _naming(path: str | None) -> Iterator[None]:
    """A disk that is full says of which file it is."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _continued(path: Path, after_line: int) -> IO[str]:
    """The report without what it says of lines that are read again. What stays is never out of the
    file: whoever is killed right now has it all the same."""
    kept = _told_before(path, after_line) if after_line and path.is_file() else 0
    file = path.open("r+" if kept else "w", encoding="utf-8", newline="")
    if kept:
        file.seek(kept)
        file.truncate()
    else:
        csv.writer(file).writerow(HEADER)
    return file


def _told_before(path: Path, after_line: int) -> int:
    """Up to which byte of a report it tells of lines up to this one; 0: it is no report."""
    kept = 0
    with path.open("rb") as report:
        for row in report:
            line = row.partition(b",")[0]
            if not kept and row != f"{','.join(HEADER)}\r\n".encode():
                return 0
            if not row.endswith(b"\n") or (line.isdigit() and int(line) > after_line):
                break
            kept += len(row)
    return kept


class Import(Struct, Generic[Row], frozen=True):
    """One run. size: where the file ends, counted as its places are, which are told as `words`.
    rows_each: what becomes of one of its lines. rows_at_once: after so many it is kept
    how far the file is; None: ROWS_AT_ONCE."""

    source: Source[Row]
    keep: Keep[Row]
    size: int
    # Whether a row ends something rather than giving it.
    ends: Callable[[Row], bool]
    rows_each: int = 1
    rows_at_once: int | None = None
    words: str = "read"

    async def run(self, progress: Progress) -> Progress:
        """From where it is to the end. Raises BadImportFile, and what keeping raises."""
        at_once = max(1, (self.rows_at_once or ROWS_AT_ONCE) // self.rows_each)
        told = Told(self.words)
        # Before any row: whoever is erased from here on does not come back by a run that goes on.
        progress = await self.keep(Part(), progress)
        part = await asyncio.to_thread(self.source.next, at_once)
        while part is not None:
            ended = sum(map(self.ends, part.rows))
            place = self.source.place
            so_far = structs.replace(
                progress,
                offset=place.offset,
                line=place.line,
                checksum=place.checksum,
                kept=progress.kept + len(part.rows) - ended,
                removed=progress.removed + ended,
                refused=progress.refused + sum(one.lines for one in part.refusals),
            )
            keeping = asyncio.ensure_future(self.keep(part, so_far))
            try:
                # The next lines are read while these are written.
                part = await asyncio.to_thread(self.source.next, at_once)
            except BadImportFile:  # from here on; what came before is good
                await keeping
                raise
            except asyncio.CancelledError:  # Ctrl-C: the store and the report are closed next
                keeping.cancel()
                raise
            progress = await keeping
            told.tell(place.offset, max(self.size, place.offset))
        return await self.keep(Part(), structs.replace(progress, done=True))


def started(known: Progress | None, source: Source[Any], *, now_ms: int) -> Progress | None:
    """Where this run begins; None: `source` cannot go on from there, open it anew."""
    if known is None:
        return Progress(began_ms=now_ms)
    if not known.offset:  # it was stopped within its first rows
        return known
    place = Place(known.offset, known.line, known.checksum)
    return known if source.resume(place) else None


def without(progress: Progress, passed_over: int, *, ended: int = 0) -> Progress:
    """With so many lines, `ended` of which end something, that nothing is kept of."""
    return structs.replace(
        progress,
        kept=progress.kept - passed_over + ended,
        removed=progress.removed - ended,
        passed_over=progress.passed_over + passed_over,
    )


def summary(progress: Progress, ended: str) -> str:
    """One line for people. ended: what becomes of rows that end something, `removed`."""
    lines = progress.kept + progress.removed + progress.refused + progress.passed_over
    told = [f"{progress.kept:,} in"]
    if progress.removed:
        told.append(f"{progress.removed:,} {ended}")
    told.append(f"{progress.refused:,} refused")
    if progress.passed_over:
        told.append(f"{progress.passed_over:,} passed over")
    words = f"{lines:,} row{'s' * (lines != 1)}: {', '.join(told)}."
    if progress.withheld:
        words += (
            f" In {progress.withheld:,} profile{'s' * (progress.withheld != 1)} nothing was kept:"
            " these visitors refused to be kept, or were erased since the import began."
        )
    return words


@contextmanager
def alone(data_dir: str) -> Iterator[None]:
    """One import at a time: two of one file would take turns at saying how far it is.
    Raises BadImportFile."""
    descriptor = made_or_opened(Path(data_dir) / LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BadImportFile(
            f"another import into {data_dir} is under way.", fix="Wait for it, or stop it."
        ) from None
    finally:
        os.close(descriptor)
