"""The mobile SDK's requests, replayed, and what it can read of our answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.building import BASKET_RULE, definitions
from tests.demo.browser import ROOT
from tests.edge.running import RunningEdge, Told, running_edge

HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
CLIENTS = ROOT / "docs/clients.md"


def request_as_documented() -> dict[str, Any]:
    found = re.findall(r"```json\n(.*?)```", CLIENTS.read_text(encoding="utf-8"), re.DOTALL)
    request: dict[str, Any] = json.loads(found[0])
    return request


class App:
    """Keeps what the SDK keeps: entries with a positive age, and the location hint."""

    def __init__(self, edge: RunningEdge) -> None:
        self.edge = edge
        self.entries: dict[str, dict[str, Any]] = {}
        self.hint = ""

    async def send(self, number: int = 0) -> Told:
        request = request_as_documented()
        request["events"][0]["xdm"]["_id"] += str(number)
        request["meta"]["state"]["entries"] = list(self.entries.values())
        told = await self.edge.call(body=request, headers=HEADERS, hint=self.hint)
        for item in told.payload("state:store"):
            if item["maxAge"] > 0:
                kept = {name: item[name] for name in ("key", "value", "maxAge")}
                self.entries[item["key"]] = kept
        for item in told.payload("locationHint:result"):
            if item["scope"] == "EdgeNetwork":
                self.hint = f"/{item['hint']}"
        return told


@pytest.fixture
async def app() -> Any:
    async with running_edge(definitions({"basket": BASKET_RULE})) as edge:
        yield App(edge)


async def test_an_app_s_event_is_answered_with_its_audiences(app: App) -> None:
    told = await app.send()

    assert told.status == 200
    assert told.audiences == ["basket"]
    assert told.warnings == told.errors == []


async def test_the_sdk_can_read_every_part_of_the_answer(app: App) -> None:
    """It splits the answer at line feeds, as the request asks for, and takes lists of objects."""
    told = await app.send()

    assert b"\n" not in told.body
    for handle in told.sent["handle"]:
        assert isinstance(handle["type"], str)
        assert all(isinstance(item, dict) for item in handle["payload"])
    assert [handle["eventIndex"] for handle in told.handles("activation:pull")] == [0]


async def test_the_next_request_goes_where_the_answer_says(app: App) -> None:
    told = await app.send()

    assert told.payload("locationHint:result") == [
        {"scope": "EdgeNetwork", "hint": "perso", "ttlSeconds": 1800}
    ]
    assert app.hint == "/perso"
    assert (await app.send(1)).status == 200


async def test_an_app_stays_the_device_that_it_was(app: App) -> None:
    first = await app.send()
    second = await app.send(1)

    (named,) = request_as_documented()["xdm"]["identityMap"]["ECID"]
    assert first.ecid == second.ecid == named["id"]
    # A proof is set once: the second request brought it back, and is in the same profile.
    assert any(name.endswith("_rs") for name in first.cookies)
    assert not any(name.endswith("_rs") for name in second.cookies)


async def test_an_app_that_names_another_s_ecid_sees_nothing_of_theirs(app: App) -> None:
    await app.send()
    stranger = App(app.edge)
    request = request_as_documented()
    request["events"][0]["xdm"] = {"eventType": "other"}

    told = await stranger.edge.call(body=request, headers=HEADERS)

    assert told.audiences == []
