"""What a set of rules needs to know of one rule that uses events: all that reading its text gives,
and nothing of where the rule stands in the set. Sets are put together from outlines quickly, and
outlines can be kept (rules/kept.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from perso_core.pql.compiler import CompiledRule, compile_node
from perso_core.pql.nodes import Call, Constant, Node, fingerprint
from perso_core.rules.conditions import Condition, condition_of
from perso_core.rules.formula import Followed, Happened, Term, formula_of, table_of
from perso_core.rules.lasting import Lasting


class Asked(Struct, frozen=True, eq=False):
    """A condition of one event. key: equal keys are equal conditions."""

    key: bytes
    condition: Condition


class Happens(Struct, frozen=True, eq=False):
    """As Happened."""

    asked: Asked
    lasting: Lasting
    least: int = 1


class Follows(Struct, frozen=True, eq=False):
    """As Followed."""

    steps: tuple[tuple[Asked, Lasting], ...]

    @property
    def key(self) -> tuple[tuple[bytes, Lasting], ...]:
        return tuple([(asked.key, lasting) for asked, lasting in self.steps])


class Silent(Struct, frozen=True, eq=False):
    """A part that reads no event. asks: the audience it asks for; "": it is run. rule: itself."""

    asks: str
    rule: CompiledRule


class Outline(Struct, frozen=True, eq=False):
    """term: over the parts and literals, by their places; None: the rule has no formula."""

    term: Term | None
    parts: tuple[Silent, ...] = ()
    literals: tuple[Happens | Follows, ...] = ()

    def table(self, held: int) -> int:
        """As Formula.table. Call where there is a term."""
        assert self.term is not None, "the caller looked"
        return table_of(self.term, len(self.literals), held)


RUN = Outline(None)
ANY_EVENT = b""  # the key of the condition that every event satisfies


class Outlines:
    """Of the rules of one set: what several of them say is there once.

    known: of rules that have one already.
    """

    def __init__(self, known: Mapping[CompiledRule, Outline]) -> None:
        self._known = known
        self._asked: dict[Node | None, Asked] = {}
        self._silent: dict[tuple[Node, int], Silent] = {}

    def of(self, rule: CompiledRule) -> Outline | None:
        """None for a rule that reads no events."""
        if not rule.reads.events:
            return None
        return self._known.get(rule) or self._made(rule)

    def _made(self, rule: CompiledRule) -> Outline:
        formula = formula_of(rule.node, event_window_ms=rule.event_window_ms)
        if formula is None:
            return RUN
        return Outline(
            formula.term,
            tuple([self._part(node, rule.event_window_ms) for node in formula.parts]),
            tuple([self._literal(one) for one in formula.literals]),
        )

    def _literal(self, literal: Happened | Followed) -> Happens | Follows:
        if isinstance(literal, Happened):
            return Happens(self._condition(literal.condition), literal.lasting, literal.least)
        return Follows(tuple([(self._condition(node), one) for node, one in literal.steps]))

    def _condition(self, node: Node | None) -> Asked:
        found = self._asked.get(node)
        if found is None:
            key = ANY_EVENT if node is None else fingerprint(node)
            found = self._asked[node] = Asked(key, condition_of(node))
        return found

    def _part(self, node: Node, event_window_ms: int) -> Silent:
        found = self._silent.get((node, event_window_ms))
        if found is None:
            rule = compile_node(node, event_window_ms=event_window_ms)
            found = self._silent[node, event_window_ms] = Silent(_asked_for(node), rule)
        return found


def _asked_for(node: Node) -> str:
    """The audience that the part asks for; "" where it asks something else."""
    if not isinstance(node, Call) or node.name != "inSegment":
        return ""
    (audience,) = node.args
    assert isinstance(audience, Constant), "the checker wants ids written out"
    return str(audience.value)


def outlined(
    rules: Sequence[CompiledRule], known: Mapping[CompiledRule, Outline]
) -> tuple[Outline | None, ...]:
    """Of each rule; None for one that reads no events."""
    outlines = Outlines(known)
    return tuple(map(outlines.of, rules))
