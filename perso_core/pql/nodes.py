"""What a rule is once read. Every node keeps its span; two nodes are equal when they say the same,
wherever they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct

from perso_core.pql.source import Span

NOWHERE: Span = (0, 0)

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
Direction = Literal["before", "after", "from"]


# Fields that say where something stands; two nodes are equal whatever these are.
PLACES = frozenset(("span", "amount_at", "counts_at"))


# A node holds nothing but what is below it: the garbage collector need not look for circles.
class Node(Struct, frozen=True, eq=False, gc=False):
    """The root of all nodes. After what it says, the fields of each give places: `span` first."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        for name in self.__struct_fields__:
            if name not in PLACES and not _same(getattr(self, name), getattr(other, name)):
                return False
        return True

    # Without it `!=` would ask whether the two are one object.
    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(
            (type(self), *(getattr(self, n) for n in self.__struct_fields__ if n not in PLACES))
        )

    @property
    def place(self) -> Span:
        """Where it stands in the text."""
        span: Span = getattr(self, "span", NOWHERE)
        return span


def _same(one: object, other: object) -> bool:
    # 1, 1.0 and True are one value to Python and three literals to an author.
    return type(one) is type(other) and one == other


def fingerprint(node: Node) -> bytes:
    """16 bytes, the same for nodes that are equal and for no others."""
    said = _said(node).encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=16).digest()


def _said(value: object) -> str:
    if isinstance(value, Node):
        said = [_said(getattr(value, n)) for n in value.__struct_fields__ if n not in PLACES]
        return f"{type(value).__name__}({','.join(said)})"
    if isinstance(value, tuple):
        return f"[{','.join(map(_said, value))}]"
    return f"{type(value).__name__} {value!r}"


# ---- values -----------------------------------------------------------------


class Constant(Node, frozen=True, eq=False):
    """A number, a text, true or false."""

    value: str | int | float | bool
    span: Span = NOWHERE


class ListOf(Node, frozen=True, eq=False):
    items: tuple[Node, ...]
    span: Span = NOWHERE


class ObjectOf(Node, frozen=True, eq=False):
    entries: tuple[tuple[str, Node], ...]
    span: Span = NOWHERE


class TimeWord(Node, frozen=True, eq=False):
    """now, today, yesterday or tomorrow."""

    word: str
    span: Span = NOWHERE


class Period(Node, frozen=True, eq=False):
    """this, last or next, and a unit: a whole calendar unit."""

    which: str
    unit: str
    span: Span = NOWHERE


class Param(Node, frozen=True, eq=False):
    """`$1`: the profile."""

    index: int
    span: Span = NOWHERE


class Element(Node, frozen=True, eq=False):
    """What plain names are fields of: the profile, or the element of a filter.

    up: how many levels out, one per caret.
    """

    up: int
    span: Span = NOWHERE


class Variable(Node, frozen=True, eq=False):
    """A name that a binder, let, lambda or chain step gave. Put in by the checker."""

    name: str
    span: Span = NOWHERE


class Root(Node, frozen=True, eq=False):
    """The profile, however the author spelled it. Put in by the checker."""

    spelled: Node
    span: Span = NOWHERE


class Events(Node, frozen=True, eq=False):
    """The profile's events. Put in by the checker."""

    root: Root
    span: Span = NOWHERE


class Path(Node, frozen=True, eq=False):
    """`base.first.second`. The parser leaves names unresolved: base Element(0), or Element(n)."""

    base: Node
    segments: tuple[str, ...]
    span: Span = NOWHERE


class Call(Node, frozen=True, eq=False):
    name: str
    args: tuple[Node, ...]
    span: Span = NOWHERE


class Method(Node, frozen=True, eq=False):
    """`base.name(args)`. span covers the name and what follows it."""

    base: Node
    name: str
    args: tuple[Node, ...]
    span: Span = NOWHERE


class Filter(Node, frozen=True, eq=False):
    """`base[condition]`."""

    base: Node
    condition: Node
    span: Span = NOWHERE


# ---- operators --------------------------------------------------------------


class And(Node, frozen=True, eq=False):
    operands: tuple[Node, ...]
    span: Span = NOWHERE


class Or(Node, frozen=True, eq=False):
    operands: tuple[Node, ...]
    span: Span = NOWHERE


class Not(Node, frozen=True, eq=False):
    operand: Node
    span: Span = NOWHERE


class Compare(Node, frozen=True, eq=False):
    op: Comparison
    left: Node
    right: Node
    span: Span = NOWHERE


class Member(Node, frozen=True, eq=False):
    """`left in right`, or notIn."""

    negated: bool
    left: Node
    right: Node
    span: Span = NOWHERE


class Pattern(Node, frozen=True, eq=False):
    """`left like right`, `left matches right`."""

    op: str
    left: Node
    right: Node
    span: Span = NOWHERE


class Occurs(Node, frozen=True, eq=False):
    left: Node
    window: Window
    span: Span = NOWHERE


class Sum(Node, frozen=True, eq=False):
    """Terms with their sign; the first has "+"."""

    terms: tuple[tuple[str, Node], ...]
    span: Span = NOWHERE


class Product(Node, frozen=True, eq=False):
    """Factors with what comes before them: "*", "/" or "%"; the first has "*"."""

    factors: tuple[tuple[str, Node], ...]
    span: Span = NOWHERE


class Negative(Node, frozen=True, eq=False):
    operand: Node
    span: Span = NOWHERE


# ---- time windows -----------------------------------------------------------


class Window(Node, frozen=True, eq=False):
    """What stands after `occurs` or inside WHEN."""


class Distance(Window, frozen=True, eq=False):
    """`<= 3 days before time`."""

    op: Comparison
    amount: int
    unit: str
    direction: Direction
    time: Node
    span: Span = NOWHERE
    amount_at: Span = NOWHERE


class Side(Window, frozen=True, eq=False):
    """`before time`."""

    direction: Direction
    time: Node
    span: Span = NOWHERE


class Between(Window, frozen=True, eq=False):
    first: Node
    last: Node
    span: Span = NOWHERE


class On(Window, frozen=True, eq=False):
    time: Node
    span: Span = NOWHERE


# ---- chains and binders -----------------------------------------------------


class Step(Node, frozen=True, eq=False):
    """`C0: WHAT(..) WHERE(..) WHEN(..) COUNT(..)`. conditions: WHAT first, then each WHERE."""

    label: str
    conditions: tuple[Node, ...]
    windows: tuple[Window, ...]
    counts: tuple[tuple[Comparison, int], ...]
    span: Span = NOWHERE
    counts_at: tuple[Span, ...] = ()


class Chain(Node, frozen=True, eq=False):
    events: Node
    order: Node
    steps: tuple[Step, ...]
    span: Span = NOWHERE


class Range(Node, frozen=True, eq=False):
    """`X from array where condition`."""

    name: str
    array: Node
    condition: Node | None = None
    span: Span = NOWHERE


class Binder(Node, frozen=True, eq=False):
    """select, exists or forall."""

    kind: str
    ranges: tuple[Range, ...]
    span: Span = NOWHERE


class Over(Node, frozen=True, eq=False):
    """`sum X.price over X from orders`."""

    function: str
    measure: Node
    ranges: tuple[Range, ...]
    span: Span = NOWHERE


class Let(Node, frozen=True, eq=False):
    name: str
    bound: Node
    body: Node
    span: Span = NOWHERE


class Lambda(Node, frozen=True, eq=False):
    names: tuple[str, ...]
    body: Node
    span: Span = NOWHERE


# ---- what is below a node ---------------------------------------------------


def children(node: Node) -> Sequence[Node]:
    """The nodes directly below, in the order of the text."""
    return BELOW[type(node)](node)


def _nothing(node: Node) -> Sequence[Node]:
    return ()


BELOW: dict[type[Node], Callable[[Any], Sequence[Node]]] = {
    **dict.fromkeys((Constant, TimeWord, Period, Param, Element, Variable), _nothing),
    ListOf: lambda n: n.items,
    ObjectOf: lambda n: [value for _, value in n.entries],
    Root: lambda n: (n.spelled,),
    Events: lambda n: (n.root,),
    Path: lambda n: (n.base,),
    Call: lambda n: n.args,
    Method: lambda n: (n.base, *n.args),
    Filter: lambda n: (n.base, n.condition),
    And: lambda n: n.operands,
    Or: lambda n: n.operands,
    Not: lambda n: (n.operand,),
    Compare: lambda n: (n.left, n.right),
    Member: lambda n: (n.left, n.right),
    Pattern: lambda n: (n.left, n.right),
    Occurs: lambda n: (n.left, n.window),
    Sum: lambda n: [term for _, term in n.terms],
    Product: lambda n: [factor for _, factor in n.factors],
    Negative: lambda n: (n.operand,),
    Distance: lambda n: (n.time,),
    Side: lambda n: (n.time,),
    Between: lambda n: (n.first, n.last),
    On: lambda n: (n.time,),
    Step: lambda n: (*n.conditions, *n.windows),
    Chain: lambda n: (n.events, n.order, *n.steps),
    Range: lambda n: (n.array,) if n.condition is None else (n.array, n.condition),
    Binder: lambda n: n.ranges,
    Over: lambda n: (n.measure, *n.ranges),
    Let: lambda n: (n.bound, n.body),
    Lambda: lambda n: (n.body,),
}


# ---- nodes in their plain form ----------------------------------------------


def path_of(base: Node, segments: list[str], span: Span) -> Node:
    """`base.segments`, one path where the base is a path already."""
    if not segments:
        return base
    if isinstance(base, Path):
        return Path(base.base, (*base.segments, *segments), span)
    return Path(base, tuple(segments), span)


def joined(kind: type[And] | type[Or], operands: list[Node], span: Span = (0, 0)) -> Node:
    """The operands in one flat list: `a and (b and c)` says what `a and b and c` says."""
    flat: list[Node] = []
    for operand in operands:
        flat.extend(operand.operands if isinstance(operand, kind) else [operand])
    return kind(tuple(flat), span)


def sum_of(terms: list[tuple[str, Node]], span: Span = (0, 0)) -> Node:
    """The terms in one list; a sum in first place is opened, one in brackets elsewhere is not."""
    first = terms[0][1]
    opened = first.terms if isinstance(first, Sum) else (terms[0],)
    return Sum((*opened, *terms[1:]), span)


def product_of(factors: list[tuple[str, Node]], span: Span = (0, 0)) -> Node:
    first = factors[0][1]
    opened = first.factors if isinstance(first, Product) else (factors[0],)
    return Product((*opened, *factors[1:]), span)
