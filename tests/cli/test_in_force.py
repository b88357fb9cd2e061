"""What `perso apply` waits for: the servers that run, and no other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perso_core.assembly import open_perso
from perso_core.cli import definitions as command
from perso_core.cli.definitions import everywhere
from perso_core.errors import NotInForceEverywhere
from perso_core.settings import Settings
from perso_core.stores.presence import DIRECTORY, Presence, Serving, serving
from tests.building import definitions
from tests.cli import test_commands as processes
from tests.cli.test_commands import free_port, perso, write

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
