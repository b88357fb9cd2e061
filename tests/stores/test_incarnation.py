"""Which incarnation of the store a file is: versions of two of them are not compared."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from perso_core.stores.incarnation import epoch_of
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_backup import copy_store, put_back
from perso_core.stores.sqlite_file import bring_up_to_date, create_file, reading_connection
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.stores.building import ANNA, BERT, arrived
from tests.stores.test_migrations import old_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "perso.sqlite"
    create_file(path)
    Writer(path, origin=1, max_events=100).close()
    return path


def silent(done: int, of: int) -> None:
    pass


def backup_of(path: Path) -> Path:
    target = path.parent.with_name("backup.sqlite")
    copy_store(path, target, silent)
    return target


def said(path: Path) -> int:
    with closing(reading_connection(path)) as connection:
        return epoch_of(connection)


def opened(path: Path) -> int:
    """As whoever opens it is told."""
    Writer(path, origin=1, max_events=100).close()
    return said(path)


def test_a_file_is_one_incarnation_however_often_it_is_opened(path: Path) -> None:
    assert said(path) > 0
    assert opened(path) == said(path) == opened(path)


def test_two_files_are_two_incarnations(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    create_file(other)

    assert opened(other) != said(path)


def test_a_backup_says_of_which_incarnation_it_is(path: Path) -> None:
    assert said(backup_of(path)) == said(path)


def test_a_store_that_was_put_back_is_another_incarnation_each_time(path: Path) -> None:
    before, backup = said(path), backup_of(path)
    put_back(backup, path, silent)
    once = said(path)
    put_back(backup, path, silent)

    assert len({before, once, opened(path)}) == 3


def test_so_is_a_backup_that_was_copied_over_the_file_by_hand(path: Path) -> None:
    before, backup = said(path), backup_of(path)
    inode = path.stat().st_ino
    shutil.copyfile(backup, path)
    assert path.stat().st_ino == inode

    assert opened(path) != before


def test_so_is_a_copy_of_the_directory(path: Path, tmp_path: Path) -> None:
    shutil.copytree(path.parent, tmp_path / "copied")

    assert opened(tmp_path / "copied" / path.name) != said(path)


def test_a_file_that_was_moved_is_the_same(path: Path, tmp_path: Path) -> None:
    before = said(path)
    path.parent.rename(tmp_path / "moved")

    assert opened(tmp_path / "moved" / path.name) == before


def test_a_file_of_before_there_were_epochs_has_one_once_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    old_file(path)
    assert not said(path)

    reader = Reader(path, origin=0)

    assert reader.epoch == reader.load(ANNA).stored.epoch == said(path) > 0
    reader.close()
    bring_up_to_date(path)
    assert said(path) == reader.epoch


def test_whoever_only_reads_a_backup_leaves_it_as_it_is(path: Path) -> None:
    backup = backup_of(path)
    before = backup.read_bytes()

    reader = Reader(backup, origin=0)
    assert reader.load(ANNA).stored.epoch == said(path)
    reader.close()

    assert backup.read_bytes() == before


async def test_what_is_loaded_says_of_which_incarnation_it_is(path: Path) -> None:
    """Also where the file was replaced while it was open, before anybody asked for news."""
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)])
    before = (await store.load(ANNA)).epoch
    assert before == store.epoch == said(path)
    put_back(backup_of(path), path, silent)
    await (other := await open_sqlite(path)).commit([arrived(event(event_id="e2"), BERT)])

    found = await store.load(BERT)

    assert found.epoch == said(path) != before
    assert found.profile is not None
    await store.close()
    await other.close()


async def test_so_does_a_copy_by_hand_that_nobody_has_written_to_yet(path: Path) -> None:
    store = await open_sqlite(path)
    await store.commit([arrived(event(), ANNA)])
    backup, before = backup_of(path), store.epoch
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    shutil.copy(backup, path)

    assert (await store.load(ANNA)).epoch == said(path) != before
    await store.close()


async def test_nothing_is_kept_that_was_decided_on_another_incarnation(path: Path) -> None:
    for store in (await open_sqlite(path), MemoryStore(MemoryDatabase())):
        epoch = (await store.load(ANNA)).epoch
        decided = arrived(event(), ANNA)

        elsewhere = await store.commit([structs.replace(decided, epoch=epoch + 1)])
        assert elsewhere.conflicts == {ANNA}
        assert (await store.load(ANNA)).profile is None
        here = await store.commit([structs.replace(decided, epoch=epoch)])
        assert not here.conflicts
        await store.close()


async def test_a_memory_store_is_another_incarnation_in_each_process() -> None:
    database = MemoryDatabase()
    first, second = MemoryStore(database), MemoryStore(database)

    assert (await first.load(ANNA)).epoch == (await second.load(ANNA)).epoch
    assert (await MemoryStore().load(ANNA)).epoch != (await first.load(ANNA)).epoch
