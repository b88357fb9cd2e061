"""What the edge takes: each call that the OpenAPI document tells of, with examples. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from perso_core.edge.import_rows import CSV, NDJSON
from perso_core.edge.openapi_answers import NOT_STORED
from perso_core.edge.openapi_schemas import Schema
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


class Rows(Struct, frozen=True, kw_only=True):
    """One POST of rows. examples: bodies by media type."""

    path: str
    name: str
    summary: str
    examples: Mapping[str, str]


class File(Struct, frozen=True):
    """What is read with GET, by anybody."""

    name: str
    summary: str
    media_type: str


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
            207: NOT_STORED,
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
            207: NOT_STORED,
        },
        examples={"page view": _VIEW},
    ),
    Operation(
        path="/v1/identity/acquire",
        name="acquireIdentity",
        summary="A page asks who its visitor is; no profile is written",
        request=AcquireRequest,
        answers={200: "The visitor's ECID, and the cookies that prove it.", 207: NOT_STORED},
        examples={"who is it": {"query": {"identity": {"fetch": ["ECID"]}}}},
    ),
    Operation(
        path="/v1/privacy/set-consent",
        name="setConsent",
        summary="The visitor says what may be done",
        request=ConsentRequest,
        answers={
            200: "The choice is on disk; the cookies say so to the SDK.",
            207: NOT_STORED,
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
            207: NOT_STORED,
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
            207: NOT_STORED,
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
