"""`perso key`, and what servers get of what the command line wrote; over a real server."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from perso_core.definitions.api_key import WRITTEN
from tests.cli.test_commands import ECID, perso, record, serving, write


def create(directory: Path, *more: str) -> str:
    """A key for `demo`."""
    told = perso(directory, "key", "create", "--name", "Shop", "--datastream", "demo", *more)
    assert told.returncode == 0, told.stderr
    assert WRITTEN.fullmatch(told.stdout.strip())
    return told.stdout.strip()


def asked(address: str, written: str | None, **ids: str) -> tuple[int, dict[str, Any]]:
    """The answer to a look-up over HTTP."""
    identity_map = {name: [{"id": one, "primary": True}] for name, one in ids.items()}
    request = urllib.request.Request(
        f"{address}/v2/interact?dataStreamId=demo",
        json.dumps({"event": {"xdm": {"identityMap": identity_map}}}).encode(),
        {"Content-Type": "application/json", **({"x-api-key": written} if written else {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def pulled(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        item
        for handle in answer["handle"]
        if handle["type"] == "activation:pull"
        for item in handle["payload"]
    ]


def applied(directory: Path) -> None:
    write(directory)
    assert perso(directory, "apply", "perso.toml").returncode == 0


def test_what_the_operator_put_of_a_customer_is_told_to_a_server_with_a_key(tmp_path: Path) -> None:
    applied(tmp_path)
    customer = {"identity": {"namespace": "CRMID", "id": "4711"}}
    attributes = {"person": {"name": {"firstName": "Anna"}}, "loyalty": {"tier": "gold"}}
    patch = json.dumps({**customer, "attributes": attributes})
    assert perso(tmp_path, "profile", "put", "-", stdin=patch).returncode == 0
    written = create(tmp_path)

    with serving(tmp_path) as (_, address):
        proven = asked(address, written, CRMID="4711")
        unproven = asked(address, None, CRMID="4711")
    got = perso(tmp_path, "profile", "get", "CRMID", "4711", "--datastream", "demo")

    assert proven[0] == unproven[0] == 200
    assert [(one["alias"], one.get("attributes")) for one in pulled(proven[1])] == [
        ("personalizationAlias", None),
        ("serverAlias", {"firstName": {"value": "Anna"}}),
    ]
    assert pulled(proven[1])[0]["segments"] == [{"id": "a-gold", "namespace": "ups"}]
    assert pulled(unproven[1]) == []
    assert json.loads(got.stdout)["attributes"] == attributes


def test_a_key_is_shown_once_and_kept_as_its_hash_alone(tmp_path: Path) -> None:
    applied(tmp_path)
    written = create(tmp_path)
    secret = written.split("_", 2)[2]  # a secret may hold "_" itself

    listed = perso(tmp_path, "key", "list")
    exported = perso(tmp_path, "export")

    files = [path for path in (tmp_path / ".perso").iterdir() if path.is_file()]
    assert files
    assert all(secret.encode() not in path.read_bytes() for path in files)
    assert secret not in listed.stdout + exported.stdout
    assert written.split("_")[1] in listed.stdout
    assert "Shop  [demo]  events,attributes  until " in listed.stdout


def test_a_key_is_in_force_on_a_running_server_until_it_is_revoked(tmp_path: Path) -> None:
    applied(tmp_path)
    with serving(tmp_path) as (_, address):
        written = create(tmp_path)
        made = asked(address, written, CRMID="1")[0]
        revoked = perso(tmp_path, "key", "revoke", written.split("_")[1])
        after = asked(address, written, CRMID="1")

    assert (made, revoked.returncode, after[0]) == (200, 0, 401)
    assert after[1]["type"].endswith("EXEG-0502-401")
    assert "revoked on every running server" in revoked.stdout


def test_apply_leaves_keys_as_they_are_and_a_revoked_one_gone(tmp_path: Path) -> None:
    applied(tmp_path)
    kept, gone = create(tmp_path), create(tmp_path)
    perso(tmp_path, "key", "revoke", gone.split("_")[1])

    applied(tmp_path)

    listed = perso(tmp_path, "key", "list").stdout
    assert kept.split("_")[1] in listed
    assert gone.split("_")[1] not in listed


def test_while_a_key_is_rotated_both_secrets_are_taken_and_never_three(tmp_path: Path) -> None:
    applied(tmp_path)
    old = create(tmp_path)
    rotated = perso(tmp_path, "key", "rotate", old.split("_")[1])
    third = perso(tmp_path, "key", "rotate", old.split("_")[1])

    with serving(tmp_path) as (_, address):
        statuses = [asked(address, one, CRMID="1")[0] for one in (old, rotated.stdout.strip())]

    assert statuses == [200, 200]
    assert third.returncode == 1
    assert "Two secrets" in third.stderr
    assert "two secrets" in perso(tmp_path, "key", "list").stdout


def test_a_key_rotated_without_overlap_ends_its_old_secret_at_once(tmp_path: Path) -> None:
    applied(tmp_path)
    old = create(tmp_path)
    perso(tmp_path, "key", "rotate", old.split("_")[1], "--overlap-hours", "0")

    with serving(tmp_path) as (_, address):
        assert asked(address, old, CRMID="1")[0] == 401


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "--name", "a", "--datastream", "dmeo"), "No datastream has the id 'dmeo'"),
        (("create", "--name", " ", "--datastream", "demo"), "The name is not"),
        (("create", "--name", "a", "--datastream", "demo", "--days", "0"), "--days is 0"),
        (("create", "--name", "a", "--datastream", "demo", "--may", "all"), "--may is 'all'"),
        (("rotate", "nobody"), "No such API key"),
        (("revoke", "nobody"), "No such API key"),
    ],
)
def test_what_cannot_be_done_with_a_key_is_told_and_changes_nothing(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    applied(tmp_path)

    refused = perso(tmp_path, "key", *words)

    assert refused.returncode == 1
    assert told in refused.stderr
    assert perso(tmp_path, "key", "list").stdout == ""


def test_before_any_apply_there_are_no_keys(tmp_path: Path) -> None:
    refused = perso(tmp_path, "key", "create", "--name", "a", "--datastream", "demo")

    assert refused.returncode == 1
    assert "Run `perso apply FILE`" in refused.stderr
    assert not (tmp_path / ".perso").exists()


@pytest.mark.parametrize("words", [(), ("create",), ("list",), ("rotate",), ("revoke",)])
def test_each_word_about_keys_has_help_with_an_example(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    told = perso(tmp_path, "key", *words, "--help")

    assert told.returncode == 0
    assert "Example: perso key" in told.stdout


def test_a_device_is_put_once_and_not_for_each_datastream(tmp_path: Path) -> None:
    applied(tmp_path)
    assert perso(tmp_path, "profile", "put", "-", stdin=record(tier="gold")).returncode == 0

    with sqlite3.connect(tmp_path / ".perso" / "perso.sqlite") as database:
        keys = [key for (key,) in database.execute("SELECT key FROM profile")]
    database.close()
    assert keys == [f"ECID:{ECID}"]
