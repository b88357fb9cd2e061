"""LaunchDarkly's SDK: one flag for each rule, all in its own store, no connection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from bench.audiences_parts import AllOf, AnyOf, Is, Not, Number, OneOf, Part, Text
from bench.one_event import Peer, Unsaid, peer_of, said

_CLAUSES = {">=": "greaterThanOrEqual", "<": "lessThan"}


def launchdarkly(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    ldclient, config = import_module("ldclient"), import_module("ldclient.config")
    logging.getLogger("ldclient").setLevel(logging.CRITICAL)
    flags = said(rules, lambda part: [_clauses(one) for one in _alternatives(part)])
    store = import_module("ldclient.feature_store").InMemoryFeatureStore()
    kind = import_module("ldclient.versioned_data_kind").FEATURES
    store.init({kind: {key: _flag(key, alternatives) for key, alternatives in flags}})
    # use_ldd: everything is in the store already, and nothing is asked of any server.
    quiet = {"send_events": False, "diagnostic_opt_out": True, "use_ldd": True}
    client = ldclient.LDClient(config.Config("bench", feature_store=store, **quiet))
    builder = ldclient.Context.builder("visitor")
    for name, value in event.items():
        builder.set("eventKey" if name == "_id" else name, value)
    context = builder.build()

    def holds(key: str) -> Any:
        return client.variation(key, context, False)

    peer = peer_of("launchdarkly", [(key, key) for key, _ in flags], holds)
    return Peer(peer.name, peer.known, peer.matching, client.close)


def _flag(key: str, alternatives: list[list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "key": key,
        "version": 1,
        "on": True,
        "salt": "bench",
        "variations": [True, False],
        "fallthrough": {"variation": 1},
        "offVariation": 1,
        "targets": [],
        "prerequisites": [],
        "rules": [
            {"id": f"{key}-{number}", "variation": 0, "clauses": clauses}
            for number, clauses in enumerate(alternatives)
        ],
    }


def _alternatives(part: Part) -> list[list[Part]]:
    """The part as alternatives of parts that all have to hold."""
    match part:
        case AnyOf():
            return [found for one in part.parts for found in _alternatives(one)]
        case AllOf():
            found: list[list[Part]] = [[]]
            for one in part.parts:
                found = [left + right for left in found for right in _alternatives(one)]
            return found
        case _:
            return [[part]]


def _clauses(parts: list[Part]) -> list[dict[str, Any]]:
    return [_clause(part) for part in parts]


def _clause(part: Part) -> dict[str, Any]:
    match part:
        case Not():
            return {**_clause(part.part), "negate": True}
        case Is():
            return _test(part.path, "in", [part.value])
        case OneOf():
            return _test(part.path, "in", list(part.values))
        case Number():
            return _test(part.path, _CLAUSES[part.operator], [part.value])
        case Text():
            return _test(part.path, part.test, [part.value])
        case _:
            raise Unsaid


def _test(path: str, operator: str, values: list[Any]) -> dict[str, Any]:
    attribute = "/" + path.replace(".", "/")
    return {"contextKind": "user", "attribute": attribute, "op": operator, "values": values}
