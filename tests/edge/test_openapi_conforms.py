"""The document says what the server does: calls made from it by schemathesis, with all its checks.

HYPOTHESIS_PROFILE=deep makes 200 calls of random content for each operation and each caller, and
all that stand at the edges of what the document allows; `make test` fewer, always the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import settings
from msgspec import structs
from schemathesis import Case
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi.checks import positive_data_acceptance

from perso_core.assembly import open_perso, system_clock_ms
from perso_core.decision.identity import Identity
from perso_core.definitions.document import Definitions
from perso_core.edge.openapi import document
from perso_core.settings import Settings
from tests.building import DAY_MS
from tests.edge.outsider import CUSTOMER_ID, Outsider, as_of_a_server, broken_rules
from tests.edge.servers import api_key, issuer, token, with_attributes, written_key
from tests.journeys.server import prepare, serving

DEEP = settings().max_examples > 200
BOTH = ("application/json", "text/plain")
OPEN, PROVEN = "demo", "proven"  # the second answers no call without a credential

PAGE = Outsider(
    datastream=OPEN,
    proven=False,
    patient=DEEP,
    boundaries=True,
    # What is sent as text may be read as anything: of JSON the tool knows for sure what is wrong.
    media_types=BOTH if DEEP else ("application/json",),
)
SERVER = Outsider(
    datastream=PROVEN,
    proven=True,
    patient=DEEP,
    boundaries=DEEP,
    media_types=BOTH,
)


def in_force() -> Definitions:
    """Two datastreams, one key and one issuer that are good for both today."""
    streams = (OPEN, PROVEN)
    key = api_key(secrets={"s": system_clock_ms() + DAY_MS}, datastreams=streams)
    defined = with_attributes(
        datastreams=streams, issuers=(issuer(datastreams=streams),), api_keys=(key,)
    )
    demo, proven = defined.datastreams
    return structs.replace(
        defined, datastreams=(demo, structs.replace(proven, access_type="authenticated"))
    )


async def put_a_customer(data_dir: Path) -> None:
    """So that there are audiences and attributes to be told."""
    known = {"person": {"name": {"firstName": "Anna"}}, "loyalty": {"tier": "gold", "points": 2}}
    async with open_perso(Settings(data_dir=str(data_dir))) as perso:
        assert await perso.put_profile(Identity("CRMID", CUSTOMER_ID), known)


@pytest.fixture(scope="module")
def edge_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`perso serve`, whose document is the one that the calls are made from."""
    data_dir = tmp_path_factory.mktemp("data")
    prepare(data_dir, in_force())
    asyncio.run(put_a_customer(data_dir))
    with serving(data_dir) as server:
        with urlopen(f"{server.url}/openapi.json", timeout=30) as answer:
            assert answer.read() == document()
        yield server.url


@pytest.fixture(scope="module")
def bearer() -> str:
    now_s = system_clock_ms() // 1_000
    return f"Bearer {token(iat=now_s, exp=now_s + 86_400)}"


@PAGE.reads().parametrize()
def test_a_page_is_answered_as_the_document_says(case: Case[Any], edge_url: str) -> None:
    conforms(case, edge_url, {})


@SERVER.reads().include(method="POST").parametrize()
def test_a_server_with_a_key_is_answered_as_the_document_says(
    case: Case[Any], edge_url: str
) -> None:
    conforms(case, edge_url, {"x-api-key": written_key()})


@SERVER.reads().include(method="POST").parametrize()
def test_a_server_with_a_token_is_answered_as_the_document_says(
    case: Case[Any], edge_url: str, bearer: str
) -> None:
    conforms(case, edge_url, {"Authorization": bearer})


def conforms(case: Case[Any], edge_url: str, headers: Mapping[str, str]) -> None:
    assert case.meta
    broken = []
    if case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        body: dict[str, Any] = case.body
        if case.path.startswith("/v2/"):
            as_of_a_server(body)
        broken = list(broken_rules(body))
    answer = case.call(edge_url, headers=dict(headers))
    case.validate_response(
        answer,
        # Of this one body alone: the document has no way to say which rule it breaks.
        excluded_checks=[positive_data_acceptance] if broken else [],
        headers=dict(headers),
        transport_kwargs={"base_url": edge_url, "headers": dict(headers)},
    )
    assert answer.status_code != 429, "limits are not what is looked at here"
    if broken and answer.status_code == 400:
        assert answer.json()["type"].endswith(("EXEG-0102-400", "EXEG-0103-400", "EXEG-0305-400"))


def test_the_tool_has_every_check_that_is_relied_on() -> None:
    made = {check.__name__ for check in CHECKS.get_all()}

    assert made >= {
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "positive_data_acceptance",
        "missing_required_header",
        "unsupported_method",
        "allow_header_conformance",
        "use_after_free",
        "ensure_resource_availability",
        "ignored_auth",
        "object_level_authorization",
    }
