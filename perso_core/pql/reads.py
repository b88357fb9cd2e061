"""What a rule reads, and which events can matter to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from perso_core.pql.types import EventGuard, Reads, Test
from perso_core.pql.values import fold

ANY = EventGuard("any")
CURRENT = frozenset(("currentMonth", "currentYear", "currentDayOfMonth"))

# Alternatives, any of which lets an event matter. No alternative: no event can.
Guards = tuple[EventGuard, ...]

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


def reads_of(root: Node) -> Reads:
    """What the typed rule reads."""
    nodes = list(_below(root))
    events = tuple(dict.fromkeys(guard for node in nodes for guard in _uses(node)))
    return Reads(
        profile_paths=frozenset(path for node in nodes for path in _profile_paths(node)),
        audience_ids=frozenset(_audiences(nodes)),
        events=events,
        now=any(map(_of_time, nodes)),
    )


def reads_time(node: Node) -> bool:
    """Whether time alone can change what the typed node gives: it asks for now or for events."""
    return any(map(_of_time, _below(node)))


def flips_exactly(node: Node) -> bool:
    """Whether the first instant the typed node notes is one at which its answer changes.

    One part that reads time and notes its own flips exactly, among others that do not read time.
    """
    if isinstance(node, Not):
        return flips_exactly(node.operand)
    if isinstance(node, And | Or):
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


def _of_time(node: Node) -> bool:
    if isinstance(node, TimeWord | Period | Events):
        return True
    return isinstance(node, Call) and node.name in CURRENT


def _below(node: Node) -> Iterator[Node]:
    left = [node]
    while left:
        node = left.pop()
        yield node
        left.extend(children(node))


def _profile_paths(node: Node) -> Iterator[str]:
    if isinstance(node, Path) and isinstance(node.base, Root):
        yield ".".join(node.segments)


def _audiences(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Call) and node.name == "inSegment":
            (audience,) = node.args
            assert isinstance(audience, Constant), "the checker wants ids written out"
            yield str(audience.value)


# ---- where events are read --------------------------------------------------


def _uses(node: Node) -> Guards:
    """The guards of one place that reads the events; () elsewhere."""
    if isinstance(node, Chain) and isinstance(node.events, Events):
        return tuple(
            guard for step in node.steps for guard in guards(And(step.conditions), [Element(0)])
        )
    if isinstance(node, Filter) and isinstance(node.base, Events):
        return _of_function(node.condition)
    if isinstance(node, Method) and isinstance(node.base, Events):
        narrow = node.name in ("filter", "exists") and node.args
        return _of_function(node.args[0]) if narrow else (ANY,)
    if isinstance(node, Path) and isinstance(node.base, Events):
        return (EventGuard("present", node.segments),)
    if isinstance(node, Binder | Over):
        kind = node.kind if isinstance(node, Binder) else "over"
        return tuple(guard for one in node.ranges for guard in _of_range(one, kind))
    # Anything else that has the events as a part of it asks for all of them.
    return (ANY,) if any(isinstance(child, Events) for child in children(node)) else ()


def _of_function(condition: Node) -> Guards:
    if isinstance(condition, Lambda):
        return guards(condition.body, [Element(0), Variable(condition.names[0])])
    return guards(condition, [Element(0)])


def _of_range(one: Range, kind: str) -> Guards:
    if not isinstance(one.array, Events):
        return ()
    # For `forall` it is the event that fails the condition that matters.
    if kind == "forall" or one.condition is None:
        return (ANY,)
    return guards(one.condition, [Variable(one.name)])


# ---- what an event needs to satisfy a condition -----------------------------


def guards(condition: Node, event: Sequence[Node]) -> Guards:
    """Alternatives of which one is necessary for the event to satisfy the condition.

    event: the nodes that stand for the event in this condition.
    """
    if isinstance(condition, And):
        return min((guards(operand, event) for operand in condition.operands), key=_worth)
    if isinstance(condition, Or):
        found = tuple(guard for operand in condition.operands for guard in guards(operand, event))
        return found if len(found) <= MAX_VALUES else (ANY,)
    if isinstance(condition, Constant):
        return () if condition.value is False else (ANY,)
    return (_of_atom(condition, event),)


def _worth(found: Guards) -> tuple[int, bool, int]:
    if not found:
        return (-1, False, 0)
    worst = max(WORTH[guard.test] for guard in found)
    other = any(guard.path != ("eventType",) for guard in found)
    return (worst, other, sum(len(guard.values) for guard in found))


def _of_atom(atom: Node, event: Sequence[Node]) -> EventGuard:
    if isinstance(atom, Compare):
        return _of_compare(atom, event)
    if isinstance(atom, Member):
        return _of_member(atom, event)
    if isinstance(atom, Pattern):
        return _of_pattern(atom, event)
    if isinstance(atom, Method):
        return _of_method(atom, event)
    if isinstance(atom, Call) and atom.name == "stringCompare":
        return _of_string_compare(atom, event)
    if isinstance(atom, Occurs):
        return _present(atom.left, event)
    return _present(atom, event)


def _path(node: Node, event: Sequence[Node]) -> tuple[str, ...]:
    """The event's path that the node reads and nothing else; () for other nodes."""
    return node.segments if isinstance(node, Path) and node.base in event else ()


def _present(node: Node, event: Sequence[Node]) -> EventGuard:
    path = _path(node, event)
    return EventGuard("present", path) if path else ANY


def _valued(test: Test, node: Node, event: Sequence[Node], values: Sequence[object]) -> EventGuard:
    """The guard of a path that has to have one of the values."""
    scalars = tuple(value for value in values if isinstance(value, str | int | float))
    path = _path(node, event)
    if not path or not scalars or len(scalars) < len(values) or len(scalars) > MAX_VALUES:
        return _present(node, event)
    return EventGuard(test, path, scalars)


def _of_compare(atom: Compare, event: Sequence[Node]) -> EventGuard:
    for one, other in ((atom.left, atom.right), (atom.right, atom.left)):
        if not _path(one, event):
            continue
        if atom.op != "=" or not isinstance(other, Constant):
            return _present(one, event)
        values: list[object] = [other.value]
        if other.value in ("true", "false"):
            values.append(other.value == "true")
        return _valued("equal", one, event, values)
    return ANY


def _of_member(atom: Member, event: Sequence[Node]) -> EventGuard:
    items = atom.right.items if isinstance(atom.right, ListOf) else ()
    constants = [item.value for item in items if isinstance(item, Constant)]
    if atom.negated or not items or len(constants) < len(items):
        return _present(atom.left, event)
    return _valued("equal", atom.left, event, constants)


def _of_pattern(atom: Pattern, event: Sequence[Node]) -> EventGuard:
    if atom.op == "matches" or not isinstance(atom.right, Constant):
        return _present(atom.left, event)
    pattern = str(atom.right.value)
    prefix = like_prefix(pattern)
    if prefix == pattern:
        return _valued("equal", atom.left, event, [pattern])
    return _valued("prefix", atom.left, event, [prefix]) if prefix else _present(atom.left, event)


def _of_method(atom: Method, event: Sequence[Node]) -> EventGuard:
    args = [arg.value for arg in atom.args if isinstance(arg, Constant)]
    if atom.name == "isNull":
        return ANY
    if atom.name == "exists":
        return _present(atom.base, event)
    if atom.name in ("equals", "startsWith") and len(args) == len(atom.args):
        folded = args[-1] is False
        texts = [arg for arg in args if isinstance(arg, str)]
        return _of_texts(atom.name, atom.base, event, texts, folded=folded)
    # Of these a missing value gives false; of others (counts, absences) it may not.
    strict = atom.name in STRICT
    return _present(atom.base, event) if strict else ANY


STRICT = words(
    "equals notEqualTo contains doesNotContain startsWith doesNotStartWith endsWith doesNotEndWith"
    " matches isNotNull intersects subsetOf includes"
)


def _of_string_compare(atom: Call, event: Sequence[Node]) -> EventGuard:
    name, value, texts, *rest = atom.args
    items = texts.items if isinstance(texts, ListOf) else ()
    known = [item.value for item in items if isinstance(item, Constant)]
    simple = isinstance(name, Constant) and name.value in ("equals", "startsWith")
    if not simple or not items or len(known) < len(items):
        return _present(value, event)
    assert isinstance(name, Constant), "seen above"
    folded = bool(rest) and isinstance(rest[0], Constant) and rest[0].value is False
    return _of_texts(str(name.value), value, event, known, folded=folded)


def _of_texts(
    name: str, node: Node, event: Sequence[Node], texts: Sequence[object], *, folded: bool
) -> EventGuard:
    values = [fold(text) if folded else text for text in texts if isinstance(text, str)]
    if len(values) < len(texts) or "" in values:
        return _present(node, event)
    if name == "equals":
        return _valued("folded" if folded else "equal", node, event, values)
    return _valued("folded-prefix" if folded else "prefix", node, event, values)
