"""A rule as a Boolean function of parts that read the profile and of literals about its events.

`loyalty.tier = "gold" and not(CHAIN(...))` is `part and not literal`. A literal is something one
visitor's events make true until a known instant, so it can be kept up to date event by event
(docs/decisions/0002). A rule that uses its events in any other way has no formula: it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import floor

from msgspec import Struct, structs

from perso_core.pql.kinds import PER_ELEMENT, moves
from perso_core.pql.nodes import (
    And,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    ListOf,
    Member,
    Method,
    Node,
    Not,
    Occurs,
    Or,
    Over,
    Path,
    Period,
    Root,
    Step,
    TimeWord,
    Variable,
    Window,
    children,
    joined,
)
from perso_core.pql.reads import reads_time
from perso_core.pql.types import METHODS, STRING_TESTS
from perso_core.rules.lasting import Lasting, dated

# A truth table has two to the power of this many entries.
MAX_LITERALS = 6
# How many times of one condition are kept for counts, which is some 40 kB of a visitor who has so
# many. For more, all events are gone through for each one: 4 ms of a visitor who has 1,200.
MAX_LEAST = 1_000


class Happened(Struct, frozen=True):
    """At least `least` events satisfy the condition. condition: None for every event."""

    condition: Node | None
    lasting: Lasting
    least: int = 1


class Followed(Struct, frozen=True):
    """Events satisfy two or more steps, each strictly later than the one before."""

    steps: tuple[tuple[Node | None, Lasting], ...]


Literal = Happened | Followed


class Part(Struct, frozen=True, tag=True, array_like=True):
    """What reads no event. node: typed; position: its place among the rule's parts."""

    position: int


class Told(Struct, frozen=True, tag=True, array_like=True):
    """A literal, by its place among the rule's."""

    position: int


class Both(Struct, frozen=True, tag=True, array_like=True):
    terms: tuple[Term, ...]


class Either(Struct, frozen=True, tag=True, array_like=True):
    terms: tuple[Term, ...]


class Opposite(Struct, frozen=True, tag=True, array_like=True):
    term: Term


Term = Part | Told | Both | Either | Opposite


class Formula(Struct, frozen=True):
    """parts: typed nodes that read no events. literals: distinct."""

    term: Term
    parts: tuple[Node, ...]
    literals: tuple[Literal, ...]

    def table(self, held: int) -> int:
        """The rule's truth for every standing of its literals: bit b is the answer where literal
        i holds for each bit i of b.

        held: the parts that hold now, one bit each.
        """
        return table_of(self.term, len(self.literals), held)


def table_of(term: Term, literals: int, held: int) -> int:
    """As Formula.table. literals: how many there are."""
    return _table(term, held, PATTERNS[literals], full(literals))


def full(literals: int) -> int:
    """The table of what always holds."""
    return (1 << (1 << literals)) - 1


def _pattern(literal: int, literals: int) -> int:
    """The table of one literal alone."""
    return sum(1 << row for row in range(1 << literals) if row >> literal & 1)


# By the number of literals: the table of each.
PATTERNS = tuple(
    tuple(_pattern(literal, literals) for literal in range(literals))
    for literals in range(MAX_LITERALS + 1)
)


def _table(term: Term, held: int, patterns: tuple[int, ...], everything: int) -> int:
    if isinstance(term, Told):
        return patterns[term.position]
    if isinstance(term, Part):
        return everything if held >> term.position & 1 else 0
    if isinstance(term, Opposite):
        return everything & ~_table(term.term, held, patterns, everything)
    if isinstance(term, Both):
        found = everything
        for one in term.terms:
            found &= _table(one, held, patterns, everything)
        return found
    found = 0
    for one in term.terms:
        found |= _table(one, held, patterns, everything)
    return found


# ---- from the typed rule ----------------------------------------------------


def formula_of(rule: Node, *, event_window_ms: int) -> Formula | None:
    """The rule's formula; None where it has none, reads no events, or has too many literals."""
    node = rule.body if isinstance(rule, Lambda) else rule
    building = _Building(event_window_ms)
    term = building.term(node)
    if term is None or not 0 < len(building.literals) <= MAX_LITERALS:
        return None
    return Formula(term, tuple(building.parts), tuple(building.literals))


class _Building:
    def __init__(self, event_window_ms: int) -> None:
        self.life = event_window_ms
        self.parts: dict[Node, int] = {}
        self.literals: dict[Literal, int] = {}

    def term(self, node: Node) -> Term | None:
        """The node in a boolean position. None: it uses events in a way no literal tells."""
        if not _reads_events(node) and not (_asks(node) and isinstance(node, And | Or | Not)):
            return Part(self.parts.setdefault(node, len(self.parts)))
        if isinstance(node, Not):
            term = self.term(node.operand)
            return None if term is None else Opposite(term)
        if isinstance(node, And | Or):
            return self.joined(node)
        return self.told(node)

    def joined(self, node: And | Or) -> Term | None:
        # What reads no events is one part, however many conditions it has; an audience it asks
        # for is a part by itself, which needs no look at the profile.
        kind = type(node)
        silent = tuple(one for one in node.operands if not _reads_events(one) and not _asks(one))
        rest = [one for one in node.operands if _reads_events(one) or _asks(one)]
        together = [kind(silent)] if len(silent) > 1 else list(silent)
        terms = [self.term(one) for one in (*together, *rest)]
        known = tuple(term for term in terms if term is not None)
        if len(known) < len(terms):
            return None
        return Both(known) if isinstance(node, And) else Either(known)

    def told(self, node: Node) -> Term | None:
        if isinstance(node, Chain):
            return self.chain(node)
        if isinstance(node, Compare):
            return self.compared(node)
        if isinstance(node, Method | Filter | Events | Binder | Member | Occurs):
            return self.some(node)
        return None

    def some(self, node: Node) -> Term | None:
        """That some event satisfies what the node asks of one."""
        found = self.dated(node)
        return None if found is None else self.happened(*found)

    def dated(self, node: Node) -> tuple[Node | None, Lasting] | None:
        """What the node asks of one event, and how long that event counts."""
        found = _condition(node)
        return None if found is None else self.asked(found[0], ())

    def happened(self, condition: Node | None, lasting: Lasting, least: int = 1) -> Term:
        literal = Happened(condition, lasting, least)
        return Told(self.literals.setdefault(literal, len(self.literals)))

    def compared(self, node: Compare) -> Term | None:
        """`xEvent[...].count() > 2`, `xEvent.web.price > 3`."""
        wanted = node.right.value if isinstance(node.right, Constant) else None
        if isinstance(node.left, Method) and node.left.name == "count":
            counted = self.dated(node.left.base)
            if counted is None or isinstance(wanted, bool) or not isinstance(wanted, int | float):
                return None
            return self.counted(*counted, ((node.op, wanted),))
        return self.some(node)

    def counted(
        self,
        condition: Node | None,
        lasting: Lasting,
        counts: tuple[tuple[str, float], ...],
    ) -> Term | None:
        terms = tuple(self.count(condition, lasting, op, number) for op, number in counts)
        known = tuple(term for term in terms if term is not None)
        if len(known) < len(terms):
            return None
        return known[0] if len(known) == 1 else Both(known)

    def count(
        self, condition: Node | None, lasting: Lasting, op: str, number: float
    ) -> Term | None:
        """Every comparison of a count, told by "at least"."""
        if not abs(number) <= MAX_LEAST:
            return None
        above = floor(number) + 1  # the least count greater than number
        whole = number == floor(number)
        least = floor(number) if whole else above
        if op == ">":
            return self.at_least(condition, lasting, above)
        if op == "<=":
            return Opposite(self.at_least(condition, lasting, above))
        if op == ">=":
            return self.at_least(condition, lasting, least)
        if op == "<":
            return Opposite(self.at_least(condition, lasting, least))
        reached, passed = (self.at_least(condition, lasting, one) for one in (least, above))
        equal = Both((reached, Opposite(passed))) if whole else Both((reached, Opposite(reached)))
        return equal if op == "=" else Opposite(equal)

    def at_least(self, condition: Node | None, lasting: Lasting, least: int) -> Term:
        if least <= 0:
            return Both(())  # always so
        return self.happened(condition, lasting, least)

    # ---- chains

    def chain(self, node: Chain) -> Term | None:
        if not isinstance(node.events, Events) or not isinstance(node.order, Path):
            return None
        if node.order.segments != ("timestamp",):
            return None
        steps = [self.step(step) for step in node.steps]
        known = tuple(step for step in steps if step is not None)
        if len(known) < len(steps):
            return None
        if len(known) == 1:
            counts = node.steps[0].counts or ((">=", 1),)
            return self.counted(known[0][0], known[0][1], counts)
        if any(step.counts not in ((), ((">=", 1),)) for step in node.steps):
            return None
        return Told(self.literals.setdefault(Followed(known), len(self.literals)))

    def step(self, step: Step) -> tuple[Node | None, Lasting] | None:
        first, *others = step.conditions
        condition = joined(And, [first, *others]) if others else first
        return self.asked(condition, step.windows)

    def asked(
        self, condition: Node | None, windows: tuple[Window, ...]
    ) -> tuple[Node | None, Lasting] | None:
        found = dated(condition, windows, self.life)
        if found is None or (found[0] is not None and not _of_event(found[0])):
            return None
        return found


def _asks(node: Node) -> bool:
    """Whether it asks for an audience."""
    return any(isinstance(one, Call) and one.name == "inSegment" for one in _below(node))


def _reads_events(node: Node) -> bool:
    return any(isinstance(one, Events) for one in _below(node))


def _below(node: Node) -> Iterator[Node]:
    left = [node]
    while left:
        node = left.pop()
        yield node
        left.extend(children(node))


# ---- what one event has to satisfy ------------------------------------------


def _condition(node: Node) -> tuple[Node | None] | None:
    """The condition of which the node asks whether some event satisfies it: (condition,), (None,)
    for any event at all; None where it asks something else."""
    if isinstance(node, Events):
        return (None,)
    if isinstance(node, Filter) and isinstance(node.base, Events):
        return _alone(node.condition)
    if isinstance(node, Method) and isinstance(node.base, Events):
        if node.name in ("filter", "exists"):
            return _alone(node.args[0]) if node.args else (None,)
        return None
    if isinstance(node, Binder) and node.kind != "forall" and len(node.ranges) == 1:
        return _ranged(node)
    return _projected(node)


def _ranged(node: Binder) -> tuple[Node | None] | None:
    (one,) = node.ranges
    if not isinstance(one.array, Events):
        return None
    if one.condition is None:
        return (None,)
    if any(map(_nests, _below(one.condition))):
        return None
    return _alone(_with(one.condition, Variable(one.name), Element(0)))


def _projected(node: Node) -> tuple[Node | None] | None:
    """`xEvent.web.price > 3` asks it of any event."""
    listed = isinstance(node, Member) and not node.negated and isinstance(node.right, ListOf)
    if listed or isinstance(node, Occurs) or (isinstance(node, Compare) and _plain(node.right)):
        assert isinstance(node, Member | Compare | Occurs), "they have a left side"
        subject = node.left
    elif isinstance(node, Method) and node.name in STRING_TESTS:
        subject = node.base
    else:
        return None
    if not isinstance(subject, Path) or not isinstance(subject.base, Events):
        return None
    return _alone(_with(node, subject, Path(Element(0), subject.segments)))


def _plain(node: Node) -> bool:
    return isinstance(node, Constant) or moves(node)


def _alone(condition: Node) -> tuple[Node | None] | None:
    if isinstance(condition, Lambda):
        (name,) = condition.names
        if any(map(_nests, _below(condition.body))):
            return None
        condition = _with(condition.body, Variable(name), Element(0))
    return (condition,)


# What gives plain names another meaning inside.
NESTING = Filter | Method | Binder | Over | Lambda | Let | Chain


def _nests(node: Node) -> bool:
    if isinstance(node, Method):
        return not PER_ELEMENT.isdisjoint(METHODS[node.name].takes)
    return isinstance(node, NESTING)


def _of_event(condition: Node) -> bool:
    """Whether it depends on the event alone: on no profile, no segment, no time and no name from
    around it."""
    if reads_time(condition):
        return False
    return not any(isinstance(node, Root | Period | TimeWord) for node in _below(condition)) and (
        _bound(condition, frozenset())
    )


def _bound(node: Node, names: frozenset[str]) -> bool:
    """Whether every variable and every label in it was given in it."""
    if isinstance(node, Variable):
        return node.name in names
    if getattr(node, "name", None) == "inSegment" and not isinstance(node, Method):
        return False
    if isinstance(node, Lambda):
        names |= frozenset(node.names)
    elif isinstance(node, Binder | Over):
        names |= frozenset(one.name for one in node.ranges)
    elif isinstance(node, Let):
        names |= {node.name}
    return all(_bound(child, names) for child in children(node))


def _with(node: Node, old: Node, new: Node) -> Node:
    """The node with every `old` in it replaced."""
    return replaced(node, lambda one: new if one == old else None)


def replaced(node: Node, change: Callable[[Node], Node | None]) -> Node:
    """The node with every part for which `change` gives another one replaced by that."""
    found = change(node)
    if found is not None:
        return found
    fields = {name: getattr(node, name) for name in node.__struct_fields__}
    after = {name: _replaced_in(value, change) for name, value in fields.items()}
    if all(after[name] is fields[name] for name in fields):
        return node
    return structs.replace(node, **after)


def _replaced_in(value: object, change: Callable[[Node], Node | None]) -> object:
    if isinstance(value, Node):
        return replaced(value, change)
    if isinstance(value, tuple):
        found = tuple(_replaced_in(one, change) for one in value)
        return found if any(a is not b for a, b in zip(found, value, strict=True)) else value
    return value
