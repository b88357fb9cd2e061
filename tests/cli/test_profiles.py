"""`perso profile put | get`: what a site writes of its visitors, and reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from perso_core.cli import patch_groups, profiles
from perso_core.cli.profile_file import ProfilePatch
from perso_core.decision.identity import Identity
from perso_core.errors import StoreUnavailable
from perso_core.settings import Settings
from perso_core.worker.patching import Patching
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


def test_a_record_that_would_make_a_profile_too_large_keeps_all_others_from_being_written(
    tmp_path: Path,
) -> None:
    first, second = "1" * 38, "2" * 38
    perso(tmp_path, "profile", "put", "-", stdin=record(a="x" * 60_000))
    lines = "\n".join([record(first, a=1), record(b="x" * 60_000), record(second, a=1)])

    put = perso(tmp_path, "profile", "put", "-", stdin=lines)

    assert put.returncode == 1
    assert f"stdin:2: ECID {ECID}: with this the profile's attributes would take" in put.stderr
    assert "nothing was written" in put.stderr
    for one in (first, second):
        assert perso(tmp_path, "profile", "get", "ECID", one).returncode == 1


def test_two_records_that_are_too_large_together_are_told_at_the_second(tmp_path: Path) -> None:
    lines = "\n".join([record(a="x" * 60_000), record(b="x" * 60_000)])

    put = perso(tmp_path, "profile", "put", "-", stdin=lines)

    assert "stdin:2: " in put.stderr
    assert "nothing was written" in put.stderr
    assert perso(tmp_path, "profile", "get", "ECID", ECID).returncode == 1


def test_records_share_a_commit_only_as_far_as_they_may_wait_together(tmp_path: Path) -> None:
    """With many datastreams a file had been given up half way."""
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    rows = (
        {"identity": {"namespace": "CRMID", "id": str(number)}, "attributes": {"n": number}}
        for number in range(20)
    )

    put = perso(
        tmp_path,
        "profile",
        "put",
        "-",
        stdin="\n".join(map(json.dumps, rows)),
        PERSO_JOURNAL_LIMIT="5",
    )

    assert (put.returncode, put.stdout) == (0, "20 profiles updated.\n"), put.stderr


async def test_where_the_store_fails_on_the_way_it_is_told_what_is_written_and_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of the records that share a commit with one that was refused."""
    patch = Patching.patch

    async def failing(patching: Patching, keys: Sequence[str], *rest: Any, **more: Any) -> int:
        if keys == ["CRMID:3"]:
            raise StoreUnavailable("the disk is full.", fix="Make room.")
        return await patch(patching, keys, *rest, **more)

    monkeypatch.setattr(Patching, "patch", failing)
    monkeypatch.setattr(patch_groups, "GROUP", 2)
    patches = [ProfilePatch(one, Identity("CRMID", str(one)), {"n": one}) for one in range(1, 7)]

    with pytest.raises(StoreUnavailable):
        await profiles.put_all(patches, Settings(data_dir=str(tmp_path)), name="a.json")

    told = capsys.readouterr().err
    assert "a.json:3: CRMID 3: not written: the disk is full." in told
    assert "3 of 6 records are written" in told


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
