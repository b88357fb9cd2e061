"""Shapes of functions: calls, methods, functions over elements, binders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perso_core.pql import syntax as py
from perso_core.pql.comparisons import regular_test, string_compare, string_test
from perso_core.pql.emitter import Emitter
from perso_core.pql.nodes import (
    Binder,
    Call,
    Events,
    Filter,
    Lambda,
    Let,
    Method,
    Node,
    Over,
    Range,
)
from perso_core.pql.syntax import Shape
from perso_core.pql.timing import CURRENT, PARTS, part_of_now
from perso_core.pql.types import STRING_TESTS

AGGREGATES = frozenset(("sum", "average", "min", "max"))
# Methods that are one function of what they stand on and their arguments.
PLAIN = {
    "intersects": "intersects",
    "intersection": "intersection",
    "subsetOf": "subset_of",
    "supersetOf": "superset_of",
    "includes": "includes",
    "distinct": "distinct",
    "get": "get",
    "keys": "keys",
    "values": "values",
    "head": "head",
}


def call(emitter: Emitter, node: Call) -> Shape:
    if node.name == "if":
        test, one, other = node.args
        return py.choose(emitter.test(test), emitter.value(one), emitter.value(other))
    if node.name in CURRENT:
        return py.call("current", "now", py.text(CURRENT[node.name]))
    if node.name == "inSegment":
        return py.call("in_segment", emitter.read("view"), emitter.value(node.args[0]))
    if node.name == "date":
        # Whether there is such a day was checked.
        return py.call("day", *map(emitter.value_fixed, node.args))
    if node.name == "mapEntry":
        return py.call("Entry", py.tuple_of(*map(emitter.value, node.args)))
    return string_compare(emitter, node)


def method(emitter: Emitter, node: Method) -> Shape:
    name, base, args = node.name, node.base, node.args
    if name in STRING_TESTS:
        return string_test(emitter, node)
    if name in PARTS:
        part = part_of_now(node)
        if part:
            return py.call("current", "now", py.text(part))
        return py.call("part_of_time", emitter.value(base), py.text(PARTS[name]))
    if name in ("isNull", "isNotNull"):
        return py.compare(emitter.value(base), "is" if name == "isNull" else "is not", None)
    if name in ("matches", "regexGroup"):
        return regular_test(emitter, node)
    if name in PLAIN:
        return py.call(PLAIN[name], emitter.value(base), *map(emitter.value, args))
    if name == "count":
        return py.call("len", py.call("items_of", emitter.value(base)))
    return over_elements(emitter, name, base, args)


# ---- elements ---------------------------------------------------------------


def over_elements(emitter: Emitter, name: str, base: Node, args: tuple[Node, ...]) -> Shape:
    if name in ("filter", "exists", "forall"):
        return tested(emitter, name, base, args)
    items = emitter.value(base)
    if name in AGGREGATES:
        if not args:
            return py.call("aggregate", py.text(name), py.call("items_of", items))
        return py.call("measured", py.text(name), items, emitter.of_element(args[0]), "now")
    if name == "map" and isinstance(args[0], Lambda) and len(args[0].names) == 2:
        return py.call("mapped_pairs", items, emitter.of_pair(args[0]), "now")
    if name in ("map", "groupBy"):
        function = "mapped" if name == "map" else "grouped"
        return py.call(function, items, emitter.of_element(args[0]), "now")
    assert name in ("topN", "bottomN"), f"no code for {name}"
    key, number = emitter.of_element(args[0]), emitter.value(args[1])
    return py.call("top", items, key, number, "now", name == "topN")


def tested(emitter: Emitter, name: str, base: Node, args: tuple[Node, ...]) -> Shape:
    """filter, exists or forall; over events with an eye on when each of them ends."""
    kind = {"filter": 0, "exists": 1, "forall": 2}[name]
    if isinstance(base, Events):
        function = ("events_where", "any_event", "all_events")[kind]
        subject: tuple[Shape, ...] = (emitter.read("view"), emitter.life())
    else:
        function = ("where", "any_of", "all_of")[kind]
        subject = (emitter.value(base),)
    condition = emitter.of_element(args[0], test=True) if args else emitter.always()
    return py.call(function, *subject, condition, "now")


def filter_(emitter: Emitter, node: Filter) -> Shape:
    return tested(emitter, "filter", node.base, (node.condition,))


# ---- binders ----------------------------------------------------------------


def binder(emitter: Emitter, node: Binder) -> Shape:
    if node.kind == "select":
        names = [one.name for one in node.ranges]
        return select(emitter, node.ranges, lambda: _elements(emitter, names))
    return quantified(emitter, node.kind, node.ranges)


def quantified(emitter: Emitter, kind: str, ranges: Sequence[Range]) -> Shape:
    first, rest = ranges[0], ranges[1:]

    def condition() -> Shape:
        tests = [] if first.condition is None else [emitter.test(first.condition)]
        if rest:
            tests.append(quantified(emitter, kind, rest))
        return py.both(*tests) if tests else True

    name, subject = _array(emitter, first.array, "any_of" if kind == "exists" else "all_of")
    return py.call(name, *subject, emitter.of_variable(first.name, condition), "now")


# The functions over the profile's events that stand for those over a list.
OF_EVENTS = {"any_of": "any_event", "all_of": "all_events", "selected": "events_selected"}


def _array(emitter: Emitter, array: Node, function: str) -> tuple[str, tuple[Shape, ...]]:
    if isinstance(array, Events):
        return OF_EVENTS[function], (emitter.read("view"), emitter.life())
    return function, (emitter.value(array),)


def _elements(emitter: Emitter, names: Sequence[str]) -> Shape:
    found = [emitter.read(emitter.variables[name]) for name in names]
    return found[0] if len(found) == 1 else py.list_of(*found)


def select(emitter: Emitter, ranges: Sequence[Range], chosen: Callable[[], Shape]) -> Shape:
    """A list of what `chosen` gives for each tuple of elements that satisfies the ranges."""
    first, rest = ranges[0], ranges[1:]
    own = first.condition
    name, subject = _array(emitter, first.array, "selected")
    condition = (
        emitter.always()
        if own is None
        else emitter.of_variable(first.name, lambda: emitter.test(own))
    )
    inner = emitter.of_variable(
        first.name, lambda: select(emitter, rest, chosen) if rest else py.list_of(chosen())
    )
    return py.call(name, *subject, condition, inner, "now")


def over(emitter: Emitter, node: Over) -> Shape:
    measures = select(emitter, node.ranges, lambda: emitter.value(node.measure))
    return py.call("aggregate", py.text(node.function), measures)


def let(emitter: Emitter, node: Let) -> Shape:
    value = emitter.value(node.bound)
    function = emitter.of_variable(node.name, lambda: emitter.value(node.body))
    return py.call(function, value, "now")
