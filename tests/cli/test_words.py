"""Words on the command line are text; files may have names that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import perso, record, write

NO_TEXT = "x\udcff"  # as Python has a byte 0xff that came on the command line
WHO = ("CRMID", "4711")


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "show", "CRMID", NO_TEXT),
        ("profile", "show", NO_TEXT, "4711"),
        ("profile", "get", *WHO, "--datastream", NO_TEXT),
        ("profile", "export", "CRMID", NO_TEXT),
        ("profile", "erase", "CRMID", NO_TEXT),
        ("import", "audience", "t.csv", "--audience", NO_TEXT),
        ("import", "attributes", "t.csv", "--datastream", NO_TEXT),
        ("import", "segments", "t.json", "--org", NO_TEXT),
        ("key", "create", "--name", NO_TEXT, "--datastream", "demo"),
        ("key", "rotate", NO_TEXT),
        ("audience", "explain", NO_TEXT, "--identity", "CRMID:4711"),
        ("audience", "explain", "gold", "--identity", f"CRMID:{NO_TEXT}"),
        ("serve", "--host", NO_TEXT),
        ("backup", NO_TEXT),
        ("restore", NO_TEXT),
        ("doctor", "--data-dir", NO_TEXT),
    ],
)
def test_a_word_that_is_no_text_is_named_with_what_to_write(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    told = perso(tmp_path, *words)

    assert told.returncode == 2
    assert "x\\xff” is no text: write it in UTF-8" in told.stderr


def test_a_data_directory_that_is_no_text_is_refused_wherever_it_is_named(tmp_path: Path) -> None:
    told = perso(tmp_path, "doctor", PERSO_DATA_DIR=NO_TEXT)

    assert told.returncode == 1
    assert "PERSO_DATA_DIR is" in told.stderr


def test_a_file_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / NO_TEXT).write_text(record(a=1))

    assert perso(tmp_path, "profile", "put", NO_TEXT).stdout == "1 profile updated.\n"


def test_words_are_utf_8_also_where_the_locale_has_no_such_character(tmp_path: Path) -> None:
    row = {"identity": {"namespace": "CRMID", "id": "ü"}, "attributes": {"a": 1}}
    perso(tmp_path, "profile", "put", "-", stdin=json.dumps(row))

    got = perso(tmp_path, "profile", "get", "CRMID", "ü", LC_ALL="C", PYTHONUTF8="0")

    assert json.loads(got.stdout)["identity"]["id"] == "ü", got.stderr
