"""`perso doctor`: what it says of a whole database, and of one that is not."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from perso_core.beside import DATABASE, KEYS
from perso_core.stores.presence import Presence
from tests.cli.test_commands import perso, write
from tests.journeys.server import Visitor, prepare, serving, session
from tests.stores.test_sqlite import sql


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare(tmp_path / ".perso")
    return tmp_path


def test_a_whole_database_is_said_to_be_beside_a_running_server(directory: Path) -> None:
    with serving(directory / ".perso"):
        told = perso(directory, "doctor")

    assert told.returncode == 0, told.stderr
    assert "is safe for several processes" in told.stdout
    assert f"{DATABASE} is whole" in told.stdout
    assert "definitions: 1, of which 0 cannot be read." in told.stdout


def test_which_servers_had_to_answer_that_something_failed_is_told(directory: Path) -> None:
    presence = Presence(directory / ".perso")
    before = perso(directory, "doctor")
    presence.keep_failed(1_234, 1_700_000_000_000)

    told = perso(directory, "doctor")
    presence.close()

    said = f"Answers of process {os.getpid()} with status 207 since it began: 1,234"
    assert "207" not in before.stdout
    assert f"{said}, the last at 2023-11-14 22:13:20 UTC" in told.stdout
    assert told.returncode == 0


def test_a_record_that_cannot_be_read_is_told(directory: Path) -> None:
    sql(directory / ".perso" / DATABASE, "UPDATE definitions SET record = x'00'")

    told = perso(directory, "doctor")

    assert told.returncode == 1
    assert "definitions: 1, of which 1 cannot be read." in told.stdout


def test_a_record_that_is_another_visitors_is_told(directory: Path) -> None:
    profiles = [
        {"identity": {"namespace": "CRMID", "id": id}, "attributes": {"a": id}} for id in "ab"
    ]
    (directory / "profiles.json").write_text(json.dumps(profiles))
    assert perso(directory, "profile", "put", "profiles.json").returncode == 0
    another = "SELECT record FROM profile ORDER BY key LIMIT 1"
    sql(directory / ".perso" / DATABASE, f"UPDATE profile SET record = ({another})")

    told = perso(directory, "doctor")

    assert told.returncode == 1
    assert "of which 0 cannot be read and" in told.stdout
    assert "`perso restore` a backup" in told.stdout


def test_an_imported_membership_whose_end_is_no_instant_is_told(directory: Path) -> None:
    database = directory / ".perso" / DATABASE
    for number, until_ms in enumerate((1, "abc")):
        sql(database, "INSERT INTO imported VALUES (?, 'risk', 0, ?)", f"CRMID:{number}", until_ms)

    told = perso(directory, "doctor")

    assert told.returncode == 1
    assert "imported: 2, of which 1 cannot be read." in told.stdout


def test_definitions_that_cannot_be_read_are_not_served_from_until_they_are_applied_again(
    directory: Path,
) -> None:
    """A worker that came up with none had taken the place of one that had them, and every call
    was refused as if its datastream were unknown."""
    sql(directory / ".perso" / DATABASE, "UPDATE definitions SET record = x'00'")

    told = perso(directory, "serve", "--port", "0")
    again = perso(directory, "apply", str(write(directory)))

    assert told.returncode == 1
    assert "`perso apply` the definitions again" in told.stderr
    assert again.returncode == 0


def test_a_damaged_file_is_told_with_what_to_do(directory: Path) -> None:
    path = directory / ".perso" / DATABASE
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4_096)

    told = perso(directory, "doctor")

    assert told.returncode == 1
    assert "The store is damaged" in told.stderr
    assert "perso restore" in told.stderr


def test_cookie_keys_without_which_no_server_starts_or_nobody_is_known_are_told(
    directory: Path,
) -> None:
    """All had been said to be well."""
    keys = directory / ".perso" / KEYS
    before = perso(directory, "doctor")
    visit(directory)
    good = keys.read_bytes()
    whole = perso(directory, "doctor")
    keys.write_bytes(good[:50])
    damaged = perso(directory, "doctor")
    keys.unlink()
    missing = perso(directory, "doctor")

    # Where nobody came yet there may be none.
    assert (before.returncode, whole.returncode) == (0, 0)
    assert (damaged.returncode, missing.returncode) == (1, 1)
    assert f"{KEYS} cannot be read" in damaged.stdout
    assert f"{KEYS} is missing" in missing.stdout
    assert not keys.exists()


def visit(directory: Path) -> None:
    async def come(url: str) -> None:
        async with session() as http:
            await Visitor("anna").send(http, url)

    with serving(directory / ".perso") as server:
        asyncio.run(come(server.url))


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    told = perso(tmp_path, "doctor")

    assert told.returncode == 1
    assert "holds no database" in told.stderr
    assert list(tmp_path.iterdir()) == []
