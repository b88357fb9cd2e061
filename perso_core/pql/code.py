"""Shapes to functions: one code object for each shape, however many rules have it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from msgspec import Struct

from perso_core.pql import chains, elements, instants, values
from perso_core.pql.nodes import Constant
from perso_core.pql.syntax import Shape, lambda_of, tree

# So many shapes are kept; an installation has a few hundred.
KEPT_SHAPES = 4_096
# A function of more nodes is compiled for its rule alone: a few thousand would fill the memory.
LARGE = 200

Change = Callable[[Sequence[Any]], Any]


class Written(Struct, frozen=True, eq=False, gc=False):
    """A constant made of literals of the rule: the code does not depend on what they say.

    refuses: `change` raises BadPattern for some.
    """

    literals: tuple[Constant, ...]
    change: Change
    refuses: bool = False

    def made(self) -> Any:
        return self.change([literal.value for literal in self.literals])


class Function(Struct, frozen=True, eq=False, gc=False):
    """A function of a rule, to be given its constants.

    constants: values, what is written in the rule, and functions; the code has them as its last
    parameters.
    """

    code: CodeType
    constants: tuple[Any, ...]

    def made(self) -> Callable[..., Any]:
        return linked(self.code, tuple(map(_made, self.constants)))


def _made(constant: Any) -> Any:
    return constant.made() if type(constant) in (Written, Function) else constant


def linked(code: CodeType, constants: tuple[Any, ...]) -> Callable[..., Any]:
    """The function of the code, its last parameters set for good."""
    return FunctionType(code, RUNTIME, "rule", constants)


def function_of(
    constants: Mapping[str, Any], params: tuple[str, ...], body: Shape, *, size: int
) -> Function:
    """constants: what the body names K…, by name. size: how many nodes the body is made of."""
    code = code_of((*params, *constants), body, size=size)
    return Function(code, tuple(constants.values()))


def code_of(params: tuple[str, ...], body: Shape, *, size: int) -> CodeType:
    """params: those of its constants last."""
    return (_code if size <= LARGE else _code.__wrapped__)(params, body)


@lru_cache(maxsize=KEPT_SHAPES)
def _code(params: tuple[str, ...], body: Shape) -> CodeType:
    module = compile(ast.Expression(lambda_of(params, tree(body))), "<rule>", "eval")
    (code,) = [constant for constant in module.co_consts if isinstance(constant, CodeType)]
    return code


def _runtime() -> dict[str, Any]:
    found: dict[str, Any] = {"type": type, "dict": dict, "list": list, "len": len, "str": str}
    for module in (values, elements, chains, instants):
        for name, thing in vars(module).items():
            if callable(thing) and thing.__module__ == module.__name__:
                assert name not in found, f"two functions are called {name}"
                found[name] = thing
    return {**found, "NUMBERS": values.NUMBERS, "__builtins__": {}}


# What the code of rules can name: these functions and nothing else.
RUNTIME = _runtime()
