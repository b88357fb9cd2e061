"""import_rows/sqlite_import: rows per second of `perso import audience`, beside `.import` of the
sqlite3 shell of the same rows into a table with the same key, one after the other in one run.

Both are processes of their own, write to a new file in WAL mode that is synced at each commit, and
are measured from their start to their end. Ours also checks each row, can go on after a kill, and
keeps what a later import has to know; the shell puts all rows into one transaction.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.figures import ROOT, record

ROWS = 1_000_000
ROUNDS = 3
ORG, DATASTREAM, AUDIENCE = "BENCH@AdobeOrg", "shop", "churn-risk"
UNTIL_MS = 4_000_000_000_000
DEFINITIONS = f"""
org = "{ORG}"
[[datastream]]
id = "{DATASTREAM}"
name = "Shop"
[[audience]]
id = "{AUDIENCE}"
name = "Likely to leave"
source = "external"
"""
TABLE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE imported (
    key TEXT NOT NULL, audience_id TEXT NOT NULL, since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (key, audience_id)) WITHOUT ROWID;
.mode csv
.import rows.csv imported
"""


class MissingShell(RuntimeError):
    def __init__(self) -> None:
        super().__init__("sqlite3, the shell, is not there: apt-get install sqlite3.")


def measure(rows: int = ROWS, rounds: int = ROUNDS) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        raise MissingShell
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        directory = Path(scratch)
        _write_files(directory, rows)
        for _ in range(rounds):
            theirs.append(rows / _shell_s(shell, directory))
            ours.append(rows / _perso_s(directory))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    record("import_rows_per_s", median(ours), unit="rows/s", rounds=[round(one) for one in ours])
    record(
        "import_rows/sqlite_import",
        median(ratios),
        unit="ratio",
        sqlite_import_rows_per_s=round(median(theirs)),
        rounds=[round(one, 3) for one in ratios],
        rows=rows,
        shell=_said([shell, "--version"], directory=ROOT).split()[0],
    )


def _write_files(directory: Path, rows: int) -> None:
    """The same rows in the same order, which is no order of their keys."""
    (directory / "perso.toml").write_text(DEFINITIONS)
    with (directory / "m.csv").open("w") as ours, (directory / "rows.csv").open("w") as theirs:
        ours.write("namespace,id,audience,expires\n")
        for number in range(rows):
            customer, until_ms = number * 7_368_787 % 1_000_000_007, UNTIL_MS + number
            ours.write(f"CRMID,{customer},{AUDIENCE},{until_ms}\n")
            key = f"{ORG} {DATASTREAM} CRMID:{customer}"
            theirs.write(f"{key},{AUDIENCE},{UNTIL_MS - 1},{until_ms}\n")


def _shell_s(shell: str, directory: Path) -> float:
    for suffix in ("", "-wal", "-shm"):
        (directory / f"theirs.db{suffix}").unlink(missing_ok=True)
    began_s = time.monotonic()
    said = subprocess.run(
        [shell, "-bail", "theirs.db"],
        cwd=directory,
        input=TABLE,
        capture_output=True,
        text=True,
        check=True,
    )
    taken_s = time.monotonic() - began_s
    assert not said.stderr, said.stderr
    return taken_s


def _perso_s(directory: Path) -> float:
    shutil.rmtree(directory / ".perso", ignore_errors=True)
    command = [sys.executable, "-m", "perso_core"]
    _said([*command, "apply", "perso.toml"], directory)
    began_s = time.monotonic()
    words = ["import", "audience", "m.csv", "--datastream", DATASTREAM]
    said = _said([*command, *words], directory)
    taken_s = time.monotonic() - began_s
    assert "0 refused" in said, said
    return taken_s


def _said(words: list[str], directory: Path) -> str:
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout
