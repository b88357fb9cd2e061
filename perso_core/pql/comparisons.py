"""Shapes of conditions: and, or, not, comparisons, membership, patterns, tests of texts."""

from __future__ import annotations

from collections.abc import Sequence
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
    Element,
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
    Root,
    Sum,
    Variable,
)
from perso_core.pql.patterns import like, like_shape, regular
from perso_core.pql.reads import reads_time
from perso_core.pql.syntax import Shape
from perso_core.pql.timing import FLIPPED, compare_times, part_of_now

# From so many on, alternatives on one field become a look into a set.
FEW_ALTERNATIVES = 4


def and_(emitter: Emitter, node: And) -> Shape:
    return py.both(*map(emitter.test, timeless_first(node.operands)))


def or_(emitter: Emitter, node: Or) -> Shape:
    operands, looks = lookups(emitter, node.operands)
    return py.either(*looks, *map(emitter.test, timeless_first(operands)))


def not_(emitter: Emitter, node: Not) -> Shape:
    return py.opposite(emitter.test(node.operand))


def timeless_first(operands: Sequence[Node]) -> list[Node]:
    """What does not change with time before what does: where the first decides, the answer
    holds for good and no event is looked at."""
    return sorted(operands, key=reads_time)


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
    # Not a field of something computed: two of those may be alike but for their literals.
    if not isinstance(node.left, Path) or not isinstance(node.left.base, Root | Element | Variable):
        return ""
    if isinstance(node.right.value, str):
        return "" if node.right.value in ("true", "false") else "in_texts"
    return "in_numbers" if type(node.right.value) in values.NUMBERS else ""


# ---- comparisons ------------------------------------------------------------


def compare(emitter: Emitter, node: Compare) -> Shape:
    if "time" in (type_of(node.left), type_of(node.right)):
        return compare_times(emitter, node)
    for asked, other, op in (
        (node.left, node.right, node.op),
        (node.right, node.left, FLIPPED[node.op]),
    ):
        part = part_of_now(asked)
        if part and not reads_time(other):
            return py.call(
                "current_is", "now", py.text(part), py.text(op), _side(emitter, other, asked)
            )
    literal = node.right.value if isinstance(node.right, Constant) else None
    if type(literal) in values.NUMBERS and _counts_events(node.left):
        return counted(emitter, node)
    if node.op in ("=", "!="):
        return compare_equal(emitter, node, literal)
    return compare_order(emitter, node, literal)


def _both_sides(emitter: Emitter, node: Compare) -> tuple[Shape, Shape]:
    return _side(emitter, node.left, node.right), _side(emitter, node.right, node.left)


def _side(emitter: Emitter, node: Node, other: Node) -> Shape:
    """One side of a comparison. Of two numbers the checker asks whether they can be equal, or in
    that order, so a literal there belongs to the shape; unless the other can be any number."""
    numbers = type_of(node) == type_of(other) == "number"
    if numbers and not isinstance(node, MEASURED) and not _any_number(other):
        return emitter.value_fixed(node)
    return emitter.value(node)


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
    view, op, wanted = emitter.read("view"), py.text(node.op), _side(emitter, node.right, node.left)
    return py.call("events_counted", view, emitter.life(), condition, op, wanted, "now")


def compare_equal(emitter: Emitter, node: Compare, literal: Any) -> Shape:
    function = "equal" if node.op == "=" else "differ"
    sides = (node.left, node.right)
    if any(isinstance(s, Constant) and s.value in ("true", "false") for s in sides):
        return py.call(function, *[py.call("as_flag", emitter.value(side)) for side in sides])
    # 0 and 1 are False and True to Python.
    plain = isinstance(literal, str) or (type(literal) in values.NUMBERS and literal not in (0, 1))
    if node.op == "!=" or not plain:
        return py.call(function, *_both_sides(emitter, node))
    kept = emitter.temporary()
    found, wanted = _both_sides(emitter, node)
    fast = py.compare(py.kept_as(kept, found), "=", wanted)
    slow = py.call("equal", kept, wanted)
    return py.either(fast, py.both(py.is_type(kept, "list"), slow))


def compare_order(emitter: Emitter, node: Compare, literal: Any) -> Shape:
    found, wanted = _both_sides(emitter, node)
    if type(literal) not in values.NUMBERS:
        return py.call("ordered", py.text(node.op), found, wanted)
    kept = emitter.temporary()
    fast = py.compare(kept, node.op, wanted)
    slow = py.call("ordered", py.text(node.op), kept, wanted)
    known = py.call("type", py.kept_as(kept, found))
    return py.choose(py.compare(known, "in", "NUMBERS"), fast, slow)


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
    text = str(node.right.value)
    shape = None if node.op == "matches" else like_shape(text)
    if shape is not None:
        return text_test(emitter, shape[0], node.left, [Constant(shape[1])], case_sensitive=True)
    compiled = regular(text) if node.op == "matches" else like(text)
    return py.call("finds", emitter.constant(compiled), emitter.value(node.left))


def regular_test(emitter: Emitter, node: Method) -> Shape:
    """matches and regexGroup."""
    pattern, *group = node.args
    assert isinstance(pattern, Constant), "the checker wants patterns written out"
    compiled = emitter.constant(regular(str(pattern.value)))
    if node.name == "matches":
        return py.call("finds", compiled, emitter.value(node.base))
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
