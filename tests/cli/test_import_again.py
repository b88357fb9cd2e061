"""`perso import` again, after a run that was stopped, or on another day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from perso_core import assembly
from perso_core.assembly import DATABASE, system_clock_ms
from perso_core.cli import import_rows, main
from perso_core.errors import StoreUnavailable
from perso_core.stores.imports import Batch, Progress
from perso_core.stores.sqlite import SqliteStore
from perso_core.worker.patching import Patching
from tests.building import DAY_MS, NOON_MS
from tests.cli.test_commands import write
from tests.cli.test_import_rows import HEAD, applied
from tests.stores.test_sqlite import sql


def importing(directory: Path, *words: str) -> list[str]:
    return ["import", *words, "--data-dir", str(directory / ".perso")]


def test_who_is_erased_after_an_import_was_stopped_within_its_first_rows_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No word was kept of it before 100,000 rows were in: the same command began anew."""
    applied(tmp_path)
    rows = "".join(f"CRMID,c-{number:03},risk,,\n" for number in range(600))
    command = importing(tmp_path, "audience", str(write(tmp_path, HEAD + rows, "m.csv")))
    keep, kept = SqliteStore.import_memberships, list[str]()

    async def breaking(store: SqliteStore, batch: Batch) -> frozenset[str]:
        if kept:
            raise StoreUnavailable("the disk is gone.", fix="Find it.")
        kept.extend(key for key, _, _ in batch.rows)
        return await keep(store, batch)

    with monkeypatch.context() as beside:  # where a server runs rows come in small transactions
        beside.setattr(import_rows._Beside, "__call__", lambda _: True)
        beside.setattr(SqliteStore, "import_memberships", breaking)
        assert main(command) == 1
    assert any(key.endswith(" CRMID:c-000") for key in kept)
    assert main(["profile", "erase", "CRMID", "c-000", "--data-dir", command[-1]]) == 0

    assert main(command) == 0

    assert "600 rows: 599 in, 0 refused, 1 passed over." in capsys.readouterr().out
    assert main(["profile", "export", "CRMID", "c-000", "--data-dir", command[-1]]) == 1


def test_who_is_erased_after_an_import_of_attributes_was_stopped_at_once_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    applied(tmp_path)
    rows = "namespace,id,tier\nCRMID,1,gold\nCRMID,2,gold\n"
    command = importing(tmp_path, "attributes", str(write(tmp_path, rows, "a.csv")))
    keep = SqliteStore.keep_progress

    async def breaking(store: SqliteStore, name: bytes, progress: Progress) -> None:
        if progress.kept:
            raise StoreUnavailable("the disk is gone.", fix="Find it.")
        await keep(store, name, progress)

    with monkeypatch.context() as stopped:
        stopped.setattr(SqliteStore, "keep_progress", breaking)
        assert main(command) == 1
    assert main(["profile", "erase", "CRMID", "1", "--data-dir", command[-1]]) == 0

    assert main(command) == 0

    assert "2 rows: 1 in, 0 refused, 1 passed over." in capsys.readouterr().out
    assert main(["profile", "export", "CRMID", "1", "--data-dir", command[-1]]) == 1


@pytest.mark.parametrize("changed", [False, True])
def test_a_row_lasts_from_the_beginning_of_its_import_which_is_new_where_the_file_is(
    changed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(tmp_path)
    rows = [f"CRMID,{number:0200},risk,,\n" for number in range(800)]
    path = write(tmp_path, HEAD + "".join(rows), "m.csv")
    command = importing(tmp_path, "audience", str(path))
    keep, began = SqliteStore.import_memberships, []

    async def breaking(store: SqliteStore, batch: Batch) -> frozenset[str]:
        assert batch.progress
        if batch.progress.done:
            raise StoreUnavailable("the disk is gone.", fix="Find it.")
        return await keep(store, batch)

    async def watched(store: SqliteStore, batch: Batch) -> frozenset[str]:
        began.append(batch.began_ms)
        assert {until_ms for _, _, until_ms in batch.rows} <= {batch.began_ms + 30 * DAY_MS}
        return await keep(store, batch)

    monkeypatch.setattr(assembly, "system_clock_ms", lambda: NOON_MS)
    with monkeypatch.context() as stopped:
        stopped.setattr(SqliteStore, "import_memberships", breaking)
        assert main(command) == 1
    if changed:
        rows[400] = rows[400].replace("risk", "Risk")
        path.write_text(HEAD + "".join(rows))
    monkeypatch.setattr(assembly, "system_clock_ms", lambda: NOON_MS + DAY_MS)
    monkeypatch.setattr(SqliteStore, "import_memberships", watched)

    assert main(command) == 0
    assert {*began} == {NOON_MS + changed * DAY_MS}


def test_an_import_of_attributes_that_breaks_off_goes_on_and_counts_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two rows about one person, far apart, the first does not come back for a while."""
    applied(tmp_path)
    rows = [f"CRMID,c-{number},1" for number in range(300)]
    rows[5], rows[140], rows[290] = "CRMID,twice,1", "CRMID,twice,2", "CRMID,no,many"
    write(tmp_path, "namespace,id,points:number\n" + "\n".join(rows) + "\n", "a.csv")
    command = importing(tmp_path, "attributes", str(tmp_path / "a.csv"))
    keep, patch = SqliteStore.keep_progress, Patching.patch
    kept: list[Progress] = []
    patched: list[object] = []

    async def breaking(store: SqliteStore, name: bytes, progress: Progress) -> None:
        kept.append(progress)
        if len(kept) == 3:  # its beginning, and a part of it, are kept
            raise StoreUnavailable("the disk is gone.", fix="Find it.")
        await keep(store, name, progress)

    async def watched(
        patching: Patching, keys: Sequence[str], attributes: Mapping[str, object], *, said_ms: int
    ) -> int:
        if "twice" in keys[0]:
            patched.append(attributes["points"])
        return await patch(patching, keys, attributes, said_ms=said_ms)

    monkeypatch.setattr(SqliteStore, "keep_progress", breaking)
    monkeypatch.setattr(Patching, "patch", watched)
    assert main(command) == 1
    assert "the disk is gone" in capsys.readouterr().err

    assert main(command) == 1

    told = capsys.readouterr()
    assert told.out == "300 rows: 299 in, 1 refused.\n"
    assert f"Going on after line {kept[1].line}" in told.err
    assert patched == [1, 2, 2]


@pytest.mark.parametrize(
    ("cause", "status"),
    [(KeyboardInterrupt(), 130), (StoreUnavailable("the disk is full.", fix="Make room."), 1)],
    ids=["whoever stops it", "a full disk"],
)
def test_whoever_stops_an_import_hears_that_the_same_command_goes_on(
    cause: BaseException,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    applied(tmp_path)
    write(tmp_path, HEAD, "m.csv")
    monkeypatch.chdir(tmp_path)

    async def stopped(*_: object) -> int:
        raise cause

    monkeypatch.setattr("perso_core.cli.import_rows._memberships", stopped)

    assert main(["import", "audience", "m.csv"]) == status
    assert "The same command goes on" in capsys.readouterr().err
    assert main(["import", "audience", "m.csv", "--from-start"]) == status
    assert "The same command without --from-start goes on" in capsys.readouterr().err


def test_what_ended_by_a_calendar_that_jumped_ahead_stays_until_the_machine_ran_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of somebody else had removed it for good. A server's own sweep never did."""
    applied(tmp_path)
    now_ms, database = system_clock_ms(), tmp_path / ".perso" / DATABASE

    def known_after(identity: str, *, days: int) -> list[str]:
        """After an import of them on that day, each for a day."""
        monkeypatch.setattr(assembly, "system_clock_ms", lambda: now_ms + days * DAY_MS)
        rows = f"{HEAD}ECID,{identity * 38},risk,{now_ms + (days + 1) * DAY_MS},\n"
        assert main(importing(tmp_path, "audience", str(write(tmp_path, rows, "m.csv")))) == 0
        return [key[-1] for (key,) in sql(database, "SELECT key FROM imported ORDER BY key")]

    assert known_after("1", days=0) == ["1"]
    assert known_after("2", days=365) == ["1", "2"]

    sql(database, "UPDATE retention_clock SET clock_ms = ?", now_ms + 365 * DAY_MS)
    assert known_after("3", days=1) == ["1", "2", "3"]
    assert known_after("4", days=365) == ["2", "4"]
