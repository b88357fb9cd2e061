"""Typed nodes to the shape of a function: which code stands for which kind of node.

Nothing of the rule's text is in a shape, and the same rule always gives the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perso_core.pql import calls, comparisons, timing
from perso_core.pql import syntax as py
from perso_core.pql.code import Function, function_of
from perso_core.pql.comparisons import TOO_MANY_OPERANDS, runs_of
from perso_core.pql.emitter import PARAMS, Emitter
from perso_core.pql.kinds import compares_times, loops, type_of
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
    Let,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    Or,
    Over,
    Path,
    Pattern,
    Period,
    Product,
    Root,
    Sum,
    TimeWord,
    Variable,
)
from perso_core.pql.syntax import Shape

# Longer paths are walked in a loop.
INLINE_SEGMENTS = 5


def predicate_of(node: Node, event_window_ms: int) -> tuple[Function, Function]:
    """Functions of (view, now): whether the node holds, and what it gives. One and the same for
    a node that is true or false."""
    emitter = Emitter(event_window_ms, EMIT)
    body = emitter.value(node)
    written = emitter.functions[0]
    value = function_of(written.constants, PARAMS, body, size=written.size)
    if type_of(node) == "flag":
        return value, value
    truth = py.call("truth", body)
    return function_of(written.constants, PARAMS, truth, size=written.size), value


def condition_of(node: Node) -> Function:
    """A function of (event): whether the condition holds for it. As compile_condition says."""
    emitter = Emitter(0, EMIT)
    found = emitter.of_element(node, test=True)
    assert not emitter.used, "the condition reads more than the event"
    written = emitter.functions[0]
    # Nothing else looks at now.
    now = py.call("timeless") if loops(node) or compares_times(node) else None
    body = py.call(found, "event", now)
    return function_of(written.constants, ("event",), body, size=written.size)


# ---- paths ------------------------------------------------------------------


def root(emitter: Emitter, node: Root) -> Shape:
    return emitter.read("view")


def events(emitter: Emitter, node: Events) -> Shape:
    return py.call("events", emitter.read("view"), emitter.life(), "now")


def element(emitter: Emitter, node: Element) -> Shape:
    return emitter.read(emitter.scopes[-1 - node.up])


def variable(emitter: Emitter, node: Variable) -> Shape:
    return emitter.read(emitter.variables[node.name])


def path(emitter: Emitter, node: Path) -> Shape:
    base, segments = node.base, node.segments
    if isinstance(base, Events):
        view, life = emitter.read("view"), emitter.life()
        return py.call("of_events", view, life, emitter.constant(segments), "now")
    subject = emitter.value(base)
    if len(segments) > INLINE_SEGMENTS:
        return py.call("walk", subject, emitter.constant(segments))
    if isinstance(base, Root):  # the profile is a dictionary in any case
        if len(segments) == 1:
            return py.get(subject, emitter.constant(segments[0]))
        first, *keys, whole = emitter.constants((*segments, segments))
        kept = emitter.temporary()
        return py.walked(kept, py.get(subject, first), keys, py.call("walk", subject, whole))
    *keys, whole = emitter.constants((*segments, segments))
    if isinstance(subject, str) and len(keys) == 1:
        otherwise = py.call("walk", subject, whole)
        return py.choose(py.is_type(subject, "dict"), py.get(subject, keys[0]), otherwise)
    kept = emitter.temporary()
    if isinstance(subject, str):
        return py.walked(kept, subject, keys, py.call("walk", subject, whole))
    if len(keys) == 1:
        return py.walked(kept, subject, keys, py.call("walk", kept, whole))
    start = emitter.temporary()
    return py.walked(kept, py.kept_as(start, subject), keys, py.call("walk", start, whole))


# ---- values -----------------------------------------------------------------


def literal(emitter: Emitter, node: Constant) -> Shape:
    if isinstance(node.value, bool):
        return node.value
    return emitter.written([node], _only)


def list_(emitter: Emitter, node: ListOf) -> Shape:
    if all(isinstance(item, Constant) for item in node.items):
        return emitter.written(node.items, list)
    if len(node.items) <= TOO_MANY_OPERANDS:
        return py.list_of(*map(emitter.value, node.items))
    runs = [ListOf(run) for run in runs_of(node.items)]
    return py.call("one_after_another", py.tuple_of(*map(emitter.outlined, runs)))


def object_(emitter: Emitter, node: ObjectOf) -> Shape:
    keys = [emitter.constant(key) for key, _ in node.entries]
    return py.object_of(keys, [emitter.value(value) for _, value in node.entries])


def _only(values: Sequence[Any]) -> Any:
    return values[0]


def sum_(emitter: Emitter, node: Sum) -> Shape:
    signed = {sign: tuple([term for of, term in node.terms if of == sign]) for sign in "+-"}
    return py.call("total", *[_terms(emitter, terms) for terms in signed.values()])


def _terms(emitter: Emitter, terms: tuple[Node, ...]) -> Shape:
    if len(terms) > TOO_MANY_OPERANDS:
        return list_(emitter, ListOf(terms))
    return py.tuple_of(*map(emitter.value, terms))


def product(emitter: Emitter, node: Product) -> Shape:
    (_, first), *rest = node.factors
    start = emitter.value(first)
    factors = [py.tuple_of(py.text(op), emitter.value(factor)) for op, factor in rest]
    return py.call("multiplied", start, py.tuple_of(*factors))


def negative(emitter: Emitter, node: Negative) -> Shape:
    return py.call("negated", emitter.value(node.operand))


EMIT: dict[type[Node], Callable[[Emitter, Any], Shape]] = {
    Constant: literal,
    ListOf: list_,
    ObjectOf: object_,
    TimeWord: timing.time,
    Period: timing.time,
    Root: root,
    Events: events,
    Element: element,
    Variable: variable,
    Path: path,
    Call: calls.call,
    Method: calls.method,
    Filter: calls.filter_,
    And: comparisons.and_,
    Or: comparisons.or_,
    Not: comparisons.not_,
    Compare: comparisons.compare,
    Member: comparisons.member,
    Pattern: comparisons.pattern,
    Occurs: timing.occurs,
    Sum: sum_,
    Product: product,
    Negative: negative,
    Chain: timing.chain,
    Binder: calls.binder,
    Over: calls.over,
    Let: calls.let,
}
