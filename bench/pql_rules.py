"""Our rule set as the benchmarks ask it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from bench.audiences_parts import Rule, pql
from bench.audiences_stream import BEFORE, STREAMED, Visitor
from bench.timing import cpu_us
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.rules.ruleset import RuleSet
from perso_core.rules.standing import Standing

Compiled = tuple[tuple[str, CompiledRule], ...]


def compiled(rules: Iterable[Rule]) -> Compiled:
    return tuple((rule.id, compile_rule(pql(rule.part))) for rule in rules)


def rule_set(rules: Iterable[Rule]) -> RuleSet:
    return RuleSet(compiled(rules))


class Step(Struct, frozen=True):
    """A visitor's standing, and the event that comes next: the visitor's event at that place."""

    visitor: Visitor
    place: int
    before: Standing

    @property
    def now_ms(self) -> int:
        now_ms: int = self.visitor.events[self.place]["timestamp"]
        return now_ms


class Decided(Struct, frozen=True):
    """changed: the audiences entered or left, by the event or by time since the last one."""

    after: Standing
    changed: Sequence[str]


def decide(rules: RuleSet, step: Step) -> Decided:
    """What the event changes: time first, each change at its own instant, then the event."""
    visitor, place, now_ms = step.visitor, step.place, step.now_ms
    standing = step.before
    while standing.until_ms <= now_ms:
        standing = rules.advance(standing, lambda: visitor.view(place), now_ms=standing.until_ms)
    event = visitor.events[place]
    after = rules.after_event(standing, event, lambda: visitor.view(place + 1), now_ms=now_ms)
    return Decided(after, rules.ids(after.members ^ step.before.members))


def first_step(rules: RuleSet, visitor: Visitor) -> Step:
    """Where the visitor stands when the stream begins."""
    at_ms = visitor.events[BEFORE - 1]["timestamp"]
    return Step(visitor, BEFORE, rules.standing(visitor.view, now_ms=at_ms))


class Stream(Struct, frozen=True):
    """us: CPU microseconds per event. steps: each event of the stream. decided: what it changed."""

    us: float
    steps: Sequence[Step]
    decided: Sequence[Decided]

    def each(self) -> Iterable[tuple[Step, Decided]]:
        return zip(self.steps, self.decided, strict=True)


def streamed(rules: RuleSet, visitor: Visitor) -> Stream:
    """The visitor's stream, each event once: what comes for the first time is new to the rules."""
    (stream,) = streamed_together(rules, [visitor])
    return stream


def streamed_together(rules: RuleSet, visitors: Sequence[Visitor]) -> list[Stream]:
    """`streamed` of several visitors whose events come in turn, as a server sees them; each
    stream's us is that of all of them."""
    following = [first_step(rules, visitor) for visitor in visitors]
    taken: list[list[Step]] = [[] for _ in visitors]
    decided: list[list[Decided]] = [[] for _ in visitors]

    def run() -> None:
        for _ in range(STREAMED):
            for number, step in enumerate(following):
                done = decide(rules, step)
                taken[number].append(step)
                decided[number].append(done)
                following[number] = Step(step.visitor, step.place + 1, done.after)

    us = cpu_us(run) / STREAMED / len(visitors)
    return [Stream(us, *one) for one in zip(taken, decided, strict=True)]
