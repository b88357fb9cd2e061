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
