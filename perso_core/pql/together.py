"""Conditions joined by `and` that one value can never meet together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql import values
from perso_core.pql.fields import ANY, INFINITY, FieldType
from perso_core.pql.fixed_times import compared, fixed_time, times_in
from perso_core.pql.instants import instant_of
from perso_core.pql.kinds import literal
from perso_core.pql.known import Scope
from perso_core.pql.moving_times import moves_alone, never_meet
from perso_core.pql.nodes import (
    Call,
    Compare,
    Constant,
    Element,
    ListOf,
    Member,
    Method,
    Node,
    Not,
    Occurs,
    Path,
    Root,
    Variable,
    Window,
)
from perso_core.pql.types import STRING_TESTS
from perso_core.pql.windows import ALWAYS, Spans, complement, intersection

# One value of one form: two conditions on it speak of the same thing. Lists are not among them,
# as any of their elements may meet a condition.
SCALARS = frozenset(("text", "number", "integer", "flag", "date", "datetime", "instant"))
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}

# More conditions on one field, or more values to try, than this are taken to be possible.
MAX_CONDITIONS = 50
MAX_TRIED = 10_000


class Condition(Struct, frozen=True):
    """A condition on one value, which is None where it is missing.

    exactly: all the values that can meet it; None: there may be any number. folded: the same,
    up to letter case. bound: an operator and a number. spans: the instants that meet it. moving:
    the window, where it moves with now. any_case: it does not see letter case. denied: it is the
    opposite of what the others are read from, so that a value of another form meets it whatever
    its bound.
    """

    test: Callable[[Any], bool]
    exactly: tuple[Any, ...] | None = None
    folded: tuple[str, ...] | None = None
    bound: tuple[str, float] | None = None
    spans: Spans | None = None
    moving: Window | None = None
    any_case: bool = False
    denied: bool = False


def never_together(operands: Sequence[Node], scope: Scope) -> Iterator[tuple[Node, Node]]:
    """(operand, what it is about) for each that no value can meet together with those before it.

    operands: of one `and`, each without a fault of its own.
    """
    asking = [node for node in operands if type(node) in READ]
    if len(asking) < 2:  # most rules join one comparison with other things
        return
    by_key: dict[str | tuple[str, ...], list[Node]] = {}
    for node in asking:
        about = _about(node)
        known = ANY if about is None else scope.of(about)
        if about is None or known.kind not in SCALARS:
            continue
        nodes = by_key.setdefault(_key(about), [])
        nodes.append(node)
        if 1 < len(nodes) <= MAX_CONDITIONS:
            found = [READ[type(one)](one) for one in nodes if _about(one) == about]
            # Whatever could not be read asks for nothing.
            if not possible([one for one in found if one is not None], known):
                yield node, about


def possible(conditions: Sequence[Condition], known: FieldType) -> bool:
    """Whether some value of this type, or a missing one, meets all the conditions."""
    if all(one.test(None) for one in conditions):
        return True
    tried = _tried(conditions, known)
    if tried is None:
        return _bounded(conditions, known) and _timed(conditions, known)
    if len(tried) * len(conditions) > MAX_TRIED:
        return True
    return any(all(one.test(value) for one in conditions) for value in tried)


def _tried(conditions: Sequence[Condition], known: FieldType) -> Sequence[Any] | None:
    """Values of which one meets the conditions if any value does; None where it is not known."""
    if known.kind == "flag":
        return (True, False)
    if known.values:
        return known.values
    exact = [one.exactly for one in conditions if one.exactly is not None]
    if exact:
        return min(exact, key=len)
    folded = [one.folded for one in conditions if one.folded is not None]
    if folded and all(one.any_case for one in conditions):
        return min(folded, key=len)
    return None


def _bounded(conditions: Sequence[Condition], known: FieldType) -> bool:
    """Whether a number lies between the bounds."""
    least, most, open_least, open_most = known.least, known.most, False, False
    whole = known.kind == "integer"
    numbers = known.kind in ("number", "integer")
    bounds = [one.bound for one in conditions if one.bound and (numbers or not one.denied)]
    for op, number in bounds:
        if op[0] == ">":
            # Of whole numbers above n the first is the one after it.
            at, is_open = (number // 1 + 1, False) if whole and op == ">" else (number, op == ">")
            if at > least or (at == least and is_open):
                least, open_least = at, is_open
        else:
            at, is_open = (
                (-(-number // 1) - 1, False) if whole and op == "<" else (number, op == "<")
            )
            if at < most or (at == most and is_open):
                most, open_most = at, is_open
    if whole and least > -INFINITY and most < INFINITY:
        return -(-least // 1) <= most // 1
    return least < most or (least == most and not open_least and not open_most)


def _timed(conditions: Sequence[Condition], known: FieldType) -> bool:
    """Whether an instant lies in all the spans."""
    left = ALWAYS
    times = known.kind in ("date", "datetime", "instant")
    for one in conditions:
        if one.spans is not None and (times or not one.denied):
            left = intersection(left, one.spans)
    moving = [one.moving for one in conditions if one.moving is not None]
    return left != () and not (moving[1:] and never_meet(moving))


# ---- what a node asks, and of what ------------------------------------------


def _about(node: Node) -> Node | None:
    """What an operand asks about; None where it is nothing that can be compared with others."""
    if isinstance(node, Not):
        return _about(node.operand) if type(node.operand) in READ else None
    if isinstance(node, Path):
        about: Node = node
    elif isinstance(node, Compare):
        written = isinstance(node.left, Constant) or fixed_time(node.left) is not None
        about = node.right if written else node.left
    elif isinstance(node, Occurs | Member):
        about = node.left
    elif isinstance(node, Method):
        about = node.base
    elif isinstance(node, Call) and node.name == "stringCompare":
        about = node.args[1]
    else:
        return None
    return about if isinstance(about, Variable | Method | Call) or _named(about) else None


def _named(node: Node) -> bool:
    return isinstance(node, Path) and isinstance(node.base, Root | Element | Variable)


def _key(about: Node) -> str | tuple[str, ...]:
    """Equal for two nodes that are equal; cheaper than their own hashes."""
    if isinstance(about, Path):
        return about.segments
    return about.name if isinstance(about, Variable | Method | Call) else ""


def _compare(node: Compare) -> Condition | None:
    op = str(node.op)
    for side, as_written in ((node.right, op), (node.left, FLIPPED[op])):
        time = None if isinstance(side, Constant) else fixed_time(side)
        if time is not None:
            return _within(compared(as_written, time))
    wanted = literal(node.right)
    if wanted is None:
        op, wanted = FLIPPED[op], literal(node.left)
    if wanted is None:
        return None
    if wanted in ("true", "false") and op in ("=", "!="):
        test = values.equal if op == "=" else values.differ
        return Condition(lambda v: test(values.as_flag(v), wanted))
    if op == "=":
        return Condition(lambda v: values.equal(v, wanted), exactly=(wanted,))
    if op == "!=":
        return Condition(lambda v: values.differ(v, wanted))
    if type(wanted) not in values.NUMBERS:
        return None
    return Condition(lambda v: values.ordered(op, v, wanted), bound=(op, wanted))


def _within(spans: Spans) -> Condition:
    def test(value: Any) -> bool:
        at = instant_of(value)
        return at is not None and any(start <= at < end for start, end in spans)

    return Condition(test, spans=spans)


def _occurs(node: Occurs) -> Condition | None:
    if moves_alone(node.window):
        # Of a missing time no window holds; of others it is asked below.
        return Condition(lambda value: instant_of(value) is not None, moving=node.window)
    spans = times_in(node.window)
    return None if spans is None else _within(spans)


def _not(node: Not) -> Condition | None:
    read = READ.get(type(node.operand))
    found = read(node.operand) if read else None
    if found is None or found.moving is not None:
        return None
    bound = found.bound and (OPPOSITE[found.bound[0]], found.bound[1])
    spans = None if found.spans is None else complement(found.spans)
    return Condition(
        lambda v: not found.test(v),
        bound=bound,
        spans=spans,
        any_case=found.any_case,
        denied=True,
    )


def _member(node: Member) -> Condition | None:
    wanted = _literals(node.right)
    if wanted is None:
        return None
    if node.negated:
        return Condition(lambda v: values.not_member(v, wanted))
    return Condition(lambda v: values.member(v, wanted), exactly=tuple(wanted))


def _literals(node: Node) -> list[Any] | None:
    found = [literal(item) for item in node.items] if isinstance(node, ListOf) else [None]
    return None if None in found else found


def _method(node: Method) -> Condition | None:
    if node.name == "isNull":
        return Condition(lambda v: v is None, exactly=(None,), any_case=True)
    if node.name == "isNotNull":
        return Condition(lambda v: v is not None, any_case=True)
    if node.name not in STRING_TESTS:
        return None
    wanted = [literal(arg) for arg in node.args]
    switch = len(wanted) > 1 and isinstance(wanted[-1], bool)
    texts = wanted[:-1] if switch else wanted
    return _text_test(node.name, texts, not switch or bool(wanted[-1]))


def _call(node: Call) -> Condition | None:
    if node.name != "stringCompare" or not 3 <= len(node.args) <= 4:
        return None
    name, texts = literal(node.args[0]), _literals(node.args[2])
    if name not in STRING_TESTS or texts is None:
        return None
    return _text_test(name, texts, literal(node.args[-1]) is not False)


def _text_test(name: str, texts: Sequence[Any], case_sensitive: bool) -> Condition | None:
    if not all(isinstance(text, str) for text in texts):
        return None
    wanted = tuple(texts)
    equals = wanted if name == "equals" else None
    return Condition(
        lambda v: values.compare_texts(name, v, list(wanted), case_sensitive),
        exactly=equals if case_sensitive else None,
        folded=None if case_sensitive else equals,
        any_case=not case_sensitive,
    )


READ: dict[type[Node], Callable[[Any], Condition | None]] = {
    Compare: _compare,
    Member: _member,
    Method: _method,
    Call: _call,
    Path: lambda node: Condition(values.truth),
    Occurs: _occurs,
    Not: _not,
}
