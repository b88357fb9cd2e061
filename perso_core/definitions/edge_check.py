"""Whether each audience's rule is one that its edge takes, over the events that it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from perso_core.definitions.audience import Audience
from perso_core.definitions.finding import Finding, index_in, shown
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.eligibility import ineligible
from perso_core.pql.instants import DAY_MS


def event_window_of(audience: Audience, default_ms: int) -> int:
    """How long an event counts for the audience, in milliseconds. default_ms: the setting."""
    days = audience.event_window_days
    return default_ms if days is None else days * DAY_MS


def check_edges(
    audiences: Sequence[Audience], rules: Mapping[str, CompiledRule], event_window_ms: int
) -> Iterator[Finding]:
    """A finding for each reason why an audience's edge refuses its rule.

    rules: by audience id; audiences without a rule there have other faults. event_window_ms: the
    setting, for audiences that name no window of their own.
    """
    nodes = {audience_id: rule.node for audience_id, rule in rules.items()}
    for index, audience in enumerate(audiences):
        # Of two audiences with one id only one has its rule here; they have another fault.
        if audience.id not in rules or rules[audience.id].text != audience.pql:
            continue
        for reason in ineligible(
            audience.pql,
            nodes[audience.id],
            edge=audience.edge,
            event_window_ms=event_window_of(audience, event_window_ms),
            rules=nodes,
        ):
            yield Finding(
                path=("audience", index, "pql"),
                detail=f"The rule of {shown(audience.name)}: {reason.detail}",
                fix=reason.fix,
                rule_index=index_in(audience.pql, reason.line, reason.column),
            )
