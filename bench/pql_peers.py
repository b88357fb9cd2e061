"""The engines beside us, each given the same rules in its own words and the same event.

They know one event alone. What rules ask about events over time is worked out for them
beforehand and given as numbers: how old the event is, and the event before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from bench.audiences_parts import (
    AllOf,
    AnyOf,
    Is,
    Not,
    Number,
    OneOf,
    Part,
    Rule,
    Text,
)
from bench.cel_text import Name, floor, variable
from bench.one_event import Peer, Unsaid, flat, of_one_event, peer_of, said
from bench.pql_launchdarkly import launchdarkly

# CEL with the event taken apart for it; told beside the peers, which get the event as it is.
FLATTENED = "cel_flattened"


class MissingPeers(Exception):
    """Packages of the extra `bench` are not installed."""


def peers(rules: Sequence[Rule], event: Mapping[str, Any]) -> list[Peer]:
    """Every peer, ready to ask. event: as seen(...) gives it. Raises MissingPeers."""
    told = [(rule.id, of_one_event(rule.part)) for rule in rules]
    try:
        return [make(told, event) for make in _PEERS]
    except ModuleNotFoundError as missing:
        raise MissingPeers(str(missing)) from None


# ---- common-expression-language: compiled text ------------------------------


def _cel(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    return _cel_over("cel", rules, event, lambda path: path)


def _cel_flattened(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    """Each scalar is a variable beforehand, at no cost: less than any engine has to do."""
    variables = {variable(path): value for path, value in flat(event).items()}
    return _cel_over(FLATTENED, rules, variables, variable)


def _cel_over(
    peer: str, rules: Sequence[tuple[str, Part]], variables: Mapping[str, Any], name: Name
) -> Peer:
    cel = import_module("cel")
    context = cel.Context(variables=variables)
    words = said(rules, lambda part: cel.compile(floor(part, name)))
    return peer_of(peer, words, lambda program: program.execute(context))


# ---- GrowthBook: conditions as documents ------------------------------------

_ORDER = {">=": "$gte", "<": "$lt"}


def _growthbook(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    holds = import_module("growthbook.core").evalCondition
    return peer_of("growthbook", said(rules, _document), lambda rule: holds(event, rule))


def _document(part: Part) -> dict[str, Any]:
    match part:
        case AllOf():
            return {"$and": [_document(one) for one in part.parts]}
        case AnyOf():
            return {"$or": [_document(one) for one in part.parts]}
        case Not():
            return {"$not": _document(part.part)}
        case Is():
            return {part.path: part.value}
        case OneOf():
            return {part.path: {"$in": list(part.values)}}
        case Number():
            return {part.path: {_ORDER[part.operator]: part.value}}
        case Text():
            return {part.path: {"$regex": _pattern(part)}}
        case _:
            raise Unsaid


def _pattern(part: Text) -> str:
    if part.test == "matches":
        return part.value
    return ("^" if part.test == "startsWith" else "") + re.escape(part.value)


# ---- json-logic -------------------------------------------------------------


def _json_logic(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    holds = import_module("json_logic").jsonLogic
    return peer_of("json-logic", said(rules, _logic), lambda rule: holds(rule, event))


def _logic(part: Part) -> dict[str, Any]:
    match part:
        case AllOf():
            return {"and": [_logic(one) for one in part.parts]}
        case AnyOf():
            return {"or": [_logic(one) for one in part.parts]}
        case Not():
            return {"!": [_logic(part.part)]}
        case Is():
            return {"==": [{"var": part.path}, part.value]}
        case OneOf():
            return {"in": [{"var": part.path}, list(part.values)]}
        case Number():
            return {part.operator: [{"var": part.path}, part.value]}
        case Text(test="contains"):
            return {"in": [part.value, {"var": part.path}]}
        case Text(test="startsWith"):
            return {"==": [{"substr": [{"var": part.path}, 0, len(part.value)]}, part.value]}
        case _:
            raise Unsaid


# ---- rule-engine: compiled text over a flat dict ----------------------------


def _rules(rules: Sequence[tuple[str, Part]], event: Mapping[str, Any]) -> Peer:
    engine = import_module("rule_engine")
    context = engine.Context(resolver=engine.resolve_item)
    known = {_symbol(path): one for path, one in flat(event).items()}
    words = said(rules, lambda part: engine.Rule(_sentence(part), context=context))
    return peer_of("rule-engine", words, lambda rule: rule.matches(known))


def _symbol(path: str) -> str:
    return path.replace(".", "__")


def _sentence(part: Part) -> str:
    match part:
        case AllOf():
            return "(" + " and ".join(map(_sentence, part.parts)) + ")"
        case AnyOf():
            return "(" + " or ".join(map(_sentence, part.parts)) + ")"
        case Not():
            return f"(not {_sentence(part.part)})"
        case Is():
            return f'{_symbol(part.path)} == "{part.value}"'
        case OneOf():
            return f"{_symbol(part.path)} in [" + ", ".join(f'"{v}"' for v in part.values) + "]"
        case Number():
            return f"{_symbol(part.path)} {part.operator} {float(part.value)}"
        case Text():
            pattern = _pattern(part).replace("\\", "\\\\")
            return f'{_symbol(part.path)} =~~ "{pattern}"'
        case _:
            raise Unsaid


_PEERS = (_cel, _cel_flattened, _growthbook, _json_logic, _rules, launchdarkly)
