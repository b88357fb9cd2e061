"""The edge as an OpenAPI 3.1 document, from the very types and errors that it uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from perso_core.edge.import_rows import CSV, NDJSON
from perso_core.edge.openapi_schemas import REQUEST_ID, Schema, at, schemas
from perso_core.edge.problem import EdgeError, HttpBad
from perso_core.edge.wire import (
    AcquireRequest,
    ConsentRequest,
    InteractRequest,
    PrivacyRequest,
    ServerRequest,
)


class Operation(Struct, frozen=True, kw_only=True):
    """One POST. path: below the edge's prefix. answers: by status, in words, beside the refusals
    that every call may meet. examples: bodies that are answered with the first status, by what
    they show. body, failed: schemas of its answers with 200 and 207. proven: a call without a
    credential is refused.
    """

    path: str
    name: str
    summary: str
    request: type[Struct]
    answers: Mapping[int, str]
    examples: Mapping[str, Schema]
    body: str = "Answer"
    failed: str = "Failed"
    proven: bool = False


_STORED_NOT = (
    "Not all of it is known to be stored: `errors` says what; send it again under the same "
    "`requestId`. `handle` has what could be decided all the same."
)


def _customer(name: str) -> Schema:
    return {"CRMID": [{"id": name, "primary": True}]}


_CUSTOMER: Schema = _customer("4711")
_BASKET: Schema = {"eventType": "commerce.productListAdds"}
_VIEW: Schema = {"events": [{"xdm": {"eventType": "web.webpagedetails.pageViews"}}]}
_CONSENTS: Mapping[str, Schema] = {
    "Adobe 1.0": {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]},
    "Adobe 2.0": {
        "consent": [
            {
                "standard": "Adobe",
                "version": "2.0",
                "value": {"collect": {"val": "y"}, "metadata": {"time": "2026-03-15T12:00:00Z"}},
            }
        ]
    },
    "IAB TCF": {
        "consent": [
            {
                "standard": "IAB TCF",
                "version": "2.0",
                "value": "CO052l-O052l-DGAMBFRACBgAIBAAAAAAIYgEawAQEagAAAA",
                "gdprApplies": True,
            }
        ]
    },
}

_OF_VISITORS: Sequence[Operation] = (
    Operation(
        path="/v1/interact",
        name="interact",
        summary="Events come in; what they decided goes out",
        request=InteractRequest,
        answers={
            200: "Every event is on disk; each has its `activation:pull` handle.",
            207: _STORED_NOT,
        },
        examples={"page view": _VIEW},
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
        examples={"page view": _VIEW},
    ),
    Operation(
        path="/v1/identity/acquire",
        name="acquireIdentity",
        summary="A page asks who its visitor is; no profile is written",
        request=AcquireRequest,
        answers={200: "The visitor's ECID, and the cookies that prove it.", 207: _STORED_NOT},
        examples={"who is it": {"query": {"identity": {"fetch": ["ECID"]}}}},
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
        examples=_CONSENTS,
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
        examples={
            "look up": {"event": {"xdm": {"identityMap": _CUSTOMER}}},
            "tell": {"event": {"xdm": {"identityMap": _CUSTOMER, **_BASKET}}},
        },
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
        examples={
            "two people": {
                "events": [
                    {"xdm": {"identityMap": _customer(name), "eventType": "commerce.purchases"}}
                    for name in ("4711", "4712")
                ]
            }
        },
    ),
)

_OF_PRIVACY: Mapping[str, tuple[str, str, str, Mapping[int, str]]] = {
    "show": (
        "showProfile",
        "What is kept of somebody, in short, as of now",
        "Shown",
        {200: "A profile for each key; none where nothing is kept."},
    ),
    "export": (
        "exportProfile",
        "All that is kept of somebody",
        "Exported",
        {200: "Everything under each key; none where nothing is kept."},
    ),
    "erase": (
        "eraseProfile",
        "Erase all that is kept of somebody",
        "Erased",
        {200: "It is erased in the store and in every running server; so much it was."},
    ),
}
OPERATIONS: Sequence[Operation] = (
    *_OF_VISITORS,
    *(
        Operation(
            path=f"/v2/privacy/{verb}",
            name=name,
            summary=summary,
            request=PrivacyRequest,
            answers={**answers, 207: "It failed, or not every server knows: `errors` says what."},
            examples={"a customer": {"identity": {"namespace": "CRMID", "id": "4711"}}},
            body=body,
            failed="PrivacyFailed",
            proven=True,
        )
        for verb, (name, summary, body, answers) in _OF_PRIVACY.items()
    ),
)


class Rows(Struct, frozen=True, kw_only=True):
    """One POST of rows. examples: bodies by media type."""

    path: str
    name: str
    summary: str
    examples: Mapping[str, str]


# What servers bring in bulk.
IMPORTS: Sequence[Rows] = (
    Rows(
        path="/v2/import/audience",
        name="importAudience",
        summary="A server brings memberships of external audiences",
        examples={
            CSV: "namespace,id,audience,expires,status\n"
            "CRMID,4711,churn-risk,2100-01-01T00:00:00Z,\nCRMID,4712,churn-risk,,exited\n",
            NDJSON: '{"namespace": "CRMID", "id": "4711", "audience": "churn-risk"}\n',
        },
    ),
    Rows(
        path="/v2/import/attributes",
        name="importAttributes",
        summary="A server brings attributes of profiles",
        examples={
            CSV: "namespace,id,loyalty.tier,loyalty.points:number\nCRMID,4711,gold,1200\n",
            NDJSON: '{"identity": {"namespace": "CRMID", "id": "4711"}, '
            '"attributes": {"loyalty": {"tier": "gold"}}}\n',
        },
    ),
)

# Read with GET, by whoever watches the process.
HEALTH = "/health"

# What any call may be refused with.
REFUSALS: Mapping[int, str] = {
    400: "Something in the call is wrong; `detail` names it.",
    401: "A credential is missing or not good; `type` says which way.",
    403: "The page's origin may not call this datastream, or the credential may not do this.",
    404: "There is no such path: the edge is mounted elsewhere.",
    405: "Another method than `Allow` names.",
    408: "The body is empty or did not arrive in time.",
    413: "The body is larger than `max_body_bytes`, or rows than 1 MB.",
    415: "Another media type, or a compressed body.",
    422: "The datastream is disabled, or a consent does not validate.",
    429: "Too many calls; come back after `Retry-After` seconds.",
}


class File(Struct, frozen=True):
    """What is read with GET, by anybody."""

    name: str
    summary: str
    media_type: str


# By path.
FILES: Mapping[str, File] = {
    "/openapi.json": File("openapiDocument", "This document", "application/json"),
    "/openapi": File("openapiPage", "This document, to be read", "text/html"),
    "/perso.js": File("persoJs", "The client for pages", "text/javascript"),
    "/alloy-destinations-shim.js": File(
        "alloyDestinationsShim",
        "Puts `result.destinations` back where alloy 2.33.0 to 2.34.0 drop it",
        "text/javascript",
    ),
}

_ABOUT = (
    "What Adobe's Edge Network answers to the Web SDK, on your own machine. Bodies are JSON, under "
    "`application/json` or, as browsers send them without a preflight, `text/plain` or "
    "`text/javascript`. Fields that are not named here are passed over. Failures of ours are no "
    "5xx, but of `/health`: they go out as a `207` whose `errors` say what to send again. A page "
    "of a listed origin reads every answer, and is answered to a preflight (`OPTIONS`) with `204`. "
    "What is no HTTP, or has a header of more than 9 KiB, is answered with a `400` of the type "
    f"`{HttpBad.code}`, and an `Expect` that nobody knows with a `417` in plain text."
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
                "responses": {
                    f"Refused{status}": _refusal(status, words)
                    for status, words in REFUSALS.items()
                },
                "headers": _HEADERS,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        }
    )


def _post(one: Operation) -> Schema:
    bodies = {**_BODIES, 200: one.body, 207: one.failed}
    answered = {
        str(status): _answer(status, words, bodies) for status, words in one.answers.items()
    }
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
        "responses": {**answered, **{str(status): _refused(status) for status in REFUSALS}},
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
                kind: {"schema": _TEXT, "examples": {"rows": {"value": example}}}
                for kind, example in one.examples.items()
            },
        },
        "responses": {
            "200": _answer(200, "What became of the rows.", {200: "Imported"}),
            "207": _answer(207, _STORED_NOT, _BODIES),
            **{str(status): _refused(status) for status in REFUSALS},
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
            "200": _answer(200, "What comes now can be stored.", {200: "Health"}),
            "503": _answer(503, "It cannot, or not in time; `why` is the code.", {503: "Health"}),
            **{str(status): _refused(status) for status in (400, 401, 404, 405, 422, 429)},
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
            "405": _refused(405),
        },
    }


# ---- parameters --------------------------------------------------------------

_TEXT: Schema = {"type": "string"}
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
        "schema": _TEXT,
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
        "schema": _TEXT,
        "description": "The organisation. Where it is sent, it must be the one of this edge.",
    },
)
_OF_BATCHES: Sequence[Schema] = (
    {
        "name": "silent",
        "in": "query",
        "schema": _TEXT,
        "description": "`true`: the answer has no body.",
    },
)

# ---- answers -----------------------------------------------------------------

_HEADERS: Mapping[str, Schema] = {
    "RequestId": {
        "required": True,
        "schema": REQUEST_ID,
        "description": "The call's own id, or the one that was made for it.",
    },
    "AdobeEdge": {
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Z0-9]{1,32};[0-9]{1,3}$"},
        "description": "Region and its number.",
    },
    "RetryAfter": {
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "description": "Seconds.",
    },
    "Allow": {"required": True, "schema": _TEXT, "description": "The methods that are taken."},
    "Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "SetCookie": {
        "schema": _TEXT,
        "description": "The identity's cookies, where page and edge are of one site.",
    },
}
_OF_ALL = {"x-request-id": "RequestId", "x-adobe-edge": "AdobeEdge"}
_OF_STATUS: Mapping[int, Mapping[str, str]] = {
    200: {"Set-Cookie": "SetCookie"},
    204: {"Set-Cookie": "SetCookie"},
    401: {"WWW-Authenticate": "Authenticate"},
    405: {"Allow": "Allow"},
    429: {"Retry-After": "RetryAfter"},
}
_BODIES: Mapping[int, str] = {200: "Answer", 202: "Accepted", 207: "Failed"}


def _headers(status: int) -> Schema:
    names = {**_OF_ALL, **_OF_STATUS.get(status, {})}
    return {name: {"$ref": f"#/components/headers/{header}"} for name, header in names.items()}


def _answer(status: int, words: str, bodies: Mapping[int, str]) -> Schema:
    told: Schema = {"description": words, "headers": _headers(status)}
    if status in bodies:
        told["content"] = {"application/json": {"schema": at(bodies[status])}}
    return told


def _refused(status: int) -> Schema:
    return {"$ref": f"#/components/responses/Refused{status}"}


def _refusal(status: int, words: str) -> Schema:
    types = ", ".join(f"`{code}`" for code in codes(EdgeError, status))
    return {
        "description": f"{words} {types}",
        "headers": _headers(status),
        "content": {"application/problem+json": {"schema": at("Problem")}},
    }


def codes(error: type[EdgeError], status: int) -> list[str]:
    """The codes below an error that have a status, in their order."""
    own = [error.code] if error.status == status else []
    return sorted([*own, *(code for one in error.__subclasses__() for code in codes(one, status))])
