"""`perso import audience | attributes`: rows of a file, whole or going on where it was stopped."""

from __future__ import annotations

import argparse
import asyncio
import csv
import fcntl
import gzip
import json
import os
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from perso_core.cli import import_file, main
from perso_core.cli.import_file import Import, Report, opened, summary
from perso_core.cli.patch_groups import patch_groups
from perso_core.cli.progress import Progress as Told
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.errors import BadImportFile
from perso_core.imports.patches import Patch
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import Part, Place, format_of
from perso_core.stores.imports import Progress
from tests.cli.test_commands import COMMAND_LIMIT_S, ECID, perso, write
from tests.definitions.whole import WHOLE
from tests.journeys.server import prepare

EXTERNAL = (
    WHOLE + '[[audience]]\nid = "a-risk"\nname = "Risk"\nalias = "risk"\nsource = "external"\n'
)
HEAD = "namespace,id,audience,expires,status\n"
LATER = "2100-01-01T00:00:00Z"


def applied(directory: Path) -> None:
    write(directory, EXTERNAL)
    prepare(directory / ".perso", definitions_from_toml(EXTERNAL))


def test_good_rows_are_in_and_the_others_are_told_by_line(tmp_path: Path) -> None:
    applied(tmp_path)
    rows = [f"ECID,{ECID},risk,{LATER},", "CRMID,4711,gold,,", "", f"CRMID,4711,risk,{LATER},"]
    write(tmp_path, HEAD + "\n".join(rows) + "\n", "m.csv")

    done = perso(tmp_path, "import", "audience", "m.csv", "--report", "refused.csv")
    got = perso(tmp_path, "profile", "get", "ECID", ECID)
    explained = perso(tmp_path, "audience", "explain", "risk", "--identity", f"ECID:{ECID}")

    assert done.returncode == 1
    assert done.stdout == "3 rows: 2 in, 1 refused.\n"
    assert done.stderr == 'm.csv:3: The audience "gold" has a rule, which decides alone.\n'
    with (tmp_path / "refused.csv").open(newline="") as report:
        assert [row["line"] for row in csv.DictReader(report)] == ["3"]
    assert json.loads(got.stdout)["memberships"]["a-risk"]["status"] == "realized"
    assert "2100-01-01" in explained.stdout


def test_a_file_that_is_in_already_changes_nothing(tmp_path: Path) -> None:
    applied(tmp_path)
    write(tmp_path, HEAD + f"ECID,{ECID},risk,,\n", "m.csv")
    first = perso(tmp_path, "import", "audience", "m.csv")
    before = perso(tmp_path, "profile", "export", "ECID", ECID).stdout

    again = perso(tmp_path, "import", "audience", "m.csv")
    after = perso(tmp_path, "profile", "export", "ECID", ECID).stdout

    assert (first.returncode, again.returncode) == (0, 0)
    assert again.stdout.startswith("m.csv is imported already; --from-start imports it again.\n")
    assert before == after
    (imported,) = json.loads(after)["profiles"][0]["imported"]
    assert imported["audience"] == "a-risk"
    assert imported["until_ms"] - imported["since_ms"] <= 30 * 86_400_000


def test_attributes_come_in_row_by_row(tmp_path: Path) -> None:
    applied(tmp_path)
    rows = [
        {"identity": {"namespace": "ECID", "id": ECID}, "attributes": {"loyalty": {"tier": "x"}}},
        {"identity": {"namespace": "ECID", "id": ECID}, "attributes": {"xEvent": []}},
        {
            "identity": {"namespace": "ECID", "id": ECID},
            "attributes": {"loyalty": {"tier": "gold"}},
        },
    ]
    write(tmp_path, "\n".join(map(json.dumps, rows)), "a.ndjson")

    done = perso(tmp_path, "import", "attributes", "a.ndjson")
    got = json.loads(perso(tmp_path, "profile", "get", "ECID", ECID).stdout)

    assert (done.returncode, done.stdout) == (1, "3 rows: 2 in, 1 refused.\n")
    assert "a.ndjson:2: attributes: xEvent is a reserved name." in done.stderr
    assert got["attributes"] == {"loyalty": {"tier": "gold"}}
    assert got["memberships"]["a-gold"]["status"] == "realized"


def test_what_a_visitor_wrote_in_a_cell_is_kept_and_writes_no_row(tmp_path: Path) -> None:
    applied(tmp_path)
    cell = "x\r\nCRMID,victim,gotcha\r\ny"
    rows = f'namespace,id,text\r\nCRMID,attacker,"{cell}"\r\nCRMID,1,"stray\r\nCRMID,2,b\r\n'
    (tmp_path / "a.csv").write_bytes(rows.encode())

    done = perso(tmp_path, "import", "attributes", "a.csv")
    attacker = json.loads(perso(tmp_path, "profile", "get", "CRMID", "attacker").stdout)
    victim = perso(tmp_path, "profile", "get", "CRMID", "victim")

    assert (done.returncode, done.stdout) == (1, "3 rows: 1 in, 2 refused.\n")
    assert done.stderr.startswith("a.csv:5: A quote is opened and not closed.")
    assert "the lines 5 to 6, 2 lines: nothing of them was taken" in done.stderr
    assert attacker["attributes"] == {"text": cell}
    assert "gotcha" not in victim.stdout


def test_patches_that_make_a_profile_too_large_are_told_by_line_as_any_refused_row(
    tmp_path: Path,
) -> None:
    applied(tmp_path)
    rows = [f"CRMID,c-{number},{'x' * 2_000}," for number in range(24)]
    rows[10:10] = [f"CRMID,good,,{number}" for number in (1, 2)] + ["CRMID,good,,many"]
    write(tmp_path, "namespace,id,text,points:number\n" + "\n".join(rows) + "\n", "a.csv")

    done = perso(
        tmp_path,
        *("import", "attributes", "a.csv", "--report", "refused.csv"),
        PERSO_MAX_RECORD_BYTES="1024",
    )

    refused = [*range(2, 12), *range(14, 29)]
    *told, more = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "27 rows: 2 in, 25 refused.\n")
    assert [line.split(":")[:2] for line in told] == [["a.csv", str(no)] for no in refused[:20]]
    assert "max_record_bytes" in told[0]
    assert more == "… and 5 more refused."
    with (tmp_path / "refused.csv").open(newline="") as report:
        assert [int(row["line"]) for row in csv.DictReader(report)] == refused


@pytest.mark.parametrize("command", ["import attributes", "profile put"])
def test_a_record_may_be_as_large_as_the_setting_says(tmp_path: Path, command: str) -> None:
    applied(tmp_path)
    who = {"namespace": "ECID", "id": ECID}
    for name in "ab":
        row = {"identity": who, "attributes": {name: "x" * 150_000}}
        write(tmp_path, json.dumps(row), f"{name}.ndjson")

    refused = perso(tmp_path, *command.split(), "a.ndjson")
    taken = perso(tmp_path, *command.split(), "b.ndjson", PERSO_MAX_RECORD_BYTES="200000")

    assert refused.returncode == 1
    assert "a.ndjson:1: " in refused.stderr
    assert "take 150,008 bytes as JSON; 102,400 is the limit" in refused.stderr
    assert "raise max_record_bytes." in refused.stderr
    assert taken.returncode == 0, taken.stderr


def test_of_parquet_it_is_told_how_many_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were told as bytes, of as many as the file has: it ended at a fifth."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    applied(tmp_path)
    parquet.write_table(pyarrow.table({"id": ["1", "2", "3"]}), tmp_path / "m.parquet")
    told = []

    class Heard(Told):
        def tell(self, done: int, of: int) -> None:
            told.append(self.line(done, of, now_s=float("inf")))

    monkeypatch.setattr(import_file, "Told", Heard)
    monkeypatch.chdir(tmp_path)
    words = ["import", "audience", "m.parquet", "--namespace", "CRMID", "--audience", "risk"]

    assert main(words) == 0
    assert told == ["3 of 3 rows read …"]


def test_whoever_refused_is_passed_over_and_counted() -> None:
    progress = Progress(began_ms=0, kept=1, passed_over=1, withheld=2)
    assert summary(progress, "ended") == (
        "2 rows: 1 in, 0 refused, 1 passed over. In 2 profiles nothing was kept: these visitors"
        " refused to be kept, or were erased since the import began."
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere.csv"], "No such file"),
        (["."], "Is a directory"),
        (["perso.toml", "--format", "csv"], "There is no column"),
        (["perso.toml", "--datastream", "dema"], "Write demo"),
        (["rows.json"], "rows.json is one JSON list. Write each of its objects on a line"),
        (["-", "--format", "parquet"], "- is no file, and Parquet is read from one. Name a file."),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_sentence(
    tmp_path: Path, words: list[str], why: str
) -> None:
    applied(tmp_path)
    write(tmp_path, '\n[{"namespace": "CRMID", "id": "1", "audience": "risk"}]', "rows.json")

    done = perso(tmp_path, "import", "audience", *words)

    assert done.returncode == 1
    assert done.stderr.startswith("error: The file cannot be imported: ")
    assert why in done.stderr


def test_rows_may_come_by_standard_input(tmp_path: Path) -> None:
    applied(tmp_path)

    done = perso(
        tmp_path,
        *("import", "audience", "-", "--namespace", "ECID", "--audience", "risk"),
        stdin=f"id\n{ECID}\n",
    )

    assert (done.returncode, done.stdout) == (0, "1 row: 1 in, 0 refused.\n")


def test_what_comes_by_standard_input_is_told_by_how_it_begins(tmp_path: Path) -> None:
    """As --help has it: NDJSON was taken for CSV with quotes that are amiss."""
    applied(tmp_path)
    row = json.dumps({"namespace": "CRMID", "id": "1", "audience": "risk"})

    rows, packed, parquet = (
        perso(tmp_path, "import", "audience", "-", stdin=sent)
        for sent in (row, gzip.compress(row.encode()), b"PAR1")
    )

    assert (rows.returncode, rows.stdout) == (0, "1 row: 1 in, 0 refused.\n")
    assert "stdin is compressed. Unpack it first." in packed.stderr
    assert "- is no file, and Parquet is read from one." in parquet.stderr


def until_read(pipe: IO[bytes]) -> None:
    """Returns once the reader has emptied the pipe: what is written next comes to it alone."""
    give_up_s = time.monotonic() + COMMAND_LIMIT_S
    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder):
        assert time.monotonic() < give_up_s, "nobody read it"
        time.sleep(0.001)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\n", b'{"identity"'],
        [b"\xef\xbb\xbf", b'{"identity"'],
        [b"\xef", b"\xbb\xbf", b"\r\n", b'{"ident', b"ity"],
        [b"\n" * 60_000, b'{"identity"'],
    ],
)
def test_a_pipe_is_told_by_the_first_bytes_that_say_something(
    tmp_path: Path, pieces: list[bytes]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def written() -> None:
        with pipe.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
                until_read(file)

    writer = threading.Thread(target=written)
    writer.start()
    with opened(argparse.Namespace(file=str(pipe), format=None, report=None), []) as file:
        found, content = file.format, file.file.read()
    writer.join()

    assert (found, content) == ("ndjson", b"".join(pieces))


def test_a_pipe_that_begins_with_blanks_alone_is_to_say_what_it_is() -> None:
    with pytest.raises(BadImportFile, match="65,536 blanks") as refused:
        format_of("stdin", b"\n" * 65_536)

    assert "--format" in refused.value.fix


@pytest.mark.parametrize("named", ["m.csv", "link.csv"])
def test_a_report_is_not_written_over_the_file_that_is_imported(tmp_path: Path, named: str) -> None:
    applied(tmp_path)
    rows = HEAD + "CRMID,4711,gold,,\n"
    write(tmp_path, rows, "m.csv")
    (tmp_path / "link.csv").symlink_to("m.csv")

    done = perso(tmp_path, "import", "audience", "m.csv", "--report", named)

    assert done.returncode == 1
    assert f"{named} is the file that is imported, and would be written over." in done.stderr
    assert (tmp_path / "m.csv").read_text() == rows


def test_a_report_that_finds_no_room_names_its_file() -> None:
    report = Report("m.csv", "/dev/full", 0)

    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        report.add([Refusal(1, "No.")])
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        report.close()


def test_a_report_may_go_where_nothing_is_kept() -> None:
    report = Report("m.csv", "/dev/null", 0)
    report.add([Refusal(1, "No.")])
    report.close()


def test_a_closed_standard_input_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    applied(tmp_path)
    monkeypatch.setattr("sys.stdin", None)

    code = main(["import", "audience", "-", "--data-dir", str(tmp_path / ".perso")])

    assert code == 1
    assert "-: the standard input is closed." in capsys.readouterr().err


def test_a_report_goes_on_without_the_lines_that_are_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_file, "TOLD_REFUSALS", 1)
    path = str(tmp_path / "refused.csv")
    first = Report("m.csv", path, 0)
    first.add([Refusal(2, "a"), Refusal(9, "b")])
    first.close()

    again = Report("m.csv", path, 5)
    again.add([Refusal(9, "b, again")])
    again.close()

    with open(path, newline="") as report:
        assert [tuple(row) for row in csv.reader(report)] == [
            ("line", "reason"),
            ("2", "a"),
            ("9", "b, again"),
        ]
    assert "… and 1 more refused." in capsys.readouterr().err


def test_a_report_keeps_what_it_told_before_whenever_the_import_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "refused.csv"
    first = Report("m.csv", str(path), 0)
    first.add([Refusal(2, "a"), Refusal(9, "b")])
    first.close()

    killed = Report("m.csv", str(path), 5)  # before it told anything

    assert path.read_bytes() == b"line,reason\r\n2,a\r\n"
    killed.close()


@pytest.mark.parametrize(
    ("found", "kept"),
    [(b"line,reason\r\n2,a\r\n\n\n", b"2,a\r\n\n\n"), (b"\xff\xfe\0", b""), (b"\n2,a\n", b"")],
    ids=["with empty lines", "no text", "no report"],
)
def test_an_import_goes_on_whatever_its_report_has_become(
    tmp_path: Path, found: bytes, kept: bytes
) -> None:
    path = tmp_path / "refused.csv"
    path.write_bytes(found)

    again = Report("m.csv", str(path), 5)
    again.add([Refusal(9, "b")])
    again.close()

    assert path.read_bytes() == b"line,reason\r\n" + kept + b"9,b\r\n"


class BrokenOff:
    """A file of which a first part can be read. meanwhile: what happens before it breaks off."""

    place = Place(1, 1)

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._parts = [Part(rows=["a"], lines=[1])]
        self._meanwhile = meanwhile

    def resume(self, place: Place) -> bool:
        return True

    def next(self, at_most: int) -> Part[str] | None:
        if not self._parts:
            self._meanwhile()
            raise BadImportFile("m.parquet is no whole Parquet file.", fix="Write it anew.")
        return self._parts.pop()


async def test_what_could_be_read_of_a_file_that_breaks_off_is_kept_before_that_is_told() -> None:
    kept: list[str] = []

    async def keep(part: Part[str], progress: Progress) -> Progress:
        for _ in range(100):  # as long as it takes: the file breaks off meanwhile
            await asyncio.to_thread(lambda: None)
        kept.extend(part.rows)
        return progress

    with pytest.raises(BadImportFile):
        await Import(BrokenOff(), keep, 0, lambda _: False).run(Progress(began_ms=0))

    assert kept == ["a"]


async def test_an_import_that_is_stopped_while_it_reads_writes_nothing_afterwards() -> None:
    began, stopped, goes_on = asyncio.Event(), asyncio.Event(), threading.Event()

    async def keep(part: Part[str], progress: Progress) -> Progress:
        if not part.rows:
            return progress
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return progress

    source = BrokenOff(meanwhile=goes_on.wait)
    run = asyncio.create_task(Import(source, keep, 0, lambda _: False).run(Progress(began_ms=0)))
    await began.wait()
    run.cancel()
    await asyncio.wait([run])
    goes_on.set()
    await asyncio.wait_for(stopped.wait(), COMMAND_LIMIT_S)

    assert run.cancelled()


def test_patches_of_one_person_are_never_in_one_group() -> None:
    patches: list[Patch] = [("N", who, {}) for who in "abac"]

    groups = patch_groups(patches, 2, whose=lambda patch: patch[:2])

    assert [[who for _, who, _ in group] for group in groups] == [["a", "b"], ["a", "c"]]


def test_a_parquet_file_that_was_changed_in_its_middle_is_imported_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nightly export of as many bytes was taken for the one of the night before."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    applied(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["import", "audience", "m.parquet", "--namespace", "CRMID", "--audience", "risk"]

    def imported(in_the_middle: int) -> str:
        ids = [f"{n:0200}" for n in range(800)]
        ids[400] = ids[in_the_middle]  # it is told neither by the first nor by the last 64 KB
        table = pyarrow.table({"id": ids})
        parquet.write_table(table, "m.parquet", compression="none", use_dictionary=False)
        assert main(words) == 0
        return capsys.readouterr().out

    first, changed, again = imported(3), imported(5), imported(5)

    assert first == changed == "800 rows: 800 in, 0 refused.\n"
    assert "imported already" in again
