"""`perso profile put | get`: what a site writes of its visitors, and reads."""

from __future__ import annotations

import json
from pathlib import Path

from tests.building import NOON_MS
from tests.cli.test_commands import ECID, perso, record, write


def test_attributes_that_are_put_are_got_with_their_memberships(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    put = perso(tmp_path, "profile", "put", "-", stdin=record(loyalty={"tier": "gold"}))
    got = perso(tmp_path, "profile", "get", "ECID", ECID)

    assert (put.returncode, put.stdout) == (0, "1 profile updated.\n"), put.stderr
    profile = json.loads(got.stdout)
    assert profile["identity"] == {"namespace": "ECID", "id": ECID}
    assert profile["attributes"] == {"loyalty": {"tier": "gold"}}
    assert profile["version"] > NOON_MS
    assert profile["events"] == 0
    assert profile["memberships"]["a-gold"]["status"] == "realized"
    assert profile["memberships"]["a-gold"]["since"].endswith("Z")


def test_a_patch_merges_and_null_removes_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = "\n".join(
        [record(a=1, b={"c": 1, "d": 2}), record(a=None, b={"c": 3}), record("1" * 38)]
    )

    put = perso(tmp_path, "profile", "put", "-", stdin=lines)
    got = perso(tmp_path, "profile", "get", "ECID", ECID)

    assert put.stdout == "2 profiles updated.\n"
    assert json.loads(got.stdout)["attributes"] == {"b": {"c": 3, "d": 2}}


def test_one_bad_record_keeps_all_others_from_being_written(tmp_path: Path) -> None:
    write(tmp_path, f"{record(a=1)}\n{record(xEvent=[])}\n{{oops\n", "customers.jsonl")

    put = perso(tmp_path, "profile", "put", "customers.jsonl")

    assert put.returncode == 1
    assert "customers.jsonl:2: " in put.stderr
    assert "customers.jsonl:3: " in put.stderr
    assert perso(tmp_path, "profile", "get", "ECID", ECID).returncode == 1


def test_whoever_is_known_to_a_datastreams_servers_alone_is_not_said_to_be_unknown(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    row = {"identity": {"namespace": "CRMID", "id": "4711"}, "attributes": {"n": 1}}
    write(tmp_path, json.dumps(row), "customers.ndjson")
    perso(tmp_path, "import", "attributes", "customers.ndjson", "--datastream", "demo")

    got = perso(tmp_path, "profile", "show", "CRMID", "4711")
    named = perso(tmp_path, "profile", "show", "CRMID", "4711", "--datastream", "demo")

    assert got.returncode == 1
    assert "Under no datastream nothing is kept of CRMID 4711" in got.stderr
    assert "Give --datastream demo" in got.stderr
    assert named.returncode == 0


def test_an_unknown_profile_is_a_message_and_exit_code_1(tmp_path: Path) -> None:
    got = perso(tmp_path, "profile", "get", "ECID", ECID)

    assert got.returncode == 1
    assert got.stdout == ""
    assert "Nothing is kept" in got.stderr
