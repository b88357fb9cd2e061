"""Every answer that a test of the edge gets is held against the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from tests.edge.outsider import closed_document

_NO_SUCH_PATH = {"404": {"$ref": "#/components/responses/Refused404"}}


def assert_documented(path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """path: as the document has it, `/v1/interact`; any other is none. The answer is to a POST."""
    described = _document()["paths"].get(path)
    responses = described["post"]["responses"] if described else _NO_SUCH_PATH
    assert str(status) in responses, f"{path} answers with {status}, which is not in the document"
    response = _led(responses[str(status)])
    for name, header in response["headers"].items():
        stated, told = headers.get(name), _led(header)
        assert stated is not None or not told.get("required"), f"{path}, {status}: no {name}"
    if not body:
        assert status == 204, f"{path}, {status}: no body"
        return
    kind = headers["Content-Type"].partition(";")[0]
    assert kind in response["content"], f"{path}, {status}: a body of {kind}"
    reference = response["content"][kind]["schema"]["$ref"]
    _validator(reference).validate(msgspec.json.decode(body))


@lru_cache
def _document() -> dict[str, Any]:
    return closed_document()


def _led(one: dict[str, Any]) -> dict[str, Any]:
    """What a reference of the document leads to."""
    if "$ref" not in one:
        return one
    found: Any = _document()
    for part in one["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


@lru_cache
def _validator(reference: str) -> jsonschema_rs.Draft202012Validator:
    schema = {"$ref": reference, "components": _document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema)
