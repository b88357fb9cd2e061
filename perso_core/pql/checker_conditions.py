"""The part of the checker that is about conditions: what is joined, compared and matched."""

from __future__ import annotations

import json

from perso_core.pql.checker_time import TimeChecks
from perso_core.pql.hints import day_hint
from perso_core.pql.instants import instant_of
from perso_core.pql.kinds import (
    WORDS,
    any_of,
    comparable,
    for_everyone,
    is_measured,
    is_now,
    literal,
    said,
    type_of,
)
from perso_core.pql.lexer import starts_in
from perso_core.pql.nodes import (
    And,
    Call,
    Chain,
    Compare,
    Constant,
    Member,
    Method,
    Node,
    Not,
    Or,
    Pattern,
)
from perso_core.pql.patterns import MAX_PATTERN, BadPattern, usable
from perso_core.pql.source import Span
from perso_core.pql.type_faults import MAX_SHOWN
from perso_core.pql.types import Type

# Of these one kind has to be among those that something can be.
ORDERED: frozenset[Type] = frozenset(("number", "any"))
TIMED: frozenset[Type] = frozenset(("time", "any"))
TEXTUAL: frozenset[Type] = frozenset(("text", "any"))


class ConditionChecks(TimeChecks):
    """What the walk does at conditions."""

    def condition(self, node: Node) -> Node:
        """A place where truth is asked for."""
        profile = self.profile(node)
        if profile is not None:
            return profile
        checked = self.check(node)
        self.deciding(checked)
        return checked

    def deciding(self, node: Node) -> None:
        """A fault where it is one value for everyone, which decides nothing. Where no rule is
        saved such a value may be asked for."""
        written = isinstance(node, Constant) and not isinstance(node.value, bool)
        if written or (self.typed and for_everyone(node)):
            one = "count() > 0" if isinstance(node, Method) else "field = value"
            self.fault(node.place, "This is a value, not a condition.", f"Compare it: {one}.")

    def askable(self, node: Node, span: Span, name: str = "") -> bool:
        """Whether a method or a field can be asked of it; a fault where it is a condition.

        name: of the method. Even false is one value that is there: whatever asks how many, or
        whether there is any, would be told the same of everyone.
        """
        if type_of(node) != "flag":
            return True
        asked = f"{name}() asks for a value" if name else "it has neither elements nor fields"
        self.fault(span, f"{_condition(node)} is true or false; {asked}.", _instead(node, name))
        return False

    def and_(self, node: And) -> Node:
        told = len(self.faults)
        operands = tuple([self.condition(n) for n in node.operands])
        if self.typed and len(self.faults) == told:
            self.together(operands)
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
            differs = node.op == "!=" and "list" in (one, other)
            if differs or comparable(node.left, node.right):
                return True
            self.fault(
                node.span,
                f"{_begin(said(node.left))} is never equal to {said(node.right)}.",
                f"Compare {said(node.left)} with {_fitting(node.left)}.",
            )
            return False
        if "time" in (one, other):
            return self.of_times(node, node.right if one == "time" else node.left)
        unordered = [
            side
            for side in (node.left, node.right)
            if one == other == "list" or not any_of(side) & ORDERED
        ]
        for side in unordered:
            self.fault(
                side.place,
                f"Only numbers and times have an order; this is {said(side)}.",
                _ordered(side),
            )
        return not unordered

    def of_times(self, node: Compare, other: Node) -> bool:
        """Whether `other` can be before or after a time."""
        if any_of(other) & TIMED or is_measured(other):
            return True
        self.fault(
            node.span,
            f"A time has no order with {said(other)}.",
            "Compare it with a field that holds a time, or use occurs.",
        )
        return False

    def member(self, node: Member) -> Node:
        checked = Member(node.negated, self.check(node.left), self.check(node.right), node.span)
        kind = type_of(checked.right)
        if kind not in ("list", "any"):
            word = "notIn" if node.negated else "in"
            value = literal(checked.right)
            shown = '"..."' if value is None else json.dumps(value, ensure_ascii=False)
            self.fault(
                checked.right.place,
                f"{word} needs a list; this is {WORDS[kind]}.",
                f"Write [{shown}]." if len(shown) <= MAX_SHOWN else 'Write ["..."].',
            )
        elif self.typed:
            self.types.member(checked)
        return checked

    def pattern(self, node: Pattern) -> Node:
        checked = Pattern(node.op, self.check(node.left), self.check(node.right), node.span)
        fine = self.text(checked.left)
        if node.op == "matches":
            self.regular(checked.right)
        elif self.written(checked.right, "pattern"):
            fine = self.not_too_long(checked.right) and fine
        if fine and self.typed:
            self.types.pattern(checked)
        return checked

    def not_too_long(self, pattern: Node) -> bool:
        """Of a pattern of `like` that is written out; a fault where it is."""
        assert isinstance(pattern, Constant), "written looked"
        size = len(str(pattern.value))
        if size > MAX_PATTERN:
            self.fault(
                pattern.place,
                f"The pattern has {size:,} characters; {MAX_PATTERN:,} is the limit.",
                "Write a shorter one; several may be joined by or.",
            )
        return size <= MAX_PATTERN

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
                self.part_of_text(node.span, error.span),
                f"The regular expression cannot be used: {error}.",
                error.fix,
            )

    def part_of_text(self, span: Span, part: Span | None) -> Span:
        """The place of a part of a text; of the whole text where the part is not known."""
        if part is None:
            return span
        starts = starts_in(self.source.text[slice(*span)])
        first, last = (starts[min(at, len(starts) - 1)] for at in part)
        return span[0] + first, span[0] + last

    def text(self, node: Node) -> bool:
        """Whether it can be tested as a text, of a list any element of it; a fault where not."""
        return bool(any_of(node) & TEXTUAL) or self.expect(node, "text")

    def expect(self, node: Node, kind: Type) -> bool:
        """Whether the node can be of the kind; a fault where it is known to be something else."""
        if type_of(node) in (kind, "any"):
            return True
        fix = f"Write {WORDS[kind]} or a field that holds one."
        if kind == "number" and type_of(node) == "time":
            fix = "Times are not reckoned with. Write joined occurs <= 7 days before now."
        needed = f"{_begin(WORDS[kind])} is needed here; this is {said(node)}."
        self.fault(node.place, needed, fix)
        return False


def _condition(node: Node) -> str:
    if isinstance(node, Chain):
        return "CHAIN(...)"
    return f"{node.name}(...)" if isinstance(node, Call | Method) else "This condition"


def _instead(node: Node, name: str) -> str:
    """What to write in place of a method that is asked of a condition."""
    if name == "isNull":
        return "Write not(...) around the condition."
    if name == "count" and isinstance(node, Chain):
        return 'Write COUNT(>= 2) in the step, or xEvent[eventType = "view"].count() >= 2.'
    if name in ("count", "exists", "isNotNull"):
        return "Take it out: the condition alone says whether it holds."
    return "Ask it of a field, or of a list: xEvent[...]."


def _ordered(node: Node) -> str:
    """What to write in place of something that has no order."""
    if type_of(node) == "list":
        return "Ask for its elements: exists(...), or max(...)."
    text = node.value if isinstance(node, Constant) else None
    if isinstance(text, str) and instant_of(text) is not None:
        a_day = day_hint(text)
        told = json.dumps(text, ensure_ascii=False)
        return a_day[1] if a_day else f"Write occurs: joined occurs after {told}."
    return "Use =, startsWith(...) or in [...] for texts."


def _fitting(node: Node) -> str:
    """What it can be equal to."""
    kinds = any_of(node)
    return WORDS[next(iter(kinds))] if len(kinds) == 1 else WORDS[type_of(node)]


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]
