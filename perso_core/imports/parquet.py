"""Parquet files, where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from perso_core.errors import BadImportFile
from perso_core.imports.refusal import RowRefused, shown
from perso_core.imports.source import Part, Place, read_rows

Row = TypeVar("Row")
# Rows that are unpacked at once.
BATCH_ROWS = 8_192


class ParquetSource(Generic[Row]):
    """row: makes a row of the columns. Raises BadImportFile for what is no Parquet."""

    def __init__(
        self, path: str, row_of: Callable[[list[str]], Callable[[Mapping[str, Any]], Row]]
    ) -> None:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise BadImportFile(
                f"{path} is Parquet, and pyarrow is not installed.",
                fix="Install perso[parquet], or write CSV.",
            ) from None
        self._errors = (pyarrow.ArrowException, OSError)
        self._path = path
        try:
            self._file = ParquetFile(path)
        except self._errors as error:
            raise self._unreadable(error) from None
        self._row = row_of([str(name) for name in self._file.schema_arrow.names])
        self._done = 0
        self._batches = self._from(0)

    @property
    def place(self) -> Place:
        return Place(self._done, self._done)

    @property
    def rows(self) -> int:
        """How many the file has."""
        return int(self._file.metadata.num_rows)

    def resume(self, place: Place) -> bool:
        if place.offset > self.rows:
            return False
        self._done = place.offset
        self._batches = self._from(place.offset)
        return True

    def next(self, at_most: int) -> Part[Row] | None:
        part: Part[Row] = Part()
        first = self._done
        try:
            for batch in self._batches:
                found = read_rows(_rows(batch), self._done + 1, self._row)
                part.rows += found.rows
                part.refusals += found.refusals
                part.lines += found.lines
                self._done += batch.num_rows
                if self._done - first >= at_most:
                    break
        except self._errors as error:
            raise self._unreadable(error) from None
        return part if self._done > first else None

    def _from(self, skipped: int) -> Iterator[Any]:
        """The record batches."""
        passed = 0
        for batch in self._file.iter_batches(batch_size=BATCH_ROWS):
            rows = batch.num_rows
            if passed + rows > skipped:
                yield batch.slice(max(0, skipped - passed))
            passed += rows

    def _unreadable(self, error: BaseException) -> BadImportFile:
        told = str(error).split("\n")[0][:200].rstrip(".")
        return BadImportFile(
            f"{self._path} is no whole Parquet file: {told}.", fix="Write it anew."
        )


def _rows(batch: Any) -> list[Mapping[str, Any] | RowRefused]:
    """Its rows. A value that Python has not, such as an instant after the year 9999 or text that is
    not UTF-8, refuses its own alone: they are found by halves."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError, LookupError) as error:
        if batch.num_rows > 1:
            half = batch.num_rows // 2
            return [*_rows(batch.slice(0, half)), *_rows(batch.slice(half))]
        return [RowRefused(f"{_faulty(batch)} cannot be read: {str(error).rstrip('.')}.")]


def _faulty(row: Any) -> str:
    """The column of a row whose value cannot be read, with its type."""
    for field, column in zip(row.schema, row.columns, strict=True):
        try:
            column.to_pylist()
        except (ValueError, OverflowError, LookupError):
            return f"{shown(field.name)} ({field.type})"
    return "A value"
