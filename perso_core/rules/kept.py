"""Compiled rules with their outlines as bytes, and back. The bytes are for this Perso and this
Python alone; whoever reads them looks after that, and after where they come from, since code is
among them (stores/compiled_file.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from perso_core.pql.compiler import CompiledRule, bounded
from perso_core.pql.forms import Linked
from perso_core.pql.kept import CannotKeep, Packing, Unpacking
from perso_core.pql.types import Reads
from perso_core.rules.conditions import (
    PRESENT,
    Among,
    Begins,
    Computed,
    Condition,
    Limit,
    Segments,
    Test,
)
from perso_core.rules.formula import Term
from perso_core.rules.lasting import Lasting
from perso_core.rules.outline import Asked, Follows, Happens, Outline, Silent

# Rules are read so many at a time, so that whatever else the process does is not held up.
BLOCK = 250
PARTIALS = (bounded,)


class Prepared(Struct, frozen=True, eq=False):
    """A rule that need not be compiled. outline: None for one that reads no events."""

    rule: CompiledRule
    outline: Outline | None


# By the rule's text and how long an event counts for it.
Known = Mapping[tuple[str, int], Prepared]


class UnreadableRules(ValueError):
    """The bytes are none that `kept_rules` made."""


# ---- what is in the bytes: structs as arrays, others by their place ---------


class _Rule(Struct, frozen=True, array_like=True, gc=False):
    """value: empty where it is the test."""

    text: str
    event_window_ms: int
    reads: Reads
    exact: bool
    test: bytes
    value: bytes


class _Silent(Struct, frozen=True, array_like=True, gc=False):
    asks: str
    rule: _Rule


class _Computed(Struct, frozen=True, array_like=True, gc=False, tag="Computed"):
    """holds: empty for PRESENT."""

    key: bytes
    holds: bytes


class _Condition(Struct, frozen=True, array_like=True, gc=False):
    """rest: empty: there is none."""

    tests: tuple[tuple[Segments, Among | Limit | Begins | _Computed], ...]
    rest: bytes
    others: tuple[_Condition, ...]


class _Asked(Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    condition: _Condition


class _Happens(Struct, frozen=True, array_like=True, gc=False, tag="Happens"):
    asked: int
    lasting: Lasting
    least: int


class _Follows(Struct, frozen=True, array_like=True, gc=False, tag="Follows"):
    steps: tuple[tuple[int, Lasting], ...]


class _Outline(Struct, frozen=True, array_like=True, gc=False):
    term: Term | None
    parts: tuple[int, ...]
    literals: tuple[_Happens | _Follows, ...]


class _Prepared(Struct, frozen=True, array_like=True, gc=False):
    rule: _Rule
    outline: _Outline | None


class _File(Struct, frozen=True, array_like=True, gc=False):
    """blocks: so many _Prepared each."""

    codes: tuple[bytes, ...]
    parts: tuple[_Silent, ...]
    asked: tuple[_Asked, ...]
    blocks: tuple[bytes, ...]


_encode = msgspec.msgpack.Encoder().encode
_file = msgspec.msgpack.Decoder(_File)
_block = msgspec.msgpack.Decoder(tuple[_Prepared, ...])


# ---- to bytes ---------------------------------------------------------------


def kept_rules(prepared: Iterable[Prepared]) -> bytes:
    """The rules as bytes; those that have none are left out, and compiled each time."""
    return _Keeping(prepared).whole()


class _Keeping:
    def __init__(self, prepared: Iterable[Prepared]) -> None:
        self._packing = Packing(PARTIALS)
        self._places: dict[int, int] = {}  # id of a part or condition -> its place
        self._parts: list[_Silent] = []
        self._asked: list[_Asked] = []
        self._rules = [kept for one in prepared for kept in self._prepared(one)]

    def whole(self) -> bytes:
        blocks = [
            b"".join(_array(self._rules[at : at + BLOCK]))
            for at in range(0, len(self._rules), BLOCK)
        ]
        codes = self._packing.code_bytes()
        return _encode(_File(codes, tuple(self._parts), tuple(self._asked), tuple(blocks)))

    def _prepared(self, one: Prepared) -> Iterator[bytes]:
        try:
            outline = None if one.outline is None else self._outline(one.outline)
            yield _encode(_Prepared(self._rule(one.rule), outline))
        except (CannotKeep, OverflowError, UnicodeEncodeError, RecursionError):
            return

    def _rule(self, rule: CompiledRule) -> _Rule:
        packed, linked = self._packing.packed, rule.linked
        value = b"" if linked.value is linked.test else packed(linked.value)
        return _Rule(
            rule.text, rule.event_window_ms, rule.reads, rule.exact, packed(linked.test), value
        )

    def _outline(self, outline: Outline) -> _Outline:
        return _Outline(
            outline.term,
            tuple([self._silent(one) for one in outline.parts]),
            tuple([self._literal(one) for one in outline.literals]),
        )

    def _silent(self, part: Silent) -> int:
        place = self._places.get(id(part))
        if place is None:
            kept = _Silent(part.asks, self._rule(part.rule))
            _encode(kept)  # raises for what has no bytes, before it is among the others
            place = self._places[id(part)] = len(self._parts)
            self._parts.append(kept)
        return place

    def _literal(self, literal: Happens | Follows) -> _Happens | _Follows:
        if isinstance(literal, Happens):
            return _Happens(self._place(literal.asked), literal.lasting, literal.least)
        return _Follows(tuple([(self._place(asked), lasting) for asked, lasting in literal.steps]))

    def _place(self, asked: Asked) -> int:
        place = self._places.get(id(asked))
        if place is None:
            kept = _Asked(asked.key, self._condition(asked.condition))
            _encode(kept)
            place = self._places[id(asked)] = len(self._asked)
            self._asked.append(kept)
        return place

    def _condition(self, condition: Condition) -> _Condition:
        return _Condition(
            tuple([(path, self._test(test)) for path, test in condition.tests]),
            b"" if condition.rest is None else self._packing.packed(condition.rest),
            tuple(map(self._condition, condition.others)),
        )

    def _test(self, test: Test) -> Among | Limit | Begins | _Computed:
        if not isinstance(test, Computed):
            return test
        return _Computed(test.key, b"" if test is PRESENT else self._packing.packed(test.holds))


def _array(encoded: Sequence[bytes]) -> list[bytes]:
    """An array of these, in pieces."""
    return [b"\xdd" + len(encoded).to_bytes(4, "big"), *encoded]


# ---- from bytes -------------------------------------------------------------


def rules_from(content: bytes) -> Known:
    """What `kept_rules` was given. Raises UnreadableRules."""
    try:
        file = _file.decode(content)
        return _Reading(file).known(file.blocks)
    except (msgspec.DecodeError, ValueError, IndexError, RecursionError) as error:
        raise UnreadableRules(str(error)) from error


class _Link(Struct, frozen=True, eq=False, gc=False):
    """Makes a kept rule's functions."""

    unpacking: Unpacking
    test: bytes
    value: bytes

    def __call__(self) -> Linked:
        test = self.unpacking.function(self.test)
        return Linked(test, self.unpacking.function(self.value) if self.value else test)


class _Reading:
    def __init__(self, file: _File) -> None:
        self._unpacking = Unpacking(file.codes, PARTIALS)
        self._parts = [Silent(one.asks, self._rule(one.rule)) for one in file.parts]
        self._asked = [Asked(one.key, self._condition(one.condition)) for one in file.asked]

    def known(self, blocks: Sequence[bytes]) -> Known:
        return {
            (one.rule.text, one.rule.event_window_ms): self._prepared(one)
            for block in blocks
            for one in _block.decode(block)
        }

    def _prepared(self, kept: _Prepared) -> Prepared:
        outline = None if kept.outline is None else self._outline(kept.outline)
        return Prepared(self._rule(kept.rule), outline)

    def _rule(self, kept: _Rule) -> CompiledRule:
        link = _Link(self._unpacking, kept.test, kept.value)
        return CompiledRule(kept.text, kept.event_window_ms, kept.reads, kept.exact, link, None)

    def _outline(self, kept: _Outline) -> Outline:
        return Outline(
            kept.term,
            tuple([self._parts[place] for place in kept.parts]),
            tuple([self._literal(one) for one in kept.literals]),
        )

    def _literal(self, kept: _Happens | _Follows) -> Happens | Follows:
        if isinstance(kept, _Happens):
            return Happens(self._asked[kept.asked], kept.lasting, kept.least)
        return Follows(tuple([(self._asked[place], lasting) for place, lasting in kept.steps]))

    def _condition(self, kept: _Condition) -> Condition:
        return Condition(
            tuple([(path, self._test(test)) for path, test in kept.tests]),
            self._unpacking.function(kept.rest) if kept.rest else None,
            tuple(map(self._condition, kept.others)),
        )

    def _test(self, kept: Among | Limit | Begins | _Computed) -> Test:
        if not isinstance(kept, _Computed):
            return kept
        if not kept.holds:
            return PRESENT
        return Computed(kept.key, self._unpacking.function(kept.holds))
