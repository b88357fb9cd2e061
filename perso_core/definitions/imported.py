"""Segment definitions that were exported elsewhere, as audiences: all of them together.

pages -> entries -> an outcome for each by itself -> what stands beside what is defined already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import structs

from perso_core.definitions.audience import Audience
from perso_core.definitions.check import check_definitions
from perso_core.definitions.document import Definitions
from perso_core.definitions.edge_check import event_window_of
from perso_core.definitions.finding import shown
from perso_core.definitions.imported_outcome import Outcome, Reason
from perso_core.definitions.imported_rule import reason_of
from perso_core.definitions.rules_check import cycles
from perso_core.definitions.schema import field_types
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.eligibility import ineligible
from perso_core.pql.nodes import Node

# Of a longer circle these members are told.
MAX_CIRCLE_TOLD = 8


def settled(
    outcomes: Sequence[Outcome],
    base: Definitions,
    *,
    replace: bool,
    event_window_ms: int,
) -> tuple[Outcome, ...]:
    """The same outcomes in the same order, once they stand beside each other and the base.

    base: what is defined already; no audience of it changes, but with replace one whose id comes
    with another rule or name. What is accepted in the end makes, with the base, definitions that
    check_definitions finds no fault in, as long as the base has none.
    Cost: a millisecond or so per audience accepted.
    """
    table = _Table(outcomes, base)
    table.refuse_repeated()
    table.hold_to_edges()
    table.compare(replace=replace)
    table.refuse_taken_words()
    table.refuse_missing()
    table.refuse_circles()
    while table.refuse_faults(event_window_ms):
        table.refuse_missing()
    return tuple(table.outcomes)


def merged(base: Definitions, outcomes: Iterable[Outcome]) -> Definitions:
    """The base with what was accepted: replaced where it stood, new ones after it."""
    made = {one.id: one.audience for one in outcomes if one.audience is not None}
    kept = [made.pop(audience.id, audience) for audience in base.audiences]
    return structs.replace(base, audiences=(*kept, *made.values()))


class _Table:
    """The outcomes, some of which turn to refused or skipped as they are compared."""

    def __init__(self, outcomes: Sequence[Outcome], base: Definitions) -> None:
        self.outcomes = list(outcomes)
        self.base = base
        self.existing = {audience.id: audience for audience in base.audiences}
        self.places: dict[str, list[int]] = {}  # by id, also of what does not stand
        for place, outcome in enumerate(outcomes):
            self.places.setdefault(outcome.id, []).append(place)

    def standing(self) -> dict[str, int]:
        """Id -> place among the outcomes, of those that are accepted so far."""
        return {
            one.id: place for place, one in enumerate(self.outcomes) if one.audience is not None
        }

    def refuse(self, place: int, detail: str, fix: str) -> None:
        self.outcomes[place] = self.outcomes[place].turned("refused", Reason(detail, fix))

    # ---- one id, one audience --------------------------------------------------

    def refuse_repeated(self) -> None:
        """Pages that overlap give one definition twice; two that differ cannot both be meant."""
        for places in self.places.values():
            given = [place for place in places if self.outcomes[place].audience is not None]
            made = [self.outcomes[place].audience for place in given]
            differ = any(audience != made[0] for audience in made)
            for place in given if differ else given[1:]:
                self._repeated(place, given, differ=differ)

    def _repeated(self, place: int, given: Sequence[int], *, differ: bool) -> None:
        others = [self.outcomes[other].place for other in given if other != place]
        if differ:
            self.refuse(
                place,
                f"Its id is also that of {others[0]}, which says something else.",
                "Keep the one that is meant.",
            )
        else:
            reason = Reason(f"It is the same as {others[0]}.")
            self.outcomes[place] = self.outcomes[place].turned("skipped", reason)

    def compare(self, *, replace: bool) -> None:
        """With the audience that has the id already."""
        for audience_id, place in self.standing().items():
            known = self.existing.get(audience_id)
            if known is not None:
                self._compare(place, known, replace=replace)

    def _compare(self, place: int, known: Audience, *, replace: bool) -> None:
        outcome = self.outcomes[place]
        assert outcome.audience is not None, "only what stands is compared"
        # What only Perso has is kept: templates may write the alias.
        given = structs.replace(outcome.audience, alias=known.alias)
        if given == known:
            self.outcomes[place] = structs.replace(outcome, becomes="unchanged", audience=known)
        elif replace:
            self.outcomes[place] = structs.replace(outcome, becomes="replaced", audience=given)
        elif given.pql == known.pql:
            turned = structs.replace(outcome, becomes="unchanged", audience=known)
            self.outcomes[place] = turned.noted(
                f"The audience that is defined has the same rule, but differs in its"
                f" {_differing(given, known)}; it stays as it is. --replace takes these too."
            )
        else:
            self.refuse(
                place,
                f"An audience with this id is defined already, {shown(known.name)}, with another"
                " rule.",
                "Add --replace to take this rule in its place.",
            )

    # ---- what an edge takes -----------------------------------------------------

    def hold_to_edges(self) -> None:
        """Only what an edge of Adobe's would take is held to that edge's rules."""
        rules = None
        for place in self.standing().values():
            outcome = self.outcomes[place]
            if outcome.audience is None or outcome.rule is None or outcome.audience.edge == "local":
                continue
            rules = rules or self._rules()
            refusals = ineligible(
                outcome.rule.text,
                outcome.rule.node,
                edge=outcome.audience.edge,
                event_window_ms=event_window_of(outcome.audience, outcome.rule.event_window_ms),
                rules=rules,
            )
            if refusals:
                freed = structs.replace(outcome.audience, edge="local")
                self.outcomes[place] = structs.replace(outcome, audience=freed).noted(
                    f"It is marked for Adobe's edge, which would not take it: {refusals[0].detail}"
                    ' Here it is evaluated on the edge all the same: edge = "local".'
                )

    def _rules(self) -> dict[str, Node]:
        """Typed nodes by audience id, of what is given and of what is defined."""
        given = {one.id: one.rule.node for one in self.outcomes if one.rule is not None}
        if all(one.reads <= given.keys() for one in self.outcomes):
            return given
        return {one: rule.node for one, rule in self._known_rules().items()} | given

    def _known_rules(self) -> dict[str, CompiledRule]:
        """By id, of what is defined. Cost: that of compiling them."""
        schema = field_types(self.base.schema)
        return {one.id: compile_rule(one.pql, schema=schema) for one in self.base.audiences}

    # ---- one word, one audience ------------------------------------------------

    def refuse_taken_words(self) -> None:
        """Templates write an id, an alias or a name: no two audiences may answer to one word."""
        standing = self.standing()
        owners: dict[str, str] = {audience_id: audience_id for audience_id in standing}
        for audience in self.base.audiences:
            words = [audience.id, audience.alias]
            # A replaced audience has its name from here.
            words += [] if audience.id in standing else [audience.name]
            owners.update({word: audience.id for word in words if word})
        for audience_id, place in standing.items():
            name = self.outcomes[place].name
            owner = owners.setdefault(self._name(place), audience_id)
            if owner != audience_id:
                self.refuse(
                    place,
                    f"{shown(name)} is also a name, alias or id of {self._called(owner)}; templates"
                    " find audiences by each.",
                    "Give one of the two another name.",
                )

    def _name(self, place: int) -> str:
        """The name it will have: an unchanged audience keeps its own."""
        audience = self.outcomes[place].audience
        assert audience is not None, "only what stands has a name here"
        return audience.name

    def _called(self, audience_id: str) -> str:
        known = self.existing.get(audience_id)
        if known is not None:
            return f"the audience {shown(known.name)} ({shown(audience_id)})"
        return f"{self.outcomes[self.places[audience_id][0]].place} ({shown(audience_id)})"

    # ---- what rules read -------------------------------------------------------

    def refuse_missing(self) -> None:
        """Whatever reads an audience that there will not be, and what hangs on that."""
        standing = self.standing()
        readers: dict[str, list[int]] = {}
        for place in standing.values():
            for read in self.outcomes[place].reads:
                readers.setdefault(read, []).append(place)
        there = standing.keys() | self.existing.keys()
        waiting = deque(
            sorted({at for read, by in readers.items() if read not in there for at in by})
        )
        while waiting:
            outcome = self.outcomes[place := waiting.popleft()]
            if outcome.audience is None:
                continue
            for read in sorted(outcome.reads - there):
                self.refuse(place, f"It reads inSegment({shown(read)}), {self._fate(read)}.", _GIVE)
            if outcome.id not in self.existing:
                there -= {outcome.id}
                waiting.extend(readers.get(outcome.id, ()))

    def _fate(self, audience_id: str) -> str:
        """What became of an audience that is not there, as the end of a sentence."""
        places = self.places.get(audience_id)
        if places is None:
            return "which is neither given nor defined"
        return f"which is {self.outcomes[places[0]].becomes} here"

    def refuse_circles(self) -> None:
        """Audiences that wait for each other. What else reads them is missing something then."""
        # A circle in what is defined already is none of ours: it is left for the check.
        while sum(self._refuse_circle(circle) for circle in cycles(self._reads())):
            self.refuse_missing()

    def _refuse_circle(self, circle: Sequence[str]) -> int:
        """How many of its members were imported."""
        way = [shown(self._title(one)) for one in circle[:MAX_CIRCLE_TOLD]]
        way += [] if len(circle) == len(way) else [f"… {len(circle) - len(way)} more"]
        told = " → ".join((*way, way[0]))
        standing = self.standing()
        places = [standing[member] for member in circle if member in standing]
        for place in places:
            self.refuse(
                place,
                f"Audiences wait for each other through inSegment: {told}.",
                "Take one inSegment out of the circle.",
            )
        return len(places)

    def _reads(self) -> dict[str, frozenset[str]]:
        """Audience id -> ids its rule reads; of those that are defined only where a circle could
        lead through them: some audience of theirs is replaced."""
        standing = {one: self.outcomes[place].reads for one, place in self.standing().items()}
        if not any(one.becomes == "replaced" for one in self.outcomes):
            return standing
        known = {one: rule.reads.audience_ids for one, rule in self._known_rules().items()}
        return {**known, **standing}

    def _title(self, audience_id: str) -> str:
        places = self.places.get(audience_id)
        return self.outcomes[places[0]].name if places else self.existing[audience_id].name

    # ---- whatever else `perso apply` would say -----------------------------------

    def refuse_faults(self, event_window_ms: int) -> bool:
        """What a check of all definitions together finds in audiences that stand. True: it found
        some."""
        definitions = merged(self.base, self.outcomes)
        standing = self.standing()
        found = False
        for finding in check_definitions(definitions, event_window_ms=event_window_ms):
            if finding.path[0] != "audience" or len(finding.path) < 2:
                continue
            index = finding.path[1]
            assert isinstance(index, int), "[[audience]] tables are counted"
            audience = definitions.audiences[index]
            place = standing.get(audience.id)
            if place is not None and self.outcomes[place].becomes != "unchanged":
                reason = reason_of(finding, audience.pql)
                self.outcomes[place] = self.outcomes[place].turned("refused", reason)
                found = True
        return found


_GIVE = "Export that one too, or define it first."


def _differing(one: Audience, other: Audience) -> str:
    fields = [
        name
        for name in one.__struct_fields__
        if getattr(one, name) != getattr(other, name) and name != "alias"
    ]
    return " and ".join(fields)
