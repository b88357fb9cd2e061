"""The edge as an OpenAPI 3.1 document, from the very types and errors that it uses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from perso_core.edge.openapi_answers import (
    HEADERS,
    NOT_STORED,
    REFUSALS,
    SCHEMA_BY_STATUS,
    answer,
    refusals,
    refused,
)
from perso_core.edge.openapi_calls import (
    FILES,
    HEALTH,
    IMPORTS,
    OPERATIONS,
    File,
    Operation,
    Rows,
)
from perso_core.edge.openapi_schemas import TEXT, Schema, at, schemas
from perso_core.edge.problem import HttpBad

_ABOUT = (
    "What Adobe's Edge Network answers to the Web SDK, on your own machine. Bodies are JSON, under "
    "`application/json` or, as browsers send them without a preflight, `text/plain` or "
    "`text/javascript`. Fields that are not named here are passed over. Failures of ours are no "
    "5xx, but of `/health`: they go out as a `207` whose `errors` say what to send again. A page "
    "of a listed origin reads every answer, and is answered to a preflight (`OPTIONS`) with `204`. "
    "What is no HTTP, or has a header of more than 9 KiB, is answered with a `400` of the type "
    f"`{HttpBad.code}`, and an `Expect` that nobody knows with a `417` in plain text."
)
_PARAMETERS: Sequence[Schema] = (
    {
        "name": "configId",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "description": "The datastream. `datastreamId` and `dataStreamId` are taken too.",
    },
    {
        "name": "requestId",
        "in": "query",
        "schema": TEXT,
        "description": (
            "1 to 128 printable characters, else one is made. A retry with the same id and "
            "body counts once. The header `x-request-id` does as well."
        ),
    },
)
_OF_SERVERS: Sequence[Schema] = (
    {
        "name": "x-gw-ims-org-id",
        "in": "header",
        "schema": TEXT,
        "description": "The organisation. Where it is sent, it must be the one of this edge.",
    },
)
_OF_BATCHES: Sequence[Schema] = (
    {
        "name": "silent",
        "in": "query",
        "schema": TEXT,
        "description": "`true`: the answer has no body.",
    },
)


@lru_cache(maxsize=1)
def document() -> bytes:
    """The document as JSON. Servers stand relative to where the document is read."""
    files = {path: {"get": _get(file)} for path, file in FILES.items()}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Perso's edge", "version": "1", "description": _ABOUT},
            "servers": [
                {"url": "."},
                {
                    "url": "./{hint}",
                    "description": "The same, with the location hint that an answer told.",
                    "variables": {"hint": {"default": "perso"}},
                },
            ],
            "paths": {one.path: {"post": _post(one)} for one in OPERATIONS}
            | {one.path: {"post": _rows(one)} for one in IMPORTS}
            | {HEALTH: {"get": _health()}}
            | files,
            "components": {
                "schemas": schemas(dict.fromkeys(one.request for one in OPERATIONS)),
                "responses": refusals(),
                "headers": HEADERS,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        }
    )


def _post(one: Operation) -> Schema:
    bodies = {**SCHEMA_BY_STATUS, 200: one.body, 207: one.failed}
    answered = {str(status): answer(status, words, bodies) for status, words in one.answers.items()}
    body = {
        "schema": at(one.request.__name__),
        "examples": {name: {"value": example} for name, example in one.examples.items()},
    }
    return {
        "operationId": one.name,
        "summary": one.summary,
        # A datastream whose access_type is `authenticated` answers no call without a credential.
        "security": [*([] if one.proven else [{}]), {"token": []}, {"key": []}],
        "parameters": [
            *_PARAMETERS,
            *(_OF_SERVERS if one.path.startswith("/v2/") else ()),
            *(_OF_BATCHES if one.name == "serverCollect" else ()),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": body, "text/plain": body},
        },
        "responses": {**answered, **{str(status): refused(status) for status in REFUSALS}},
    }


def _rows(one: Rows) -> Schema:
    return {
        "operationId": one.name,
        "summary": one.summary,
        "description": (
            "For a credential that may `import`. The body is rows, of at most 1 MB, as "
            "`perso import` takes them; good rows are on disk and live with the answer, the others "
            "are told by line. Sending them again changes nothing."
        ),
        "security": [{"token": []}, {"key": []}],
        "parameters": [*_PARAMETERS, *_OF_SERVERS],
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": TEXT, "examples": {"rows": {"value": example}}}
                for kind, example in one.examples.items()
            },
        },
        "responses": {
            "200": answer(200, "What became of the rows.", {200: "Imported"}),
            "207": answer(207, NOT_STORED, SCHEMA_BY_STATUS),
            **{str(status): refused(status) for status in REFUSALS},
        },
    }


def _health() -> Schema:
    config_id, *others = _PARAMETERS
    return {
        "operationId": "health",
        "summary": "Whether this process can store what comes, and what it counts",
        "description": (
            "For whoever asks on the machine itself, with no proxy between, or shows a credential "
            "of the datastream that `configId` names. Something is written for it, and no page is "
            "answered by it: pages are, also where nothing can be stored."
        ),
        "security": [{}, {"token": []}, {"key": []}],
        "parameters": [{**config_id, "required": False}, *others],
        "responses": {
            "200": answer(200, "What comes now can be stored.", {200: "Health"}),
            "503": answer(503, "It cannot, or not in time; `why` is the code.", {503: "Health"}),
            **{str(status): refused(status) for status in (400, 401, 404, 405, 422, 429)},
        },
    }


def _get(file: File) -> Schema:
    schema = {"type": "object" if file.media_type == "application/json" else "string"}
    return {
        "operationId": file.name,
        "summary": file.summary,
        "security": [],
        "responses": {
            "200": {"description": "It is here.", "content": {file.media_type: {"schema": schema}}},
            "405": refused(405),
        },
    }
