"""What a rule reads of an event: what of the events has to be kept at hand for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql.lexer import words
from perso_core.pql.nodes import (
    And,
    Binder,
    Call,
    Chain,
    Constant,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    ListOf,
    Method,
    Node,
    Not,
    ObjectOf,
    Or,
    Over,
    Param,
    Path,
    Range,
    Root,
    Variable,
    children,
)

Place = tuple[str, ...]
NO_PATHS: tuple[Place, ...] = ()
# What follows a place of which no more is read than whether something is there, and how many. No
# field that matters is called so, and one that is would be kept.
THERE = ""
# A place that lies deeper is kept from here on: no event is as deep.
DEEPEST = 64
# What may stand at more places than these is kept whole at each: a rule could double them with
# every name that it gives.
MAX_PLACES = 100


class Found(Struct, frozen=True, gc=False):
    """What a node gives is made of: what stands at these places of events, or the elements of a
    list there. members: in an object that the rule makes, of these, under whatever name."""

    places: frozenset[Place] = frozenset()
    members: Found | None = None

    def below(self, names: Sequence[str]) -> Found:
        """At the path that starts here."""
        at = Found(frozenset([(*place, *names)[:DEEPEST] for place in self.places]))
        if self.members is None or not names:
            return Found(at.places, self.members)
        return together((at, self.members.below(names[1:])))


NOTHING = Found()
# An event, or all of them.
EVENT = Found(frozenset([()]))


def together(several: Iterable[Found]) -> Found:
    """What may be any of these, or lists them."""
    places: set[Place] = set()
    members: list[Found] = []
    for one in several:
        places |= one.places
        if one.members is not None:
            members.append(one.members)
    if not places and not members:
        return NOTHING
    return Found(frozenset(places), together(members) if members else None)


# Methods that go through elements, and look at nothing else but what a function asks of each.
PER_ELEMENT = words("filter exists forall topN bottomN map groupBy sum average min max")
# Of these the ones that ask for truth, or give what is there; the others compare what they have.
OF_TRUTH = words("filter exists forall map")
OF_PRESENCE = words("isNull isNotNull count exists head")


class OfEvents:
    """The places that a part of a rule reads: read() of its outermost node.

    A node that is not told of here reads all that the nodes below it give. elements, variables:
    what the names around a node stand for; what is not known may be an event.
    """

    def __init__(self) -> None:
        self.paths: set[Place] = set()
        self._elements: list[Found] = []
        self._variables: dict[str, Found] = {}

    def read(self, root: Node) -> set[Place]:
        """root: stands where truth is asked for."""
        self._there(self._of(root))
        return self.paths

    # ---- what becomes of what was found

    def _whole(self, found: Found) -> None:
        left: Found | None = found
        while left is not None:
            self.paths |= left.places
            left = left.members

    def _there(self, found: Found) -> None:
        """Whether there is something, and how many; or its elements are gone through."""
        for place in found.places:
            if place:  # an event is always there
                self.paths.add(place if len(place) == DEEPEST else (*place, THERE))

    # ---- nodes

    def _of(self, node: Node) -> Found:
        found = OF_NODES.get(type(node), OfEvents._other)(self, node)
        left: Found | None = found
        while left is not None:
            if len(left.places) > MAX_PLACES:
                self._whole(found)
                return NOTHING
            left = left.members
        return found

    def _other(self, node: Node) -> Found:
        for below in children(node):
            self._whole(self._of(below))
        return NOTHING

    def _nothing(self, node: Node) -> Found:
        return NOTHING

    def _event(self, node: Node) -> Found:
        """Of the profile as a whole nobody knows what is read."""
        return EVENT

    def _element(self, node: Element) -> Found:
        around = self._elements
        return around[-1 - node.up] if node.up < len(around) else EVENT

    def _variable(self, node: Variable) -> Found:
        return self._variables.get(node.name, EVENT)

    def _path(self, node: Path) -> Found:
        return NOTHING if type(node.base) is Root else self._of(node.base).below(node.segments)

    def _truths(self, node: And | Or | Not) -> Found:
        for below in children(node):
            self._there(self._of(below))
        return NOTHING

    def _listed(self, node: ListOf) -> Found:
        return together([self._of(item) for item in node.items])

    def _object(self, node: ObjectOf) -> Found:
        return Found(members=together([self._of(value) for _, value in node.entries]))

    def _call(self, node: Call) -> Found:
        if node.name == "if":
            test, one, other = node.args
            self._there(self._of(test))
            return together((self._of(one), self._of(other)))
        if node.name == "mapEntry":
            key, value = node.args
            self._whole(self._of(key))
            return Found(members=self._of(value))
        return self._other(node)

    def _filter(self, node: Filter) -> Found:
        found = self._of(node.base)
        self._there(found)
        self._there(self._of_each(node.condition, found))
        return found

    def _method(self, node: Method) -> Found:
        name, found = node.name, self._of(node.base)
        if name in PER_ELEMENT and node.args:
            return self._per_element(node, found)
        if name in OF_PRESENCE:
            self._there(found)
            return found if name == "head" else NOTHING
        for argument in node.args:
            self._whole(self._of(argument))
        if name in ("get", "values"):
            self._whole(Found(found.places))
            return found.members or NOTHING
        self._whole(Found(found.places) if name == "keys" else found)
        return NOTHING

    def _per_element(self, node: Method, found: Found) -> Found:
        name, (function, *others) = node.name, node.args
        if type(function) is Lambda and len(function.names) > 1:  # of the keys and values of a map
            self._whole(Found(found.places))
            found = found.members or NOTHING
        else:
            self._there(found)
        of_each = self._of_each(function, found)
        for other in others:
            self._whole(self._of(other))
        if name in OF_TRUTH:
            self._there(of_each)
        else:
            self._whole(of_each)
        if name == "map":
            return of_each
        if name == "groupBy":
            return Found(members=found)
        return found if name in ("filter", "topN", "bottomN") else NOTHING

    def _of_each(self, function: Node, found: Found) -> Found:
        """What a function of each element gives. found: the elements."""
        around = self._variables
        self._elements.append(found)
        if type(function) is Lambda:
            *keys, last = function.names
            self._variables = {**around, **dict.fromkeys(keys, NOTHING), last: found}
            function = function.body
        given = self._of(function)
        self._elements.pop()
        self._variables = around
        return given

    # ---- what gives names

    def _lambda(self, node: Lambda) -> Found:
        """Of the whole rule: its name is the profile's."""
        return self._of(node.body)

    def _let(self, node: Let) -> Found:
        around = self._variables
        self._variables = {**around, node.name: self._of(node.bound)}
        found = self._of(node.body)
        self._variables = around
        return found

    def _binder(self, node: Binder) -> Found:
        around = self._variables
        chosen = [self._range(one) for one in node.ranges]
        self._variables = around
        return together(chosen) if node.kind == "select" else NOTHING

    def _over(self, node: Over) -> Found:
        around = self._variables
        for one in node.ranges:
            self._range(one)
        self._whole(self._of(node.measure))
        self._variables = around
        return NOTHING

    def _range(self, node: Range) -> Found:
        """Its name stays."""
        found = self._of(node.array)
        self._there(found)
        self._variables = {**self._variables, node.name: found}
        if node.condition is not None:
            self._there(self._of(node.condition))
        return found

    def _chain(self, node: Chain) -> Found:
        found = self._of(node.events)
        self._there(found)
        # Its elements have a life of their own by this; the checker leaves the order as it is
        # written.
        self._whole(found.below(("timestamp",)))
        self._whole(found.below(node.order.segments) if type(node.order) is Path else found)
        around = self._variables
        labels = dict.fromkeys([step.label for step in node.steps], NOTHING)
        for step in node.steps:
            for condition in step.conditions:
                self._there(self._of_each(condition, found))
            self._variables = {**labels, **around}
            for window in step.windows:
                self._whole(self._of(window))
            self._variables = around
        return NOTHING


OF_NODES: dict[type[Node], Callable[[OfEvents, Any], Found]] = {
    Constant: OfEvents._nothing,
    Root: OfEvents._event,
    Param: OfEvents._event,
    Events: OfEvents._event,
    Element: OfEvents._element,
    Variable: OfEvents._variable,
    Path: OfEvents._path,
    And: OfEvents._truths,
    Or: OfEvents._truths,
    Not: OfEvents._truths,
    ListOf: OfEvents._listed,
    ObjectOf: OfEvents._object,
    Call: OfEvents._call,
    Filter: OfEvents._filter,
    Method: OfEvents._method,
    Lambda: OfEvents._lambda,
    Let: OfEvents._let,
    Binder: OfEvents._binder,
    Over: OfEvents._over,
    Chain: OfEvents._chain,
}


def one_in_another(found: Collection[Place]) -> tuple[Place, ...]:
    """The paths, without those that another one holds, ascending."""
    if not found:
        return NO_PATHS
    return tuple(
        sorted(path for path in found if not any(path[:size] in found for size in range(len(path))))
    )
