"""A store whose files are taken away or replaced under it acknowledges nothing that nobody will
read; once there is one again it goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw
import pytest

from perso_core.errors import StoreUnavailable
from perso_core.stores.protocol import News
from perso_core.stores.same_file import SameFile, refuse_emptied
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_backup import copy_store
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.stores.building import ANNA, BERT, arrived
from tests.stores.test_sqlite import sql

CLARA = "ECID:" + "3" * 38
ROOT = Path(__file__).resolve().parents[2]
# Keeps an event of another visitor, on the file of its argument.
ANOTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from perso_core.stores.sqlite import open_sqlite
from tests.building import event
from tests.stores.building import BERT, arrived

async def keep():
    store = await open_sqlite(Path(sys.argv[1]))
    await store.commit([arrived(event(), BERT)])
    await store.close()

asyncio.run(keep())
"""

ANOTHER_PROCESS_STAYS = ANOTHER_PROCESS.replace(
    "    await store.close()",
    '    print("kept", flush=True)\n    sys.stdin.readline()\n    await store.close()',
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "perso.sqlite"


@pytest.mark.parametrize("lost", ["", "-wal", "-shm"])
async def test_nothing_is_acknowledged_of_a_file_that_is_gone(lost: str, path: Path) -> None:
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)])
    path.with_name(path.name + lost).unlink()

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.commit([arrived(event(), BERT)])
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.news()

    await store.close()


@pytest.mark.parametrize("lost", ["", "-wal", "-shm"])
async def test_nor_where_its_directory_had_not_changed_for_long(
    lost: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it alone is looked at, and after it changed at its files again."""
    store = await open_sqlite(path)
    _in_another_moment(path.parent)
    monkeypatch.setattr("perso_core.stores.same_file._SETTLED_NS", 0)
    await store.commit([arrived(event(), ANNA)])
    looked_at = _looks(monkeypatch)
    await store.commit([arrived(event(event_id="e2"), ANNA, base=1)])
    assert set(looked_at) == {path.parent}

    path.with_name(path.name + lost).unlink()

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.commit([arrived(event(), BERT)])
    await store.close()


def test_nor_is_a_directory_trusted_that_changed_just_now(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that goes in the same moment as another came does not show in its time."""
    path.parent.mkdir()
    path.touch()
    stopped = path.parent.stat()
    look = os.stat
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda of: stopped if of == path.parent else look(of))
        patch.setattr(time, "time_ns", lambda: stopped.st_ctime_ns)
        same = SameFile(path)
        before = same.replaced
        path.unlink()
        after = same.replaced

    assert (before, after) == (False, True)


def test_a_file_that_is_gone_is_said_to_be_as_often_as_it_is_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.stores.same_file._SETTLED_NS", -(2**62))
    path.parent.mkdir()
    path.touch()
    same = SameFile(path)

    path.unlink()

    assert [same.replaced for _ in range(2)] == [True, True]


def _in_another_moment(directory: Path) -> None:
    """What happens in the directory from now on shows."""
    changed_ns, beside = directory.stat().st_ctime_ns, directory.with_name("beside")
    beside.touch()
    while beside.stat().st_ctime_ns <= changed_ns:
        beside.touch()


def _looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """At which paths somebody looks from here on."""
    paths: list[Any] = []
    look = os.stat

    def stat(path: Any, *more: Any, **named: Any) -> os.stat_result:
        paths.append(path)
        return look(path, *more, **named)

    monkeypatch.setattr(os, "stat", stat)
    return paths


@pytest.mark.parametrize("left", [0, 1])
async def test_a_file_that_was_emptied_is_not_taken_for_a_new_store(left: int, path: Path) -> None:
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)])
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(path, left)

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.commit([arrived(event(), BERT)])
    with pytest.raises(StoreUnavailable, match="was emptied while"):
        await store.commit([arrived(event(), BERT)])
    await store.close()


def test_of_a_file_that_may_not_be_looked_at_opening_it_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(*_: Any, **__: Any) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", stat)
    refuse_emptied(path)


async def test_a_store_whose_directory_is_gone_says_so(path: Path) -> None:
    store = await open_sqlite(path)
    shutil.rmtree(path.parent)

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.commit([arrived(event(), ANNA)])

    await store.close()


@pytest.mark.parametrize("notices", [True, False])
async def test_the_log_of_the_store_in_its_place_is_left_alone(
    notices: bool, path: Path, tmp_path: Path
) -> None:
    """SQLite deletes the log by its name as the last connection closes."""
    old = await open_sqlite(path)
    await old.commit([arrived(event(), ANNA)])
    path.parent.rename(tmp_path / "moved")
    new = await open_sqlite(path)
    await new.commit([arrived(event(), BERT)])
    if notices:
        with pytest.raises(StoreUnavailable):
            await old.commit([arrived(event(event_id="e2"), ANNA, base=1)])

    await old.close()

    assert path.with_name("perso.sqlite-wal").stat().st_size > 0
    assert (await new.load(BERT)).profile is not None
    await new.close()
    assert sql(path, "SELECT key FROM profile") == [(BERT,)]


async def test_a_store_that_was_put_in_its_place_is_gone_on_with(
    path: Path, tmp_path: Path
) -> None:
    """As by somebody who restores a backup by hand and does not stop the servers."""
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)], announce=True)
    copy_store(path, tmp_path / "copy", lambda done, of: None)
    await store.commit([arrived(event(), BERT)], announce=True)
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", path)

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.commit([arrived(event(event_id="e2"), BERT, base=1)])
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.news()

    # All that was heard and held before may be otherwise.
    assert await store.news() == News(definitions=True, missed=True)
    assert await store.news() == News()
    assert (await store.load(ANNA)).profile is not None
    assert (await store.load(BERT)).profile is None
    assert not (await store.commit([arrived(event(), BERT)])).conflicts
    await store.close()
    assert sql(path, "SELECT count(*) FROM profile") == [(2,)]


@pytest.mark.parametrize(
    "by", ["sqlite_writer.writing_connection", "sqlite_reader.reading_connection"]
)
async def test_a_store_that_is_replaced_as_it_is_opened_is_gone_on_with(
    by: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening waits for who writes, as a restore does: by then another store lies there."""
    store = await open_sqlite(path)
    await store.close()
    copy_store(path, tmp_path / "copy", lambda done, of: None)
    opening = getattr(import_module(f"perso_core.stores.{by.partition('.')[0]}"), by.split(".")[1])

    def replaced(opened: Path) -> apsw.Connection:
        connection: apsw.Connection = opening(opened)
        with suppress(FileNotFoundError):  # once
            os.replace(tmp_path / "copy", path)
            for end in ("-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
        return connection

    monkeypatch.setattr(f"perso_core.stores.{by}", replaced)
    store = await open_sqlite(path)
    with suppress(StoreUnavailable):  # by the connection that was opened before the other one
        await store.commit([arrived(event(), ANNA)])
    await store.commit([arrived(event(), BERT)])

    assert (await store.load(BERT)).profile is not None
    await store.close()
    assert (BERT,) in sql(path, "SELECT key FROM profile")


@pytest.mark.parametrize("notices", [True, False])
async def test_after_the_index_of_the_log_is_gone_two_processes_do_not_overwrite_each_other(
    notices: bool, path: Path
) -> None:
    """As by somebody who tidies up: the old index would be that of one, a new one the other's."""
    one = await open_sqlite(path)
    await one.commit([arrived(event(), ANNA)])
    path.with_name("perso.sqlite-shm").unlink()
    another = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ANOTHER_PROCESS, os.fspath(path), cwd=ROOT
    )
    assert await another.wait() == 0

    if notices:
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await one.commit([arrived(event(event_id="e2"), ANNA, base=1)])
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await one.news()
        await one.commit([arrived(event(event_id="e2"), ANNA, base=1)])
        assert (await one.load(BERT)).profile is not None

    await one.close()
    assert sql(path, "SELECT key FROM profile ORDER BY key") == [(ANNA,), (BERT,)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


async def test_nor_do_they_where_one_connection_of_a_process_is_not_used_meanwhile(
    path: Path,
) -> None:
    """SQLite gives the index that one connection has to each further one of its process."""
    one = await open_sqlite(path)
    await one.commit([arrived(event(), ANNA)])
    path.with_name("perso.sqlite-shm").unlink()
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await one.commit([arrived(event(event_id="e2"), ANNA, base=1)])  # what reads is idle
    another = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ANOTHER_PROCESS_STAYS, os.fspath(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert another.stdout is not None
    assert await another.stdout.readline() == b"kept\n"

    await one.commit([arrived(event(event_id="e2"), ANNA, base=1)])

    assert (await one.load(BERT)).profile is not None
    await another.communicate(b"\n")
    await one.close()
    assert sql(path, "SELECT key FROM profile ORDER BY key") == [(ANNA,), (BERT,)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


async def test_nor_do_they_where_a_process_names_the_file_in_another_way(path: Path) -> None:
    one = await open_sqlite(path)
    await one.commit([arrived(event(), ANNA)])
    path.with_name("perso.sqlite-shm").unlink()
    another = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ANOTHER_PROCESS_STAYS, os.fspath(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert another.stdout is not None
    assert await another.stdout.readline() == b"kept\n"
    linked = path.parent.with_name(f"{path.parent.name}-linked")
    linked.symlink_to(path.parent)

    same = await open_sqlite(linked / path.name)
    await same.commit([arrived(event(event_id="e2"), CLARA)])

    assert (await same.load(BERT)).profile is not None
    await another.communicate(b"\n")
    await same.close()
    await one.close()
    assert sql(path, "SELECT key FROM profile ORDER BY key") == [(ANNA,), (BERT,), (CLARA,)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


async def test_what_reads_goes_on_where_what_writes_was_idle_as_the_index_was_gone(
    path: Path,
) -> None:
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)])
    path.with_name("perso.sqlite-shm").unlink()
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.news()

    assert (await store.load(ANNA)).profile is not None
    with pytest.raises(StoreUnavailable):
        await store.commit([arrived(event(), BERT)])
    await store.commit([arrived(event(), BERT)])
    await store.close()


def test_what_fails_as_the_index_goes_takes_nothing_of_others_along(path: Path) -> None:
    """As its last one SQLite would remove the log, with what others wrote by another index."""
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    writer.commit([arrived(event(), ANNA)], False)

    def fails(_: apsw.Connection) -> None:
        path.with_name("perso.sqlite-shm").unlink()
        subprocess.run(
            [sys.executable, "-c", ANOTHER_PROCESS, os.fspath(path)], cwd=ROOT, check=True
        )
        raise StoreUnavailable("the test fails.", fix="")

    with pytest.raises(StoreUnavailable, match="the test fails"):
        writer.in_transaction(fails)

    assert sql(path, "SELECT key FROM profile ORDER BY key") == [(ANNA,), (BERT,)]
