"""Nodes to text: one canonical spelling for every rule. parse(print_rule(n)) == n."""

from __future__ import annotations

import re
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
    Range,
    Root,
    Side,
    Step,
    Sum,
    TimeWord,
    Variable,
)

# How tightly each kind binds; a part that binds more loosely than its place stands in brackets.
LOOSE, OR, AND, NOT, COMPARISON, ADDITIVE, MULTIPLICATIVE, UNARY, POSTFIX = range(9)

LEVELS: dict[type[Node], int] = {
    Lambda: LOOSE,
    Binder: LOOSE,
    Over: LOOSE,
    Let: LOOSE,
    Or: OR,
    And: AND,
    Not: NOT,
    Compare: COMPARISON,
    Member: COMPARISON,
    Pattern: COMPARISON,
    Occurs: COMPARISON,
    Sum: ADDITIVE,
    Product: MULTIPLICATIVE,
    Negative: UNARY,
}

PLAIN_NAME = re.compile(r"(?:[^\W\d]|[$@])[\w$]*\Z")


def print_rule(node: Node) -> str:
    """The canonical text of a rule or of a part of one."""
    return PRINTERS[type(node)](node)


def _at(level: int, node: Node) -> str:
    text = print_rule(node)
    return f"({text})" if LEVELS.get(type(node), POSTFIX) < level else text


def _listed(nodes: tuple[Node, ...]) -> str:
    # A binder reads on past a comma, so it stands in brackets; a lambda does not.
    return ", ".join(print_rule(n) if isinstance(n, Lambda) else _at(OR, n) for n in nodes)


def quoted(text: str) -> str:
    """A text as the language writes it."""
    return '"' + "".join(_ESCAPES.get(c) or _plain(c) for c in text) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _plain(character: str) -> str:
    return character if character.isprintable() or ord(character) > 0xFFFF else _code(character)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"


def _constant(node: Constant) -> str:
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return quoted(node.value) if isinstance(node.value, str) else repr(node.value)


def _path(node: Path) -> str:
    inner = ".".join(name if PLAIN_NAME.match(name) else quoted(name) for name in node.segments)
    base = node.base.spelled if isinstance(node.base, Root) else node.base
    if isinstance(base, Element):
        return "^" * base.up + inner
    return f"{_at(POSTFIX, base)}.{inner}"


def _object(node: ObjectOf) -> str:
    return "{" + ", ".join(f"{quoted(k)}: {_at(OR, v)}" for k, v in node.entries) + "}"


def _filter(node: Filter) -> str:
    return f"{_at(POSTFIX, node.base)}[{_listed((node.condition,))}]"


def _method(node: Method) -> str:
    return f"{_at(POSTFIX, node.base)}.{node.name}({_listed(node.args)})"


def _compare(node: Compare) -> str:
    return f"{_at(ADDITIVE, node.left)} {node.op} {_at(ADDITIVE, node.right)}"


def _member(node: Member) -> str:
    word = "notIn" if node.negated else "in"
    return f"{_at(ADDITIVE, node.left)} {word} {_at(ADDITIVE, node.right)}"


def _pattern(node: Pattern) -> str:
    return f"{_at(ADDITIVE, node.left)} {node.op} {_at(ADDITIVE, node.right)}"


def _sum(node: Sum) -> str:
    first = _at(ADDITIVE, node.terms[0][1])
    return first + "".join(f" {s} {_at(MULTIPLICATIVE, t)}" for s, t in node.terms[1:])


def _product(node: Product) -> str:
    first = _at(MULTIPLICATIVE, node.factors[0][1])
    return first + "".join(f" {s} {_at(UNARY, f)}" for s, f in node.factors[1:])


def _distance(node: Distance) -> str:
    unit = node.unit if node.amount == 1 else PLURALS.get(node.unit, f"{node.unit}s")
    return f"{node.op} {node.amount} {unit} {node.direction} {_anchor(node.time)}"


WORDS = frozenset((TimeWord, Period))

PLURALS = {"century": "centuries", "millennium": "millennia"}


def _anchor(node: Node) -> str:
    """The time of a window: `before [` would read as a filter on a field called before."""
    text = _at(POSTFIX, node)
    return f"({text})" if text[0] in "[{" else text


def _step(node: Step) -> str:
    what, *where = (print_rule(condition) for condition in node.conditions)
    parts = [f"WHAT({what})", *(f"WHERE({condition})" for condition in where)]
    parts += [f"WHEN({print_rule(window)})" for window in node.windows]
    parts += [f"COUNT({number if op == '>=' else f'{op} {number}'})" for op, number in node.counts]
    return f"{node.label}: {' '.join(parts)}"


def _chain(node: Chain) -> str:
    steps = ", ".join(map(print_rule, node.steps))
    return f"CHAIN({_at(POSTFIX, node.events)}, {_at(POSTFIX, node.order)}, [{steps}])"


def _range(node: Range) -> str:
    condition = "" if node.condition is None else f" where {_at(OR, node.condition)}"
    return f"{node.name} from {_at(POSTFIX, node.array)}{condition}"


def _over(node: Over) -> str:
    ranges = ", ".join(map(print_rule, node.ranges))
    # A sum or a sign after the word would read as arithmetic on a field of that name.
    measure = _anchor(node.measure)
    return f"{node.function} {measure} over {ranges}"


def _lambda(node: Lambda) -> str:
    names = node.names[0] if len(node.names) == 1 else f"({', '.join(node.names)})"
    # A lambda may stand in a list, where a binder at its end would read on past the comma.
    body = print_rule(node.body) if isinstance(node.body, Lambda) else _at(OR, node.body)
    return f"{names} => {body}"


PRINTERS: dict[type[Node], Callable[[Any], str]] = {
    Constant: _constant,
    ListOf: lambda n: f"[{_listed(n.items)}]",
    ObjectOf: _object,
    TimeWord: lambda n: n.word,
    Period: lambda n: f"{n.which} {n.unit}",
    Param: lambda n: f"${n.index}",
    Variable: lambda n: n.name,
    Root: lambda n: print_rule(n.spelled),
    Events: lambda n: _path(Path(n.root, ("xEvent",))),
    Path: _path,
    Call: lambda n: f"{n.name}({_listed(n.args)})",
    Method: _method,
    Filter: _filter,
    And: lambda n: " and ".join(_at(NOT, operand) for operand in n.operands),
    Or: lambda n: " or ".join(_at(AND, operand) for operand in n.operands),
    Not: lambda n: f"not({print_rule(n.operand)})",
    Compare: _compare,
    Member: _member,
    Pattern: _pattern,
    Occurs: lambda n: f"{_at(ADDITIVE, n.left)} occurs {print_rule(n.window)}",
    Sum: _sum,
    Product: _product,
    Negative: lambda n: f"-{_at(UNARY, n.operand)}",
    Distance: _distance,
    Side: lambda n: f"{n.direction} {_anchor(n.time)}",
    Between: lambda n: f"between {_anchor(n.first)} and {_anchor(n.last)}",
    On: lambda n: ("" if type(n.time) in WORDS else "on ") + _anchor(n.time),
    Step: _step,
    Chain: _chain,
    Range: _range,
    Binder: lambda n: f"{n.kind} {', '.join(map(print_rule, n.ranges))}",
    Over: _over,
    Let: lambda n: f"let {n.name} = {_at(ADDITIVE, n.bound)} in {print_rule(n.body)}",
    Lambda: _lambda,
}
