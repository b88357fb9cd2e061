"""What is known of a typed node before a profile is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    On,
    Or,
    Over,
    Param,
    Path,
    Pattern,
    Period,
    Product,
    Root,
    Side,
    Step,
    Sum,
    TimeWord,
    Variable,
    Window,
    children,
)
from perso_core.pql.types import FUNCTIONS, METHODS, Type

WORDS: dict[str, str] = {
    "number": "a number",
    "text": "a text",
    "flag": "true or false",
    "time": "a time",
    "list": "a list",
    "object": "an object",
    "any": "a value",
}


def type_of(node: Node) -> Type:
    """What is known of a typed node's value; it may be missing all the same."""
    found = TYPES.get(type(node))
    if found is None:
        ask = ASKED.get(type(node))
        found = ask(node) if ask else "any"
    return found


TYPES: dict[type[Node], Type] = {
    **dict.fromkeys((And, Or, Not, Compare, Member, Pattern, Occurs, Chain), "flag"),
    **dict.fromkeys((Sum, Product, Negative, Over), "number"),
    **dict.fromkeys((ListOf, Filter, Events), "list"),
    **dict.fromkeys((TimeWord, Period), "time"),
    **dict.fromkeys((Path, Element, Variable, Root, Param), "any"),
    ObjectOf: "object",
}


def _type_of_constant(node: Constant) -> Type:
    return LITERALS[type(node.value)]


LITERALS: dict[type, Type] = {bool: "flag", str: "text", int: "number", float: "number"}


def _type_of_method(node: Method) -> Type:
    return METHODS[node.name].gives if node.name in METHODS else "any"


def _type_of_call(node: Call) -> Type:
    if node.name == "if" and len(node.args) == 3:
        one, other = type_of(node.args[1]), type_of(node.args[2])
        return one if one == other else "any"
    return FUNCTIONS[node.name].gives if node.name in FUNCTIONS else "any"


# The kinds of nodes whose type depends on what is in them.
ASKED: dict[type[Node], Callable[[Any], Type]] = {
    Constant: _type_of_constant,
    Call: _type_of_call,
    Method: _type_of_method,
    Binder: lambda node: "list" if node.kind == "select" else "flag",
    Let: lambda node: type_of(node.body),
    Lambda: lambda node: type_of(node.body),
}


def loops(node: Node) -> bool:
    """Whether it goes through the elements of some list."""
    if isinstance(node, Filter | Binder | Over | Chain):
        return True
    if isinstance(node, Method) and PER_ELEMENT & set(METHODS[node.name].takes):
        return True
    return any(map(loops, children(node)))


# What a function asks of each element.
PER_ELEMENT = frozenset(("condition", "measure", "key"))


MOVING = frozenset((TimeWord, Period))


def moves(node: Node) -> bool:
    """Whether it is a time that moves with now."""
    return type(node) in MOVING


def is_now(node: Node) -> bool:
    """Whether it is the instant itself rather than a period around it."""
    return isinstance(node, TimeWord) and node.word == "now"


def labels_in(step: Step, names: list[str]) -> list[Variable]:
    """The earlier steps that this one's windows are measured from."""
    times = [time for window in step.windows for time in times_of(window)]
    return [time for time in times if isinstance(time, Variable) and time.name in names]


# A union written where it is asked for would be made anew each time.
OF_ONE_TIME = (Distance, Side, On)


def times_of(window: Window) -> tuple[Node, ...]:
    """The times a window is measured from."""
    if isinstance(window, Between):
        return window.first, window.last
    assert isinstance(window, OF_ONE_TIME), "there are four kinds of window"
    return (window.time,)


def comparable(one: Node, other: Node) -> bool:
    kinds = {type_of(one), type_of(other)}
    if "any" in kinds or len(kinds) == 1 or "list" in kinds:
        return True
    # The edge page compares flags with the texts "true" and "false".
    return kinds == {"flag", "text"} and any(
        isinstance(side, Constant) and side.value in ("true", "false") for side in (one, other)
    )
