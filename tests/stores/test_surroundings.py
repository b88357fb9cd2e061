"""A store is refused where what it acknowledges could be lost, with what to do about it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
from pathlib import Path
from typing import Any

import apsw
import pytest

from perso_core.errors import StoreUnavailable, UnsafeStore
from perso_core.stores import surroundings
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.surroundings import (
    kind_among,
    refuse_racy,
    refuse_unwritable,
    refuse_without_locks,
)
from perso_core.stores.system_limits import MORE_FILES

MOUNTS = [
    r"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard",
    r"90 27 0:50 / /srv/shop rw - nfs4 filer:/shop rw,vers=4.2",
    r"91 27 0:51 / /srv/shop/my\040disk rw - xfs /dev/vdb rw",
    r"92 27 0:52 / /mnt/over rw - nfs filer:/a rw",
    r"93 92 0:53 / /mnt/over rw - btrfs /dev/vdc rw",
    "a line that is no mount",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/perso/perso.sqlite", "ext4"),
        ("/srv/shop/perso.sqlite", "nfs4"),
        ("/srv/shopping/perso.sqlite", "ext4"),
        ("/srv/shop/my disk/perso.sqlite", "xfs"),
        ("/mnt/over/perso.sqlite", "btrfs"),  # mounted over the other
    ],
)
def test_the_file_system_is_the_innermost_mount_of_the_file(path: str, kind: str) -> None:
    assert kind_among(MOUNTS, Path(path)) == kind


async def test_a_network_file_system_is_refused_before_anything_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("27 1 254:0 / / rw - nfs4 filer:/ rw\n")
    monkeypatch.setattr(surroundings, "MOUNTS", mounts)
    path = tmp_path / "data" / "perso.sqlite"

    with pytest.raises(UnsafeStore, match=r"network file system \(nfs4\).* local disk"):
        await open_sqlite(path)

    assert path.stat().st_size == 0


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.44.5", "3.50.6", "3.51.0", "3.51.2"])
def test_a_sqlite_with_the_wal_reset_race_is_refused(version: str) -> None:
    with pytest.raises(UnsafeStore, match=version):
        refuse_racy(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.44.7", "3.50.7", "3.51.3", "3.54.1", "4.0.0"])
def test_a_sqlite_without_it_is_taken(version: str) -> None:
    refuse_racy(version)


async def test_the_sqlite_that_apsw_brings_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")

    with pytest.raises(UnsafeStore, match=r"3\.40\.1"):
        await open_sqlite(tmp_path / "perso.sqlite")


@pytest.mark.parametrize("locked", [[True, True], [False, False]], ids=["twice", "never"])
def test_a_directory_without_working_locks_is_refused(
    locked: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(locked)

    def fcntl_of_such_a_disk(descriptor: int, command: int, wanted: Any) -> bytes:
        if not next(answers):
            raise OSError(37, "No locks available")
        return b""

    monkeypatch.setattr(fcntl, "fcntl", fcntl_of_such_a_disk)

    with pytest.raises(UnsafeStore, match="cannot be locked"):
        refuse_without_locks(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_locks_is_taken_and_left_as_it_was(tmp_path: Path) -> None:
    refuse_without_locks(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_a_file_of_another_users_is_named(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "perso.sqlite"
    theirs = path.with_name(path.name + end)
    for one in (path, theirs):
        one.write_text("")
    # Root may write to every file.
    monkeypatch.setattr(os, "access", lambda file, mode: Path(file) != theirs)

    with pytest.raises(StoreUnavailable, match=rf"may not write to .*perso\.sqlite{end}\."):
        refuse_unwritable(path)


async def test_a_database_that_is_a_link_is_refused_and_a_directory_that_is_one_is_not(
    tmp_path: Path,
) -> None:
    """Its log lies beside what it leads to: that this was removed had not been noticed, nor who
    serves the other directory."""
    here, there = tmp_path / "here", tmp_path / "there"
    await (await open_sqlite(there / "perso.sqlite")).close()
    here.mkdir()
    (here / "perso.sqlite").symlink_to(there / "perso.sqlite")
    (tmp_path / "linked").symlink_to(there)

    with pytest.raises(UnsafeStore, match=r"here/perso\.sqlite is a link") as caught:
        await open_sqlite(here / "perso.sqlite")

    assert "make the directory a link" in caught.value.fix
    await (await open_sqlite(tmp_path / "linked" / "perso.sqlite")).close()


@pytest.mark.parametrize(
    ("asked", "instead", "told"),
    [
        ("PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL", "synchronous is 1"),
        ("PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE", "journal_mode is delete"),
    ],
)
async def test_a_store_that_would_not_sync_its_log_is_refused(
    asked: str, instead: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tampered(apsw.Connection):
        def execute(self, statements: str, *more: Any, **options: Any) -> apsw.Cursor:
            return super().execute(statements.replace(asked, instead), *more, **options)

    monkeypatch.setattr(apsw, "Connection", Tampered)

    with pytest.raises(UnsafeStore, match=told):
        await open_sqlite(tmp_path / "perso.sqlite")


async def test_a_process_that_may_open_no_more_files_is_told_that_and_not_that_the_disk_is_bad(
    tmp_path: Path,
) -> None:
    """Wherever on the way it is that the next file is not opened."""
    path = tmp_path / "perso.sqlite"
    await (await open_sqlite(path)).close()
    told = set[str]()
    with contextlib.ExitStack() as opened:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        taken = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        for _ in range(3):
            try:
                await (await open_sqlite(path)).close()
            except StoreUnavailable as error:
                told.add(error.fix)
            os.close(taken.pop())
        for one in taken:
            os.close(one)

    assert told == {MORE_FILES}
