"""What must be true of the audiences' rules, each and together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from perso_core.definitions.audience import Audience
from perso_core.definitions.edge_check import check_edges
from perso_core.definitions.finding import Finding, index_in, shown, unknown
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.fields import FieldTypes


def check_rules(
    audiences: Sequence[Audience], event_window_ms: int, schema: FieldTypes | None = None
) -> Iterator[Finding]:
    """Faults of every rule, and of what rules read through inSegment.

    schema: what is known of the fields; None: nothing.
    """
    compiled: dict[str, CompiledRule] = {}
    for index, audience in enumerate(audiences):
        try:
            compiled[audience.id] = compile_rule(
                audience.pql, event_window_ms=event_window_ms, schema=schema
            )
        except RuleFaults as faults:
            for fault in faults.faults:
                yield Finding(
                    path=("audience", index, "pql"),
                    detail=f"The rule of {shown(audience.name)}: {fault.detail}",
                    fix=fault.fix,
                    rule_index=index_in(audience.pql, fault.line, fault.column),
                )
            for rest in faults.rest():
                yield Finding(
                    path=("audience", index, "pql"),
                    detail=f"The rule of {shown(audience.name)}: {rest}",
                    fix="Mend the first ones and check again.",
                    rule_index=index_in(audience.pql, fault.line, fault.column),
                )
    reads = {audience_id: rule.reads.audience_ids for audience_id, rule in compiled.items()}
    yield from _segment_references(audiences, reads)
    yield from _cycles(audiences, reads)
    yield from check_edges(audiences, compiled, event_window_ms)


def _segment_references(
    audiences: Sequence[Audience], reads: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    names = {audience.id: audience.name for audience in audiences}
    ids = ids_by_word(audiences)
    for index, audience in enumerate(audiences):
        # `- names.keys()` would go through all audiences for each of them.
        for read in sorted(one for one in reads.get(audience.id, ()) if one not in names):
            yield Finding(
                path=("audience", index, "pql"),
                detail=f"The rule of {shown(audience.name)} reads inSegment({shown(read)});"
                " no audience has that id.",
                fix=id_to_write(read, names, ids),
                rule_index=max(audience.pql.find(read), 0),
            )


def ids_by_word(audiences: Sequence[Audience]) -> Mapping[str, str]:
    """Of audiences, by their names and aliases."""
    return {word: one.id for one in audiences for word in (one.name, one.alias) if word}


def id_to_write(read: str, known: Iterable[str], ids: Mapping[str, str]) -> str:
    """What to do about an inSegment that names no id. known: all ids; ids: see ids_by_word."""
    if read in ids:
        return f'Write its id: inSegment("{ids[read]}").'
    return unknown((), "audience", read, known).fix


def _cycles(
    audiences: Sequence[Audience], reads: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    names = {audience.id: audience.name for audience in audiences}
    positions = {audience.id: index for index, audience in enumerate(audiences)}
    for cycle in cycles(reads):
        members = " → ".join(shown(names[member]) for member in (*cycle, cycle[0]))
        yield Finding(
            path=("audience", positions[cycle[0]], "pql"),
            detail=f"Audiences wait for each other through inSegment: {members}.",
            fix="Take one inSegment out of the circle.",
        )


def cycles(reads: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, ...]]:
    """Circles among audiences that read each other, each once, from its first member in order.

    reads: audience id -> ids its rule names. At least one circle of each knot is found; mending
    those shows the next. Cost: O(audiences + references).
    """
    order = {audience_id: place for place, audience_id in enumerate(reads)}
    finished: set[str] = set()
    for root in reads:
        trail: list[str] = []  # from root to where we stand
        steps: dict[str, int] = {}  # member of the trail -> its place in it
        stack = [] if root in finished else [(root, iter([root]))]
        while stack:
            current = next(stack[-1][1], None)
            if current is None:
                stack.pop()
                if trail:
                    finished.add(trail[-1])
                    del steps[trail.pop()]
            elif current in steps:
                yield _from_first(trail[steps[current] :], order)
            elif current in reads and current not in finished:
                steps[current] = len(trail)
                trail.append(current)
                stack.append((current, iter(sorted(reads[current]))))


def _from_first(cycle: Sequence[str], order: Mapping[str, int]) -> tuple[str, ...]:
    start = min(range(len(cycle)), key=lambda step: order[cycle[step]])
    return (*cycle[start:], *cycle[:start])
