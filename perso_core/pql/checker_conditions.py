"""The part of the checker that is about conditions: what is joined, compared and matched."""

from __future__ import annotations

from perso_core.pql.checker_time import TimeChecks
from perso_core.pql.kinds import WORDS, comparable, is_now, type_of
from perso_core.pql.nodes import And, Compare, Constant, Member, Node, Not, Or, Pattern
from perso_core.pql.patterns import BadPattern, usable
from perso_core.pql.together import never_together
from perso_core.pql.types import Type


class ConditionChecks(TimeChecks):
    """What the walk does at conditions."""

    def condition(self, node: Node) -> Node:
        """A place where truth is asked for."""
        profile = self.profile(node)
        if profile is not None:
            return profile
        checked = self.check(node)
        if isinstance(checked, Constant) and not isinstance(checked.value, bool):
            self.fault(
                checked.span, "This is a value, not a condition.", "Compare it: field = value."
            )
        return checked

    def and_(self, node: And) -> Node:
        told = len(self.faults)
        operands = tuple([self.condition(n) for n in node.operands])
        if self.typed and len(self.faults) == told:
            for operand, about in never_together(operands, self.scope):
                self.types.never_together(operand, about)
        return And(operands, node.span)

    def or_(self, node: Or) -> Node:
        return Or(tuple([self.condition(n) for n in node.operands]), node.span)

    def not_(self, node: Not) -> Node:
        return Not(self.condition(node.operand), node.span)

    def compare(self, node: Compare) -> Node:
        checked = Compare(node.op, self.check(node.left), self.check(node.right), node.span)
        one, other = type_of(checked.left), type_of(checked.right)
        if is_now(checked.left) and is_now(checked.right):
            self.now_with_now(node.span)
        elif self.of_kinds(checked, one, other) and (self.typed or one == other == "number"):
            self.types.compare(checked)
        return checked

    def of_kinds(self, node: Compare, one: Type, other: Type) -> bool:
        """Whether values of these kinds can be compared; a fault where not."""
        if node.op in ("=", "!="):
            if comparable(node.left, node.right):
                return True
            self.fault(
                node.span,
                f"{_begin(WORDS[one])} is never equal to {WORDS[other]}.",
                f"Compare {WORDS[one]} with {WORDS[one]}.",
            )
            return False
        if "time" in (one, other):
            wrong = {one, other} - {"time", "any"}
            if not wrong:
                return True
            self.fault(
                node.span,
                f"A time has no order with {WORDS[wrong.pop()]}.",
                "Compare it with a field that holds a time, or use occurs.",
            )
            return False
        unordered = [
            (side, kind)
            for side, kind in ((node.left, one), (node.right, other))
            if kind not in ("number", "any")
        ]
        for side, kind in unordered:
            self.fault(
                side.place,
                f"Only numbers and times have an order; this is {WORDS[kind]}.",
                "Use =, startsWith(...) or in [...] for texts.",
            )
        return not unordered

    def member(self, node: Member) -> Node:
        checked = Member(node.negated, self.check(node.left), self.check(node.right), node.span)
        kind = type_of(checked.right)
        if kind not in ("list", "any"):
            word = "notIn" if node.negated else "in"
            self.fault(
                checked.right.place,
                f"{word} needs a list; this is {WORDS[kind]}.",
                'Write ["..."].',
            )
        elif self.typed:
            self.types.member(checked)
        return checked

    def pattern(self, node: Pattern) -> Node:
        checked = Pattern(node.op, self.check(node.left), self.check(node.right), node.span)
        fine = self.expect(checked.left, "text")
        if node.op == "matches":
            self.regular(checked.right)
        else:
            self.written(checked.right, "pattern")
        if fine and self.typed:
            self.types.pattern(checked)
        return checked

    def written(self, node: Node, what: str) -> bool:
        """Whether it is a text written in the rule; a fault where it is not."""
        if isinstance(node, Constant) and isinstance(node.value, str):
            return True
        if type_of(node) not in ("text", "any"):
            self.fault(
                node.place, f"The {what} is a text; this is {WORDS[type_of(node)]}.", 'Write "...".'
            )
        else:
            # What visitors send is never read as a pattern: nobody could say what it costs.
            self.fault(
                node.place,
                f"The {what} has to stand in the rule itself.",
                f'Write the {what} as "...".',
            )
        return False

    def regular(self, node: Node) -> None:
        if not self.written(node, "pattern"):
            return
        assert isinstance(node, Constant), "written looked"
        try:
            usable(str(node.value))
        except BadPattern as error:
            self.fault(
                node.span,
                f"The regular expression cannot be used: {error}.",
                "Look-around and back-references are not known; write \\\\ for one backslash.",
            )

    def expect(self, node: Node, kind: Type) -> bool:
        """A fault, and False, when the node is known to be something else."""
        found = type_of(node)
        if found in (kind, "any"):
            return True
        self.fault(
            node.place,
            f"{_begin(WORDS[kind])} is needed here; this is {WORDS[found]}.",
            f"Write {WORDS[kind]} or a field that holds one.",
        )
        return False


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]
