"""The edge describes itself, and what it says is so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from perso_core.edge.app import ACTIONS, SERVER_ACTIONS
from perso_core.edge.openapi import OPERATIONS, REFUSALS, Operation, document
from perso_core.edge.problem import EdgeError
from tests.edge.running import RunningEdge, ordinary, running_edge


def described() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(document())
    return found


async def test_the_document_and_its_page_are_there_before_anything_was_applied() -> None:
    async with running_edge(None) as edge:
        async with edge.http.get(f"{edge.url}/ee/openapi.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert await answer.read() == document()
        async with edge.http.get(f"{edge.url}/ee/openapi") as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")


def test_every_action_is_described() -> None:
    paths = {one.path for one in OPERATIONS}

    assert paths == {f"/v1/{action}" for action in ACTIONS} | {
        f"/v2/{action}" for action in SERVER_ACTIONS
    }


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [one for inner in value.values() for one in references(inner)]
        return (
            [one for inner in value for one in references(inner)] if isinstance(value, list) else []
        )

    whole = described()
    found = references(whole)
    assert found
    for reference in found:
        at: Any = whole
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_every_refusal_has_a_described_status() -> None:
    def below(error: type[EdgeError]) -> list[type[EdgeError]]:
        return [error, *(one for inner in error.__subclasses__() for one in below(inner))]

    # Failures of ours go out inside a 207, warnings inside a 200.
    known = {status for one in OPERATIONS for status in one.answers} | REFUSALS.keys() | {200}
    found = [one.code for one in below(EdgeError) if one.status < 500 and one.status not in known]
    assert found == []


@pytest.mark.parametrize("one", OPERATIONS, ids=[one.name for one in OPERATIONS])
async def test_the_example_of_an_operation_is_answered_as_described(one: Operation) -> None:
    async with running_edge(ordinary()) as edge:
        _, version, action = one.path.split("/", 2)
        told = await edge.call(action, dict(one.example), version=version)

        assert told.status == min(one.answers)
        assert set(told.sent) <= {"requestId", "handle", "warnings"}
        known = set(described()["components"]["schemas"]["Handle"]["properties"]["type"]["enum"])
        assert {handle["type"] for handle in told.sent.get("handle", ())} <= known


async def test_an_identity_map_as_described_is_taken_and_another_is_not(edge: RunningEdge) -> None:
    taken = {"ECID": [{"id": "1" * 38}], "CRMID": [{"id": "a"}]}
    refused = {"ECID": [{"id": "1" * 37}]}

    for identity_map, status in ((taken, 200), (refused, 400)):
        body = {"events": [{"xdm": {}}], "xdm": {"identityMap": identity_map}}
        assert (await edge.call(body=body)).status == status
