"""`perso backup | restore`: a copy beside a running server, and what comes back of it."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import multiprocessing
import os
import stat
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from perso_core.beside import DATABASE, KEYS
from perso_core.cli import backup as cli_backup
from perso_core.edge.keys import keys_from
from perso_core.stores.migrations import newest
from perso_core.stores.sqlite_backup import put_back
from tests.cli.test_commands import perso, write
from tests.cli.test_privacy import customer, lines
from tests.journeys.server import Visitor, prepare, serving, session


async def visit(visitor: Visitor, url: str, times: int = 1) -> None:
    async with session() as http:
        for _ in range(times):
            await visitor.send(http, url)


def events_of(directory: Path, visitor: Visitor) -> list[str]:
    told = perso(directory, "profile", "export", "ECID", visitor.ecid)
    if told.returncode == 1:
        return []
    return [event["id"] for event in json.loads(told.stdout)["profiles"][0]["events"]]


def backed_up(directory: Path) -> None:
    """A store as servers leave it, and a backup of it made with none running."""
    prepare(directory / ".perso")
    keys_from(directory / ".perso" / KEYS)
    assert perso(directory, "backup", "monday").returncode == 0


def taken_further(database: Path) -> None:
    """As by a Perso that is yet to come, which lets no older one use it."""
    step = newest() + 1
    with closing(apsw.Connection(str(database))) as connection:
        connection.execute("INSERT INTO migration VALUES (?, ?)", (step, step))
        connection.pragma("user_version", step)


def test_a_backup_beside_a_running_server_is_restored_with_all_it_had(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    anna = Visitor("anna")
    with serving(tmp_path / ".perso") as server:
        asyncio.run(visit(anna, server.url, 3))
        made = perso(tmp_path, "backup", "monday")
        before = list(anna.acknowledged)
        asyncio.run(visit(anna, server.url, 2))

        beside = perso(tmp_path, "restore", "monday")
        assert beside.returncode == 1
        assert f"is served by process {server.process.pid}" in beside.stderr

    assert made.returncode == 0
    assert len(events_of(tmp_path, anna)) == 5
    assert perso(tmp_path, "restore", "monday").returncode == 0
    assert events_of(tmp_path, anna) == before
    # Her cookies still prove her.
    with serving(tmp_path / ".perso") as server:
        asyncio.run(visit(anna, server.url))
    assert events_of(tmp_path, anna) == [*before, anna.acknowledged[-1]]


def test_cookie_keys_have_their_name_on_disk_before_they_are_said_to_be_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut right after it could leave the keys of before beside the restored visitors."""
    restored, synced = tmp_path / KEYS, list[tuple[Path, bytes]]()
    restored.write_bytes(b"before")
    (tmp_path / "backup").write_bytes(b"kept")
    monkeypatch.setattr(
        "perso_core.stores.sqlite_file.sync",
        lambda path: synced.append((path, restored.read_bytes())),
    )

    cli_backup._copy_keys(tmp_path / "backup", restored)

    assert synced == [(tmp_path, b"kept")]


def test_a_backup_is_for_its_owner_alone(tmp_path: Path) -> None:
    backed_up(tmp_path)

    made = tmp_path / "monday"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.iterdir())}
    assert modes == {"monday": 0o700, DATABASE: 0o600, KEYS: 0o600}


def test_whoever_was_erased_since_does_not_come_back(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    write(tmp_path, lines(customer("1", a=1), customer("2", a=2)), "customers.jsonl")
    perso(tmp_path, "profile", "put", "customers.jsonl")
    perso(tmp_path, "backup", "monday")
    perso(tmp_path, "profile", "erase", "CRMID", "1")

    told = perso(tmp_path, "restore", "monday")

    assert "Of what was erased since, 2 stay erased." in told.stdout
    assert perso(tmp_path, "profile", "export", "CRMID", "1").returncode == 1
    assert perso(tmp_path, "profile", "export", "CRMID", "2").returncode == 0


def test_a_damaged_database_is_replaced_and_it_is_said_what_nobody_knows(tmp_path: Path) -> None:
    backed_up(tmp_path)
    (tmp_path / ".perso" / DATABASE).write_bytes(b"no database" * 1_000)

    told = perso(tmp_path, "restore", "monday")

    assert told.returncode == 0
    assert "too damaged to say who was erased since" in told.stdout


def test_an_older_perso_goes_back_to_its_backup_once_the_newer_database_is_moved_away(
    tmp_path: Path,
) -> None:
    backed_up(tmp_path)
    database = tmp_path / ".perso" / DATABASE
    taken_further(database)

    refused = perso(tmp_path, "restore", "monday")
    database.rename(tmp_path / "newer.sqlite")
    told = perso(tmp_path, "restore", "monday")

    assert refused.returncode == 1
    assert f"move {database.relative_to(tmp_path)} away, restore, and erase again" in refused.stderr
    assert told.returncode == 0
    assert told.stdout.startswith("monday is restored to .perso.")
    assert perso(tmp_path, "doctor").returncode == 0


def test_on_a_new_machine_it_is_said_that_nobody_knows_who_was_erased_since(
    tmp_path: Path,
) -> None:
    backed_up(tmp_path)

    told = perso(tmp_path, "restore", "monday", "--data-dir", "new")
    again = perso(tmp_path, "restore", "monday", "--data-dir", "new")

    assert "No database was there that says who was erased since the backup" in told.stdout
    assert again.stdout == "monday is restored to new.\n"


@pytest.mark.parametrize("damage", [b"no database" * 1_000, b""])
def test_a_damaged_backup_is_refused_and_nothing_is_touched(damage: bytes, tmp_path: Path) -> None:
    backed_up(tmp_path)
    (tmp_path / "monday" / DATABASE).write_bytes(damage)
    before = (tmp_path / ".perso" / DATABASE).read_bytes()

    told = perso(tmp_path, "restore", "monday")

    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
    assert (tmp_path / ".perso" / DATABASE).read_bytes() == before


def test_a_truncated_backup_is_named_and_another_one_asked_for(tmp_path: Path) -> None:
    backed_up(tmp_path)
    os.truncate(tmp_path / "monday" / DATABASE, 5_000)

    told = perso(tmp_path, "restore", "monday")

    assert told.stderr.startswith("error: The backup cannot be made or restored: monday: ")
    assert told.stderr.endswith("Use another backup.\n")


def test_a_backup_of_a_damaged_database_is_refused_while_there_are_earlier_ones(
    tmp_path: Path,
) -> None:
    prepare(tmp_path / ".perso")
    write(tmp_path, lines(*(customer(str(n), n=n) for n in range(200))), "customers.jsonl")
    perso(tmp_path, "profile", "put", "customers.jsonl")
    database = tmp_path / ".perso" / DATABASE
    content = database.read_bytes()
    pages = len(content) // 4_096
    # The last page of a table, which no start looks at.
    database.write_bytes(content[: (pages - 1) * 4_096] + b"\xff" * 4_096)

    done = perso(tmp_path, "backup", "monday")

    assert done.returncode == 1
    assert "The store is damaged" in done.stderr
    assert "`perso restore` a backup" in done.stderr
    assert not (tmp_path / "monday").exists()


def test_cookie_keys_that_cannot_be_read_are_in_no_backup_and_are_not_restored(
    tmp_path: Path,
) -> None:
    """They had taken the place of those that proved every visitor."""
    backed_up(tmp_path)
    good = (tmp_path / ".perso" / KEYS).read_bytes()
    (tmp_path / "monday" / KEYS).write_bytes(good[:50])
    before = (tmp_path / ".perso" / DATABASE).read_bytes()

    restored = perso(tmp_path, "restore", "monday")
    after = [(tmp_path / ".perso" / name).read_bytes() for name in (DATABASE, KEYS)]
    (tmp_path / ".perso" / KEYS).write_bytes(good[:50])
    made = perso(tmp_path, "backup", "tuesday")

    assert (restored.returncode, made.returncode) == (1, 1)
    assert "cookie-keys.json" in restored.stderr
    assert after == [before, good]
    assert not (tmp_path / "tuesday").exists()


def test_a_restore_that_breaks_off_leaves_what_was_there_and_nothing_beside(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    perso(tmp_path, "backup", "monday")
    database = tmp_path / ".perso" / DATABASE
    before = sorted(path.name for path in database.parent.iterdir())

    def stopped(done: int, pages: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_back(tmp_path / "monday" / DATABASE, database, stopped)

    assert sorted(path.name for path in database.parent.iterdir()) == before


def test_no_directory_has_a_backups_name_before_all_of_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed had left the database without the keys: restored on another machine it
    knew nobody, and the next backup of that name was refused."""
    prepare(tmp_path / ".perso")
    keys_from(tmp_path / ".perso" / KEYS)
    arguments = argparse.Namespace(
        data_dir=str(tmp_path / ".perso"), settings=None, directory=str(tmp_path / "monday")
    )

    def killed(*_: object) -> None:
        os._exit(9)

    with monkeypatch.context() as breaking:
        breaking.setattr(cli_backup, "_copy_keys", killed)
        process = multiprocessing.get_context("fork").Process(
            target=cli_backup.backup, args=[arguments]
        )
        process.start()
        process.join()
    left = sorted(path.name for path in tmp_path.iterdir())
    made = perso(tmp_path, "backup", "monday")

    assert (process.exitcode, left) == (9, [".perso", "monday.unfinished"])
    assert made.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".perso", "monday"]
    assert sorted(path.name for path in (tmp_path / "monday").iterdir()) == [KEYS, DATABASE]


def test_what_no_backup_wrote_is_not_removed_for_one(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    mine = write(tmp_path, "mine", "note")
    (tmp_path / "monday.unfinished").mkdir()
    mine.rename(tmp_path / "monday.unfinished" / "note")

    made = perso(tmp_path, "backup", "monday")

    assert made.returncode == 1
    assert "monday.unfinished holds note" in made.stderr
    assert (tmp_path / "monday.unfinished" / "note").read_text("utf-8") == "mine"


def test_two_backups_of_one_name_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    (tmp_path / "monday.unfinished").mkdir()
    held = os.open(tmp_path / "monday.unfinished", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    second = perso(tmp_path, "backup", "monday")
    os.close(held)

    assert second.returncode == 1
    assert "is being made by another process" in second.stderr
    assert perso(tmp_path, "backup", "monday").returncode == 0


def test_a_backup_needs_a_new_directory_and_something_to_copy(tmp_path: Path) -> None:
    nothing = perso(tmp_path, "backup", "monday")
    prepare(tmp_path / ".perso")
    (tmp_path / "monday").mkdir()
    there = perso(tmp_path, "backup", "monday")
    (tmp_path / "link").symlink_to("nowhere")
    led = perso(tmp_path, "backup", "link")
    none = perso(tmp_path, "restore", "tuesday")

    assert [one.returncode for one in (nothing, there, led, none)] == [1, 1, 1, 1]
    assert "holds no database" in nothing.stderr
    assert "is there already" in there.stderr
    assert "link is there already" in led.stderr
    assert "is no backup" in none.stderr


def test_what_a_killed_backup_left_is_not_restored(tmp_path: Path) -> None:
    """It may have the whole database, and no cookie keys: nobody would be known."""
    backed_up(tmp_path)
    (tmp_path / "monday").rename(tmp_path / "monday.unfinished")

    told = perso(tmp_path, "restore", "monday.unfinished")

    assert told.returncode == 1
    assert "monday.unfinished was not finished" in told.stderr


def test_a_truncated_database_is_told_of_and_restored(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    anna = Visitor("anna")
    with serving(tmp_path / ".perso") as server:
        asyncio.run(visit(anna, server.url, 2))
        perso(tmp_path, "backup", "monday")
    (tmp_path / ".perso" / DATABASE).write_bytes(b"")

    refused = perso(tmp_path, "profile", "export", "ECID", anna.ecid)
    looked = perso(tmp_path, "doctor")

    assert (refused.returncode, looked.returncode) == (1, 1)
    for told in (refused, looked):
        assert "is empty, and cookie-keys.json beside it" in told.stderr
        assert "`perso restore` a backup" in told.stderr
    assert perso(tmp_path, "restore", "monday").returncode == 0
    assert events_of(tmp_path, anna) == anna.acknowledged


def test_a_database_is_compacted_with_its_servers_stopped(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    anna = Visitor("anna")
    with serving(tmp_path / ".perso") as server:
        asyncio.run(visit(anna, server.url, 2))
        beside = perso(tmp_path, "compact")
    done = perso(tmp_path, "compact")

    assert beside.returncode == 1
    assert "Stop it, then compact." in beside.stderr
    assert done.returncode == 0
    assert "bytes before" in done.stdout
    assert events_of(tmp_path, anna) == anna.acknowledged
