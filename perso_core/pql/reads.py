"""What a rule reads, and which events can matter to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql.event_paths import OfEvents, one_in_another
from perso_core.pql.kinds import moves, times_of
from perso_core.pql.lexer import words
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
    ListOf,
    Member,
    Method,
    Node,
    Not,
    Occurs,
    Or,
    Over,
    Path,
    Pattern,
    Period,
    Range,
    Root,
    TimeWord,
    Variable,
    Window,
    children,
)
from perso_core.pql.patterns import like_prefix
from perso_core.pql.types import NO_AUDIENCES, EventGuard, Reads, Test
from perso_core.pql.values import fold

CURRENT = frozenset(("currentMonth", "currentYear", "currentDayOfMonth"))


class Guard(Struct, frozen=True, gc=False):
    """An EventGuard whose values are still the rule's literals.

    like: they are patterns, and the values what every matching text begins with.
    """

    test: Test
    path: tuple[str, ...] = ()
    literals: tuple[Constant, ...] = ()
    like: bool = False

    def made(self, value_of: Callable[[Constant], Any]) -> EventGuard:
        if not self.literals:
            return EventGuard(self.test, self.path)
        values = tuple([value_of(literal) for literal in self.literals])
        if self.like:
            values = tuple(map(like_prefix, values))
        if self.test in FOLDED:
            values = tuple(map(fold, values))
        return EventGuard(self.test, self.path, values)


ANY = Guard("any")
FOLDED = frozenset(("folded", "folded-prefix"))

# Alternatives, any of which lets an event matter. No alternative: no event can.
Guards = tuple[Guard, ...]

# How far a guard narrows, best first; among equals the event's type is the best path.
WORTH: dict[str, int] = {
    "equal": 0,
    "folded": 0,
    "prefix": 1,
    "folded-prefix": 1,
    "present": 2,
    "any": 3,
}
# So many values are better than one that is merely present, yet not endless.
MAX_VALUES = 500


class Reading(Struct, frozen=True, gc=False):
    """Reads, before its literals have values: the same for all rules of one shape."""

    profile_paths: frozenset[str]
    audiences: tuple[Constant, ...]
    guards: Guards
    now: bool
    event_paths: tuple[tuple[str, ...], ...]

    def made(self, value_of: Callable[[Constant], Any]) -> Reads:
        audiences = NO_AUDIENCES
        if self.audiences:
            audiences = frozenset([str(value_of(audience)) for audience in self.audiences])
        events = tuple([guard.made(value_of) for guard in self.guards])
        if len(events) > 1:
            events = tuple(dict.fromkeys(events))
        return Reads(self.profile_paths, audiences, events, self.now, self.event_paths)

    @property
    def literals(self) -> tuple[Constant, ...]:
        return self.audiences + tuple([one for guard in self.guards for one in guard.literals])


def _said(literal: Constant) -> Any:
    return literal.value


def reading_of(root: Node) -> Reading:
    """What the typed rule reads, in one walk over its nodes."""
    walk = _Walk()
    left = [root]
    while left:
        node = left.pop()
        if isinstance(node, And | Or | Not):
            # It reads what they read, each for itself: so are they compiled where they are joined.
            left.extend(children(node))
        else:
            walk.over(node)
    of_events = one_in_another(walk.event_paths)
    return Reading(
        frozenset(walk.paths), tuple(walk.audiences), tuple(walk.guards), walk.now, of_events
    )


class _Walk:
    """What was read so far, as in Reading."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.event_paths: set[tuple[str, ...]] = set()
        self.audiences: list[Constant] = []
        self.guards: list[Guard] = []
        self.now = False

    def over(self, root: Node) -> None:
        """Through one condition."""
        guards = len(self.guards)
        if isinstance(root, Events):
            self.guards.append(ANY)
        left = [root]
        while left:
            node = left.pop()
            kind = type(node)
            if kind in LEAVES:
                continue
            if type(node) is Path and type(node.base) in BASES:
                if type(node.base) is Root:
                    self.paths.add(".".join(node.segments))
                continue
            self.now = self.now or kind in OF_TIME or (kind is Call and _of_calendar(node))
            if type(node) is Call and node.name == "inSegment":
                (audience,) = node.args
                assert isinstance(audience, Constant), "the checker wants ids written out"
                self.audiences.append(audience)
            below = children(node)
            if kind in OF_RANGES or Events in map(type, below):
                self.guards.extend(_uses(node))
            if type(node) is not Events:
                left.extend(below)
        if len(self.guards) > guards:
            self.event_paths |= OfEvents().read(root)


def reads_time(node: Node) -> bool:
    """Whether time alone can change what the typed node gives: it asks for now or for events."""
    left = [node]
    while left:
        node = left.pop()
        kind = type(node)
        if kind in LEAVES:
            continue
        if kind in OF_TIME or (kind is Call and _of_calendar(node)):
            return True
        if not (type(node) is Path and type(node.base) in BASES):
            left.extend(children(node))
    return False


# Below these is nothing that a rule reads.
LEAVES: frozenset[type[Node]] = frozenset((Constant, Element, Variable, Root))
OF_TIME: frozenset[type[Node]] = frozenset((TimeWord, Period, Events))
JOINS = (And, Or)
OF_RANGES: frozenset[type[Node]] = frozenset((Binder, Over))
# A path from one of these reads what it names and nothing else.
BASES: frozenset[type[Node]] = frozenset((Root, Element, Variable))


def flips_exactly(node: Node) -> bool:
    """Whether the first instant the typed node notes is one at which its answer changes.

    One part that reads time and notes its own flips exactly, among others that do not read time.
    """
    if isinstance(node, Not):
        return flips_exactly(node.operand)
    if isinstance(node, JOINS):
        of_time = [operand for operand in node.operands if reads_time(operand)]
        return not of_time or (len(of_time) == 1 and flips_exactly(of_time[0]))
    if isinstance(node, Chain):
        (first, *others) = node.steps
        plain = isinstance(node.events, Events) and not any(map(reads_time, first.conditions))
        return plain and not others and all(map(_from_now_or_fixed, first.windows))
    if isinstance(node, Occurs):
        return not reads_time(node.left) and _from_now_or_fixed(node.window)
    return not reads_time(node)


def _from_now_or_fixed(window: Window) -> bool:
    """Whether each anchor is now, a calendar unit, or does not change with time."""
    return all(moves(time) or not reads_time(time) for time in times_of(window))


def _of_calendar(node: Node) -> bool:
    return isinstance(node, Call) and node.name in CURRENT


# ---- where events are read --------------------------------------------------


WITH_RANGES = (Binder, Over)


def _uses(node: Node) -> Guards:
    """The guards of one place that reads the events, or may: of a binder, () when it does not."""
    if isinstance(node, WITH_RANGES):
        kind = node.kind if isinstance(node, Binder) else "over"
        return tuple(guard for one in node.ranges for guard in _of_range(one, kind))
    if isinstance(node, Range):
        return ()  # its binder knows
    if isinstance(node, Chain) and isinstance(node.events, Events):
        return tuple(
            guard
            for step in node.steps
            for guard in alternatives(And(step.conditions), [Element(0)])
        )
    if isinstance(node, Filter) and isinstance(node.base, Events):
        return _of_function(node.condition)
    if isinstance(node, Method) and isinstance(node.base, Events):
        narrow = node.name in ("filter", "exists") and node.args
        return _of_function(node.args[0]) if narrow else (ANY,)
    if isinstance(node, Path) and isinstance(node.base, Events):
        return (Guard("present", node.segments),)
    # Anything else that has the events as a part of it asks for all of them.
    return (ANY,)


def _of_function(condition: Node) -> Guards:
    if isinstance(condition, Lambda):
        return alternatives(condition.body, [Element(0), Variable(condition.names[0])])
    return alternatives(condition, [Element(0)])


def _of_range(one: Range, kind: str) -> Guards:
    if not isinstance(one.array, Events):
        return ()
    # For `forall` it is the event that fails the condition that matters.
    if kind == "forall" or one.condition is None:
        return (ANY,)
    return alternatives(one.condition, [Variable(one.name)])


# ---- what an event needs to satisfy a condition -----------------------------


def guards(condition: Node, event: Sequence[Node]) -> tuple[EventGuard, ...]:
    """Alternatives of which one is necessary for the event to satisfy the condition.

    event: the nodes that stand for the event in this condition.
    """
    return tuple([guard.made(_said) for guard in alternatives(condition, event)])


def alternatives(condition: Node, event: Sequence[Node]) -> Guards:
    """`guards`, before their literals have values."""
    if isinstance(condition, And):
        if len(condition.operands) == 1:
            return alternatives(condition.operands[0], event)
        return min([alternatives(operand, event) for operand in condition.operands], key=_worth)
    if isinstance(condition, Or):
        found = tuple(
            guard for operand in condition.operands for guard in alternatives(operand, event)
        )
        return found if len(found) <= MAX_VALUES else (ANY,)
    if isinstance(condition, Constant):
        return () if condition.value is False else (ANY,)
    return (_of_atom(condition, event),)


def _worth(found: Guards) -> tuple[int, bool, int]:
    if not found:
        return (-1, False, 0)
    if len(found) == 1:
        (guard,) = found
        return (WORTH[guard.test], guard.path != ("eventType",), len(guard.literals))
    worst = max(WORTH[guard.test] for guard in found)
    other = any(guard.path != ("eventType",) for guard in found)
    return (worst, other, sum(len(guard.literals) for guard in found))


def _of_atom(atom: Node, event: Sequence[Node]) -> Guard:
    of_kind = OF_ATOMS.get(type(atom))
    if of_kind is not None:
        return of_kind(atom, event)
    if isinstance(atom, Call) and atom.name == "stringCompare":
        return _of_string_compare(atom, event)
    if isinstance(atom, Occurs):
        return _present(atom.left, event)
    return _present(atom, event)


def _path(node: Node, event: Sequence[Node]) -> tuple[str, ...]:
    """The event's path that the node reads and nothing else; () for other nodes."""
    return node.segments if isinstance(node, Path) and node.base in event else ()


def _present(node: Node, event: Sequence[Node]) -> Guard:
    path = _path(node, event)
    return Guard("present", path) if path else ANY


def _valued(test: Test, node: Node, event: Sequence[Node], literals: Sequence[Node]) -> Guard:
    """The guard of a path that has to have the value of one of the literals."""
    path = _path(node, event)
    found = tuple([literal for literal in literals if isinstance(literal, Constant)])
    if not path or not found or len(found) < len(literals) or len(found) > MAX_VALUES:
        return _present(node, event)
    return Guard(test, path, found)


def _of_compare(atom: Compare, event: Sequence[Node]) -> Guard:
    for one, other in ((atom.left, atom.right), (atom.right, atom.left)):
        if not _path(one, event):
            continue
        if atom.op != "=" or not isinstance(other, Constant):
            return _present(one, event)
        literals = [other]
        if other.value in ("true", "false"):
            literals.append(Constant(other.value == "true"))
        return _valued("equal", one, event, literals)
    return ANY


def _of_member(atom: Member, event: Sequence[Node]) -> Guard:
    items = atom.right.items if isinstance(atom.right, ListOf) else ()
    if atom.negated:
        return _present(atom.left, event)
    return _valued("equal", atom.left, event, items)


def _of_pattern(atom: Pattern, event: Sequence[Node]) -> Guard:
    if atom.op == "matches" or not isinstance(atom.right, Constant):
        return _present(atom.left, event)
    pattern = str(atom.right.value)
    prefix = like_prefix(pattern)
    if prefix == pattern:
        return _valued("equal", atom.left, event, [atom.right])
    path = _path(atom.left, event)
    if not prefix or not path:
        return _present(atom.left, event)
    return Guard("prefix", path, (atom.right,), like=True)


def _of_method(atom: Method, event: Sequence[Node]) -> Guard:
    if atom.name == "isNull":
        return ANY
    if atom.name == "exists":
        return _present(atom.base, event)
    if atom.name in ("equals", "startsWith"):
        *texts, last = atom.args
        flag = isinstance(last, Constant) and isinstance(last.value, bool)
        folded = flag and isinstance(last, Constant) and last.value is False
        literals = texts if flag else atom.args
        if literals and all(isinstance(text, Constant) for text in literals):
            return _of_texts(atom.name, atom.base, event, literals, folded=folded)
    # Of these a missing value gives false; of others (counts, absences) it may not.
    strict = atom.name in STRICT
    return _present(atom.base, event) if strict else ANY


STRICT = words(
    "equals notEqualTo contains doesNotContain startsWith doesNotStartWith endsWith doesNotEndWith"
    " matches isNotNull intersects subsetOf includes"
)


OF_ATOMS: dict[type[Node], Callable[[Any, Sequence[Node]], Guard]] = {
    Compare: _of_compare,
    Member: _of_member,
    Pattern: _of_pattern,
    Method: _of_method,
}


def _of_string_compare(atom: Call, event: Sequence[Node]) -> Guard:
    name, value, texts, *rest = atom.args
    items = texts.items if isinstance(texts, ListOf) else ()
    simple = isinstance(name, Constant) and name.value in ("equals", "startsWith")
    if not simple or not all(isinstance(item, Constant) for item in items):
        return _present(value, event)
    assert isinstance(name, Constant), "seen above"
    folded = bool(rest) and isinstance(rest[0], Constant) and rest[0].value is False
    return _of_texts(str(name.value), value, event, items, folded=folded)


def _of_texts(
    name: str, node: Node, event: Sequence[Node], texts: Sequence[Node], *, folded: bool
) -> Guard:
    values = [text.value for text in texts if isinstance(text, Constant)]
    if "" in values or not all(isinstance(value, str) for value in values):
        return _present(node, event)
    if name == "equals":
        return _valued("folded" if folded else "equal", node, event, texts)
    return _valued("folded-prefix" if folded else "prefix", node, event, texts)
