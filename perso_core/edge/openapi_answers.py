"""What the edge answers: statuses, headers and refusals of the OpenAPI document. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from perso_core.edge.openapi_schemas import REQUEST_ID, TEXT, Schema, at
from perso_core.edge.problem import EdgeError

# What a 207 says.
NOT_STORED = (
    "Not all of it is known to be stored: `errors` says what; send it again under the same "
    "`requestId`. `handle` has what could be decided all the same."
)

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

# By the names that `answer` refers to.
HEADERS: Mapping[str, Schema] = {
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
    "Allow": {"required": True, "schema": TEXT, "description": "The methods that are taken."},
    "Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "SetCookie": {
        "schema": TEXT,
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
# Of an answer's body, where the call has no other.
SCHEMA_BY_STATUS: Mapping[int, str] = {200: "Answer", 202: "Accepted", 207: "Failed"}


def answer(status: int, words: str, schema_by_status: Mapping[int, str]) -> Schema:
    """schema_by_status: of bodies, by name; an answer with another status has none."""
    told: Schema = {"description": words, "headers": _headers(status)}
    if status in schema_by_status:
        told["content"] = {"application/json": {"schema": at(schema_by_status[status])}}
    return told


def refused(status: int) -> Schema:
    """A reference into refusals."""
    return {"$ref": f"#/components/responses/Refused{status}"}


def refusals() -> dict[str, Schema]:
    """By name: an answer for each status that any call may be refused with."""
    return {f"Refused{status}": _refusal(status, words) for status, words in REFUSALS.items()}


def _refusal(status: int, words: str) -> Schema:
    types = ", ".join(f"`{code}`" for code in _codes(EdgeError, status))
    return {
        "description": f"{words} {types}",
        "headers": _headers(status),
        "content": {"application/problem+json": {"schema": at("Problem")}},
    }


def _codes(error: type[EdgeError], status: int) -> list[str]:
    """The codes below an error that have a status, in their order."""
    own = [error.code] if error.status == status else []
    return sorted([*own, *(code for one in error.__subclasses__() for code in _codes(one, status))])


def _headers(status: int) -> Schema:
    names = {**_OF_ALL, **_OF_STATUS.get(status, {})}
    return {name: {"$ref": f"#/components/headers/{header}"} for name, header in names.items()}
