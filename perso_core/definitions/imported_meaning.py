"""What an exported segment definition says beside its rule, and what Perso makes of it: notes.

Each is one sentence, the same for every definition that it is true of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from perso_core.definitions.finding import shown
from perso_core.definitions.imported_outcome import told

Method = Literal["edge", "streaming", "batch"]

# The field of evaluationInfo -> how Adobe evaluates where it is enabled; the first one counts.
# One of Adobe's pages exchanges the first two in its prose; this is what the answers mean.
METHODS: Mapping[str, Method] = {
    "synchronous": "edge",
    "continuous": "streaming",
    "batch": "batch",
}
_METHOD_NOTES: Mapping[Method, str] = {
    "streaming": "Adobe evaluates it as events arrive, but not on its edge; here it is evaluated"
    " on the edge, as all are.",
    "batch": "Adobe evaluates it once a day; here it is evaluated with every event, and at the"
    " instant at which time alone changes its answer.",
}
# So many words of a list are told; the count says the rest.
MAX_LISTED = 5


def method_of(fields: Mapping[str, Any]) -> Method | None:
    """How Adobe evaluates the definition; None: it does not say."""
    info = fields.get("evaluationInfo")
    if not isinstance(info, dict):
        return None
    enabled = (method for key, method in METHODS.items() if flag_of(_in(info, key, "enabled")))
    return next(enabled, None)


def flag_of(value: object) -> bool | None:
    """A boolean, also one that was exported as text; None: neither true nor false."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.casefold())
    return value if isinstance(value, bool) else None


def notes_of(fields: Mapping[str, Any]) -> Iterator[str]:
    """What of the definition's meaning is otherwise here. Fields of the wrong type are told."""
    yield from _evaluation(fields)
    yield from _merge_policy(fields)
    if fields.get("ttlInDays") is not None:
        yield (
            f"ttlInDays is {told(fields['ttlInDays'])}: Adobe lets the audience's data expire;"
            " here a member stays for as long as the rule holds."
        )
    if flag_of(_in(fields.get("dataGovernancePolicy"), "excludeOptOut")) is False:
        yield (
            "excludeOptOut is false: Adobe keeps visitors who said no in this audience; here they"
            " are in none."
        )
    if fields.get("labels"):
        yield (
            f"The labels {_listed(fields['labels'])} are not kept: nothing here refuses a use of"
            " the audience because of them."
        )


def _evaluation(fields: Mapping[str, Any]) -> Iterator[str]:
    info = fields.get("evaluationInfo")
    if info is not None and not isinstance(info, dict):
        yield f"evaluationInfo is {told(info)} and is not read."
        return
    for key in METHODS:
        given = _in(info, key, "enabled")
        if given is not None and flag_of(given) is None:
            yield f"evaluationInfo.{key}.enabled is {told(given)}, taken for false."
    method = method_of(fields)
    if method is None:
        yield "It does not say how Adobe evaluates it; here it is evaluated with every event."
    elif method in _METHOD_NOTES:
        yield _METHOD_NOTES[method]
    elif flag_of(_in(fields.get("mergePolicy"), "isActiveOnEdge")) is False:
        yield (
            "Its merge policy is not active on Adobe's edge, so Adobe evaluates it as events"
            " arrive, but not there; here it is evaluated on the edge, as all are."
        )


def _merge_policy(fields: Mapping[str, Any]) -> Iterator[str]:
    policy = fields.get("mergePolicyId", _in(fields.get("mergePolicy"), "id"))
    if policy is not None:
        yield (
            f"The merge policy {told(policy)} is not kept: here a profile is merged in one way,"
            " the later write wins."
        )


def dependencies_note(fields: Mapping[str, Any], reads: frozenset[str]) -> str | None:
    """What `dependencies` says otherwise than the rule does, which alone counts; None: nothing."""
    given = fields.get("dependencies")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        return f"dependencies is {told(given)} and is not read: what the rule reads counts."
    more, fewer = sorted(set(given) - reads), sorted(reads - set(given))
    said = [
        f"{words} {_listed(ids)}"
        for words, ids in (("names also", more), ("does not name", fewer))
        if ids
    ]
    if not said:
        return None
    return f"dependencies {' and '.join(said)}; what the rule reads with inSegment counts."


def _listed(given: object) -> str:
    """Some words of a list, in quotes; anything else as it is told."""
    if not isinstance(given, list):
        return told(given)
    words = [shown(one) if isinstance(one, str) else told(one) for one in given[:MAX_LISTED]]
    more = len(given) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _in(value: object, *keys: str) -> Any:
    """What stands below these keys; None where a step leads to nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
