"""Building blocks of Python's syntax tree: the expressions that rules compile to."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

Expr = ast.expr
AT: Any = {"lineno": 1, "col_offset": 0}
LOAD, STORE = ast.Load(), ast.Store()


# ---- building blocks of the syntax tree -------------------------------------


def named(name: str) -> Expr:
    return ast.Name(name, LOAD, **AT)


def constant(value: Any) -> Expr:
    return ast.Constant(value, **AT)


def call(function: str, *args: Expr) -> Expr:
    return ast.Call(named(function), list(args), [], **AT)


def method(subject: Expr, method: str, *args: Expr) -> Expr:
    return ast.Call(ast.Attribute(subject, method, LOAD, **AT), list(args), [], **AT)


def kept_as(temporary: str, value: Expr) -> Expr:
    return ast.NamedExpr(ast.Name(temporary, STORE, **AT), value, **AT)


def compare(left: Expr, op: ast.cmpop, right: Expr) -> Expr:
    return ast.Compare(left, [op], [right], **AT)


def both(*tests: Expr) -> Expr:
    return ast.BoolOp(ast.And(), list(tests), **AT)


def either(*tests: Expr) -> Expr:
    return ast.BoolOp(ast.Or(), list(tests), **AT)


def choose(test: Expr, one: Expr, other: Expr) -> Expr:
    return ast.IfExp(test, one, other, **AT)


def tuple_of(*items: Expr) -> Expr:
    return ast.Tuple(list(items), LOAD, **AT)


def list_of(*items: Expr) -> Expr:
    return ast.List(list(items), LOAD, **AT)


def arguments(names: Sequence[str]) -> ast.arguments:
    args = [ast.arg(name, None, **AT) for name in names]
    return ast.arguments([], args, None, [], [], None, [])


def is_type(value: Expr, kind: str) -> Expr:
    return compare(call("type", value), ast.Is(), named(kind))
