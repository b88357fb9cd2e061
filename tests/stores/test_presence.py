"""Presence: which processes serve, and by which version; nobody who is gone is among them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perso_core.errors import StoreUnavailable
from perso_core.stores.presence import DIRECTORY, Presence, Serving, serving

HERE = os.getpid()
HOLDS_UNTIL_KILLED = """
import pathlib, sys
from perso_core.stores.presence import Presence
presence = Presence(pathlib.Path(sys.argv[1]))
presence.tell(3)
print("ready", flush=True)
sys.stdin.read()
"""


def test_nobody_serves_a_directory_that_nobody_served(tmp_path: Path) -> None:
    assert serving(tmp_path) == []
    assert [*tmp_path.iterdir()] == []


def test_a_process_serves_by_no_version_until_it_tells_one(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    before = serving(tmp_path)
    presence.tell(7)

    assert (before, serving(tmp_path)) == ([Serving(HERE, 0)], [Serving(HERE, 7)])
    presence.close()


def test_how_many_answers_failed_stands_beside_the_version(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    presence.tell(7)

    kept = presence.keep_failed(1_234, 5_678)

    assert kept
    assert serving(tmp_path) == [Serving(HERE, 7, failed=1_234, failed_ms=5_678)]
    (file,) = (tmp_path / DIRECTORY).iterdir()
    # So an older Perso reads it, which knows of no such number; and writes it.
    lines = file.read_bytes().split(b"\n")
    assert (len(lines), lines[0]) == (3, lines[1])
    file.write_bytes(b"\n".join([*lines[:2], b""]))
    assert serving(tmp_path) == [Serving(HERE, 7)]
    presence.close()


def test_who_closes_serves_no_more_and_leaves_nothing(tmp_path: Path) -> None:
    presence = Presence(tmp_path)

    presence.close()
    presence.close()
    presence.tell(8)

    assert serving(tmp_path) == []
    assert [*(tmp_path / DIRECTORY).iterdir()] == []


def test_who_closes_on_a_disk_that_takes_nothing_serves_no_more_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that went on without Perso was waited for by each `perso apply`."""
    presence = Presence(tmp_path)

    def read_only(path: Path, *, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    with monkeypatch.context() as failing:
        failing.setattr(Path, "unlink", read_only)
        presence.close()

    assert serving(tmp_path) == []
    assert [*(tmp_path / DIRECTORY).iterdir()] == []


def test_where_the_disk_has_no_room_a_process_serves_by_no_version_until_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", no_room)
        presence = Presence(tmp_path)
        before = [said.version for said in serving(tmp_path)]
        with pytest.raises(StoreUnavailable, match="No space left"):
            presence.tell(7)
    presence.tell(7)

    assert (before, serving(tmp_path)) == ([0], [Serving(HERE, 7)])
    presence.close()


def test_who_is_told_of_again_where_the_directory_was_replaced_is_seen_there(
    tmp_path: Path,
) -> None:
    """`perso apply` had waited for nobody, and `perso restore` had not been refused."""
    data, before = tmp_path / "data", tmp_path / "before"
    data.mkdir()
    presence = Presence(data)
    presence.tell(1)
    data.rename(before)
    data.mkdir()

    presence.tell(2)

    assert (serving(data), serving(before)) == ([Serving(HERE, 2)], [])
    presence.close()
    assert [*(data / DIRECTORY).iterdir()] == []


def test_several_are_told_apart(tmp_path: Path) -> None:
    one, other = Presence(tmp_path), Presence(tmp_path)
    one.tell(1)
    other.tell(2)

    assert sorted(said.version for said in serving(tmp_path)) == [1, 2]
    one.close()
    other.close()


def test_a_killed_process_serves_no_more_and_its_file_is_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert serving(tmp_path) == [Serving(process.pid, 3)]
        process.kill()
        process.wait(10)

    assert serving(tmp_path) == []
    assert [*(tmp_path / DIRECTORY).iterdir()] == []


def test_a_file_that_is_half_written_over_says_no_version(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    presence.tell(8)
    (path,) = (tmp_path / DIRECTORY).iterdir()
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.write(whole.splitlines(keepends=True)[0].replace(b"8\n", b"9\n"))

    assert serving(tmp_path) == [Serving(0, 0)]
    presence.close()


def test_a_reader_beside_a_writer_sees_only_what_was_told(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    stop = threading.Event()

    def tell() -> None:
        while not stop.is_set():
            presence.tell(111_111)
            presence.tell(999_999)

    writer = threading.Thread(target=tell)
    writer.start()
    seen = {said.version for _ in range(2_000) for said in serving(tmp_path)}
    stop.set()
    writer.join()
    presence.close()

    assert seen <= {0, 111_111, 999_999}


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    directory = tmp_path / DIRECTORY
    (path,) = directory.iterdir()

    modes = [stat.S_IMODE(one.stat().st_mode) for one in (directory, path)]

    assert modes == [0o700, 0o600]
    presence.close()


def test_a_directory_that_may_not_be_read_is_not_taken_for_one_where_nobody_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another user: `perso apply` had said that all was in force, and waited for nobody."""
    presence = Presence(tmp_path)

    def forbidden(_: object) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / DIRECTORY))

    for reads in ("listdir", "scandir"):
        monkeypatch.setattr(os, reads, forbidden)
    with pytest.raises(PermissionError):
        serving(tmp_path)
    presence.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).write_text("in the way")

    with pytest.raises(StoreUnavailable, match=DIRECTORY):
        Presence(tmp_path)
