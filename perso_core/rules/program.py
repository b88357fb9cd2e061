"""The rules of a set sorted by how they use events, and the tables that tell which event matters
to which.

*Silent* rules read no event. *Simple* rules have one literal that one event makes true, *series*
one that takes several events, a count or a chain: thousands of both are kept in a few integers, one
bit a rule. *Judged* rules have several literals, or one beside a part that time alone changes, and
a truth table over them; or they have no formula, and are run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from msgspec import Struct

from perso_core.pql.compiler import CompiledRule
from perso_core.pql.types import EventGuard
from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.bits import bits_of
from perso_core.rules.conditions import Condition, needed_by
from perso_core.rules.index import AttributeIndex
from perso_core.rules.judging import Over, until
from perso_core.rules.lasting import Lasting
from perso_core.rules.matcher import Matcher
from perso_core.rules.outline import Asked, Follows, Happens, Outline, outlined
from perso_core.rules.standing import Standing

# How many changes of a rule's silent parts are known beforehand.
MAX_LOOKS = 8
# Values that visitors' standings share, before they are gathered afresh.
MAX_SHARED = 8_192

T = TypeVar("T")

NOTHING_KNOWN: Mapping[CompiledRule, Outline] = {}

# How a rule uses events.
SILENT, SIMPLE, SERIES, JUDGED = range(4)


@dataclass(frozen=True)
class Class:
    """The simple rules whose event counts equally long. bits: those rules."""

    bits: int
    lasting: Lasting


class Parts(Struct, frozen=True):
    """A rule's parts that read no event. parts: those that are run, by their bit. segments: those
    that ask for a rule of the set: (bit, position)."""

    outline: Outline
    parts: tuple[tuple[int, CompiledRule], ...]
    segments: tuple[tuple[int, int], ...]

    @property
    def moving(self) -> bool:
        """Whether time alone changes a part."""
        return any(part.reads.now for _, part in self.parts)

    def held_over(self, view: Mapping[str, Any], now_ms: int) -> Over:
        """The parts that hold, one bit each, segments left out, from now_ms on. Looks at no more
        than MAX_LOOKS changes."""
        found: list[tuple[int, int]] = []
        until_ms = now_ms
        while until_ms < FOREVER_MS and len(found) < MAX_LOOKS:
            until_ms, held = self._held(view, until_ms)
            found.append(until(until_ms, held))
        return tuple(found)

    def _held(self, view: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
        held, until_ms = 0, FOREVER_MS
        for bit, part in self.parts:
            verdict = part.evaluate(view, now_ms)
            if verdict.holds:
                held |= 1 << bit
            if verdict.until_ms < until_ms:
                until_ms = verdict.until_ms
        return until_ms, held

    def table(self, held: int, members: int) -> int:
        """The truth table. held: of the parts that are run. members: the rules that hold."""
        for bit, position in self.segments:
            if members >> position & 1:
                held |= 1 << bit
        return _table(self.outline, held)


# Bounded, and small: a rule has few parts that change.
@lru_cache(maxsize=4_096)
def _table(outline: Outline, held: int) -> int:
    return outline.table(held)


@dataclass(frozen=True)
class Told:
    """Where a literal is found. condition: whose times count; chain: which chain, None for a count.
    lasting: of the condition, or of each step. several: one event alone never makes it true. ms: of
    each lasting how long every event counts; None where a calendar unit ends it."""

    condition: int
    least: int
    chain: int | None
    lasting: tuple[Lasting, ...]
    several: bool
    ms: tuple[int | None, ...]


@dataclass(frozen=True)
class Series:
    """A rule of one literal that takes several events. flag: the rule's bit; alarm: the bit of the
    literal's condition."""

    position: int
    flag: int
    literal: Told
    alarm: int


@dataclass(frozen=True)
class Look:
    """A judged rule that an event of some condition can touch. flag: the literal's bit; literal
    None: the rule is run."""

    place: int
    position: int
    flag: int
    literal: Told | None


@dataclass(frozen=True)
class Effects:
    """What an event of one condition leads to. flag: the condition's bit. kept: how many of its
    times are needed. steps: the chain steps it completes, later ones first: (step, chain, condition
    of the first step). series, looks: the rules it can touch."""

    flag: int
    kept: int
    steps: tuple[tuple[int, int, int], ...]
    series: tuple[Series, ...]
    looks: tuple[Look, ...]


class Judge(Struct, frozen=True):
    """How a judged rule is judged. parts None: it is run."""

    position: int
    parts: Parts | None
    literals: tuple[Told, ...]


# Of a judged rule, by its place: the position, its bit, the silent parts, the literals, and of each
# literal the bit of its condition.
Judging = tuple[int, int, Parts | None, tuple[Told, ...], tuple[int, ...]]


class Program:
    """rules: (audience id, rule), each after those it names in inSegment.

    known: outlines of rules that have one already; the others are read once more, which costs
    0.2 ms for each that uses events. Putting a set together from outlines costs a tenth of that.
    outlines: of each rule, None for one that reads no events.

    Immutable but for what the matcher remembers of values, and for `nobody`.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, CompiledRule]],
        known: Mapping[CompiledRule, Outline] = NOTHING_KNOWN,
    ) -> None:
        self.ids_by_position = tuple(audience_id for audience_id, _ in rules)
        self.rules = tuple(rule for _, rule in rules)
        self.position_of = {name: place for place, name in enumerate(self.ids_by_position)}
        self.index = AttributeIndex([rule.reads for rule in self.rules], self.position_of)
        self.outlines = outlined(self.rules, known)
        building = _Building(self.rules, self.outlines, self.position_of)
        self.simple = building.simple
        # Rules of one literal, series among them: the answer is base ^ (live & sensitive).
        self.series: Mapping[int, Series] = {one.position: one for one in building.series}
        self.alone = self.simple | sum(one.flag for one in building.series)
        self.alone_parts: Mapping[int, Parts] = building.alone_parts
        self.class_of: Mapping[int, int] = building.class_of
        self.classes = tuple(Class(bits, lasting) for lasting, bits in building.classes.items())
        # An event younger than that counts for all of them, unless a day has ended.
        self.shortest_ms = min((one.lasting.ms for one in self.classes), default=0)
        # Of rules of one literal that have no silent part.
        self.base = building.base
        self.sensitive = building.sensitive
        self._shared: dict[Any, Any] = {}
        # Where somebody stands of whom nothing is known; None: nobody asked yet.
        self.nobody: Standing | None = None
        self.judges = tuple(building.judges)
        self.judging = tuple(map(_judging, self.judges))
        self.judge_of = {judge.position: place for place, judge in enumerate(self.judges)}
        alone = set(bits_of(self.alone))
        self.silent = frozenset(range(len(rules))).difference(alone, self.judge_of)
        self.kinds = tuple(map(self._kind, range(len(rules))))
        self.chains = tuple(building.chains)
        # By condition.
        self.effects = tuple(
            [self._effects_of(condition, one) for condition, one in enumerate(building.effects)]
        )
        # By chain and by place among the judged: the conditions whose events count in it.
        self.chain_bits = tuple(sum({1 << one for one in steps}) for steps, _ in self.chains)
        self.reach = self._reach()
        # Every event of these has a rule run.
        self.running = sum(one.flag for one in self.effects if _runs_a_rule(one))
        self.shift = len(rules)
        self.matcher = Matcher([*building.own, *building.conditions])
        self.longest_ms = max((rule.event_window_ms for rule in self.rules), default=0)

    def run_for_a_visitor(self) -> Iterator[CompiledRule]:
        """The rules and parts that are run for a visitor who is new here."""
        for rule, outline in zip(self.rules, self.outlines, strict=True):
            if outline is None or outline.term is None:
                yield rule
            else:
                yield from (part.rule for part in outline.parts)

    def ids(self, members: int) -> list[str]:
        """The audiences of the set bits, in the rules' order."""
        if not members:
            return []
        return [self.ids_by_position[place] for place in bits_of(members)]

    def _reach(self) -> tuple[int, ...]:
        reach = [0] * len(self.judges)
        for condition, one in enumerate(self.effects):
            for look in one.looks:
                reach[look.place] |= 1 << condition
        for place, judge in enumerate(self.judges):
            for literal in judge.literals:
                if literal.chain is not None:
                    reach[place] |= self.chain_bits[literal.chain]
        return tuple(reach)

    def shared(self, value: T) -> T:
        """An equal value that is there already, where there is one: what many visitors' standings
        hold is there once."""
        if len(self._shared) >= MAX_SHARED:
            self._shared.clear()
        known: T = self._shared.setdefault(value, value)
        return known

    def _kind(self, position: int) -> int:
        if self.simple >> position & 1:
            return SIMPLE
        if position in self.series:
            return SERIES
        return JUDGED if position in self.judge_of else SILENT

    def _effects_of(self, condition: int, made: _Effects) -> Effects:
        return Effects(
            1 << condition,
            made.kept,
            tuple(sorted(made.steps, reverse=True)),
            tuple(made.series),
            tuple([self._look(place, flag) for place, flag in made.touched]),
        )

    def _look(self, place: int, flag: int) -> Look:
        judge = self.judges[place]
        literal = judge.literals[flag.bit_length() - 1] if flag else None
        return Look(place, judge.position, flag, literal)

    def is_run(self, place: int) -> bool:
        """Whether the judged rule has no formula."""
        return self.judges[place].parts is None

    def reached_by(self, event: Mapping[str, Any]) -> list[str]:
        """The audiences that the arrival of this event may change by itself, in the rules' order;
        those that hang on them through inSegment are not among them."""
        matched = self.matcher.matching(event)
        touched = matched & self.simple
        for condition in bits_of(matched >> self.shift):
            effects = self.effects[condition]
            touched |= sum(one.flag for one in effects.series)
            for look in effects.looks:
                touched |= 1 << look.position
        return self.ids(touched)


def _judging(judge: Judge) -> Judging:
    conditions = tuple([1 << literal.condition for literal in judge.literals])
    return judge.position, 1 << judge.position, judge.parts, judge.literals, conditions


def _runs_a_rule(effects: Effects) -> bool:
    return any(look.literal is None for look in effects.looks)


class _Effects(Struct):
    """`Effects` in the making. touched: (place, bit of the literal; 0: run) of judged rules."""

    kept: int = 0
    steps: list[tuple[int, int, int]] = []
    series: list[Series] = []
    touched: list[tuple[int, int]] = []


def _ms(lasting: tuple[Lasting, ...]) -> tuple[int | None, ...]:
    """As Told.ms."""
    return tuple([one.ms if one.unit is None else None for one in lasting])


class _Building:
    """Sorts the rules by how they use events."""

    def __init__(
        self,
        rules: Sequence[CompiledRule],
        outlines: Sequence[Outline | None],
        position_of: Mapping[str, int],
    ) -> None:
        self._position_of = position_of
        self.own: list[Condition | None] = [None] * len(rules)
        self.simple = self.base = self.sensitive = 0
        self.alone_parts: dict[int, Parts] = {}
        self.series: list[Series] = []
        self.classes: dict[Lasting, int] = {}
        self.class_of: dict[int, int] = {}
        self.judges: list[Judge] = []
        self.conditions: list[Condition] = []
        self.effects: list[_Effects] = []
        self.chains: list[tuple[tuple[int, ...], tuple[Lasting, ...]]] = []
        self._condition_of: dict[bytes | EventGuard, int] = {}
        self._chain_of: dict[tuple[tuple[bytes, Lasting], ...], int] = {}
        for position, (rule, outline) in enumerate(zip(rules, outlines, strict=True)):
            if outline is not None:
                self._add(position, rule, outline)
        # A class's number is its place in `classes`.
        numbers = {lasting: number for number, lasting in enumerate(self.classes)}
        for lasting, bits in self.classes.items():
            self.class_of.update(dict.fromkeys(bits_of(bits), numbers[lasting]))

    def _add(self, position: int, rule: CompiledRule, outline: Outline) -> None:
        if outline.term is None:
            self._run(position, rule)
            return
        parts = self._parts_of(outline)
        (first, *others) = outline.literals
        if others or parts.moving:
            self._judged(position, parts)
            return
        if isinstance(first, Happens) and first.least == 1:
            self._simple(position, first)
        else:
            told = self._told(first)
            one = Series(position, 1 << position, told, 1 << told.condition)
            self.series.append(one)
            self.effects[told.condition].series.append(one)
        self._alone(position, parts)

    def _parts_of(self, outline: Outline) -> Parts:
        run: list[tuple[int, CompiledRule]] = []
        segments: list[tuple[int, int]] = []
        for bit, part in enumerate(outline.parts):
            # An audience that is none of the set is looked up in the profile.
            position = self._position_of.get(part.asks) if part.asks else None
            if position is None:
                run.append((bit, part.rule))
            else:
                segments.append((bit, position))
        return Parts(outline, tuple(run), tuple(segments))

    def _simple(self, position: int, literal: Happens) -> None:
        flag = 1 << position
        self.simple |= flag
        self.own[position] = literal.asked.condition
        self.classes[literal.lasting] = self.classes.get(literal.lasting, 0) | flag

    def _alone(self, position: int, parts: Parts) -> None:
        if parts.parts or parts.segments:
            self.alone_parts[position] = parts
            return
        flag = 1 << position
        table = parts.outline.table(0)
        self.base |= flag if table & 1 else 0
        self.sensitive |= flag if table in (1, 2) else 0

    def _judged(self, position: int, parts: Parts) -> None:
        place = len(self.judges)
        told = tuple(self._told(one) for one in parts.outline.literals)
        self.judges.append(Judge(position, parts, told))
        for number, literal in enumerate(told):
            self.effects[literal.condition].touched.append((place, 1 << number))

    def _told(self, literal: Happens | Follows) -> Told:
        if isinstance(literal, Happens):
            condition = self._asked(literal.asked, literal.least)
            several, counted = literal.least > 1, (literal.lasting,)
            return Told(condition, literal.least, None, counted, several, _ms(counted))
        key = literal.key
        number = self._chain_of.get(key)
        if number is None:
            number = self._chain_of[key] = len(self.chains)
            steps = tuple(self._asked(asked, 1) for asked, _ in literal.steps)
            for step, condition in enumerate(steps[1:], 1):
                self.effects[condition].steps.append((step, number, steps[0]))
            self.chains.append((steps, tuple(lasting for _, lasting in literal.steps)))
        steps, lasting = self.chains[number]
        return Told(steps[-1], 1, number, lasting, several=True, ms=_ms(lasting))

    def _run(self, position: int, rule: CompiledRule) -> None:
        place = len(self.judges)
        self.judges.append(Judge(position, None, ()))
        for guard in rule.reads.events:
            condition = self._condition(guard, 0, partial(needed_by, guard))
            self.effects[condition].touched.append((place, 0))

    def _asked(self, asked: Asked, kept: int) -> int:
        return self._condition(asked.key, kept, lambda: asked.condition)

    def _condition(self, key: bytes | EventGuard, kept: int, made: Callable[[], Condition]) -> int:
        found = self._condition_of.get(key)
        if found is None:
            found = self._condition_of[key] = len(self.conditions)
            self.conditions.append(made())
            self.effects.append(_Effects())
        self.effects[found].kept = max(self.effects[found].kept, kept)
        return found
