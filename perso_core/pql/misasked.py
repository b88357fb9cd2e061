"""Methods asked of values that have nothing to give them, or the same for everyone."""

from __future__ import annotations

from collections.abc import Iterator

from perso_core.pql.fields import FieldType
from perso_core.pql.kinds import makes_groups, type_of
from perso_core.pql.nodes import (
    Call,
    Constant,
    Events,
    Lambda,
    Let,
    ListOf,
    Method,
    Node,
    ObjectOf,
    Path,
    Period,
    TimeWord,
)

CALENDAR = frozenset(("getMonth", "getYear", "getDayOfMonth"))
PRESENCE = frozenset(("isNull", "isNotNull"))
# What is asked of elements. Groups are a map: they would be one element that is the map itself.
OF_ELEMENTS = frozenset(("count", "exists", "forall", "filter", "head", "distinct", "topN"))
OF_ELEMENTS |= {"bottomN", "includes", "intersects", "intersection", "subsetOf", "supersetOf"}
OF_ELEMENTS |= {"sum", "average", "min", "max", "groupBy"}
# Methods that give a list, or a number, also of what is missing.
LISTING = frozenset(("filter", "distinct", "topN", "bottomN", "keys", "values", "map"))
COUNTING = frozenset(("count", "sum"))
# What is told, and how to mend it.
Told = tuple[str, str]


def misasked(method: Method, known: FieldType) -> Told | None:
    """What is told of a method that no value of this kind answers, or that all answer alike.

    known: of what it is asked of. None: some value may answer it.
    """
    name, base = method.name, method.base
    if name in PRESENCE:
        return _presence(name, base)
    if name in OF_ELEMENTS and makes_groups(base):
        return groups_told(f"{name}(...)")
    if name == "map":
        return _mapped(method, known)
    if name == "regexGroup" and known.kind == "list":
        return "A group is found in one text; this is a list.", "Ask for one: head()."
    if name in CALENDAR and known.kind == "list":
        each = f"exists(joined.{name}() = 1), or head().{name}()."
        return f"{name}() asks for one time; this is a list.", f"Ask for its elements: {each}"
    return None


def groups_told(asked: str) -> Told:
    """asked: what is asked of groups as if they were a list."""
    return (
        f"groupBy(...) gives lists by their keys; {asked} asks for the elements of one list.",
        "Write values() after it for the lists, keys() for what they were grouped by.",
    )


def entries_in(function: Node) -> Iterator[Node]:
    """The places in a function of map at which what it gives stands."""
    if isinstance(function, Lambda | Let):
        yield from entries_in(function.body)
    elif isinstance(function, Call) and function.name == "if":
        for branch in function.args[1:]:
            yield from entries_in(branch)
    else:
        yield function


def is_entry(node: Node) -> bool:
    return isinstance(node, Call) and node.name == "mapEntry"


def _mapped(method: Method, known: FieldType) -> Told | None:
    function = method.args[0] if method.args else None
    names = function.names if isinstance(function, Lambda) else ()
    if makes_groups(method.base) and not names[1:]:
        return "A group has a key and elements.", "Name both: map((K, G) => G.count())."
    if names[1:] and known.kind not in ("any", "object"):
        return (
            "Two names are for a key and what is under it; this has no keys.",
            f"Write one name before =>: map({names[0]} => ...).",
        )
    return None


def _presence(name: str, base: Node) -> Told | None:
    """What is never missing: whoever asks means whether it is empty."""
    op = "=" if name == "isNull" else ">"
    if _is_list(base):
        there = "a list is there always, if an empty one"
        return f"{name}() asks whether there is a value; {there}.", f"Write count() {op} 0."
    number = isinstance(base, Method) and base.name in COUNTING
    fixed = isinstance(base, Constant | ObjectOf | TimeWord | Period) or makes_groups(base)
    if number or fixed or (isinstance(base, Call) and base.name.startswith("current")):
        return (
            f"{name}() asks whether there is a value; this one is there always.",
            "Compare it, or ask a field.",
        )
    return None


def _is_list(node: Node) -> bool:
    """Whether it is a list whatever the profile holds. Of events alone even a path is one."""
    if isinstance(node, Path):
        return _is_list(node.base)
    if isinstance(node, Method) and node.name not in LISTING:
        return False
    return isinstance(node, Events | ListOf | Method) or type_of(node) == "list"
