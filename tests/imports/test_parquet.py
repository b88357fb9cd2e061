"""Parquet files, row group by row group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from perso_core.errors import BadImportFile
from perso_core.imports import parquet
from perso_core.imports.parquet import ParquetSource
from perso_core.imports.refusal import RowRefused

pyarrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def number(names: list[str]) -> Callable[[Mapping[str, Any]], int]:
    assert names == ["n"]

    def row(columns: Mapping[str, Any]) -> int:
        if columns["n"] % 10 == 0:
            raise RowRefused("a ten.")
        return int(columns["n"])

    return row


def written(path: Path, rows: int, group: int) -> str:
    pq.write_table(pyarrow.table({"n": list(range(1, rows + 1))}), path, row_group_size=group)
    return str(path)


def test_rows_are_read_in_parts_and_from_where_an_earlier_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    path = written(tmp_path / "n.parquet", 40, 13)
    first: ParquetSource[int] = ParquetSource(path, number)
    part = first.next(14)
    assert part is not None
    again: ParquetSource[int] = ParquetSource(path, number)

    assert again.resume(first.place)
    rows, refused = list(part.rows), [one.line for one in part.refusals]
    while (more := again.next(5)) is not None:
        rows += more.rows
        refused += [one.line for one in more.refusals]

    assert rows == [n for n in range(1, 41) if n % 10]
    assert refused == [10, 20, 30, 40]
    assert again.place.offset == 40


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "n.parquet").write_bytes(b"PAR1 and nothing more")

    with pytest.raises(BadImportFile, match="no whole Parquet file"):
        ParquetSource(str(tmp_path / "n.parquet"), number)


def test_a_file_that_was_cut_is_told_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    written(path, 50_000, 1_000)
    content = bytearray(path.read_bytes())
    content[1_000:3_000] = bytes(2_000)
    path.write_bytes(content)
    source: ParquetSource[int] = ParquetSource(str(path), number)

    with pytest.raises(BadImportFile, match="no whole Parquet file"):
        source.next(50_000)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pyarrow.array([1, 2**62, 3], pyarrow.timestamp("us", "UTC")), "out of range"),
        (pyarrow.array([1, 2, 3], pyarrow.timestamp("us", "No/Where")), "No/Where"),
        (pyarrow.array([b"a", b"\xff", b"c"]).view(pyarrow.string()), "utf-8"),
    ],
    ids=["an instant after all years", "a zone that there is not", "text in another encoding"],
)
def test_a_value_that_cannot_be_read_refuses_its_row_alone(
    values: Any, why: str, tmp_path: Path
) -> None:
    """One such instant ended the whole import, with a traceback."""
    path = tmp_path / "n.parquet"
    pq.write_table(pyarrow.table({"n": [1, 2, 3], "until": values}), path)

    def row(names: list[str]) -> Callable[[Mapping[str, Any]], int]:
        return lambda columns: int(columns["n"])

    part = ParquetSource(str(path), row).next(10)

    assert part is not None
    assert part.rows == [n for n in (1, 2, 3) if n not in [one.line for one in part.refusals]]
    assert 2 in [one.line for one in part.refusals]
    (told,) = {one.reason for one in part.refusals if one.line == 2}
    assert told.startswith('"until" (')
    assert why in told
