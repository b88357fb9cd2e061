"""What the rules of one shape have in common: all that compiling the first of them found out.

Two texts have one shape when they differ in nothing but literals that do not matter to it: the
text in `tier = "gold"`, the number in `points >= 1000`, the length of a window. Others do: the
name of a test, the parts of a date, whatever the checker asks about. Which ones matter is seen when
the first rule is compiled: a literal is free when the compiled functions have it as a constant and
nothing else was made of it. Those that Python or the language give a meaning of their own (0, 1,
"true", "false", "") matter always.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from perso_core.pql.code import Change, Function, Written, linked
from perso_core.pql.nodes import Constant
from perso_core.pql.patterns import WILDCARDS, BadPattern
from perso_core.pql.reads import Reading
from perso_core.pql.source import Span
from perso_core.pql.types import Reads

# A longer text is compiled for itself.
MAX_TEXT = 4_096
# So many shapes are kept; an installation has a few hundred.
KEPT = 4_096
# For each, so many values of the literals that matter.
KEPT_FORMS = 8

# Literals as the lexer has them: texts, and numbers that begin no name and end none.
LITERAL = re.compile(
    r"""("[^"\\]*(?:\\.[^"\\]*)*"
      | [0-9](?<![\w$@.].)[0-9]{0,14}(?:\.[0-9]{1,15})?(?![\w$@.]))""",
    re.VERBOSE | re.DOTALL,
)
PLAIN = re.compile(r"[^%_]+")
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
        form = _shape(self.key).form(self)
        try:
            return None if form is None else form.compiled(self.literals)
        except BadPattern:
            return None  # compiled in full, it tells where

    def remember(self, parts: Parts) -> None:
        """parts: of the rule of this text."""
        _shape(self.key).remember(parts, self)

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
        # What `like` makes of a text depends on where its wildcards are.
        return '"' + PLAIN.sub("x", literal[1:-1]) if WILDCARDS & set(literal) else '"'
    if "." not in literal:
        return "9"
    return literal if float(literal) in (0, 1) else "9."


class _Shape:
    """What is known of one key.

    first: the first rule, while no other of its shape was seen: most shapes have but one rule.
    fixed: which literals matter. forms: by what these say.
    """

    __slots__ = ("first", "fixed", "forms")

    def __init__(self) -> None:
        self.first: tuple[Parts, Text] | None = None
        self.fixed: tuple[int, ...] | None = None
        self.forms: dict[tuple[str, ...], Form] = {}

    def form(self, text: Text) -> Form | None:
        if self.first is not None:
            first, self.first = self.first, None
            self._keep(*first)
        if self.fixed is None:
            return None
        return self.forms.get(tuple([text.literals[at] for at in self.fixed]))

    def remember(self, parts: Parts, text: Text) -> None:
        if self.fixed is None:
            self.first = (parts, text)
        else:
            self._keep(parts, text)

    def _keep(self, parts: Parts, text: Text) -> None:
        form = Form(parts, text)
        if self.fixed is None:
            self.fixed = form.fixed
        # A rule whose literals matter otherwise than those of the first stays on its own.
        if self.fixed == form.fixed:
            if len(self.forms) == KEPT_FORMS:
                self.forms.clear()
            self.forms[tuple([text.literals[at] for at in form.fixed])] = form


@lru_cache(maxsize=KEPT)
def _shape(key: tuple[Any, ...]) -> _Shape:
    return _Shape()


def forget() -> None:
    """Every shape: the next rule of each is compiled in full."""
    _shape.cache_clear()


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
                if span in used and _kind(text.literals[number]) != text.literals[number]
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
