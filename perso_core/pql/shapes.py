"""What the rules of one shape have in common: all that compiling the first of them found out.

Two texts have one shape when they differ in nothing but literals that do not matter to it: the
text in `tier = "gold"`, the number in `points >= 1000`. Others do: a pattern, the name of a test,
the length of a window, a number that a count is compared with, whatever the checker asks about.
Which ones matter is seen when the first rule is compiled: a literal is free when the compiled
functions have it as a constant and nothing else was made of it. Those that Python or the language
give a meaning of their own (0, 1, "true", "false", "") matter always.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from perso_core.pql.code import Change, Function, Written, linked
from perso_core.pql.nodes import Constant
from perso_core.pql.reads import Reading
from perso_core.pql.source import Span
from perso_core.pql.types import Reads

# A longer text is compiled for itself.
MAX_TEXT = 4_096
# So many shapes are kept; an installation has a few hundred.
KEPT = 4_096

# Literals as the lexer has them: texts, and numbers that begin no name and end none.
LITERAL = re.compile(
    r"""("(?:[^"\\]|\\.)*" | (?<![\w$@.])[0-9]{1,15}(?:\.[0-9]{1,15})?(?![\w$@.]))""",
    re.VERBOSE | re.DOTALL,
)
PLAIN = frozenset(('"', "9", "9."))
SPECIAL = frozenset(('""', '"true"', '"false"', "0", "1"))

Predicate = Callable[..., Any]


class Compiled(Struct, frozen=True):
    """One rule's functions and what it reads; exact as in CompiledRule."""

    test: Predicate
    value: Predicate
    reads: Reads
    exact: bool


class Parts(Struct, frozen=True):
    """A compiled rule before its literals have values."""

    test: Function
    value: Function
    reading: Reading
    exact: bool

    def made(self) -> Compiled:
        test = self.test.made()
        value = test if self.value is self.test else self.value.made()
        return Compiled(test, value, self.reading.made(lambda one: one.value), self.exact)


def literals_of(function: Function) -> Iterator[Constant]:
    """The literals its constants are made of, and those of the functions in it."""
    for constant in function.constants:
        if isinstance(constant, Written):
            yield from constant.literals
        elif isinstance(constant, Function):
            yield from literals_of(constant)


class Text:
    """A rule's text taken apart: what is between its literals, and the literals.

    key: the same for texts that may have one shape; with it goes what the code depends on besides
    the text.
    """

    __slots__ = ("key", "literals", "pieces")

    def __init__(self, text: str, event_window_ms: int) -> None:
        self.pieces = LITERAL.split(text)
        self.literals = self.pieces[1::2]
        between = self.pieces.copy()
        between[1::2] = map(_kind, self.literals)
        self.key = (event_window_ms, *between)

    def remembered(self) -> Compiled | None:
        """The rule, where another of its shape was compiled before."""
        fixed = _known(self.key).fixed
        if fixed is None:
            return None
        form = _kept(self.key, tuple([self.literals[at] for at in fixed])).form
        return None if form is None else form.compiled(self.literals)

    def remember(self, parts: Parts) -> None:
        """parts: of the rule of this text."""
        form = Form(parts, self)
        known = _known(self.key)
        if known.fixed is None:
            known.fixed = form.fixed
        # A rule whose literals matter otherwise than those of the first stays on its own.
        if known.fixed == form.fixed:
            _kept(self.key, tuple([self.literals[at] for at in form.fixed])).form = form

    def places(self) -> Iterator[tuple[Span, int]]:
        """Where each literal stands in the text, and which one it is."""
        at = 0
        for number, piece in enumerate(self.pieces):
            if number % 2:
                yield (at, at + len(piece)), number // 2
            at += len(piece)


def _kind(literal: str) -> str:
    """What the shape says of a literal: all of it when it may mean something else."""
    if literal in SPECIAL or "\\" in literal:
        return literal
    if literal[0] == '"':
        return '"'
    if "." not in literal:
        return "9"
    return literal if float(literal) in (0, 1) else "9."


class _Known:
    """fixed: which literals matter; None until a rule was compiled."""

    __slots__ = ("fixed",)

    def __init__(self) -> None:
        self.fixed: tuple[int, ...] | None = None


class _Kept:
    __slots__ = ("form",)

    def __init__(self) -> None:
        self.form: Form | None = None


@lru_cache(maxsize=KEPT)
def _known(key: tuple[Any, ...]) -> _Known:
    return _Known()


@lru_cache(maxsize=KEPT)
def _kept(key: tuple[Any, ...], fixed: tuple[str, ...]) -> _Kept:
    return _Kept()


def forget() -> None:
    """Every shape: the next rule of each is compiled in full."""
    _known.cache_clear()
    _kept.cache_clear()


# ---- forms ------------------------------------------------------------------


class Form:
    """A compiled rule with its free literals taken out.

    fixed: the literals that matter, by their number. free: the others. values: for each literal
    its place, those of the free ones to be filled in; then what is made of others.
    """

    def __init__(self, parts: Parts, text: Text) -> None:
        self.numbers = dict(text.places())
        used = {one.span for one in literals_of(parts.test)}
        self.free = tuple(
            [
                number
                for span, number in self.numbers.items()
                if span in used and _kind(text.literals[number]) in PLAIN
            ]
        )
        self.fixed = tuple([n for n in range(len(text.literals)) if n not in self.free])
        self.values: list[Any] = [None] * len(text.literals)
        self.test = _Linked(parts.test, self)
        self.value = self.test if parts.value is parts.test else _Linked(parts.value, self)
        self.exact = parts.exact
        self.reading = parts.reading
        self.read = {id(one): self.place(one) for one in parts.reading.literals}
        varies = any(place in self.free for place in self.read.values())
        self.reads = None if varies else parts.reading.made(lambda one: one.value)

    def place(self, literal: Constant) -> int:
        """Where in `values` the literal's value is."""
        number = self.numbers.get(literal.span)
        if number in self.free:
            return number
        self.values.append(literal.value)
        return len(self.values) - 1

    def compiled(self, literals: Sequence[str]) -> Compiled:
        """The rule with these literals."""
        values = self.values.copy()
        for number in self.free:
            values[number] = _value(literals[number])
        test = self.test.function(values)
        value = test if self.value is self.test else self.value.function(values)
        reads = self.reads or self.reading.made(lambda one: values[self.read[id(one)]])
        return Compiled(test, value, reads, self.exact)


def _value(literal: str) -> str | int | float:
    if literal[0] == '"':
        return literal[1:-1]
    return float(literal) if "." in literal else int(literal)


class _Linked:
    """A function whose constants are known but for those made of literals.

    made: (place of the constant, how it is made, places of the values). inner: (place, function).
    """

    __slots__ = ("code", "constants", "inner", "made")

    def __init__(self, function: Function, form: Form) -> None:
        self.code = function.code
        self.constants: list[Any] = list(function.constants)
        self.made: list[tuple[int, Change, tuple[int, ...]]] = []
        self.inner: list[tuple[int, _Linked]] = []
        for place, constant in enumerate(function.constants):
            if isinstance(constant, Written):
                places = tuple(map(form.place, constant.literals))
                self.made.append((place, constant.change, places))
            elif isinstance(constant, Function):
                self.inner.append((place, _Linked(constant, form)))

    def function(self, values: Sequence[Any]) -> Predicate:
        constants = self.constants.copy()
        for place, change, places in self.made:
            constants[place] = change([values[at] for at in places])
        for place, function in self.inner:
            constants[place] = function.function(values)
        return linked(self.code, tuple(constants))
