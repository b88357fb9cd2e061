"""Somebody who has the OpenAPI document, and what he knows of the edge besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import schemathesis
from msgspec import Struct
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from perso_core.edge.identity_map import MAX_CLAIMS_PER_REQUEST
from perso_core.edge.openapi import document
from perso_core.edge.openapi_calls import IMPORTS
from tests.building import ORG

# Beside those that schemathesis expects: Adobe's statuses for an empty and for a large body.
REJECTED = [400, 401, 403, 405, 408, 413, 415, 422]
CUSTOMER_ID = "4711"


class Outsider(Struct, frozen=True, kw_only=True):
    """datastream: the id that he was given. proven: every call of his has to show a credential.

    patient: 200 calls of random content for each operation, others each time; else a few that are
    always the same. boundaries: also those that stand at the edges of what the document allows,
    some hundred for each operation. media_types: which he sends.
    """

    datastream: str
    proven: bool
    patient: bool
    boundaries: bool
    media_types: tuple[str, ...]

    def reads(self) -> BaseSchema:
        """The document, with what he knows, and nothing in an answer but what it names."""
        told = closed_document()
        # Of rows no schema says which are good: tests/edge/test_import_rows.py sends them.
        for one in IMPORTS:
            del told["paths"][one.path]
        for methods in told["paths"].values():
            for operation in methods.values():
                self._narrow(operation)
        return schemathesis.openapi.from_dict(told, config=self._config())

    def _narrow(self, operation: dict[str, Any]) -> None:
        known = {"configId": self.datastream, "x-gw-ims-org-id": ORG}
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in known:
                parameter["schema"] = {"type": "string", "enum": [known[parameter["name"]]]}
        if self.proven:
            operation["security"] = [one for one in operation["security"] if one]
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            operation["requestBody"]["content"] = {kind: content[kind] for kind in self.media_types}

    def _config(self) -> SchemathesisConfig:
        return SchemathesisConfig.from_dict(
            {
                "generation": {
                    "max-examples": 200 if self.patient else 5,
                    "deterministic": not self.patient,
                    # He shows what he has, or nothing: a made-up token is refused before the rest.
                    "with-security-parameters": False,
                },
                "phases": {"coverage": {"enabled": self.boundaries}},
                "checks": {"negative_data_rejection": {"expected-statuses": REJECTED}},
            }
        )


def closed_document() -> dict[str, Any]:
    """The document, with answers that have the fields it names and no others."""
    told: dict[str, Any] = msgspec.json.decode(document())
    for name in ("Answer", "Failed", "Accepted", "Problem"):
        _close({"$ref": name}, told["components"]["schemas"])
    return told


def _close(schema: Any, known: Mapping[str, Any]) -> None:
    if isinstance(schema, list):
        for one in schema:
            _close(one, known)
    if not isinstance(schema, dict):
        return
    if isinstance(reference := schema.get("$ref"), str):
        _close(known[reference.rpartition("/")[2]], known)
    elif "additionalProperties" not in schema:
        if "properties" in schema:
            schema["additionalProperties"] = False
        for one in schema.values():
            _close(one, known)


# ---- what no schema can say --------------------------------------------------


def as_of_a_server(body: dict[str, Any]) -> None:
    """Each event is of one person, and of today where it is dated: a schema says what an identity
    map and a date may be, and neither that one map of several has one flag nor what day it is."""
    for entries in _lists(body):
        for entry in entries:
            entry.pop("primary", None)
    for event in _events(body):
        xdm = event.setdefault("xdm", {})
        customer = {"CRMID": [{"id": CUSTOMER_ID, "primary": True}]}
        xdm["identityMap"] = {**xdm.get("identityMap", {}), **customer}
        if "timestamp" in xdm:
            xdm["timestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def broken_rules(body: dict[str, Any]) -> Iterator[str]:
    """Rules that no schema can say, and that a body as the document has it breaks all the same."""
    maps = list(_maps(body))
    for one in maps:
        if len({entry["id"] for entry in one.get("ECID", ())}) > 1:
            yield "a map names one ECID"
    claims = {
        (namespace, entry["id"])
        for one in maps
        for namespace, entries in one.items()
        for entry in entries
        if namespace != "ECID"
    }
    if len(claims) > MAX_CLAIMS_PER_REQUEST:
        yield "a request claims so many identities at most"
    if any(isinstance(one, int) and not -(2**63) <= one < 2**64 for one in _values(body)):
        yield "an integer has 64 bits"
    for consent in body.get("consent", ()):
        preferences = (consent["standard"], consent["version"]) == ("Adobe", "2.0")
        if preferences and not consent["value"].keys() & {"collect", "share"}:
            yield "preferences speak of collect or of share"


def _events(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*body.get("events", ()), *([body["event"]] if "event" in body else [])]


def _maps(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The request's identity map and those of its events."""
    for place in (body, body.get("xdm", {}), *(one.get("xdm", {}) for one in _events(body))):
        if "identityMap" in place:
            yield place["identityMap"]


def _lists(body: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    return (entries for one in _maps(body) for entries in one.values())


def _values(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _values(one)
