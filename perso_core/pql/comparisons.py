"""Shapes of conditions: and, or, not, comparisons, membership, patterns, tests of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from perso_core.pql import syntax as py
from perso_core.pql import values
from perso_core.pql.emitter import Emitter
from perso_core.pql.kinds import type_of
from perso_core.pql.nodes import (
    And,
    Call,
    Compare,
    Constant,
    Events,
    Filter,
    ListOf,
    Member,
    Method,
    Node,
    Not,
    Or,
    Over,
    Path,
    Pattern,
    Product,
    Sum,
)
from perso_core.pql.patterns import finding, like, like_shape, regular
from perso_core.pql.reads import reads_time
from perso_core.pql.syntax import Shape
from perso_core.pql.timing import FLIPPED, compare_times, part_of_now

# More operands stay in one function.
MANY_OPERANDS = 16
# More stand by runs in functions of their own, and runs of one shape are compiled once: 10,000
# operands take 0.15 s. In one function Python took 1.4 s for them, and more than twice as long for
# twice as many.
TOO_MANY_OPERANDS, RUN = 256, 32
# From so many on, alternatives on one field become a look into a set.
FEW_ALTERNATIVES = 4


def and_(emitter: Emitter, node: And) -> Shape:
    return py.both(*_operands(emitter, And, node.operands))


def or_(emitter: Emitter, node: Or) -> Shape:
    operands, looks = lookups(emitter, node.operands)
    return py.either(*looks, *_operands(emitter, Or, operands))


def not_(emitter: Emitter, node: Not) -> Shape:
    return py.opposite(emitter.operand(node.operand))


def _operands(emitter: Emitter, join: type[And | Or], operands: Sequence[Node]) -> Iterator[Shape]:
    """What does not change with time before what does: where the first decides, the answer
    holds for good and no event is looked at."""
    emit = emitter.operand if len(operands) <= MANY_OPERANDS else emitter.test
    ordered = sorted(operands, key=reads_time)
    if len(ordered) <= TOO_MANY_OPERANDS:
        return map(emit, ordered)
    return map(emitter.outlined, map(join, runs_of(ordered)))


def runs_of(nodes: Sequence[Node]) -> list[tuple[Node, ...]]:
    """The nodes in order, so many together as stand in a function of their own."""
    return [tuple(nodes[at : at + RUN]) for at in range(0, len(nodes), RUN)]


def lookups(emitter: Emitter, operands: tuple[Node, ...]) -> tuple[Sequence[Node], list[Shape]]:
    """`a = 1 or a = 2 or …` is one look into a set; the others stay as they are."""
    if len(operands) < FEW_ALTERNATIVES:
        return operands, []
    found: dict[tuple[Node, str], list[Node]] = {}
    others: list[Node] = []
    for operand in operands:
        function = _looks(operand)
        if function and isinstance(operand, Compare):
            found.setdefault((operand.left, function), []).append(operand.right)
        else:
            others.append(operand)
    return others, [
        py.call(function, emitter.value(left), emitter.written(wanted, frozenset))
        for (left, function), wanted in found.items()
    ]


def _looks(node: Node) -> str:
    """The function that looks a field up among literals, where the node compares the two."""
    if not isinstance(node, Compare) or node.op != "=" or not isinstance(node.right, Constant):
        return ""
    if not isinstance(node.left, Path) or reads_time(node.left):
        return ""
    if isinstance(node.right.value, str):
        return "" if node.right.value in ("true", "false") else "in_texts"
    return "in_numbers" if type(node.right.value) in values.NUMBERS else ""


# ---- comparisons ------------------------------------------------------------


def compare(emitter: Emitter, node: Compare) -> Shape:
    one, other = type_of(node.left), type_of(node.right)
    if one == "time" or other == "time":
        return compare_times(emitter, node)
    if type(node.left) in ASKING or type(node.right) in ASKING:
        found = compare_now(emitter, node)
        if found is not None:
            return found
    literal = node.right.value if isinstance(node.right, Constant) else None
    if one == other == "number":
        if literal is not None and _counts_events(node.left):
            return counted(emitter, node)
        sides = _number(emitter, node.left, node.right), _number(emitter, node.right, node.left)
    else:
        sides = emitter.value(node.left), emitter.value(node.right)
    if node.op in ("=", "!="):
        return compare_equal(emitter, node, sides)
    if type(literal) in values.NUMBERS:
        return py.ordered(emitter.temporary(), sides[0], node.op, sides[1])
    return py.call("ordered", py.text(node.op), *sides)


# What may be a part of now: currentMonth(), today.getMonth().
ASKING = frozenset((Call, Method))


def compare_now(emitter: Emitter, node: Compare) -> Shape | None:
    """A part of the calendar against something else; None for anything else."""
    for asked, other, op in (
        (node.left, node.right, node.op),
        (node.right, node.left, FLIPPED[node.op]),
    ):
        part = part_of_now(asked)
        if part and not reads_time(other):
            number = type_of(other) == "number"
            wanted = _number(emitter, other, asked) if number else emitter.value(other)
            return py.call("current_is", "now", py.text(part), py.text(op), wanted)
    return None


def _number(emitter: Emitter, node: Node, other: Node) -> Shape:
    """One of two numbers that are compared. The checker asks whether they can be equal, or in
    that order, so a literal there belongs to the shape; unless the other can be any number."""
    if isinstance(node, MEASURED) or _any_number(other):
        return emitter.value(node)
    # From 2 on every whole number can be a count; 0 and 1 belong to the shape in any case.
    whole = isinstance(node, Constant) and type(node.value) is int
    counts = isinstance(other, Method) and other.name == "count"
    return emitter.value(node) if whole and counts else emitter.value_fixed(node)


MEASURED = (Method, Sum, Product, Over)


def _any_number(node: Node) -> bool:
    sums = isinstance(node, Method) and node.name in ("sum", "average", "min", "max")
    return sums or isinstance(node, Sum | Product | Over)


def _counts_events(node: Node) -> bool:
    """Whether it is the number of events, or of those that satisfy a condition."""
    if not isinstance(node, Method) or node.name != "count":
        return False
    base = node.base
    filtered = isinstance(base, Filter) or (isinstance(base, Method) and base.name == "filter")
    return isinstance(getattr(base, "base", None) if filtered else base, Events)


def counted(emitter: Emitter, node: Compare) -> Shape:
    """`xEvent[...].count() op number`."""
    assert isinstance(node.left, Method), "_counts_events looked"
    base = node.left.base
    found = base.condition if isinstance(base, Filter) else (*getattr(base, "args", ()), None)[0]
    condition = emitter.always() if found is None else emitter.of_element(found, test=True)
    view, op, wanted = (
        emitter.read("view"),
        py.text(node.op),
        _number(emitter, node.right, node.left),
    )
    return py.call("events_counted", view, emitter.life(), condition, op, wanted, "now")


def compare_equal(emitter: Emitter, node: Compare, sides: tuple[Shape, Shape]) -> Shape:
    function = "equal" if node.op == "=" else "differ"
    for side in (node.left, node.right):
        if type(side) is Constant and side.value in ("true", "false"):
            return py.call(function, *[py.call("as_flag", side) for side in sides])
    literal = node.right.value if type(node.right) is Constant else None
    # 0 and 1 are False and True to Python.
    plain = type(literal) is str or (type(literal) in values.NUMBERS and literal not in (0, 1))
    if node.op == "!=" or not plain:
        return py.call(function, *sides)
    return py.equal(emitter.temporary(), *sides)


def member(emitter: Emitter, node: Member) -> Shape:
    items = node.right.items if isinstance(node.right, ListOf) else ()
    kinds = {type(item.value) if isinstance(item, Constant) else None for item in items}
    if not node.negated and items:
        if kinds == {str}:
            return py.call("in_texts", emitter.value(node.left), emitter.written(items, frozenset))
        if kinds <= values.NUMBERS:
            return py.call(
                "in_numbers", emitter.value(node.left), emitter.written(items, frozenset)
            )
    function = "not_member" if node.negated else "member"
    return py.call(function, emitter.value(node.left), emitter.value(node.right))


# ---- texts ------------------------------------------------------------------


def pattern(emitter: Emitter, node: Pattern) -> Shape:
    assert isinstance(node.right, Constant), "the checker wants patterns written out"
    found = emitter.value(node.left)
    if node.op == "matches":
        return py.call("finds", emitter.written([node.right], _finding, refuses=True), found)
    shape = like_shape(str(node.right.value))
    if shape is None:
        return py.call("finds", emitter.written([node.right], _like), found)
    if shape[0] == "equals":
        return py.call("equals_text", found, emitter.written([node.right], _liked))
    wanted = emitter.written([node.right], lambda texts: (_liked(texts),))
    return py.call("text_test", py.text(shape[0]), found, wanted, True)


def _finding(patterns: Sequence[str]) -> Any:
    return finding(patterns[0])


def _regular(patterns: Sequence[str]) -> Any:
    return regular(patterns[0])


def _like(patterns: Sequence[str]) -> Any:
    return like(patterns[0])


def _liked(patterns: Sequence[str]) -> str:
    """The text in a pattern whose wildcards are all at its ends."""
    return patterns[0].strip("%")


def regular_test(emitter: Emitter, node: Method) -> Shape:
    """matches and regexGroup."""
    pattern, *group = node.args
    if node.name == "matches":
        compiled = emitter.written([pattern], _finding, refuses=True)
        return py.call("finds", compiled, emitter.value(node.base))
    compiled = emitter.written([pattern], _regular, refuses=True)
    number = emitter.value(group[0]) if group else None
    return py.call("group_of", compiled, emitter.value(node.base), number)


def string_test(emitter: Emitter, node: Method) -> Shape:
    args = node.args
    case_sensitive = True
    if len(args) > 1 and type_of(args[-1]) == "flag":
        case_sensitive, args = _flag(args[-1]), args[:-1]
    if all(isinstance(arg, Constant) for arg in args):
        return text_test(emitter, node.name, node.base, args, case_sensitive=case_sensitive)
    wanted = py.list_of(*map(emitter.value, args))
    found = emitter.value(node.base)
    return py.call("compare_texts", py.text(node.name), found, wanted, case_sensitive)


def string_compare(emitter: Emitter, node: Call) -> Shape:
    name, value, texts, *rest = node.args
    assert isinstance(name, Constant), "the checker wants the test's name written out"
    case_sensitive = not rest or _flag(rest[0])
    items = texts.items if isinstance(texts, ListOf) else ()
    if items and all(isinstance(i, Constant) and isinstance(i.value, str) for i in items):
        return text_test(emitter, str(name.value), value, items, case_sensitive=case_sensitive)
    test = py.text(str(name.value))
    return py.call(
        "compare_texts", test, emitter.value(value), emitter.value(texts), case_sensitive
    )


def text_test(
    emitter: Emitter, name: str, subject: Node, texts: Sequence[Node], *, case_sensitive: bool
) -> Shape:
    """A text test against texts that stand in the rule."""
    found = emitter.value(subject)
    if name == "equals" and len(texts) == 1:
        if case_sensitive:
            return py.call("equals_text", found, emitter.written(texts, _only))
        return py.call("equals_folded", found, emitter.written(texts, _only_folded))
    if name == "equals" and case_sensitive:
        return py.call("in_texts", found, emitter.written(texts, frozenset))
    wanted = emitter.written(texts, tuple if case_sensitive else _folded)
    return py.call("text_test", py.text(name), found, wanted, case_sensitive)


def _flag(node: Node) -> bool:
    return isinstance(node, Constant) and node.value is True


def _only(texts: Sequence[str]) -> str:
    return texts[0]


def _only_folded(texts: Sequence[str]) -> str:
    return values.fold(texts[0])


def _folded(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(values.fold, texts))
