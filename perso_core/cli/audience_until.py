"""Until when a profile stays in an audience, or out of it, with those that its rule asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perso_core.definitions.snapshot import dependency_order
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.windows import FOREVER_MS

MAX_CHANGES = 256
REALIZED = {"status": "realized"}


def with_memberships(
    view: Mapping[str, Any], rules: Mapping[str, CompiledRule], now_ms: int
) -> tuple[dict[str, Any], int]:
    """The view in the audiences whose rules hold for it, and the first later instant at which time
    alone changes one of the rules; FOREVER_MS: none. rules: by audience id."""
    realized: dict[str, Mapping[str, str]] = {}
    seen = {**view, "segmentMembership": {"ups": realized}}
    until_ms = FOREVER_MS
    for audience_id in dependency_order(
        {one: rule.reads.audience_ids for one, rule in rules.items()}
    ):
        verdict = rules[audience_id].evaluate(seen, now_ms)
        until_ms = min(until_ms, verdict.until_ms)
        if verdict.holds:
            realized[audience_id] = REALIZED
    return seen, until_ms


def changes_at(
    audience_id: str, rules: Mapping[str, CompiledRule], view: Mapping[str, Any], now_ms: int
) -> int:
    """The first later instant at which time alone brings the view into the audience, or out of it;
    FOREVER_MS: none. After many changes of those that its rule asks for, an earlier one.

    Those are brought forward with it: of them a rule alone knows what the view says now.
    """
    around = _asked_for(audience_id, rules)
    seen, next_ms = with_memberships(view, around, now_ms)
    before = audience_id in seen["segmentMembership"]["ups"]
    for _ in range(MAX_CHANGES):
        if next_ms >= FOREVER_MS:
            break
        at_ms = next_ms
        seen, next_ms = with_memberships(view, around, at_ms)
        if (audience_id in seen["segmentMembership"]["ups"]) is not before:
            return at_ms
    return next_ms


def _asked_for(audience_id: str, rules: Mapping[str, CompiledRule]) -> dict[str, CompiledRule]:
    """The audience and all that its rule asks for, at any remove."""
    found: dict[str, CompiledRule] = {}
    left = [audience_id]
    while left:
        one = left.pop()
        if one in rules and one not in found:
            found[one] = rules[one]
            left.extend(rules[one].reads.audience_ids)
    return found
