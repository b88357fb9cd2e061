"""Commands that root runs on the data directory of the user that Perso runs as."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perso_core.beside import DATABASE, KEYS
from perso_core.stores.presence import Presence
from tests.cli.test_commands import perso, write

OWNER = 54_321  # a user and a group that are nobody's
ROWS = '{"identity": {"namespace": "CRMID", "id": "4711"}, "attributes": {"a": 1}}'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """As an installation leaves it, before anything was applied."""
    made = tmp_path / ".perso"
    made.mkdir(mode=0o700)
    os.chown(made, OWNER, OWNER)
    return made


def owners(directory: Path) -> set[tuple[int, int]]:
    paths = [directory, *directory.rglob("*")]
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in paths}


def test_what_root_makes_belongs_to_whom_the_directory_does(tmp_path: Path, data_dir: Path) -> None:
    """The server could not be started any more by its own user."""
    write(tmp_path)
    write(tmp_path, ROWS, "customers.ndjson")
    for words in (
        ["apply", "perso.toml"],
        ["key", "create", "--name", "Shop", "--datastream", "demo"],
        ["import", "attributes", "customers.ndjson"],
    ):
        assert perso(tmp_path, *words).returncode == 0
    Presence(data_dir).close()

    assert {DATABASE, KEYS, "import.lock", "servers"} < {path.name for path in data_dir.iterdir()}
    assert owners(data_dir) == {(OWNER, OWNER)}


def test_what_root_restores_belongs_to_whom_the_directory_does(
    tmp_path: Path, data_dir: Path
) -> None:
    """In the middle of the night, with the servers down."""
    write(tmp_path)
    for words in (["apply", "perso.toml"], ["backup", "monday"], ["restore", "monday"]):
        assert perso(tmp_path, *words).returncode == 0

    assert owners(data_dir) == {(OWNER, OWNER)}
    assert owners(tmp_path / "monday") == {(0, 0)}


def test_what_lies_there_already_is_given_to_nobody(tmp_path: Path, data_dir: Path) -> None:
    """A link, by which whoever owns the directory would be given what is root's."""
    (tmp_path / "roots").write_bytes(b"")
    (data_dir / "definitions.lock").symlink_to(tmp_path / "roots")
    write(tmp_path)

    perso(tmp_path, "apply", "perso.toml")

    assert (tmp_path / "roots").stat().st_uid == 0
