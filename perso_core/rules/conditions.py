"""What a condition asks of one event, path by path.

Each operand of the condition that reads one path becomes a test of the value there: one of some
texts, a number on one side of a limit, or a function. The rest stays one function of the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from perso_core.pql.compiler import compile_condition
from perso_core.pql.nodes import (
    And,
    Call,
    Compare,
    Constant,
    Element,
    Lambda,
    ListOf,
    Member,
    Method,
    Node,
    Or,
    Path,
    children,
    fingerprint,
)
from perso_core.pql.reads import guards
from perso_core.pql.types import EventGuard
from perso_core.pql.values import NUMBERS, fold
from perso_core.rules.formula import NESTING, replaced

Segments = tuple[str, ...]
OfValue = Callable[[Any], bool]

EVENT = Element(0)


class Among(Struct, frozen=True, tag=True, array_like=True):
    """The value, or an element of it where it is a list, is one of these.

    texts: as written. folded: letter case ignored, folded. numbers: by value.
    """

    texts: frozenset[str] = frozenset()
    folded: frozenset[str] = frozenset()
    numbers: frozenset[int | float] = frozenset()

    def __or__(self, other: Among) -> Among:
        return Among(
            self.texts | other.texts, self.folded | other.folded, self.numbers | other.numbers
        )


class Limit(Struct, frozen=True, tag=True, array_like=True):
    """The value, or an element, is a number with `value op limit`."""

    op: str
    limit: int | float


class Begins(Struct, frozen=True, tag=True, array_like=True):
    """A text begins with one of these; what one event needs at least, never all it needs."""

    prefixes: tuple[str, ...]
    folded: bool


class Computed(Struct, frozen=True, eq=False):
    """A function of the value. key: equal keys are equal functions."""

    key: bytes
    holds: OfValue


Test = Among | Limit | Begins | Computed


class Condition(Struct, frozen=True, eq=False):
    """tests: all have to hold, each of the value at its path. rest: what the tests do not say, a
    function of the event, None where they say everything. others: an event that satisfies one of
    these will do as well."""

    tests: tuple[tuple[Segments, Test], ...]
    rest: Callable[[Mapping[str, Any]], bool] | None = None
    others: tuple[Condition, ...] = ()


# More alternatives than these are not told apart.
MAX_ALTERNATIVES = 8


def condition_of(node: Node | None) -> Condition:
    """The condition, typed, with Element(0) for the event; None: every event satisfies it."""
    if node is None:
        return Condition(())
    first, *others = map(_of_operands, _alternatives(node))
    return Condition(first.tests, first.rest, tuple(others))


def _alternatives(node: Node) -> list[tuple[Node, ...]]:
    """The operands of each alternative: `a and (b or c)` is `a, b` or `a, c`. What asks about one
    path stays whole."""
    if isinstance(node, Or) and _only_path(node) is None:
        found = [one for operand in node.operands for one in _alternatives(operand)]
        return found if len(found) <= MAX_ALTERNATIVES else [(node,)]
    if isinstance(node, And):
        found = [()]
        for operand in node.operands:
            found = [(*one, *more) for one in found for more in _alternatives(operand)]
            if len(found) > MAX_ALTERNATIVES:
                return [node.operands]
        return found
    return [(node,)]


def _of_operands(operands: Sequence[Node]) -> Condition:
    tests: list[tuple[Segments, Test]] = []
    rest: list[Node] = []
    for operand in operands:
        path = _only_path(operand)
        if path is not None:
            tests.append((path, _test(operand, path)))
            continue
        within, whole = _within(operand)
        tests.extend(within)
        if not whole:
            rest.append(operand)
        if not within:
            tests.extend(_needs(guards(operand, [EVENT])))
    if not rest:
        return Condition(tuple(tests))
    left = rest[0] if len(rest) == 1 else And(tuple(rest))
    return Condition(tuple(tests), compile_condition(left))


def needed_by(guard: EventGuard) -> Condition:
    """The condition without which an event cannot matter to a rule that is run."""
    return Condition(tuple(_needs((guard,))))


# ---- the elements of a list -------------------------------------------------


def _within(operand: Node) -> tuple[list[tuple[Segments, Test]], bool]:
    """`items.exists(SKU = "a" and price > 9)`: some SKU is "a", some price above 9. Whether that
    is all it says: where it asks one thing of an element, asking it of all is the same."""
    if not isinstance(operand, Method) or operand.name != "exists" or len(operand.args) != 1:
        return [], False
    base, (condition,) = operand.base, operand.args
    if not isinstance(base, Path) or base.base != EVENT or isinstance(condition, Lambda):
        return [], False
    asked = condition.operands if isinstance(condition, And) else (condition,)
    found: list[tuple[Segments, Test]] = []
    for one in asked:
        path = _only_path(one)
        test = None if path is None else _among(one) or _limit(one)
        if path is not None and test is not None:
            found.append(((*base.segments, *path), test))
    return found, len(found) == len(asked) == 1


# ---- one path ---------------------------------------------------------------


def _only_path(operand: Node) -> Segments | None:
    """The one path of the event that the operand reads; None where it reads others, or looks into
    the elements of something."""
    found: set[Segments] = set()
    left = [operand]
    while left:
        node = left.pop()
        if isinstance(node, Path) and node.base == EVENT:
            found.add(node.segments)
        elif isinstance(node, Element) or _nests(node):
            return None
        else:
            left.extend(children(node))
    return found.pop() if len(found) == 1 else None


def _nests(node: Node) -> bool:
    if isinstance(node, Method):
        return not all(isinstance(arg, Constant | ListOf) for arg in node.args)
    return isinstance(node, NESTING)


def _test(operand: Node, path: Segments) -> Test:
    among = _among(operand)
    if among is not None:
        return among
    limit = _limit(operand)
    if limit is not None:
        return limit
    of_value = replaced(operand, lambda one: EVENT if isinstance(one, Path) else None)
    return Computed(fingerprint(of_value), compile_condition(of_value))


def _among(operand: Node) -> Among | None:
    if isinstance(operand, Or):
        found = Among()
        for one in operand.operands:
            among = _among(one)
            if among is None:
                return None
            found |= among
        return found
    if isinstance(operand, Compare) and operand.op == "=" and isinstance(operand.left, Path):
        return _equal(operand.right)
    if isinstance(operand, Member) and not operand.negated and isinstance(operand.left, Path):
        items = operand.right.items if isinstance(operand.right, ListOf) else ()
        return _listed([one.value for one in items if isinstance(one, Constant)], len(items))
    if isinstance(operand, Method) and operand.name == "equals" and isinstance(operand.base, Path):
        return _texts([arg.value for arg in operand.args if isinstance(arg, Constant)])
    if isinstance(operand, Call) and operand.name == "stringCompare":
        return _compared(operand)
    return None


def _equal(node: Node) -> Among | None:
    value = node.value if isinstance(node, Constant) else None
    # "true" and "false" are also flags.
    if value in ("true", "false") and isinstance(value, str):
        return None
    return _listed([value], 1)


def _listed(constants: list[Any], number: int) -> Among | None:
    if not constants or len(constants) < number:
        return None
    if all(type(value) is str for value in constants):
        return Among(texts=frozenset(constants))
    if all(type(value) in NUMBERS for value in constants):
        return Among(numbers=frozenset(constants))
    return None


def _texts(args: list[Any]) -> Among | None:
    """`equals("a", "b", false)`."""
    *texts, last = args
    if isinstance(last, str):
        texts, last = args, True
    if not texts or not all(type(text) is str for text in texts):
        return None
    if last:
        return Among(texts=frozenset(texts))
    return Among(folded=frozenset(map(fold, texts)))


def _compared(call: Call) -> Among | None:
    name, value, texts, *rest = call.args
    if not isinstance(name, Constant) or name.value != "equals" or not isinstance(value, Path):
        return None
    items = texts.items if isinstance(texts, ListOf) else ()
    known = [one.value for one in items if isinstance(one, Constant)]
    flag = [one.value for one in rest if isinstance(one, Constant)] or [True]
    if not known or len(known) < len(items):
        return None
    return _texts([*known, flag[0]])


FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _limit(operand: Node) -> Limit | None:
    if not isinstance(operand, Compare) or operand.op not in FLIPPED:
        return None
    left, right, op = operand.left, operand.right, str(operand.op)
    if isinstance(left, Constant):
        left, right, op = right, left, FLIPPED[op]
    if not isinstance(left, Path) or not isinstance(right, Constant):
        return None
    return Limit(op, right.value) if type(right.value) in (int, float) else None  # type: ignore[arg-type]  # a flag is neither


# ---- what is needed at least ------------------------------------------------


def _needs(found: tuple[EventGuard, ...]) -> list[tuple[Segments, Test]]:
    """A test that follows from the alternatives, where they are about one path; else none."""
    paths = {guard.path for guard in found}
    if len(paths) != 1 or () in paths:
        return []
    (path,) = paths
    kinds = {guard.test for guard in found}
    wanted = [value for guard in found for value in guard.values]
    if kinds == {"equal"} and not any(isinstance(value, bool) for value in wanted):
        texts = frozenset(value for value in wanted if isinstance(value, str))
        numbers = frozenset(value for value in wanted if not isinstance(value, str))
        return [(path, Among(texts=texts, numbers=numbers))]
    if kinds == {"folded"}:
        return [(path, Among(folded=frozenset(map(str, wanted))))]
    if kinds in ({"prefix"}, {"folded-prefix"}):
        return [(path, Begins(tuple(map(str, wanted)), kinds == {"folded-prefix"}))]
    return [(path, PRESENT)]


# An empty list is present: `isNotNull`, `notIn`, `subsetOf` and a comparison of lists hold of it.
PRESENT = Computed(b"present", lambda value: value is not None)
