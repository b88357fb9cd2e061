"""What a rule costs, in its author's words: which events cause it to be looked at, and how much
there is to do then."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from perso_core.pql.nodes import (
    Binder,
    Chain,
    Filter,
    ListOf,
    Method,
    Node,
    Over,
    children,
)
from perso_core.pql.origins import PER_ELEMENT, walk
from perso_core.pql.types import METHODS, EventGuard, Reads
from perso_core.pql.values_told import listed, value_words

# From here on Adobe's product refuses to save, or warns (pql.md, 6).
MAX_STEPS, MAX_AGGREGATIONS, MAX_DEPTH, MAX_LISTED = 6, 3, 2, 100
AGGREGATES = frozenset(("count", "sum", "average", "min", "max"))
OVER_ELEMENTS = AGGREGATES | {"topN", "bottomN", "distinct"}


class Cost(Struct, frozen=True):
    """events: which events cause the rule to be looked at, one phrase for each alternative; none:
    no event does. any_event: all do, which is dear. parts: how many nodes the rule has. loops:
    how many of them go through elements. depth: how deep those stand in one another.
    """

    events: tuple[str, ...]
    any_event: bool
    parts: int
    loops: int
    depth: int


def cost_of(root: Node, reads: Reads) -> Cost:
    """The cost of a typed rule. O(nodes)."""
    nodes = [node for node, _ in walk(root)]
    events = tuple(dict.fromkeys(guard_words(guard) for guard in reads.events))
    return Cost(
        events=events,
        any_event=any(guard.test == "any" for guard in reads.events),
        parts=len(nodes),
        loops=sum(map(_loops, nodes)),
        depth=_depth(root),
    )


def guard_words(guard: EventGuard) -> str:
    """`whose eventType is view or buy`, after "events"."""
    path = ".".join(guard.path)
    values = listed([value_words(value) for value in guard.values], "or")
    any_case = " in any letter case" if guard.test.startswith("folded") else ""
    if guard.test == "any":
        return "of every kind"
    if guard.test == "present":
        return f"that have {path}"
    if guard.test in ("equal", "folded"):
        return f"whose {path} is {values}{any_case}"
    if guard.test in ("prefix", "folded-prefix"):
        return f"whose {path} starts with {values}{any_case}"
    return f"whose {path} fits {values or 'the rule'}"


def _loops(node: Node) -> bool:
    if isinstance(node, Method):
        return bool(node.args and _per_element(node)) or node.name in OVER_ELEMENTS
    return isinstance(node, Chain | Filter | Binder | Over)


def _per_element(node: Method) -> bool:
    takes = METHODS[node.name].takes if node.name in METHODS else ()
    return any(kind in PER_ELEMENT for kind in takes)


def _depth(root: Node) -> int:
    """How many loops stand in one another, of those whose inside is asked for each element."""
    deepest = 0
    left = [(root, 0)]
    while left:
        node, depth = left.pop()
        deepest = max(deepest, depth)
        inside = frozenset(map(id, _inside(node)))
        left.extend((child, depth + (id(child) in inside)) for child in children(node))
    return deepest


def _inside(node: Node) -> Iterator[Node]:
    """The nodes directly below that are asked for each element."""
    if isinstance(node, Chain):
        yield from node.steps
    elif isinstance(node, Filter):
        yield node.condition
    elif isinstance(node, Binder | Over):
        yield from node.ranges
    elif isinstance(node, Method) and _per_element(node):
        yield from node.args


def warnings_of(root: Node) -> list[str]:
    """What works here and is beyond what Adobe's product takes or advises."""
    nodes = [node for node, _ in walk(root)]
    steps = max((len(node.steps) for node in nodes if isinstance(node, Chain)), default=0)
    aggregations = sum(
        isinstance(node, Over) or (isinstance(node, Method) and node.name in AGGREGATES)
        for node in nodes
    )
    values = max((len(node.items) for node in nodes if isinstance(node, ListOf)), default=0)
    depth = _depth(root)
    found = (
        (steps, MAX_STEPS, "a chain has {} steps; Adobe's builder saves up to {}"),
        (aggregations, MAX_AGGREGATIONS, "it has {} aggregations; Adobe warns above {}"),
        (depth, MAX_DEPTH, "elements within elements go {} deep; Adobe warns above {}"),
        (values, MAX_LISTED, "a list has {} values; Adobe's builder takes up to {}"),
    )
    return [text.format(number, most) for number, most, text in found if number > most]
