"""Compiled functions as bytes, and back: what one process compiled, another need not compile.

The bytes are Python's own form of code and constants, of this Python alone. They are run, so they
must come from whoever may run code here; whoever reads them looks after that
(stores/compiled_file.py).
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import CodeType, FunctionType
from typing import Any

from perso_core.pql import windows
from perso_core.pql.chains import Anchored, ChainStep
from perso_core.pql.code import linked
from perso_core.pql.emitter import always
from perso_core.pql.instants import Moment
from perso_core.pql.patterns import PATTERN, compiled_again, knows_groups

Function = Callable[..., Any]

ATOMS: frozenset[type] = frozenset((str, int, float, bool, type(None)))
# What a constant is made of, by its number in the bytes.
SEQUENCES: tuple[type, ...] = (tuple, list, frozenset)
STRUCTS = (
    windows.TimeWindow,
    windows.Bound,
    windows.Shift,
    windows.UnitStart,
    windows.Later,
    ChainStep,
    Anchored,
    Moment,
)
FUNCTION, PART, TEXT_PATTERN, ALWAYS = range(4)
FIRST_SEQUENCE = 4
FIRST_STRUCT = FIRST_SEQUENCE + len(SEQUENCES)


class CannotKeep(Exception):
    """Something in a function is of a kind that has no bytes: it is compiled each time."""


class Packing:
    """Functions to bytes. codes: their code, each once; read it when all are packed."""

    def __init__(self, partials: Sequence[Function]) -> None:
        """partials: functions that are kept with the function they are given first."""
        self.codes: dict[CodeType, int] = {}
        self._partials = tuple(partials)

    def packed(self, function: Function) -> bytes:
        """Raises CannotKeep."""
        try:
            return marshal.dumps(self._packed(function))
        except ValueError as error:
            raise CannotKeep(str(error)) from error

    def _packed(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is FunctionType:
            return self._of_function(value)
        if kind in SEQUENCES:
            items = sorted(value, key=repr) if kind is frozenset else value
            return (FIRST_SEQUENCE + SEQUENCES.index(kind), *map(self._packed, items))
        if kind in STRUCTS:
            fields = [getattr(value, name) for name in value.__struct_fields__]
            return (FIRST_STRUCT + STRUCTS.index(kind), *map(self._packed, fields))
        if kind is partial and value.func in self._partials:
            return (PART, self._partials.index(value.func), *map(self._packed, value.args))
        if kind is PATTERN:
            return (TEXT_PATTERN, value.pattern, knows_groups(value))
        raise CannotKeep(kind.__name__)

    def _of_function(self, function: FunctionType) -> Any:
        if function is always:
            return (ALWAYS,)
        if function.__name__ != "rule" or function.__closure__:
            raise CannotKeep(function.__name__)
        code = self.codes.setdefault(function.__code__, len(self.codes))
        return (FUNCTION, code, *map(self._packed, function.__defaults__ or ()))

    def code_bytes(self) -> tuple[bytes, ...]:
        """What `Unpacking` needs, too."""
        return tuple([marshal.dumps(code) for code in self.codes])


class Unpacking:
    """Bytes to functions: each when it is first asked for."""

    def __init__(self, codes: Iterable[bytes], partials: Sequence[Function]) -> None:
        self._codes: list[bytes | CodeType] = list(codes)
        self._partials = tuple(partials)
        # What is remembered of a time is remembered by its window.
        self._windows: dict[Any, Any] = {}

    def function(self, packed: bytes) -> Function:
        found: Function = self._made(marshal.loads(packed))
        return found

    def _made(self, packed: Any) -> Any:
        if type(packed) is not tuple:
            return packed
        kind, *parts = packed
        if kind == FUNCTION:
            return linked(self._code(parts[0]), tuple([self._made(one) for one in parts[1:]]))
        if kind == PART:
            return partial(self._partials[parts[0]], *map(self._made, parts[1:]))
        if kind == TEXT_PATTERN:
            return compiled_again(*parts)
        if kind == ALWAYS:
            return always
        if kind < FIRST_STRUCT:
            return SEQUENCES[kind - FIRST_SEQUENCE]([self._made(one) for one in parts])
        if kind > FIRST_STRUCT:
            return STRUCTS[kind - FIRST_STRUCT](*map(self._made, parts))
        known = self._windows.get(packed)
        if known is None:
            known = self._windows[packed] = windows.TimeWindow(*map(self._made, parts))
        return known

    def _code(self, number: int) -> CodeType:
        found = self._codes[number]
        if isinstance(found, bytes):
            found = self._codes[number] = marshal.loads(found)
        assert isinstance(found, CodeType), "the file was written by Packing"
        return found
