"""The edge describes itself, and what it says is so."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import schemathesis

from perso_core.edge import app
from perso_core.edge.app import ACTIONS, SERVER_ACTIONS
from perso_core.edge.openapi import document
from perso_core.edge.openapi_answers import REFUSALS
from perso_core.edge.openapi_calls import FILES, IMPORTS, OPERATIONS, Operation
from perso_core.edge.problem import EdgeError, HttpBad
from tests.edge.raw import connected
from tests.edge.running import RunningEdge, ordinary, running_edge
from tests.edge.servers import api_key, shown_key, with_attributes


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
    assert {one.path for one in IMPORTS} == {f"/v2/{path}" for path in app.IMPORTS}


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


EXAMPLES = [(one, shows) for one in OPERATIONS for shows in one.examples]


@pytest.mark.parametrize(
    ("one", "shows"), EXAMPLES, ids=[f"{one.name}: {shows}" for one, shows in EXAMPLES]
)
async def test_each_example_is_answered_as_described(one: Operation, shows: str) -> None:
    keys = (api_key(may=("privacy",)),)
    of_all = with_attributes(api_keys=keys) if one.proven else ordinary()
    async with running_edge(of_all) as edge:
        _, version, action = one.path.split("/", 2)
        headers = shown_key() if one.proven else {}
        told = await edge.call(action, dict(one.examples[shows]), version=version, headers=headers)

        assert told.status == min(one.answers)
        told_of = described()["components"]["schemas"][one.body]["properties"]
        assert set(told.sent) <= told_of.keys()
        assert one.proven or told_of.keys() == {"requestId", "handle", "warnings"}
        known = described()["components"]["schemas"]["Handle"]["discriminator"]["mapping"]
        assert {handle["type"] for handle in told.sent.get("handle", ())} <= known.keys()


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(described()).validate()


def test_its_patterns_are_read_alike_by_tools_in_python_and_in_javascript() -> None:
    """So no `\\p{…}`, which Python has not, and nothing that JavaScript has not."""

    def patterns(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for one in value for found in patterns(one)]
        if not isinstance(value, dict):
            return []
        own = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
        return own + [found for one in value.values() for found in patterns(one)]

    found = patterns(described())
    assert found
    for one in found:
        re.compile(one)
        assert "(?P" not in one
        assert not re.search(r"\\[pPAZUN]", one)


def test_types_made_from_the_document_are_plain() -> None:
    """Generators of clients make of alternatives what few languages can say; two are meant."""

    def alternatives(value: Any, path: str) -> list[str]:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if not isinstance(value, dict):
            return []
        own = [path for name in ("anyOf", "oneOf", "allOf", "default") if name in value]
        return own + [one for name, v in value.items() for one in alternatives(v, f"{path}/{name}")]

    assert alternatives(described()["components"]["schemas"], "") == [
        "/ConsentRequest/properties/consent/items",
        "/Handle",
    ]


async def test_what_is_read_is_there_and_takes_no_other_method(edge: RunningEdge) -> None:
    for path in FILES:
        url = f"{edge.url}/ee{path}"
        async with edge.http.get(url) as read, edge.http.post(url, data=b"{}") as refused:
            assert read.status == 200
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
            assert refused.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"POST /ee/v1/interact HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417, ""),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (9 * 1024 + 1) + b"\r\n\r\n", 400, HttpBad.code),
        (b"Good morning\r\n\r\n", 400, HttpBad.code),
    ],
    ids=["a wonder is expected", "a header is too long", "it is no HTTP"],
)
def test_what_the_server_below_refuses_is_answered_as_the_document_says(
    served: str, head: bytes, status: int, code: str
) -> None:
    with connected(served) as connection:
        connection.send(head)
        told = connection.answer()

    assert told is not None
    assert (told.status, told.code) == (status, code)
    assert (told.header("content-type") or "").startswith("text/plain") == (not code)
    how = f"of the type `{code}`" if code else "in plain text"
    assert f"`{status}` {how}" in described()["info"]["description"]


async def test_an_identity_map_as_described_is_taken_and_another_is_not(edge: RunningEdge) -> None:
    taken = {"ECID": [{"id": "1" * 38}], "CRMID": [{"id": "Kund*in 4711 🙂"}]}
    refused = ({"ECID": [{"id": "1" * 37}]}, {"CRMID": [{"id": "a", "primary": "yes"}]})

    for identity_map, status in ((taken, 200), *((one, 400) for one in refused)):
        body = {"events": [{"xdm": {}}], "xdm": {"identityMap": identity_map}}
        assert (await edge.call(body=body)).status == status
