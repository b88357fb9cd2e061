"""Every fault of a rule is told by each command that reads rules, at its place."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_commands import perso, write
from tests.definitions.exported import segment
from tests.definitions.whole import changed

RULE = "tier == 'gold' &&\n  items[0].x = null"
PLACES = ["1:7", "1:9", "1:16", "2:8", "2:16"]


def test_audience_check_tells_each_with_what_to_write(tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin=RULE)

    assert told.returncode == 1
    assert [line for line in told.stderr.split("\n") if line.startswith("stdin:")] == [
        "stdin:1:7: One = compares.",
        "stdin:1:9: A text stands in double quotes.",
        "stdin:1:16: && is not a word of the language.",
        "stdin:2:8: Elements have no numbered places.",
        "stdin:2:16: null is no value to compare with.",
    ]
    assert told.stderr.endswith("\nerror: 5 faults in the rule.\n")


def test_audience_check_counts_what_it_does_not_tell(tmp_path: Path) -> None:
    rule = " && ".join(["a == 1"] * 15)

    told = perso(tmp_path, "audience", "check", "-", stdin=rule)
    read = perso(tmp_path, "audience", "check", "-", "--json", stdin=rule)

    assert "\nstdin: and 9 more.\nerror: 29 faults in the rule.\n" in told.stderr
    assert len(json.loads(read.stdout)["faults"]) == 20
    assert json.loads(read.stdout)["more_faults"] == 9


def test_apply_tells_each_at_its_place_in_the_file(tmp_path: Path) -> None:
    text = changed("""'loyalty.tier.equals("gold", false)'""", f"'''\n{RULE}'''")
    write(tmp_path, text)
    first = text.split("\n").index("tier == 'gold' &&") + 1

    told = perso(tmp_path, "apply", "perso.toml", PERSO_DATA_DIR=str(tmp_path))

    shown = [line for line in told.stderr.split("\n") if line.startswith("perso.toml:")]
    assert told.returncode == 1
    assert [
        f"{int(line.split(':')[1]) - first + 1}:{line.rpartition('column ')[2].rstrip(').')}"
        for line in shown
    ] == PLACES


def test_apply_says_of_a_rule_how_many_faults_it_does_not_tell(tmp_path: Path) -> None:
    rule = " && ".join(["a == 1"] * 15)
    write(tmp_path, changed("""'loyalty.tier.equals("gold", false)'""", f"'{rule}'"))

    told = perso(tmp_path, "apply", "perso.toml", PERSO_DATA_DIR=str(tmp_path))

    assert "The rule of “Gold”: and 9 more" in told.stderr


def test_import_tells_each_and_counts_the_others(tmp_path: Path) -> None:
    few, many = segment(RULE), segment(" && ".join(["a == 1"] * 15))
    for name, one in (("few", few), ("many", many)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"segments": [one]}), "utf-8")

    told = perso(tmp_path, "import", "segments", "few.json")
    counted = perso(tmp_path, "import", "segments", "many.json")

    assert [f"rule {place}:" in told.stdout for place in PLACES] == [True] * 5
    assert told.stdout.count("    rule ") == 5
    assert counted.stdout.count("    rule ") == 20
    assert "and 9 more." in counted.stdout


def test_a_case_that_fails_shows_them_all(tmp_path: Path) -> None:
    case = {"id": "one", "pql": RULE, "profile": {}, "now": 0, "expect": True}
    (tmp_path / "cases.json").write_text(json.dumps([case]), "utf-8")

    told = perso(tmp_path, "audience", "test", "cases.json")

    assert told.returncode == 1
    assert all(f"{place}: " in told.stdout for place in PLACES)
