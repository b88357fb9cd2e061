"""Where the values in a rule come from: which node stands for the profile, for an event, or for a
field of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from perso_core.pql.nodes import (
    Binder,
    Chain,
    Constant,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    Method,
    Node,
    Over,
    Path,
    Root,
    Variable,
    children,
)
from perso_core.pql.source import Span
from perso_core.pql.types import METHODS

Of = Literal["profile", "event"]


class Origin(Struct, frozen=True):
    """A path into the profile or into an event; () is the profile or the event itself."""

    of: Of
    path: tuple[str, ...] = ()


NO_VARIABLES: Mapping[str, Origin | None] = MappingProxyType({})


class Scope(Struct, frozen=True):
    """What the names around a node stand for.

    elements: outermost first; None for an element of something computed. variables: by name.
    """

    elements: tuple[Origin | None, ...] = ()
    variables: Mapping[str, Origin | None] = NO_VARIABLES

    def inside(self, element: Origin | None) -> Scope:
        return Scope((*self.elements, element), self.variables)

    def where(self, name: str, stands_for: Origin | None) -> Scope:
        return Scope(self.elements, {**self.variables, name: stands_for})


OUTSIDE = Scope()

# What these give are elements of what they are asked of.
KEEPING = frozenset(
    ("filter", "topN", "bottomN", "head", "distinct", "intersection", "values", "groupBy")
)
PER_ELEMENT = frozenset(("condition", "measure", "key"))


def origin(node: Node, scope: Scope) -> Origin | None:
    """What the typed node gives is, or is a part of; None: it is computed."""
    names: list[str] = []  # from the end
    while True:
        if isinstance(node, Path):
            names.extend(reversed(node.segments))
            node = node.base
        elif isinstance(node, Filter) or (isinstance(node, Method) and node.name in KEEPING):
            node = node.base
        elif isinstance(node, Method) and node.name == "get" and isinstance(node.args[0], Constant):
            of_groups = isinstance(node.base, Method) and node.base.name == "groupBy"
            if not of_groups:  # a group has elements of what it was made of
                names.append(str(node.args[0].value))
            node = node.base
        elif isinstance(node, Binder) and node.kind == "select" and len(node.ranges) == 1:
            node = node.ranges[0].array
        else:
            break
    start = _start(node, scope)
    return Origin(start.of, (*start.path, *reversed(names))) if start else None


def _start(node: Node, scope: Scope) -> Origin | None:
    if isinstance(node, Root):
        return Origin("profile")
    if isinstance(node, Events):
        return Origin("event")
    if isinstance(node, Element) and node.up < len(scope.elements):
        return scope.elements[-1 - node.up]
    return scope.variables.get(node.name) if isinstance(node, Variable) else None


def walk(root: Node, scope: Scope = OUTSIDE) -> Iterator[tuple[Node, Scope]]:
    """Every node of a typed rule, or of a part of one, with what the names around it stand for.
    scope: of the root."""
    left = [(root, scope)]
    while left:
        node, scope = left.pop()
        yield node, scope
        left.extend(reversed(list(below(node, scope))))


def below(node: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """The nodes directly below, each with its scope."""
    if isinstance(node, Chain):
        yield from _of_chain(node, scope)
    elif isinstance(node, Filter):
        yield node.base, scope
        yield _function(node.condition, node.base, scope)
    elif isinstance(node, Method):
        yield node.base, scope
        takes = METHODS[node.name].takes if node.name in METHODS else ()
        for place, arg in enumerate(node.args):
            per_element = place < len(takes) and takes[place] in PER_ELEMENT
            yield _function(arg, node.base, scope) if per_element else (arg, scope)
    elif isinstance(node, Binder | Over):
        yield from _of_ranges(node, scope)
    elif isinstance(node, Let):
        yield node.bound, scope
        yield node.body, scope.where(node.name, origin(node.bound, scope))
    else:
        for child in children(node):
            yield child, scope


def _of_chain(chain: Chain, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    yield chain.events, scope
    event = scope.inside(origin(chain.events, scope))
    for step in chain.steps:
        for condition in step.conditions:
            yield condition, event
        for window in step.windows:
            yield window, scope


def _function(function: Node, base: Node, scope: Scope) -> tuple[Node, Scope]:
    """A condition or measure of the elements of base. Of a pair it is the last name that stands
    for elements."""
    element = origin(base, scope)
    inner = scope.inside(element)
    if not isinstance(function, Lambda):
        return function, inner
    *keys, last = function.names
    for key in keys:
        inner = inner.where(key, None)
    return function.body, inner.where(last, element)


def _of_ranges(node: Binder | Over, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    for one in node.ranges:
        yield one.array, scope
        scope = scope.where(one.name, origin(one.array, scope))
        if one.condition is not None:
            yield one.condition, scope
    if isinstance(node, Over):
        yield node.measure, scope


def whole_span(node: Node) -> Span:
    """From the first character of what the node says to its last; a node's own span may cover a
    part of it alone."""
    start, end = node.place
    left = [node]
    while left:
        one = left.pop()
        if one.place != (0, 0):
            start, end = min(start, one.place[0]), max(end, one.place[1])
        left.extend(children(one))
    return start, end


# What stands for the events where a rule reads no field of them.
WHOLE = "xEvent"


class Fields(Struct, frozen=True):
    """The fields that a rule reads, dotted, in order. Where a rule reads a part of a field, the
    field around it is left out."""

    profile: tuple[str, ...]
    event: tuple[str, ...]


def fields_of(root: Node) -> Fields:
    """What the typed rule reads. O(nodes)."""
    found: dict[Of, set[tuple[str, ...]]] = {"profile": set(), "event": set()}
    for node, scope in walk(root):
        if isinstance(node, Events):
            found["event"].add(())
        if isinstance(node, Path):
            read = origin(node, scope)
            if read:
                found[read.of].add(read.path)
        elif isinstance(node, Chain):
            start = origin(node.events, scope)
            if start and isinstance(node.order, Path):
                found[start.of].add((*start.path, *node.order.segments))
    return Fields(_leaves(found["profile"]), _leaves(found["event"]))


def _leaves(paths: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The paths that lead to no other of them. In order a path stands right before what it leads
    to, so each is compared with the next one alone: a path may have 30,000 names."""
    ordered = sorted(paths)
    last = ordered[-1:]
    inner = [path for path, following in pairwise(ordered) if following[: len(path)] != path]
    return tuple(sorted(".".join(path) or WHOLE for path in (*inner, *last)))
