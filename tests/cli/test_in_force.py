"""What `perso apply` waits for: the servers that run, and no other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perso_core.assembly import open_perso
from perso_core.cli import definitions as command
from perso_core.cli import main
from perso_core.cli.definitions import everywhere
from perso_core.errors import NotInForceEverywhere, StoreUnavailable
from perso_core.settings import Settings
from perso_core.stores.presence import DIRECTORY, Presence, Serving, serving
from perso_core.stores.sqlite import SqliteStore
from tests.building import definitions
from tests.cli import test_commands as processes
from tests.cli.test_commands import free_port, perso, write
from tests.cli.test_import_rows import EXTERNAL

HERE = os.getpid()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Presence]:
    """This process, said to be a server."""
    presence = Presence(tmp_path)
    yield presence
    presence.close()


def test_a_server_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path)
    killed = subprocess.Popen(
        processes.command("serve", "--port", free_port()),
        cwd=tmp_path,
        env=processes.environment(),
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    assert killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    killed.stdout.close()
    left = [*(tmp_path / ".perso" / DIRECTORY).iterdir()]

    told = perso(tmp_path, "apply", "perso.toml")

    assert (len(left), told.returncode, told.stderr) == (1, 0, "")
    assert [*(tmp_path / ".perso" / DIRECTORY).iterdir()] == []


async def test_it_waits_until_the_server_has_the_version_in_force(
    settings: Settings, server: Presence
) -> None:
    server.tell(1)
    waiting = asyncio.create_task(everywhere(2, settings))
    done, _ = await asyncio.wait([waiting], timeout=10 * command.LOOK_AGAIN_S)
    assert not done

    server.tell(2)

    await asyncio.wait_for(waiting, 5)


async def test_a_server_with_a_later_version_in_force_is_not_waited_for(
    settings: Settings, server: Presence
) -> None:
    server.tell(3)

    await asyncio.wait_for(everywhere(2, settings), 5)


async def test_a_server_that_does_not_come_round_is_named(
    settings: Settings, server: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "IN_FORCE_LIMIT_S", 0)
    server.tell(4)

    with pytest.raises(NotInForceEverywhere, match=rf"process {HERE} \(still version 4\)") as told:
        await everywhere(5, settings)

    assert told.value.code == "definitions.not-in-force"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("profile", "erase", "CRMID", "4711"), "CRMID 4711 is erased in the store, but"),
        (("key", "revoke", "KEY"), "key KEY is revoked in the store, but"),
        (("import", "attributes", "rows.ndjson"), "what was imported is kept in the store, but"),
        (("import", "audience", "rows.csv"), "what was imported is kept in the store, but"),
    ],
)
def test_what_is_done_and_not_heard_of_everywhere_is_named_as_what_it_is(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It had been said that definitions are saved, also of a visitor who is erased."""
    here = with_a_customer(tmp_path, monkeypatch)
    assert main(["key", "create", "--name", "a", "--datastream", "demo", *here]) == 0
    key = capsys.readouterr().out.split("perso_")[1].split("_")[0]
    monkeypatch.setattr(command, "IN_FORCE_LIMIT_S", 0)
    server = Presence(tmp_path)

    code = main([key if word == "KEY" else word for word in (*words, *here)])

    server.close()
    told = capsys.readouterr().err
    assert code == 1
    assert f"error: Not every server has heard of it: {said.replace('KEY', key)} " in told
    assert f"not heard of after 0 s in process {HERE}" in told


def with_a_customer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Customer 4711 is kept, and rows of hers lie in the current directory. The words that name the
    data directory."""
    write(tmp_path, EXTERNAL)
    row = {"identity": {"namespace": "CRMID", "id": "4711"}, "attributes": {"a": 1}}
    write(tmp_path, json.dumps(row), "rows.ndjson")
    write(tmp_path, "namespace,id,audience\nCRMID,4711,risk\n", "rows.csv")
    monkeypatch.chdir(tmp_path)
    here = ("--data-dir", str(tmp_path))
    assert main(["apply", "perso.toml", *here]) == 0
    assert main(["profile", "put", "rows.ndjson", *here]) == 0
    return here


async def no_room(*_: object, **__: object) -> int:
    raise StoreUnavailable("perso.sqlite: FullError.", fix="Make room.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("profile", "erase", "CRMID", "4711"), "CRMID 4711 is erased"),
        (("import", "attributes", "rows.ndjson"), "what was imported is kept"),
        (("import", "audience", "rows.csv"), "what was imported is kept"),
    ],
)
def test_what_is_done_before_the_disk_is_full_is_said_to_be_done_and_not_known_to_be_heard_of(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It had been said that the visitor is erased, and then that the store is not available."""
    here = with_a_customer(tmp_path, monkeypatch)
    monkeypatch.setattr(SqliteStore, "save_definitions", no_room)
    server = Presence(tmp_path)

    code = main([*words, *here])

    server.close()
    told = capsys.readouterr().err
    assert code == 1
    assert f"error: Not every server has heard of it: {said} in the store. Whether every" in told
    assert "perso.sqlite: FullError. Make room. Servers hear of it by themselves" in told


def test_an_erasure_of_which_no_server_has_to_hear_needs_no_room_for_its_announcement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_a_customer(tmp_path, monkeypatch)
    monkeypatch.setattr(SqliteStore, "save_definitions", no_room)

    assert main(["profile", "erase", "CRMID", "4711", *here]) == 0


def test_a_key_that_is_made_is_told_also_where_a_server_has_not_heard_of_it(
    tmp_path: Path,
    server: Presence,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is shown this once."""
    write(tmp_path)
    monkeypatch.setattr(command, "IN_FORCE_LIMIT_S", 0)
    monkeypatch.chdir(tmp_path)
    here = ("--data-dir", str(tmp_path))
    assert main(["apply", "perso.toml", *here]) == 1

    assert main(["key", "create", "--name", "a", "--datastream", "demo", *here]) == 1

    told = capsys.readouterr()
    assert told.out.startswith("perso_")
    assert "is made in the store, but" in told.err


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_long_wait_is_told_once_and_on_a_terminal_alone(
    settings: Settings,
    server: Presence,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
) -> None:
    monkeypatch.setattr(command, "QUIET_S", 0)
    monkeypatch.setattr(command, "IN_FORCE_LIMIT_S", 0.05)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)

    with pytest.raises(NotInForceEverywhere):
        await everywhere(1, settings)

    expected = f"Saved as version 1; waiting for process {HERE} (still version 0) …\n"
    assert capsys.readouterr().err == (expected if terminal else "")


async def test_whoever_opens_perso_serves_until_the_end_and_a_command_does_not(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_perso(settings, announce=True):
        during_command = serving(tmp_path)
    async with open_perso(settings) as perso:
        version = await perso.apply(definitions())
        await asyncio.wait_for(everywhere(version, settings), 5)
        during = serving(tmp_path)

    assert (during_command, during, serving(tmp_path)) == ([], [Serving(HERE, version)], [])
