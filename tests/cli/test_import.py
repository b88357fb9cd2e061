"""`perso import segments`, as a process of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from perso_core.cli.progress import Progress
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.definitions.toml_file import definitions_from_toml
from tests.cli.test_commands import perso, serving, write
from tests.definitions.exported import GOLD_ID, ORG, another, forty, segment
from tests.definitions.whole import WHOLE
from tests.pql.cases import AUDIENCES
from tests.pql.test_audiences import NOW_MS, RULES, view_in

DOCUMENT = (Path(__file__).parents[2] / "docs" / "import.md").read_text("utf-8")


def export(directory: Path, *given: Any, name: str = "export.json") -> None:
    (directory / name).write_text(json.dumps({"segments": given}), "utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return [text for written, text in found if written == language]


# ---- what the document says ----------------------------------------------------


def test_the_documents_example_gives_the_report_and_the_file_that_it_shows(tmp_path: Path) -> None:
    (example,), (report,), (file,) = blocks("json"), blocks(""), blocks("toml")
    (tmp_path / "export.json").write_text(example, "utf-8")

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "imported.toml")

    written = (tmp_path / "imported.toml").read_text("utf-8")
    assert told.returncode == 1
    assert told.stdout == report
    assert written.partition("\n\n")[2] == file
    assert all(line.startswith("#") for line in written.partition("\n\n")[0].split("\n"))


def test_the_commands_of_the_document_are_those_there_are(tmp_path: Path) -> None:
    export(tmp_path, segment())
    export(tmp_path, segment(), name="page1.json")
    export(tmp_path, another(), name="page2.json")
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    (commands,) = blocks("sh")

    for line in commands.splitlines():
        words = line.partition("#")[0].split()[1:]
        told = perso(tmp_path, *words)
        assert told.returncode == 0, told


# ---- into a file -----------------------------------------------------------------


def test_the_forty_audiences_come_through_a_file_and_decide_as_before(tmp_path: Path) -> None:
    export(tmp_path, *forty())

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "imported.toml")

    assert (told.returncode, told.stdout.count("+ imported")) == (0, 40)
    assert told.stdout.splitlines()[-1].startswith("40 imported. imported.toml: ")
    assert perso(tmp_path, "apply", "imported.toml").returncode == 0
    text = (tmp_path / "imported.toml").read_text("utf-8")
    snapshot = compile_snapshot(definitions_from_toml(text))
    for one in AUDIENCES:
        before, after = RULES[one["name"]], snapshot.audience_by_id[one["id"]].rule
        view = view_in(one["name"])
        assert after.evaluate(view, NOW_MS).holds
        assert after.evaluate(view, NOW_MS) == before.evaluate(view, NOW_MS)
        assert after.evaluate({}, NOW_MS) == before.evaluate({}, NOW_MS)


def test_without_an_output_only_the_report_is_made(tmp_path: Path) -> None:
    export(tmp_path, segment())

    told = perso(tmp_path, "import", "segments", "export.json")

    assert told.returncode == 0
    assert "1 imported. Nothing was written: add -o FILE" in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["export.json"]


def test_a_refused_definition_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    export(tmp_path, segment("a =="), another())

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "out.toml")

    assert told.returncode == 1
    assert "x refused “Gold members”" in told.stdout
    assert "    rule 1:4: " in told.stdout
    assert "1 imported, 1 refused. out.toml" in told.stdout
    audiences = definitions_from_toml((tmp_path / "out.toml").read_text("utf-8")).audiences
    assert [one.name for one in audiences] == ["Others"]


def test_strict_writes_nothing_where_one_is_refused(tmp_path: Path) -> None:
    export(tmp_path, segment("a =="), another())

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "out.toml", "--strict")

    assert told.returncode == 1
    assert "as --strict asks" in told.stdout
    assert not (tmp_path / "out.toml").exists()


def test_audiences_are_merged_into_the_file_in_place_and_again_changes_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path, f"# ours\n{WHOLE}")
    export(tmp_path, segment())
    words = ("import", "segments", "export.json", "--merge", "perso.toml", "-o", "perso.toml")

    first = perso(tmp_path, *words)
    once = (tmp_path / "perso.toml").read_text("utf-8")
    second = perso(tmp_path, *words)

    assert "! They come from" in first.stdout
    assert first.returncode == second.returncode == 0
    assert once.startswith(f"# ours\n{WHOLE}")
    assert (tmp_path / "perso.toml").read_text("utf-8") == once
    assert "= unchanged" in second.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "perso.toml"]


def test_another_rule_is_taken_with_replace_and_the_lost_comments_are_told(tmp_path: Path) -> None:
    write(tmp_path, f"# ours\n{WHOLE}")
    export(tmp_path, segment("loyalty.points > 99", id="a-gold", name="Gold"))
    words = ("import", "segments", "export.json", "--merge", "perso.toml", "-o", "perso.toml")

    refused = perso(tmp_path, *words)
    untouched = (tmp_path / "perso.toml").read_text("utf-8")
    replaced = perso(tmp_path, *words, "--replace")

    read = definitions_from_toml((tmp_path / "perso.toml").read_text("utf-8"))
    assert refused.returncode == 1
    assert untouched == f"# ours\n{WHOLE}"
    assert (replaced.returncode, "* replaced" in replaced.stdout) == (0, True)
    assert "comments of perso.toml are not kept" in replaced.stdout
    assert (read.audiences[0].pql, read.audiences[0].alias) == ("loyalty.points > 99", "gold")


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    export(tmp_path, segment())
    (tmp_path / "mine.toml").write_text("# mine", "utf-8")

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "mine.toml")
    kept = (tmp_path / "mine.toml").read_text("utf-8")
    over = perso(tmp_path, "import", "segments", "export.json", "-o", "mine.toml", "--replace")

    assert (told.returncode, kept) == (1, "# mine")
    assert "mine.toml exists already" in told.stderr
    assert over.returncode == 0
    assert "Gold members" in (tmp_path / "mine.toml").read_text("utf-8")


def test_standard_output_gets_the_definitions_and_standard_error_the_report(tmp_path: Path) -> None:
    told = perso(tmp_path, "import", "segments", "-", "-o", "-", stdin=json.dumps(segment()))

    assert told.returncode == 0
    assert definitions_from_toml(told.stdout).audiences[0].id == GOLD_ID
    assert "1 imported" in told.stderr


def test_an_export_without_an_organisation_asks_for_one(tmp_path: Path) -> None:
    export(tmp_path, segment(imsOrgId="{ORG_ID}"))
    words = ("import", "segments", "export.json", "-o", "out.toml")

    told = perso(tmp_path, *words)
    named = perso(tmp_path, *words, "--org", ORG)

    assert (told.returncode, "--org" in told.stderr) == (1, True)
    assert named.returncode == 0
    assert definitions_from_toml((tmp_path / "out.toml").read_text("utf-8")).org == ORG


def test_a_fault_in_the_file_to_merge_with_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, 'org = "a"\nx = 1\n')
    export(tmp_path, segment())

    told = perso(
        tmp_path, "import", "segments", "export.json", "--merge", "perso.toml", "-o", "new.toml"
    )

    assert told.returncode == 1
    assert "perso.toml:2: " in told.stderr
    assert not (tmp_path / "new.toml").exists()


# ---- into force ------------------------------------------------------------------


def test_audiences_are_added_to_what_is_in_force_on_a_running_server(tmp_path: Path) -> None:
    write(tmp_path)
    export(tmp_path, segment())
    with serving(tmp_path, "--definitions", "perso.toml"):
        told = perso(tmp_path, "import", "segments", "export.json", "--apply")
        again = perso(tmp_path, "import", "segments", "export.json", "--apply")

    assert told.returncode == again.returncode == 0
    assert (
        "1 imported. Version 2 in force: 1 datastream, 2 destinations, 3 audiences" in told.stdout
    )
    assert "1 unchanged. Nothing was changed." in again.stdout
    exported = definitions_from_toml(perso(tmp_path, "export").stdout)
    assert [one.id for one in exported.audiences] == ["a-gold", "a-both", GOLD_ID]
    assert len(exported.activations) == 2


def test_before_any_apply_there_is_nothing_to_add_to(tmp_path: Path) -> None:
    export(tmp_path, segment())

    told = perso(tmp_path, "import", "segments", "export.json", "--apply")

    assert told.returncode == 1
    assert "perso apply" in told.stderr


# ---- the report for programs -------------------------------------------------------


def test_the_report_as_json_has_each_definition_with_its_reasons_and_notes(tmp_path: Path) -> None:
    export(tmp_path, segment(ttlInDays=30), another("a =="))

    told = perso(tmp_path, "import", "segments", "export.json", "-o", "out.toml", "--json")

    report = json.loads(told.stdout)
    good, bad = report["definitions"]
    assert report["counts"]["imported"] == report["counts"]["refused"] == 1
    assert report["written"] == "out.toml"
    assert (good["becomes"], good["edge"]) == ("imported", "edge-classic")
    assert "ttlInDays" in good["notes"][0]
    assert (bad["reasons"][0]["line"], bad["reasons"][0]["column"]) == (1, 4)


def test_a_note_that_many_share_is_told_once(tmp_path: Path) -> None:
    export(tmp_path, *({**one, "mergePolicyId": "mp-1"} for one in forty()))

    told = perso(tmp_path, "import", "segments", "export.json")

    assert told.stdout.count("merge policy") == 1
    assert "! in 40 definitions: The merge policy “mp-1” is not kept" in told.stdout


def test_how_far_it_is_is_told_once_a_second() -> None:
    progress = Progress("read", now_s=10.0)

    told = [progress.line(1_200, 4_000, now_s=at) for at in (10.5, 11.0, 11.5, 12.0)]

    assert told == [None, "1,200 of 4,000 read …", None, "1,200 of 4,000 read …"]


# ---- what people get wrong -----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "This is not JSON"),
        (b"{}", "no segment definitions"),
        (b"\xff\xfe{\x00", "not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b" " * (64 * 1024 * 1024 + 1), "larger than 64 MiB"),
        (b"[" + b"1," * 4_000 + b"1]", "4,001 definitions were given; 4,000 is the limit"),
    ],
)
def test_a_file_that_is_no_export_is_an_error_with_its_name(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "odd.json").write_bytes(content)

    told = perso(tmp_path, "import", "segments", "odd.json")

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("error: The segment definitions cannot be imported: ")
    assert words in told.stderr


def test_a_file_or_directory_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    export(tmp_path, segment())

    missing = perso(tmp_path, "import", "segments", "missing.json")
    nowhere = perso(tmp_path, "import", "segments", "export.json", "-o", "no/such/out.toml")

    assert (missing.returncode, nowhere.returncode) == (1, 1)
    assert "missing.json" in missing.stderr
    assert "no/such/out.toml" in nowhere.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["import"],
        ["import", "segments"],
        ["import", "segments", "-", "-"],
        ["import", "segments", "a.json", "--apply", "-o", "b.toml"],
        ["import", "segments", "a.json", "--apply", "--merge", "b.toml"],
        ["import", "segments", "a.json", "--merge", "b.toml", "--org", "x"],
    ],
)
def test_words_that_do_not_go_together_are_an_error_and_exit_code_2(
    words: list[str], tmp_path: Path
) -> None:
    told = perso(tmp_path, *words)

    assert told.returncode == 2
    assert told.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [["import"], ["import", "segments"]])
def test_the_commands_have_help_with_an_example(words: list[str], tmp_path: Path) -> None:
    assert "Example: perso import segments" in perso(tmp_path, *words, "--help").stdout


def test_a_control_character_of_an_export_reaches_no_terminal(tmp_path: Path) -> None:
    export(tmp_path, segment('a == "\u001b[31m"', name="Gold\u001b[2J", id="x\u001b"))

    told = perso(tmp_path, "import", "segments", "export.json")

    assert "\u001b" not in told.stdout
