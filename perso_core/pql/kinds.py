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
from perso_core.pql.values import negated

WORDS: dict[str, str] = {
    "number": "a number",
    "text": "a text",
    "flag": "true or false",
    "time": "a time",
    "list": "a list",
    "object": "an object",
    "any": "a value",
}
# The same, of the elements of a list.
SEVERAL: dict[str, str] = {
    "number": "numbers",
    "text": "texts",
    "flag": "flags",
    "time": "times",
    "list": "lists",
    "object": "objects",
}

ANYTHING: frozenset[Type] = frozenset(("any",))
TUPLES: frozenset[Type] = frozenset(("list",))
# Methods whose list has elements of the one that they are asked of.
OF_THE_SAME = frozenset(("filter", "distinct", "topN", "bottomN", "intersection"))


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


def compares_times(node: Node) -> bool:
    """Whether some time has to lie in a window: `t occurs on date(...)`, `t >= date(...)`."""
    if isinstance(node, Occurs):
        return True
    if isinstance(node, Compare) and "time" in (type_of(node.left), type_of(node.right)):
        return True
    return any(map(compares_times, children(node)))


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


def any_of(node: Node) -> frozenset[Type]:
    """What a comparison looks at: of a list what each of its elements can be, none where it is
    empty; of anything else what it is itself."""
    if type_of(node) != "list":
        return frozenset((type_of(node),))
    if isinstance(node, ListOf):
        return frozenset(map(type_of, node.items))
    if isinstance(node, Events):
        return frozenset(("object",))
    if isinstance(node, Binder):
        return TUPLES if node.ranges[1:] else any_of(node.ranges[0].array)
    if isinstance(node, Filter) or (isinstance(node, Method) and node.name in OF_THE_SAME):
        return any_of(node.base)
    if isinstance(node, Method) and node.name in ("keys", "values"):
        return _of_map(node)
    return ANYTHING


def _of_map(node: Method) -> frozenset[Type]:
    """Of keys() and values(). The names of a profile's own map are texts; groups have what their
    elements have in common."""
    if makes_groups(node.base):
        return TUPLES if node.name == "values" else ANYTHING
    own = node.name == "keys" and isinstance(node.base, Path | Root)
    return frozenset(("text",)) if own else ANYTHING


def makes_groups(node: Node) -> bool:
    """Whether it makes groups: a map with keys of any kind, each to a list."""
    return isinstance(node, Method) and node.name == "groupBy"


def literal(node: Node) -> Any:
    """The literal that is written there, with its sign; None where it is none."""
    if isinstance(node, Constant):
        return node.value
    return negated(literal(node.operand)) if isinstance(node, Negative) else None


def is_measured(node: Node) -> bool:
    """Whether it is worked out from numbers, which may be epoch milliseconds:
    `xEvent.max(timestamp)`."""
    if isinstance(node, Method):
        return node.name in ("sum", "average", "min", "max")
    return isinstance(node, Sum | Product | Over)


def for_everyone(node: Node) -> bool:
    """Whether it is a value that is there whatever the profile holds: as a condition it would be
    true of everyone, or an empty list of nobody."""
    if isinstance(node, Constant):
        return not isinstance(node.value, bool)
    if isinstance(node, Sum | Product | Negative):
        return all(map(for_everyone, children(node)))
    if isinstance(node, Method):
        return node.name in ("count", "sum", "groupBy")
    if isinstance(node, Over):
        return node.function == "sum"
    if isinstance(node, Let):
        return for_everyone(node.body)
    if isinstance(node, Call):
        if node.name == "if" and len(node.args) == 3:
            return all(map(for_everyone, node.args[1:]))
        return node.name == "date" or node.name.startswith("current")
    return isinstance(node, ListOf | ObjectOf | TimeWord | Period)


def said(node: Node) -> str:
    """What kind of value it is, as an author is told."""
    kind = type_of(node)
    kinds = any_of(node) if kind == "list" else ANYTHING
    if not kinds:
        return "an empty list"
    (one, *others) = kinds
    return WORDS[kind] if others or one == "any" else f"a list of {SEVERAL[one]}"


def comparable(one: Node, other: Node) -> bool:
    """Whether the two can be equal: an element, where one alone is a list."""
    if "list" in (type_of(one), type_of(other)):
        if type_of(one) == type_of(other) or "any" in (type_of(one), type_of(other)):
            return True  # a field may be a list itself, and an empty one
        return any(_alike(a, b, one, other) for a in any_of(one) for b in any_of(other))
    return _alike(type_of(one), type_of(other), one, other)


def _alike(a: Type, b: Type, one: Node, other: Node) -> bool:
    if "any" in (a, b) or a == b:
        return True
    # The edge page compares flags with the texts "true" and "false".
    return {a, b} == {"flag", "text"} and any(
        isinstance(side, Constant) and side.value in ("true", "false") for side in (one, other)
    )
