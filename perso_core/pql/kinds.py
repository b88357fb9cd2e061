"""What is known of a typed node before a profile is seen."""

from __future__ import annotations

from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
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
    Pattern,
    Period,
    Product,
    Side,
    Step,
    Sum,
    TimeWord,
    Variable,
    Window,
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
    if isinstance(node, Constant):
        if isinstance(node.value, bool):
            return "flag"
        return "text" if isinstance(node.value, str) else "number"
    if isinstance(node, Call):
        return _type_of_call(node)
    if isinstance(node, Method):
        return METHODS[node.name].gives if node.name in METHODS else "any"
    if isinstance(node, Binder):
        return "list" if node.kind == "select" else "flag"
    if isinstance(node, Let | Lambda):
        return type_of(node.body)
    return TYPES.get(type(node), "any")


TYPES: dict[type[Node], Type] = {
    **dict.fromkeys((And, Or, Not, Compare, Member, Pattern, Occurs, Chain), "flag"),
    **dict.fromkeys((Sum, Product, Negative, Over), "number"),
    **dict.fromkeys((ListOf, Filter, Events), "list"),
    **dict.fromkeys((TimeWord, Period), "time"),
    ObjectOf: "object",
}


def _type_of_call(node: Call) -> Type:
    if node.name == "if" and len(node.args) == 3:
        one, other = type_of(node.args[1]), type_of(node.args[2])
        return one if one == other else "any"
    return FUNCTIONS[node.name].gives if node.name in FUNCTIONS else "any"


def moves(node: Node) -> bool:
    """Whether it is a time that moves with now."""
    return isinstance(node, TimeWord | Period)


def labels_in(step: Step, names: list[str]) -> list[Variable]:
    """The earlier steps that this one's windows are measured from."""
    times = [time for window in step.windows for time in times_of(window)]
    return [time for time in times if isinstance(time, Variable) and time.name in names]


def times_of(window: Window) -> tuple[Node, ...]:
    """The times a window is measured from."""
    if isinstance(window, Between):
        return window.first, window.last
    assert isinstance(window, Distance | Side | On), "there are four kinds of window"
    return (window.time,)


def comparable(one: Node, other: Node) -> bool:
    kinds = {type_of(one), type_of(other)}
    if "any" in kinds or len(kinds) == 1 or "list" in kinds:
        return True
    # The edge page compares flags with the texts "true" and "false".
    return kinds == {"flag", "text"} and any(
        isinstance(side, Constant) and side.value in ("true", "false") for side in (one, other)
    )
