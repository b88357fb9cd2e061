"""The edge as an OpenAPI 3.1 document, from the very types and errors that it uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from perso_core.decision.identity import ECID_PATTERN
from perso_core.edge.identity_map import MAX_ID_CHARS, MAX_NAMESPACE_CHARS
from perso_core.edge.problem import Problem
from perso_core.edge.wire import (
    AcquireRequest,
    ConsentRequest,
    InteractRequest,
    ServerRequest,
)

Schema = dict[str, Any]

_AT = "#/components/schemas/{name}"
_ID = rf"^[^\x00-\x1f\x7f]{{1,{MAX_ID_CHARS}}}$"
_NAMESPACE = rf"^[!-~]{{1,{MAX_NAMESPACE_CHARS}}}$"


class Operation(Struct, frozen=True, kw_only=True):
    """One POST. path: below the edge's prefix. answers: by status, in words, beside the refusals
    that every call may meet. example: a body that is answered with the first status. server: a
    credential counts here."""

    path: str
    name: str
    summary: str
    request: type[Struct]
    answers: Mapping[int, str]
    example: Mapping[str, Any]
    server: bool = False


_STORED_NOT = "Nothing was stored, or not all of it: `errors` says what; send it again."
_CUSTOMER = {"CRMID": [{"id": "4711", "primary": True}]}
_VIEW = {"events": [{"xdm": {"eventType": "web.webpagedetails.pageViews"}}]}

OPERATIONS: Sequence[Operation] = (
    Operation(
        path="/v1/interact",
        name="interact",
        summary="Events come in; what they decided goes out",
        request=InteractRequest,
        answers={
            200: "Every event is on disk; each has its `activation:pull` handle.",
            207: _STORED_NOT,
        },
        example=_VIEW,
    ),
    Operation(
        path="/v1/collect",
        name="collect",
        summary="Events come in, and nobody waits for an answer (a beacon)",
        request=InteractRequest,
        answers={
            200: "Every event is on disk; the handles hold cookies to keep.",
            204: "Every event is on disk, and there is nothing to tell.",
            207: _STORED_NOT,
        },
        example=_VIEW,
    ),
    Operation(
        path="/v1/identity/acquire",
        name="acquireIdentity",
        summary="A page asks who its visitor is; no profile is written",
        request=AcquireRequest,
        answers={200: "The visitor's ECID, and the cookies that prove it.", 207: _STORED_NOT},
        example={"query": {"identity": {"fetch": ["ECID"]}}},
    ),
    Operation(
        path="/v1/privacy/set-consent",
        name="setConsent",
        summary="The visitor says what may be done",
        request=ConsentRequest,
        answers={
            200: "The choice is on disk; the cookies say so to the SDK.",
            207: _STORED_NOT,
        },
        example={"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]},
    ),
    Operation(
        path="/v2/interact",
        name="serverInteract",
        summary="A server sends one event, or looks up where it has identities alone",
        request=ServerRequest,
        answers={
            200: (
                "The event is on disk. With a credential destinations have `attributes`, and "
                "`warnings` say what was withheld."
            ),
            207: _STORED_NOT,
        },
        example={"event": {"xdm": {"identityMap": _CUSTOMER}}},
        server=True,
    ),
    Operation(
        path="/v2/collect",
        name="serverCollect",
        summary="A server sends events of several people, each with its primary identity",
        request=InteractRequest,
        answers={
            202: "Every event is on disk.",
            204: "The same, with `silent=true`.",
            207: _STORED_NOT,
        },
        example={
            "events": [{"xdm": {"identityMap": _CUSTOMER, "eventType": "commerce.purchases"}}]
        },
        server=True,
    ),
)

# What any call may be refused with.
REFUSALS: Mapping[int, str] = {
    400: "Something in the call is wrong; `detail` names it.",
    401: "A credential is missing or not good; `type` says which way.",
    403: "The page's origin may not call this datastream.",
    404: "There is no such path.",
    405: "Another method than POST or OPTIONS.",
    408: "The body is empty or did not arrive in time.",
    413: "The body is larger than `max_body_bytes`.",
    415: "Another media type, or a compressed body.",
    422: "The datastream is disabled, or a consent does not validate.",
    429: "Too many calls; come back after `Retry-After` seconds.",
}


@lru_cache(maxsize=1)
def document() -> bytes:
    """The document as JSON. Servers stand relative to where the document is read."""
    types = [*dict.fromkeys(one.request for one in OPERATIONS), Problem]
    _, schemas = msgspec.json.schema_components(types, ref_template=_AT)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Perso's edge",
                "version": "1",
                "description": (
                    "What Adobe's Edge Network answers to the Web SDK, on your own machine. "
                    "Bodies are JSON, under `application/json` or, as browsers send them without "
                    "a preflight, `text/plain`."
                ),
            },
            "servers": [{"url": "."}],
            "paths": {one.path: {"post": _post(one)} for one in OPERATIONS},
            "components": {
                "schemas": {**schemas, **_amended(schemas), **_answers()},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        }
    )


def _post(one: Operation) -> Schema:
    answered = {str(status): _answer(status, words, one) for status, words in one.answers.items()}
    refused = {str(status): _refusal(status, words) for status, words in REFUSALS.items()}
    # A call without a credential is taken too, as a browser's.
    secured: Schema = {"security": [{}, {"token": []}, {"key": []}]} if one.server else {}
    return {
        **secured,
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [*_parameters(), *(_SILENT if one.name == "serverCollect" else ())],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _AT.format(name=one.request.__name__)},
                    "example": one.example,
                }
            },
        },
        "responses": {**answered, **refused},
    }


def _parameters() -> list[Schema]:
    return [
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
            "schema": {"type": "string"},
            "description": (
                "1 to 128 printable characters, else one is made. A retry with the same id and "
                "body counts once. The header `x-request-id` does as well."
            ),
        },
    ]


_SILENT = (
    {
        "name": "silent",
        "in": "query",
        "schema": {"enum": ["true", "false"]},
        "description": "`true`: the answer has no body.",
    },
)


def _answer(status: int, words: str, one: Operation) -> Schema:
    headers = {
        "x-request-id": {"schema": {"type": "string"}},
        "x-adobe-edge": {"schema": {"type": "string"}, "description": "Region and its number."},
    }
    if status == 204:
        return {"description": words, "headers": headers}
    schema = {"$ref": _AT.format(name="Accepted" if status == 202 else "Answer")}
    return {
        "description": words,
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }


def _refusal(status: int, words: str) -> Schema:
    told: Schema = {
        "description": words,
        "content": {"application/problem+json": {"schema": {"$ref": _AT.format(name="Problem")}}},
    }
    if status == 429:
        told["headers"] = {
            "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}
        }
    return told


def _amended(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """What the types leave open and a check of ours decides."""
    identity_map = {"$ref": _AT.format(name="IdentityMap")}
    amended = {
        "IdentityMap": {
            "type": "object",
            "description": "Identities by namespace. From a browser they are claims.",
            "propertyNames": {"pattern": _NAMESPACE},
            "properties": {
                "ECID": {
                    "type": "array",
                    "maxItems": 1,
                    "items": _identity({"pattern": f"^{ECID_PATTERN.pattern}$"}),
                }
            },
            "additionalProperties": {"type": "array", "items": _identity({"pattern": _ID})},
        }
    }
    for name in ("RequestXdm", "ConsentRequest"):
        properties = {**schemas[name]["properties"], "identityMap": identity_map}
        amended[name] = {**schemas[name], "properties": properties}
    return amended


def _identity(of_id: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", **of_id}},
    }


def _answers() -> dict[str, Schema]:
    problem = {"$ref": _AT.format(name="Problem")}
    return {
        "Answer": {
            "type": "object",
            "required": ["requestId", "handle"],
            "properties": {
                "requestId": {"type": "string"},
                "handle": {"type": "array", "items": {"$ref": _AT.format(name="Handle")}},
                "errors": {"type": "array", "minItems": 1, "items": problem},
                "warnings": {"type": "array", "minItems": 1, "items": problem},
            },
        },
        "Accepted": {
            "type": "object",
            "required": ["requestId"],
            "properties": {
                "requestId": {"type": "string"},
                "warnings": {"type": "array", "minItems": 1, "items": problem},
            },
        },
        "Handle": {
            "type": "object",
            "required": ["type", "payload"],
            "properties": {
                "type": {
                    "enum": [
                        "identity:result",
                        "activation:pull",
                        "locationHint:result",
                        "state:store",
                    ]
                },
                "payload": {"type": "array", "items": {"type": "object"}},
                "eventIndex": {"type": "integer", "minimum": 0},
            },
        },
    }
