"""`perso profile export | erase`: what a visitor may ask for, beside a running server."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from perso_core.assembly import DATABASE, Perso
from perso_core.cli import definitions as command
from perso_core.cli import main, profiles
from perso_core.cli.profile_file import ProfilePatch
from perso_core.client import Client
from perso_core.decision.identity import Identity
from perso_core.errors import DamagedStore, NotHeardEverywhere, StoreUnavailable
from perso_core.settings import Settings
from perso_core.stores.links import Joining
from perso_core.stores.presence import Presence
from perso_core.stores.sqlite import open_sqlite
from tests.building import definitions, event
from tests.cli.test_commands import ECID, perso, write
from tests.journeys.server import Visitor, prepare, serving, session
from tests.stores.building import arrived


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(json.dumps(record) for record in records)


def customer(name: str, **attributes: Any) -> dict[str, Any]:
    return {"identity": {"namespace": "CRMID", "id": name}, "attributes": attributes}


async def visited(http: aiohttp.ClientSession, url: str, name: str) -> Visitor:
    visitor = Visitor(name)
    for _ in range(3):
        await visitor.send(http, url)
    return visitor


def test_an_export_holds_all_that_is_kept_of_a_visitor(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")

    async def visits(url: str) -> Visitor:
        async with session() as http:
            return await visited(http, url, "anna")

    with serving(tmp_path / ".perso") as server:
        anna = asyncio.run(visits(server.url))
        told = json.loads(perso(tmp_path, "profile", "export", "ECID", anna.ecid).stdout)

    (profile,) = told["profiles"]
    assert [event["id"] for event in profile["events"]] == anna.acknowledged
    assert profile["memberships"][0]["audience_id"] == "basket"
    assert profile["datastreams"] == ["demo"]
    assert profile["consent"] is None


def test_an_export_of_a_customer_is_of_every_datastream(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")
    write(tmp_path, lines(customer("4711", loyalty={"tier": "gold"})), "customers.jsonl")
    perso(tmp_path, "profile", "put", "customers.jsonl")

    told = json.loads(perso(tmp_path, "profile", "export", "CRMID", "4711").stdout)

    assert len(told["profiles"]) == 2
    assert all(one["attributes"] == {"loyalty": {"tier": "gold"}} for one in told["profiles"])


def test_whoever_is_erased_is_a_stranger_to_the_running_server(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")

    async def visits(url: str) -> tuple[Visitor, Visitor]:
        async with session() as http:
            return await visited(http, url, "anna"), await visited(http, url, "bert")

    async def again(url: str, visitor: Visitor) -> list[Any]:
        async with session() as http:
            query = {"configId": "demo"}
            header = "; ".join(f"{key}={value}" for key, value in visitor.cookies.items())
            event = {"events": [{"xdm": {"eventType": "page"}}]}
            async with http.post(
                f"{url}/v1/interact", params=query, json=event, headers={"Cookie": header}
            ) as answer:
                told = await answer.json()
        (pull,) = [h for h in told["handle"] if h["type"] == "activation:pull"]
        return list(pull["payload"][0]["segments"])

    with serving(tmp_path / ".perso") as server:
        anna, bert = asyncio.run(visits(server.url))
        told = perso(tmp_path, "profile", "erase", "ECID", anna.ecid)

        assert (told.returncode, told.stdout) == (0, f"1 profile of ECID {anna.ecid} erased.\n")
        assert perso(tmp_path, "profile", "export", "ECID", anna.ecid).returncode == 1
        assert asyncio.run(again(server.url, anna)) == []
        assert len(asyncio.run(again(server.url, bert))) == 1


def test_whoever_erases_or_exports_a_stranger_is_told_that_nothing_is_kept(tmp_path: Path) -> None:
    prepare(tmp_path / ".perso")

    for verb in ("erase", "export"):
        told = perso(tmp_path, "profile", verb, "ECID", ECID)
        assert told.returncode == 1
        assert told.stderr.startswith(f"error: Nothing is kept of ECID {ECID}")


def test_whoever_mistypes_an_identity_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    for verb in ("erase", "export"):
        told = perso(tmp_path, "profile", verb, "ECID", "17")
        assert told.returncode == 2
        assert told.stderr.startswith("error: The ECID “17” is not 38 digits.")


def test_where_nothing_was_ever_stored_nothing_is_made(tmp_path: Path) -> None:
    assert perso(tmp_path, "profile", "erase", "ECID", ECID).returncode == 1
    assert not (tmp_path / ".perso").exists()


def test_a_customer_is_erased_from_datastreams_that_are_no_more(tmp_path: Path) -> None:
    gone = "ECID:" + ECID
    prepare(tmp_path / ".perso")

    async def stored(keys: list[str]) -> None:
        store = await open_sqlite(tmp_path / ".perso" / DATABASE)
        await store.commit([arrived(event(), key) for key in keys])
        await store.close()

    asyncio.run(stored([f"old@Org gone {gone}", "old@Org gone my.ns:7", f"other@Org demo {gone}"]))

    told = perso(tmp_path, "profile", "erase", "ECID", ECID)
    odd = perso(tmp_path, "profile", "erase", "my.ns", "7")

    assert told.stdout.startswith("2 profiles of ECID")
    assert odd.stdout == "1 profile of my.ns 7 erased.\n"


def test_erasing_waits_for_a_server_that_is_late_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    monkeypatch.setattr(command, "IN_FORCE_LIMIT_S", 0.2)
    presence = Presence(tmp_path)
    arguments = Namespace(settings=None, data_dir=str(tmp_path), namespace="ECID", id=ECID)

    with pytest.raises(NotHeardEverywhere, match=str(os.getpid())):
        profiles.erase(arguments)
    presence.close()


@pytest.mark.parametrize("command", [profiles.erase, profiles.export, profiles.get])
@pytest.mark.parametrize(("asked_ms", "waited_ms"), [(200, 10_000), (60_000, 60_000)])
def test_what_a_visitor_may_ask_for_waits_for_a_slow_disk_longer_than_a_page(
    command: Callable[[Namespace], int],
    asked_ms: int,
    waited_ms: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An erasure had been given up after 200 ms."""
    (tmp_path / DATABASE).touch()
    monkeypatch.setenv("PERSO_LOAD_TIMEOUT_MS", str(asked_ms))
    opened_with: list[Settings] = []

    def opening(settings: Settings, **_: object) -> None:
        opened_with.append(settings)
        raise StoreUnavailable("it is as slow as that.", fix="Wait.")

    monkeypatch.setattr("perso_core.assembly.open_perso", opening)
    words = {"settings": None, "data_dir": str(tmp_path), "datastream": None}

    with pytest.raises(StoreUnavailable):
        command(Namespace(**words, namespace="ECID", id=ECID))

    assert [one.load_timeout_ms for one in opened_with] == [waited_ms]


def one_person(directory: Path) -> None:
    """A customer of the datastream `demo` whose address leads to her, as a server said."""
    prepare(directory / ".perso")
    write(directory, lines(customer("4711", loyalty={"tier": "gold"})), "customers.jsonl")
    perso(directory, "profile", "put", "customers.jsonl")
    linked = Joining(source=MAIL, target=ANNA, decided_ms=1, linked=True)

    async def stored() -> None:
        store = await open_sqlite(directory / ".perso" / DATABASE)
        assert (await store.join(linked)).kept
        await store.close()

    asyncio.run(stored())


ANNA = f"{definitions().org} demo CRMID:4711"
MAIL = f"{definitions().org} demo Email:anna@shop.test"


def test_one_person_is_shown_and_exported_by_whichever_identity(tmp_path: Path) -> None:
    one_person(tmp_path)

    got = perso(tmp_path, "profile", "get", "Email", "anna@shop.test", "--datastream", "demo")
    exported = perso(tmp_path, "profile", "export", "Email", "anna@shop.test")

    shown = json.loads(got.stdout)
    assert shown["identity"] == {"namespace": "Email", "id": "anna@shop.test"}
    assert shown["attributes"] == {"loyalty": {"tier": "gold"}}
    assert [one["namespace"] for one in shown["one_person"]] == ["CRMID", "Email"]
    by_key = {one["key"]: one for one in json.loads(exported.stdout)["profiles"]}
    assert by_key[MAIL]["linked_to"] == ANNA
    assert by_key[ANNA]["links"] == [{"key": MAIL, "linked_ms": 1}]
    assert by_key[ANNA]["attributes"] == {"loyalty": {"tier": "gold"}}


def test_what_is_said_of_a_linked_identity_is_said_of_the_person(tmp_path: Path) -> None:
    one_person(tmp_path)
    said = {"identity": {"namespace": "Email", "id": "anna@shop.test"}, "attributes": {"a": 1}}
    perso(tmp_path, "profile", "put", "-", stdin=json.dumps(said))

    got = perso(tmp_path, "profile", "get", "CRMID", "4711", "--datastream", "demo")

    assert json.loads(got.stdout)["attributes"] == {"a": 1, "loyalty": {"tier": "gold"}}


def test_who_is_erased_by_one_identity_is_erased_by_all(tmp_path: Path) -> None:
    one_person(tmp_path)

    told = perso(tmp_path, "profile", "erase", "Email", "anna@shop.test")

    assert told.stdout == "2 profiles of Email anna@shop.test erased.\n"
    assert perso(tmp_path, "profile", "export", "Email", "anna@shop.test").returncode == 1
    assert told.stderr == (
        "CRMID 4711 is the same person where the two are linked. More is kept of it where they are"
        " not: perso profile erase CRMID 4711\n"
    )
    left = json.loads(perso(tmp_path, "profile", "export", "CRMID", "4711").stdout)
    assert [one["key"] for one in left["profiles"]] == ["CRMID:4711"], "the operator's own"


def test_whoever_asks_is_erased_also_where_more_of_the_person_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def unreadable(*_: object) -> list[Identity]:
        raise DamagedStore("a page is damaged.", fix="Restore a backup.")

    prepare(tmp_path / ".perso")
    write(tmp_path, lines(customer("4711", a=1)), "customers.jsonl")
    monkeypatch.chdir(tmp_path)
    assert main(["profile", "put", "customers.jsonl"]) == 0
    monkeypatch.setattr(Perso, "elsewhere", unreadable)

    assert main(["profile", "erase", "CRMID", "4711"]) == 0

    assert "cannot be told: " in capsys.readouterr().err
    assert main(["profile", "export", "CRMID", "4711"]) == 1


def test_whoever_is_erased_while_a_file_is_put_does_not_come_back_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / ".perso")
    write(tmp_path, lines(customer("4711", a=1)), "customers.jsonl")
    put = profiles._put_batch

    async def erased_meanwhile(batch: Sequence[ProfilePatch], store: Perso, began_ms: int) -> Any:
        await store.erase(batch[0].identity)
        return await put(batch, store, began_ms - 1)  # it may be within one millisecond

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profiles, "_put_batch", erased_meanwhile)

    assert main(["profile", "put", "customers.jsonl"]) == 0

    assert perso(tmp_path, "profile", "export", "CRMID", "4711").returncode == 1


def test_what_is_erased_over_http_is_gone_from_every_process_when_that_is_answered(
    tmp_path: Path,
) -> None:
    prepare(tmp_path / ".perso")
    made = perso(
        tmp_path, "key", "create", "--name", "Rights", "--datastream", "demo", "--may", "privacy"
    )
    key = made.stdout.split()[0]

    async def visit_and_erase(url: str) -> tuple[list[Any], list[Any], Any]:
        async with session() as http, Client(url, "demo", api_key=key) as rights:
            anna = await visited(http, url, "anna")
            before = await rights.export("ECID", anna.ecid)
            erased = await rights.erase("ECID", anna.ecid)
            after = [await rights.show("ECID", anna.ecid) for _ in range(20)]
            return [*before.profiles], [one for each in after for one in each.profiles], erased

    with serving(tmp_path / ".perso", settings={"workers": 2}) as server:
        before, after, erased = asyncio.run(visit_and_erase(server.url.split(",")[0]))

    assert len(before[0]["events"]) == 3
    assert (erased.profiles, erased.events, erased.errors) == (1, 3, ())
    assert after == []
