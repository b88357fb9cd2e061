"""Rules joined of operands that are compiled each for itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import CodeType

from msgspec import Struct

from perso_core.pql import syntax as py
from perso_core.pql.code import code_of
from perso_core.pql.emitter import PARAMS
from perso_core.pql.forms import Compiled
from perso_core.pql.operands import Way
from perso_core.pql.shapes import Joined, Part, Text
from perso_core.pql.syntax import Shape


def joined(way: Way, text: Text, operands: Sequence[tuple[Text, Compiled]]) -> Compiled:
    """The rule of these operands, in the order of the text; remembers how it was joined."""
    parts = [compiled for _, compiled in operands]
    plan = _planned(
        way, tuple([part.reads.now for part in parts]), tuple([part.exact for part in parts])
    )
    found = Joined(
        plan.code,
        plan.order,
        tuple([Part(one.shape, len(one.literals)) for one, _ in operands]),
        plan.exact,
        frozenset().union(*[part.reads.profile_paths for part in parts]),
        True in [part.reads.now for part in parts],
    )
    text.shape.joined = found
    return found.of(parts)


class Plan(Struct, frozen=True):
    """As in Joined."""

    code: CodeType
    order: tuple[int, ...]
    exact: bool


# There are few ways to join few parts.
@lru_cache(maxsize=1024)
def _planned(way: Way, timed: tuple[bool, ...], exact: tuple[bool, ...]) -> Plan:
    """timed, exact: of each part, whether it reads time and what flips_exactly told of it."""
    writer = _Writer(timed, exact)
    test = writer.read(way)
    body = writer.written(test)
    names = [f"K1_{number}" for number in range(len(writer.order))]
    code = code_of((*PARAMS, *names), body, size=len(names))
    return Plan(code, tuple(writer.order), test.exact)


class _Test(Struct, frozen=True):
    """number: of a part. word, operands: what else joins which."""

    timed: bool
    exact: bool
    number: int = -1
    word: str = ""
    operands: tuple[_Test, ...] = ()


class _Writer:
    """order: the parts in the order of their names in the code."""

    def __init__(self, timed: Sequence[bool], exact: Sequence[bool]) -> None:
        self.timed = timed
        self.exact = exact
        self.number = -1
        self.order: list[int] = []

    def read(self, way: Way) -> _Test:
        if way is None:
            self.number += 1
            return _Test(self.timed[self.number], self.exact[self.number], self.number)
        word, inner = way
        tests = tuple(map(self.read, inner))
        timed = [test.exact for test in tests if test.timed]
        exact = tests[0].exact if word == "not" else not timed or timed == [True]
        return _Test(bool(timed), exact, word=word, operands=tests)

    def written(self, test: _Test) -> Shape:
        if not test.word:
            self.order.append(test.number)
            return py.call(f"K1_{len(self.order) - 1}", *PARAMS)
        # What does not change with time before what does, as everywhere.
        ordered = sorted(test.operands, key=lambda one: one.timed)
        operands = [self.written(one) for one in ordered]
        if test.word == "not":
            return py.opposite(operands[0])
        return py.both(*operands) if test.word == "and" else py.either(*operands)
