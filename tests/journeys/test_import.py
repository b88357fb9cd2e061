"""Imports beside servers and through kills: complete, exact, and live at the next lookup."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import structs

from perso_core.assembly import DATABASE
from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.external import with_membership_rule
from perso_core.stores.imports import progress_from
from tests.building import definitions
from tests.cli.test_commands import environment, perso
from tests.journeys.server import Visitor, prepare, serving, session
from tests.soaking import times

ROWS = times(6_000, 1_000_000)
# Small parts, so that a kill finds the import under way.
SLOWLY = (
    "import sys; from perso_core import cli; from perso_core.cli import import_file;"
    f"import_file.ROWS_AT_ONCE = {times(200, 20_000)}; sys.exit(cli.main())"
)
UNTIL_MS = 4_000_000_000_000
LIMIT_S = 60 if ROWS < 100_000 else 600


def with_external() -> Definitions:
    """Everybody may be kept; `basket` by its rule, `risk` from outside."""
    found = definitions()
    risk = with_membership_rule(Audience(id="risk", name="Risk", pql="", source="external"))
    return structs.replace(
        found,
        audiences=(*found.audiences, risk),
        activations=(*found.activations, Activation(audience="risk", destination="d-cms")),
    )


def members(path: Path) -> None:
    """Ids in no order; every hundredth row is refused."""
    lines = ["id,expires"]
    for number in range(ROWS):
        expires = "soon" if number % 100 == 99 else UNTIL_MS + number
        lines.append(f"{number * 7919 % ROWS},{expires}")
    path.write_text("\n".join(lines) + "\n")


def imported(data_dir: Path) -> dict[str, int]:
    connection = apsw.Connection(str(data_dir / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT key, until_ms FROM imported").fetchall()
        return {str(key).partition(":")[2]: int(str(until)) for key, until in rows}
    finally:
        connection.close()


def line_of(data_dir: Path) -> int:
    """How far the import says that it is."""
    connection = apsw.Connection(str(data_dir / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    try:
        record = connection.execute("SELECT record FROM imported_file").get
        return progress_from(record).line if record else 0
    finally:
        connection.close()


def begun(directory: Path) -> subprocess.Popen[str]:
    words = ["import", "audience", "m.csv", "--namespace", "CRMID", "--audience", "risk"]
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words, "--datastream", "demo", "--report", "refused.csv"],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_after(line: int, directory: Path) -> int:
    """Begin, and kill it as `kill -9` does once it is beyond a line. Returns where it was."""
    process = begun(directory)
    give_up = time.monotonic() + LIMIT_S
    while (found := line_of(directory / ".perso")) <= line:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up, "the import did not come so far"
    process.kill()
    process.communicate()
    return found


@pytest.mark.alone
def test_an_import_that_is_killed_twice_ends_complete_and_exact(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso", with_external())
    members(tmp_path / "m.csv")

    first = killed_after(0, tmp_path)
    second = killed_after(first + ROWS // 4, tmp_path)
    process = begun(tmp_path)
    said, told = process.communicate(timeout=LIMIT_S)

    refused = ROWS // 100
    assert 0 < first < second < ROWS
    assert process.returncode == 1
    assert said == f"{ROWS:,} rows: {ROWS - refused:,} in, {refused:,} refused.\n"
    assert "Going on after line " in told
    expected = {
        str(number * 7919 % ROWS): UNTIL_MS + number for number in range(ROWS) if number % 100 != 99
    }
    assert imported(tmp_path / ".perso") == expected
    report = (tmp_path / "refused.csv").read_text().splitlines()[1:]
    assert [int(line.partition(",")[0]) for line in report] == [*range(101, ROWS + 2, 100)]


def audiences(answer: dict[str, Any]) -> set[str]:
    return {
        segment["id"]
        for handle in answer["handle"]
        if handle["type"] == "activation:pull"
        for payload in handle["payload"]
        for segment in payload["segments"]
    }


def rows_of(directory: Path, *rows: str) -> None:
    (directory / "m.csv").write_text("\n".join(["namespace,id,audience,status", *rows]) + "\n")
    done = perso(directory, "import", "audience", "m.csv")
    assert done.returncode == 0, done.stderr


async def test_what_is_imported_holds_at_the_next_call_to_a_running_server(tmp_path: Path) -> None:
    await asyncio.to_thread(prepare, tmp_path / ".perso", with_external())
    anna, bert = Visitor("anna"), Visitor("bert")
    with serving(tmp_path / ".perso") as server:
        async with session() as http:
            before = audiences(await anna.send(http, server.url))
            await bert.send(http, server.url)
            await asyncio.to_thread(rows_of, tmp_path, f"ECID,{anna.ecid},risk,realized")
            after = audiences(await anna.send(http, server.url))
            other = audiences(await bert.send(http, server.url))
            await asyncio.to_thread(rows_of, tmp_path, f"ECID,{anna.ecid},risk,exited")
            ended = audiences(await anna.send(http, server.url))

    assert (before, after, other, ended) == (
        {"basket"},
        {"basket", "risk"},
        {"basket"},
        {"basket"},
    )


@pytest.mark.alone
def test_whoever_is_erased_during_an_import_does_not_come_back_by_going_on(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso", with_external())
    members(tmp_path / "m.csv")
    killed_after(0, tmp_path)
    gone = str((ROWS - 2) * 7919 % ROWS)

    # Nothing is kept of him yet, and the import has yet to come to his row.
    perso(tmp_path, "profile", "erase", "CRMID", gone)
    process = begun(tmp_path)
    said, _ = process.communicate(timeout=LIMIT_S)

    refused = ROWS // 100
    assert said.startswith(
        f"{ROWS:,} rows: {ROWS - refused - 1:,} in, {refused:,} refused, 1 passed over."
        " In 1 profile nothing was kept: "
    )
    assert gone not in imported(tmp_path / ".perso")
