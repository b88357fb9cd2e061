"""What bodies look like, as JSON Schema 2020-12 for the OpenAPI document. Pure.

Names and kinds of fields come from the very types that decode a body. Here stands what checks of
ours ask beyond those, and what goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from perso_core.decision.identity import ECID_PATTERN
from perso_core.edge.consent_objects import (
    ADOBE,
    COLLECT,
    GENERAL,
    IAB_TCF,
    OBJECTS,
    TCF_VERSIONS,
)
from perso_core.edge.event_id import HASHED_ID, MAX_EVENT_ID_CHARS
from perso_core.edge.identity_map import (
    MAX_CLAIMS_PER_REQUEST,
    MAX_ID_CHARS,
    MAX_NAMESPACE_CHARS,
    UNSEEN,
)
from perso_core.edge.problem import Problem

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
_WHEN: Schema = {
    "description": (
        "When it was, of a server that shows a credential: an instant, no further ahead than "
        "clocks differ and no older than events are kept. Of anybody else it is not read."
    )
}
_ID: Schema = {
    "description": (
        "Text by which the event counts once in whatever request it comes. Of more than "
        f"{MAX_EVENT_ID_CHARS} characters, or with one that cannot be printed, it is kept as a "
        f"hash (`{HASHED_ID}…`). What is empty or no text is no id."
    )
}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_REFUSED_ROW: dict[str, Schema] = {
    "line": {"type": "integer", "minimum": 1},
    "reason": TEXT,
    "lines": {
        "type": "integer",
        "minimum": 2,
        "description": "So many lines may be rows, and were not taken: their quotes are amiss.",
    },
}
_FREE: Schema = {"type": "object", "additionalProperties": True}
REQUEST_ID: Schema = {"type": "string", "pattern": r"^[\x21-\x7e]{1,128}$"}

# A type's docstring speaks of its Python names; a caller reads these words.
_WORDS: Mapping[str, str] = {
    "InteractRequest": "Events of one visitor, or, on `/v2/collect`, of several people.",
    "ServerRequest": "One event of one person.",
    "AcquireRequest": "A page asks who its visitor is.",
    "ConsentRequest": "What the visitor said.",
    "SentEvent": "One event. Without `_id` in its `xdm`, request and content tell which it is.",
    "RequestXdm": "What holds for the whole request.",
    "RequestQuery": "What the caller wants to be told besides.",
    "IdentityQuery": "The namespaces to tell identities of; `ECID` is the one there is.",
    "RequestMeta": "About the call itself.",
    "PageState": "Cookies of the page, where the browser sends none by itself.",
    "StateEntry": "One cookie by name and value, as `state:store` told it.",
    "PrivacyRequest": "Whose data is to be shown, exported or erased.",
    "NamedIdentity": "An identity of this datastream.",
    "Problem": "One problem (RFC 9457). `type` is stable: match on it. `detail` is for people.",
    "Report": "Which call it belongs to, as far as that is known.",
}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "SentEvent": {
        "data": (
            "Free-form, for other products: no rule reads it. `__perso.identityAssertion` holds a "
            "site's signed word about who signed in."
        )
    },
    "RequestMeta": {
        "queueTimeMillis": "How long the events were held back; counted up to 300,000."
    },
    "PageState": {"domain": "The page's highest domain that takes cookies; empty on localhost."},
}


def at(name: str) -> Schema:
    """A reference to a schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def name_pattern(most: int) -> str:
    """Of an id or a namespace: 1 to so many characters, each of which can be seen."""
    return f"^[^{UNSEEN}]{{1,{most}}}$"


def schemas(requests: Iterable[type[Struct]]) -> dict[str, Schema]:
    """By name: every schema that the requests, the answers and the problems need."""
    _, found = msgspec.json.schema_components(
        [*requests, Problem], ref_template=at("{name}")["$ref"]
    )
    plain = {name: _plain(name, schema) for name, schema in found.items()}
    # The three kinds of it are told apart below.
    del plain["SentConsent"]
    _narrow(plain, "RequestXdm", identityMap=at("IdentityMap"))
    _narrow(plain, "ConsentRequest", identityMap=at("IdentityMap"), consent=_consents(plain))
    _narrow(plain, "SentEvent", xdm=at("EventXdm"), data=_FREE)
    _narrow(plain, "RequestMeta", configOverrides=at("ConfigOverrides"))
    _narrow(
        plain,
        "NamedIdentity",
        namespace={"type": "string", "pattern": f"^[^{UNSEEN} :]{{1,{MAX_NAMESPACE_CHARS}}}$"},
        id={"type": "string", "pattern": name_pattern(MAX_ID_CHARS)},
    )
    _narrow(plain, "RequestMeta", queueTimeMillis={"type": "number"})
    return {
        **plain,
        **_identities(),
        **_consent_kinds(),
        **_overrides(),
        **_handles(),
        **_answers(),
        **_privacy(),
    }


def _plain(name: str, schema: Schema) -> Schema:
    """Without defaults, which generators of clients take for a promise that a field is sent."""
    words = {"description": _WORDS[name]} if name in _WORDS else {}
    described = _FIELDS.get(name, {})
    properties = {
        field: {
            **{key: value for key, value in of_field.items() if key != "default"},
            **({"description": described[field]} if field in described else {}),
        }
        for field, of_field in schema["properties"].items()
    }
    required = {"required": schema["required"]} if schema["required"] else {}
    return {"type": "object", **words, **required, "properties": properties}


def _narrow(known: dict[str, Schema], name: str, **fields: Schema) -> None:
    """Says more of some fields than their types do."""
    told = known[name]["properties"]
    for field, schema in fields.items():
        words = {key: told[field][key] for key in ("description",) if key in told[field]}
        told[field] = {**schema, **words}


# ---- what comes in -----------------------------------------------------------


def _identities() -> dict[str, Schema]:
    return {
        "EventXdm": {
            "type": "object",
            "description": (
                "The event itself, by the schema of the definitions: rules read its fields. No "
                "integer of more than 64 bits, and no value nested deeper than 32 levels."
            ),
            "properties": {"_id": _ID, "identityMap": at("IdentityMap"), "timestamp": _WHEN},
            "additionalProperties": True,
        },
        "IdentityMap": {
            "type": "object",
            "description": (
                "Identities by namespace. From a browser they are claims. A map names one `ECID`, "
                f"and a request at most {MAX_CLAIMS_PER_REQUEST} identities besides."
            ),
            "propertyNames": {"pattern": name_pattern(MAX_NAMESPACE_CHARS)},
            "properties": {
                "ECID": {"type": "array", "items": at("Ecid")},
            },
            "additionalProperties": {
                "type": "array",
                "items": at("Identity"),
            },
        },
        "Ecid": _identity({"pattern": f"^{ECID_PATTERN.pattern}$"}),
        "Identity": _identity({"pattern": name_pattern(MAX_ID_CHARS)}),
    }


def _identity(of_id: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string", **of_id},
            "primary": {
                "type": "boolean",
                "description": "On `/v2` one identity of an event is the primary one, or its ECID.",
            },
            "authenticatedState": {
                "description": (
                    "`authenticated`, from a server that proves itself: with the primary one, if "
                    "that is so, too, this is one person's. A browser's word is not read."
                ),
                "examples": ["authenticated"],
            },
        },
    }


def _overrides() -> dict[str, Schema]:
    enabled: Schema = {**_FREE, "properties": {"enabled": {"type": "boolean"}}}
    platform: Schema = {
        **_FREE,
        "description": "`false` switches off for this request. Nothing switches on.",
        "properties": {
            "enabled": {"type": "boolean"},
            "com_adobe_edge_segmentation": enabled,
            "com_adobe_edge_destinations": enabled,
        },
    }
    return {
        "ConfigOverrides": {
            "type": "object",
            "description": "By product; those of other products are passed over.",
            "propertyNames": {"pattern": "^com_adobe_"},
            "properties": {"com_adobe_experience_platform": platform},
            "additionalProperties": _FREE,
        }
    }


def _consents(known: Mapping[str, Schema]) -> Schema:
    kinds = [at(name) for name in ("AdobeConsent1", "AdobeConsent2", "TcfConsent")]
    of_list = {
        key: value
        for key, value in known["ConsentRequest"]["properties"]["consent"].items()
        if key != "items"
    }
    return {**of_list, "items": {"oneOf": kinds}}


def _consent_kinds() -> dict[str, Schema]:
    # In capitals or small, as XDM has both.
    val = "|".join("".join(f"[{one}{one.upper()}]" for one in name) for name in COLLECT)
    choice: Schema = {
        "type": "object",
        "required": ["val"],
        "properties": {"val": {"type": "string", "pattern": f"^(?:{val})$"}},
    }
    objects: dict[str, Schema] = dict.fromkeys(OBJECTS, _FREE)
    metadata: Schema = {
        **_FREE,
        "properties": {"time": {"type": "string", "format": "date-time"}},
    }
    preferences: Schema = {
        **_FREE,
        "description": "`collect` or `share`, or both; what else there is decides nothing here.",
        "properties": {**objects, "collect": choice, "share": choice, "metadata": metadata},
    }
    general: Schema = {
        "type": "object",
        "required": ["general"],
        "properties": {"general": {"type": "string", "enum": list(GENERAL)}},
        "additionalProperties": False,
    }
    text: Schema = {"type": "string", "minLength": 1, "description": "The TC string of the CMP."}
    return {
        "AdobeConsent1": _consent(ADOBE, ["1.0"], general),
        "AdobeConsent2": _consent(ADOBE, ["2.0"], preferences),
        "TcfConsent": _consent(IAB_TCF, sorted(TCF_VERSIONS), text),
    }


def _consent(standard: str, versions: list[str], value: Schema) -> Schema:
    flag = {"type": "boolean"}
    return {
        "type": "object",
        "required": ["standard", "version", "value"],
        "properties": {
            "standard": {"type": "string", "enum": [standard]},
            "version": {"type": "string", "enum": versions},
            "value": value,
            "gdprApplies": {**flag, "description": "`false`: the string is not asked."},
            "gdprContainsPersonalData": flag,
        },
    }


# ---- what goes out -----------------------------------------------------------


def _handles() -> dict[str, Schema]:
    names = {
        "identity:result": "IdentityResult",
        "activation:pull": "ActivationPull",
        "locationHint:result": "LocationHint",
        "state:store": "StateStore",
    }
    index: Schema = {"type": "integer", "minimum": 0, "description": "Which event it belongs to."}
    ecid = {"type": "string", "pattern": f"^{ECID_PATTERN.pattern}$"}
    hint = {"scope": {"const": "EdgeNetwork"}, "hint": TEXT, "ttlSeconds": {"type": "integer"}}
    pull = _handle("activation:pull", at("ProfileLookup"))
    pull["properties"]["eventIndex"] = index
    pull["required"].append("eventIndex")
    return {
        "Handle": {
            "oneOf": [at(name) for name in names.values()],
            "discriminator": {
                "propertyName": "type",
                "mapping": {kind: at(name)["$ref"] for kind, name in names.items()},
            },
        },
        "IdentityResult": _handle(
            "identity:result",
            _object({"id": ecid, "namespace": _object({"code": {"const": "ECID"}})}),
        ),
        "ActivationPull": pull,
        "LocationHint": _handle("locationHint:result", _object(hint)),
        "StateStore": _handle("state:store", at("StoredCookie")),
        "ProfileLookup": _profile_lookup(),
        "StoredCookie": {
            **_object(
                {
                    "key": TEXT,
                    "value": TEXT,
                    "maxAge": {"type": "integer", "description": "Seconds; else for the session."},
                    "attrs": _object({"SameSite": {"const": "None"}}),
                },
                optional=("maxAge", "attrs"),
            ),
            "description": "A cookie to keep.",
        },
    }


def _profile_lookup() -> Schema:
    lookup = _object(
        {
            "type": {"const": "profileLookup"},
            "destinationId": TEXT,
            "alias": TEXT,
            "segments": {
                "type": "array",
                "items": _object({"id": TEXT, "namespace": {"const": "ups"}}),
            },
            "attributes": {
                "type": "object",
                "description": "By target name; told to proven servers alone.",
                "additionalProperties": _object(
                    {"value": {"type": ["string", "number", "boolean"]}}
                ),
            },
        },
        optional=("attributes",),
    )
    return {**lookup, "description": "What one destination is told: the audiences, by id."}


def _handle(kind: str, item: Schema) -> Schema:
    return _object({"type": {"const": kind}, "payload": {"type": "array", "items": item}})


def _answers() -> dict[str, Schema]:
    problems: Schema = {"type": "array", "minItems": 1, "items": at("Problem")}
    answer = {"requestId": REQUEST_ID, "handle": {"type": "array", "items": at("Handle")}}
    return {
        "Answer": _object({**answer, "warnings": problems}, optional=("warnings",)),
        "Failed": _object(
            {**answer, "errors": problems, "warnings": problems}, optional=("warnings",)
        ),
        "Health": _object(
            {
                "status": {"enum": ["ready", "not-ready"]},
                "why": {"type": "string", "description": "The code of the error."},
                **dict.fromkeys(("pid", "waiting", "commits", "failedCommits"), _COUNT),
                "room": {"type": "integer", "description": "So many more changes may wait."},
                **dict.fromkeys(("restarts", "failedAnswers"), _COUNT),
            },
            optional=("why",),
        ),
        "Accepted": _object(
            {"requestId": REQUEST_ID, "warnings": problems}, optional=("warnings",)
        ),
        "Imported": _object(
            {
                "requestId": REQUEST_ID,
                **dict.fromkeys(("kept", "removed", "withheld", "refused"), _COUNT),
                "refusals": {
                    "type": "array",
                    "items": _object(_REFUSED_ROW, optional=("lines",)),
                    "maxItems": 100,
                },
            }
        ),
    }


def _privacy() -> dict[str, Schema]:
    told = {"requestId": REQUEST_ID, "identity": at("NamedIdentity")}
    of_key = {**_FREE, "required": ["key"], "properties": {"key": TEXT}}
    number: Schema = _object(
        {"profiles": _COUNT, "events": _COUNT, "consents": _COUNT, "quarantined": _COUNT}
    )
    profiles: Schema = {"type": "array", "items": of_key}
    problems: Schema = {"type": "array", "minItems": 1, "items": at("Problem")}
    failed = {"requestId": REQUEST_ID, "errors": problems}
    return {
        "Shown": _object({**told, "profiles": profiles}),
        "Exported": _object({**told, "profiles": profiles}),
        "Erased": _object({**told, "erased": number}),
        "PrivacyFailed": {**_object(failed), "additionalProperties": True},
    }


def _object(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": dict(properties),
    }
