"""A compiled rule with its literals taken out, to be filled with those of others of its shape."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from perso_core.pql.code import Change, Function, Written, linked
from perso_core.pql.nodes import Constant
from perso_core.pql.patterns import usable
from perso_core.pql.reads import Reading
from perso_core.pql.source import Span
from perso_core.pql.types import Reads

Predicate = Callable[..., Any]


class Linked(NamedTuple):
    """A rule's functions of (view, now): whether it holds, and what it gives."""

    test: Predicate
    value: Predicate


class Compiled(Struct, frozen=True, gc=False):
    """What is known of one rule; exact as in CompiledRule. link: makes its functions, which many
    a rule never needs."""

    reads: Reads
    exact: bool
    link: Callable[[], Linked]


class Parts(Struct, frozen=True, gc=False):
    """A compiled rule before its literals have values."""

    test: Function
    value: Function
    reading: Reading
    exact: bool

    def compiled(self) -> Compiled:
        return Compiled(self.reading.made(lambda one: one.value), self.exact, self)

    def __call__(self) -> Linked:
        """Makes its functions."""
        test = self.test.made()
        return Linked(test, test if self.value is self.test else self.value.made())


def written_in(function: Function) -> Iterator[Written]:
    """What its constants are made of, and those of the functions in it."""
    for constant in function.constants:
        if isinstance(constant, Written):
            yield constant
        elif isinstance(constant, Function):
            yield from written_in(constant)


class Form:
    """A compiled rule with its free literals taken out.

    fixed: the literals that matter. free: the others. values: for each literal its place, those of
    the free ones to be filled in; then what is made of others. patterns: which free ones a
    function may refuse. read: which free one each literal is that a Reads is made of, by its id.
    reads: where no free literal is read. ready: where none is free.
    """

    def __init__(self, parts: Parts, numbers: Mapping[Span, int], meant: Collection[int]) -> None:
        """numbers: of each literal, by its place. meant: those that matter whatever is made of
        them."""
        self.numbers = numbers
        written = list(written_in(parts.test))
        used = {literal.span for one in written for literal in one.literals}
        self.free = tuple(
            [
                number
                for span, number in self.numbers.items()
                if span in used and number not in meant
            ]
        )
        self.fixed = tuple([n for n in range(len(numbers)) if n not in self.free])
        self.values: list[Any] = [None] * len(numbers)
        self.parts = parts
        self.functions: tuple[_Linked, _Linked] | None = None  # until they are first asked for
        self.exact = parts.exact
        refusing = [literal for one in written if one.refuses for literal in one.literals]
        patterns = {self.numbers.get(literal.span) for literal in refusing}
        self.patterns = tuple([number for number in self.free if number in patterns])
        self.reading = parts.reading
        placed = [(id(one), numbers.get(one.span)) for one in parts.reading.literals]
        self.read = {one: number for one, number in placed if number in self.free}
        self.reads = None if self.read else parts.reading.made(lambda one: one.value)
        # Without free literals it is one rule, whatever its text.
        self.ready = None if self.free else parts.compiled()

    def place(self, literal: Constant) -> int:
        """Where in `values` the literal's value is."""
        number = self.numbers.get(literal.span)
        if number in self.free:
            return number
        self.values.append(literal.value)
        return len(self.values) - 1

    def compiled(self, literals: Sequence[str]) -> Compiled:
        """The rule with these literals. Raises BadPattern."""
        if self.ready is not None:
            return self.ready
        for number in self.patterns:
            usable(literals[number][1:-1])
        return Compiled(self.reads or self._reads(literals), self.exact, Filled(self, literals))

    def _reads(self, literals: Sequence[str]) -> Reads:
        read = self.read

        def said(one: Constant) -> Any:
            number = read.get(id(one))
            return one.value if number is None else _value(literals[number])

        return self.reading.made(said)

    def _values(self, literals: Sequence[str]) -> list[Any]:
        values = self.values.copy()
        for number in self.free:
            values[number] = _value(literals[number])
        return values

    def linked(self, literals: Sequence[str]) -> Linked:
        if self.functions is None:
            self.functions = self._functions()
        test, value = self.functions
        values = self._values(literals)
        found = test.function(values)
        return Linked(found, found if value is test else value.function(values))

    def _functions(self) -> tuple[_Linked, _Linked]:
        parts = self.parts
        test = _Linked(parts.test, self)
        return test, test if parts.value is parts.test else _Linked(parts.value, self)


# Of these there is one for each part of each rule: what the garbage collector need not look at.
class Filled(Struct, frozen=True, eq=False, gc=False):
    """A form with the literals of a rule: makes its functions."""

    form: Form
    literals: Sequence[str]

    def __call__(self) -> Linked:
        return self.form.linked(self.literals)


def _value(literal: str) -> str | int | float:
    if literal[0] == '"':
        return literal[1:-1]
    return float(literal) if "." in literal else int(literal)


class _Linked:
    """A function whose constants are known but for those made of literals.

    made: (place of the constant, how it is made, places of the values). inner: (place, function).
    ready: the function itself where it is made of no free literal.
    """

    __slots__ = ("code", "constants", "inner", "made", "ready")

    def __init__(self, function: Function, form: Form) -> None:
        self.code = function.code
        self.constants: list[Any] = list(function.constants)
        self.made: list[tuple[int, Change, tuple[int, ...]]] = []
        self.inner: list[tuple[int, _Linked]] = []
        for place, constant in enumerate(function.constants):
            if isinstance(constant, Written):
                places = tuple(map(form.place, constant.literals))
                if any(at in form.free for at in places):
                    self.made.append((place, constant.change, places))
                else:
                    self.constants[place] = constant.made()
            elif isinstance(constant, Function):
                inner = _Linked(constant, form)
                self.constants[place] = inner.ready
                if inner.ready is None:
                    self.inner.append((place, inner))
        varies = self.made or self.inner
        self.ready: Predicate | None = None if varies else linked(self.code, tuple(self.constants))

    def function(self, values: Sequence[Any]) -> Predicate:
        if self.ready is not None:
            return self.ready
        constants = self.constants.copy()
        for place, change, places in self.made:
            constants[place] = change([values[at] for at in places])
        for place, function in self.inner:
            constants[place] = function.function(values)
        return linked(self.code, tuple(constants))
