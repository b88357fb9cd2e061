"""Shapes of expressions, and the trees that Python compiles for them.

A shape is what an expression does, without a rule's fields, texts and numbers: those are named
(K1_0, K1_1, …) and given to the code when it is linked. Rules of one shape share one code.

A shape is a name of Python's (a str), True, False or None, or a tuple: a kind of TREES and what it
is made of.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

Shape = str | bool | None | tuple[Any, ...]


# ---- building blocks --------------------------------------------------------


def text(word: str) -> Shape:
    """A word of ours, such as an operator; never one of the rule's."""
    return ("text", word)


def call(function: Shape, *args: Shape) -> Shape:
    return ("call", function, args)


def compare(left: Shape, op: str, right: Shape) -> Shape:
    return ("compare", left, op, right)


def both(*tests: Shape) -> Shape:
    return tests[0] if len(tests) == 1 else ("both", tests)


def either(*tests: Shape) -> Shape:
    return tests[0] if len(tests) == 1 else ("either", tests)


def opposite(test: Shape) -> Shape:
    return ("opposite", test)


def choose(test: Shape, one: Shape, other: Shape) -> Shape:
    return ("choose", test, one, other)


def kept_as(temporary: str, value: Shape) -> Shape:
    return ("keep", temporary, value)


def tuple_of(*items: Shape) -> Shape:
    return ("tuple", items)


def list_of(*items: Shape) -> Shape:
    return ("list", items)


def object_of(keys: Sequence[Shape], values: Sequence[Shape]) -> Shape:
    return ("object", tuple(keys), tuple(values))


def function(params: Sequence[str], body: Shape) -> Shape:
    return ("function", tuple(params), body)


def is_type(value: Shape, kind: str) -> Shape:
    return compare(call("type", value), "is", kind)


def get(subject: Shape, key: str) -> Shape:
    return ("get", subject, key)


def walked(kept: str, subject: Shape, keys: Sequence[str], otherwise: Shape) -> Shape:
    """The value under the keys, while the way leads through dictionaries; None where it ends.

    kept: the name under which each thing on the way is kept.
    """
    return ("walked", kept, subject, tuple(keys), otherwise)


def equal(kept: str, found: Shape, wanted: Shape) -> Shape:
    """Equality with a plain literal: Python's own, unless a list was found."""
    return ("equal", kept, found, wanted)


def ordered(kept: str, found: Shape, op: str, wanted: Shape) -> Shape:
    """`found op wanted` for a number wanted: Python's own, if a number was found."""
    return ("ordered", kept, found, op, wanted)


# ---- trees ------------------------------------------------------------------

Tree = TypeVar("Tree", bound=ast.expr)


def _placed(kind: type[Tree]) -> type[Tree]:
    """The same kind of tree with a place: Python asks for one, ours is always the same."""
    return type(kind.__name__, (kind,), {"lineno": 1, "col_offset": 0})


Name, Constant, Call = _placed(ast.Name), _placed(ast.Constant), _placed(ast.Call)
Attribute, Compare, BoolOp = _placed(ast.Attribute), _placed(ast.Compare), _placed(ast.BoolOp)
IfExp, Keep, Lambda = _placed(ast.IfExp), _placed(ast.NamedExpr), _placed(ast.Lambda)
Tuple, List, Dict = _placed(ast.Tuple), _placed(ast.List), _placed(ast.Dict)
UnaryOp = _placed(ast.UnaryOp)

CONSTANTS: dict[Any, ast.expr] = {value: Constant(value) for value in (True, False, None)}
LOAD, STORE = ast.Load(), ast.Store()
AND, OR, NOT = ast.And(), ast.Or(), ast.Not()
OPERATORS: dict[str, ast.cmpop] = {
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
    "=": ast.Eq(),
    "is": ast.Is(),
    "is not": ast.IsNot(),
    "in": ast.In(),
}


def tree(shape: Shape) -> ast.expr:
    if type(shape) is tuple:
        kind, *parts = shape
        found: ast.expr = TREES[kind](*parts)
        return found
    return named(shape) if isinstance(shape, str) else CONSTANTS[shape]


# A tree is read and never changed: one for each name will do.
@lru_cache(maxsize=1024)
def named(name: str) -> ast.expr:
    return Name(name, LOAD)


def trees(shapes: Sequence[Shape]) -> list[ast.expr]:
    return [tree(shape) for shape in shapes]


def lambda_of(params: Sequence[str], body: ast.expr) -> ast.expr:
    args = [_parameter(name) for name in params]
    return Lambda(ast.arguments([], args, None, [], [], None, []), body)


@lru_cache(maxsize=1024)
def _parameter(name: str) -> ast.arg:
    return ast.arg(name, lineno=1, col_offset=0)


def _call(function: Shape, args: tuple[Shape, ...]) -> ast.expr:
    return Call(tree(function), trees(args), [])


def _compare(left: Shape, op: str, right: Shape) -> ast.expr:
    return Compare(tree(left), [OPERATORS[op]], [tree(right)])


def _keep(name: str, value: Shape) -> ast.expr:
    return Keep(Name(name, STORE), tree(value))


def _get(subject: Shape, key: str) -> ast.expr:
    return Call(Attribute(tree(subject), "get", LOAD), [named(key)], [])


def _walked(kept: str, subject: Shape, keys: Sequence[str], otherwise: Shape) -> ast.expr:
    tests = [is_type(kept_as(kept, subject), "dict")]
    for key in keys[:-1]:
        tests.append(is_type(kept_as(kept, get(kept, key)), "dict"))
    missing = compare(kept, "is", None)
    return tree(choose(both(*tests), get(kept, keys[-1]), choose(missing, None, otherwise)))


def _equal(kept: str, found: Shape, wanted: Shape) -> ast.expr:
    fast = compare(kept_as(kept, found), "=", wanted)
    return tree(either(fast, both(is_type(kept, "list"), call("equal", kept, wanted))))


def _ordered(kept: str, found: Shape, op: str, wanted: Shape) -> ast.expr:
    number = compare(call("type", kept_as(kept, found)), "in", "NUMBERS")
    slow = call("ordered", text(op), kept, wanted)
    return tree(choose(number, compare(kept, op, wanted), slow))


TREES: dict[str, Any] = {
    "walked": _walked,
    "equal": _equal,
    "ordered": _ordered,
    "text": Constant,
    "call": _call,
    "get": _get,
    "compare": _compare,
    "both": lambda tests: BoolOp(AND, trees(tests)),
    "either": lambda tests: BoolOp(OR, trees(tests)),
    "opposite": lambda test: UnaryOp(NOT, tree(test)),
    "choose": lambda test, one, other: IfExp(tree(test), tree(one), tree(other)),
    "keep": _keep,
    "tuple": lambda items: Tuple(trees(items), LOAD),
    "list": lambda items: List(trees(items), LOAD),
    "object": lambda keys, values: Dict([*trees(keys)], trees(values)),
    "function": lambda params, body: lambda_of(params, tree(body)),
}
