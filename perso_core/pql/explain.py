"""Why a rule holds for a profile, or why not: the tree of the rule with the values it saw."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from perso_core.pql.compiler import FOREVER_MS, CompiledRule, compile_node
from perso_core.pql.instants import instant_of
from perso_core.pql.nodes import (
    And,
    Call,
    Chain,
    Constant,
    Filter,
    Lambda,
    Method,
    Node,
    Not,
    Occurs,
    Or,
    Step,
)
from perso_core.pql.printer import print_rule
from perso_core.pql.source import Source
from perso_core.pql.values import walk
from perso_core.pql.words import (
    OPS,
    amount_words,
    chain_words,
    compared,
    condition_words,
    event_words,
    is_event_type,
    measure_words,
    span_words,
    time_words,
    until_words,
    value_words,
    wanted,
    window_words,
)

NO_NAMES: Mapping[str, str] = MappingProxyType({})


# A page explains the same rules at every view: their parts are compiled once. Nodes that say the
# same are equal wherever they stand, and compile to the same.
_part = lru_cache(maxsize=4_096)(compile_node)


class Explanation(Struct, frozen=True):
    """One part of the rule, in the order of the text.

    says: a sentence with what was found and what is wanted. got: what was found, alone.
    place: line:column. text: the part in canonical form. decides: it is on the way to the one
    part that decides.
    """

    holds: bool
    says: str
    got: str
    place: str
    text: str
    decides: bool
    children: tuple[Explanation, ...] = ()


def explain_rule(
    rule: CompiledRule, view: Mapping[str, Any], now_ms: int, names: Mapping[str, str] = NO_NAMES
) -> Explanation:
    """The tree. names: audience id -> name. Compiles each part once: milliseconds at first."""
    return _Explainer(rule, view, now_ms, names).explain(rule.node, wants=True, decides=True)


def reason(explanation: Explanation) -> str:
    """One line: what was found and what is needed, of the part that decides."""
    part = explanation
    while part.children:
        part = next(child for child in part.children if child.decides)
    if explanation.holds or part.says.startswith(("No ", "Not in audience")):
        return part.says
    return f"Not in: {_small(part.says)}"


def _small(sentence: str) -> str:
    """The sentence as it goes on after a colon; names and abbreviations keep their capitals."""
    first = sentence.split(" ", 1)[0]
    ordinary = len(first) == 1 or first[1:].islower()
    return sentence[0].lower() + sentence[1:] if ordinary else sentence


def _sentence(words: str) -> str:
    first = words.split(" ", 1)[0]
    plain = first.isalpha()
    return (words[0].upper() + words[1:] if plain else words) + "."


class _Explainer:
    def __init__(
        self, rule: CompiledRule, view: Mapping[str, Any], now_ms: int, names: Mapping[str, str]
    ) -> None:
        self.rule = rule
        self.source = Source(rule.text)
        self.view = view
        self.now_ms = now_ms
        self.names = names

    def compiled(self, node: Node) -> CompiledRule:
        return _part(node, event_window_ms=self.rule.event_window_ms)

    def holds(self, node: Node) -> bool:
        return self.compiled(node).evaluate(self.view, self.now_ms).holds

    def value(self, node: Node) -> Any:
        return self.compiled(node).value(self.view, self.now_ms)

    # ---- the tree

    def explain(self, node: Node, *, wants: bool, decides: bool) -> Explanation:
        """wants: whether the rule wants the part to hold; false below an odd number of nots."""
        if isinstance(node, Lambda):
            return self.explain(node.body, wants=wants, decides=decides)
        if isinstance(node, And | Or):
            return self.joined(node, wants=wants, decides=decides)
        if isinstance(node, Not):
            child = self.explain(node.operand, wants=not wants, decides=decides)
            return self.part(node, not child.holds, child.says, child.got, decides, (child,))
        holds = self.holds(node)
        says, got = self.leaf(node, holds=holds, wants=wants)
        return self.part(node, holds, says, got, decides)

    def part(
        self,
        node: Node,
        holds: bool,
        says: str,
        got: str,
        decides: bool,
        children: tuple[Explanation, ...] = (),
    ) -> Explanation:
        line, column = self.source.place(node.place[0])
        place = f"{line}:{column}"
        return Explanation(holds, says, got, place, print_rule(node), decides, children)

    def joined(self, node: And | Or, *, wants: bool, decides: bool) -> Explanation:
        verdicts = [self.holds(operand) for operand in node.operands]
        holds = all(verdicts) if isinstance(node, And) else any(verdicts)
        decider = self.decider(node, verdicts, holds) if decides else -1
        children = tuple(
            self.explain(operand, wants=wants, decides=position == decider)
            for position, operand in enumerate(node.operands)
        )
        true = sum(verdicts)
        got = f"{true} of {len(verdicts)}"
        word = "all are" if isinstance(node, And) else "one is"
        return self.part(node, holds, f"{got} hold; {word} needed.", got, decides, children)

    def decider(self, node: And | Or, verdicts: list[bool], holds: bool) -> int:
        """The operand that says most: what a visitor just did rather than what is known."""
        if isinstance(node, And) != holds:
            return verdicts.index(holds)
        chains = [n for n, operand in enumerate(node.operands) if _reads_events(operand)]
        return chains[0] if chains else 0

    # ---- leaves

    def leaf(self, node: Node, *, holds: bool, wants: bool) -> tuple[str, str]:
        """The sentence and what was found."""
        if isinstance(node, Chain):
            return self.chain(node, holds=holds, wants=wants)
        if isinstance(node, Call) and node.name == "inSegment":
            return self.in_segment(node, holds=holds, wants=wants)
        if isinstance(node, Occurs):
            got = time_words(self.value(node.left))
            fact = f"{measure_words(node.left)} is {got}"
            return self.wants_that(fact, f"it {window_words(node.window)}", wants), got
        measured = compared(node)
        if measured is not None:
            return self.comparison(node, measured, wants=wants)
        if isinstance(node, Method) and node.name in ("isNull", "isNotNull"):
            got = value_words(self.value(node.base))
            want = "no value" if node.name == "isNull" else "a value"
            return self.wants_that(f"{measure_words(node.base)} is {got}", want, wants), got
        if isinstance(node, Filter) or (isinstance(node, Method) and node.name in QUANTIFIERS):
            return self.quantified(node, wants=wants)
        got = value_words(self.value(node))
        return self.wants_that(f"{measure_words(node)} is {got}", "a value that is yes", wants), got

    def wants_that(self, fact: str, want: str, wants: bool, *, needs: bool = False) -> str:
        verb = ("needs" if needs else "the rule wants") if wants else "the rule excludes"
        return _sentence(f"{fact}; {verb} {want}")

    def comparison(self, node: Node, left: Node, *, wants: bool) -> tuple[str, str]:
        got = value_words(self.value(left))
        want, needs = wanted(node)
        return self.wants_that(f"{measure_words(left)} is {got}", want, wants, needs=needs), got

    def in_segment(self, node: Call, *, holds: bool, wants: bool) -> tuple[str, str]:
        audience = node.args[0]
        assert isinstance(audience, Constant), "the checker wants ids written out"
        name = self.names.get(str(audience.value), str(audience.value))
        words = f"{'In' if holds else 'Not in'} audience {name}"
        if not wants:
            words += "; the rule excludes it" if holds else "; the rule wants nobody from it"
        return f"{words}.", "in" if holds else "not in"

    def quantified(self, node: Node, *, wants: bool) -> tuple[str, str]:
        """exists, forall or a filter: how many elements satisfy the condition."""
        assert isinstance(node, Filter | Method), "nothing else has a condition for elements"
        condition = node.condition if isinstance(node, Filter) else (*node.args, None)[0]
        number = len(_items(self.value(node.base)))
        subject = measure_words(node.base)
        if condition is None:
            got = value_words(number)
            return self.wants_that(f"number of {subject} is {got}", "one at least", wants), got
        found = len(_items(self.value(Filter(node.base, condition))))
        got = f"{found} of {number}"
        every = isinstance(node, Method) and node.name == "forall"
        want = f"{'all' if every else 'one'} with {condition_words(condition)}"
        fact = f"{got} {subject}" if number else f"no {subject}"
        return self.wants_that(fact, want, wants), got

    # ---- chains

    def chain(self, chain: Chain, *, holds: bool, wants: bool) -> tuple[str, str]:
        until = self.compiled(chain).evaluate(self.view, self.now_ms).until_ms
        ends = "" if until >= FOREVER_MS else until_words(until, self.now_ms)
        if len(chain.steps) > 1:
            return self.sequence(chain, ends, holds=holds, wants=wants)
        (step,) = chain.steps
        times = self.times(chain, step)
        found = f"{len(times)} {event_words(step)} {self.when(step)}"
        if step.counts and step.counts != ((">=", 1),):
            want = " and ".join(f"{OPS[op]}{number}" for op, number in step.counts)
            return self.wants_that(found, want, wants, needs=True), str(len(times))
        if not times:
            return self.missing(chain, step, wants=wants), "none"
        words = f"{event_words(step)} {_ago(self.now_ms - max(times))}"
        if not wants:
            return _sentence(f"{words}; the rule excludes it" + (ends and f" until {ends}")), words
        return _sentence(words + (ends and f"; counts until {ends}")), words

    def sequence(self, chain: Chain, ends: str, *, holds: bool, wants: bool) -> tuple[str, str]:
        words = chain_words(chain)
        if not holds:
            return f"No {words}.", "none"
        if not wants:
            return _sentence(f"{words}; the rule excludes it" + (ends and f" until {ends}")), words
        return _sentence(words + (ends and f"; counts until {ends}")), words

    def when(self, step: Step) -> str:
        if step.windows:
            return " and ".join(map(window_words, step.windows))
        days = self.rule.event_window_ms // (24 * 3600 * 1000)
        return f"in the last {amount_words(days, 'day')}"

    def missing(self, chain: Chain, step: Step, *, wants: bool) -> str:
        """No event fits: whether one of the right type was there, with something else amiss."""
        parts = [c for condition in step.conditions for c in _conjuncts(condition)]
        typed = tuple(part for part in parts if is_event_type(part))
        others = [part for part in parts if not is_event_type(part)]
        seen = 0
        if typed and others:
            plain = Step(step.label, typed, step.windows, ())
            seen = len(self.times(Chain(chain.events, chain.order, (plain,)), plain))
        subject = f"{event_words(step)} {self.when(step)}"
        if seen:
            rest = " and ".join(map(condition_words, others))
            return f"No {event_words(step)} with {rest}: {seen} {self.when(step)} without."
        return f"No {subject}." if wants else f"No {subject}; the rule wants none."

    def times(self, chain: Chain, step: Step) -> list[int]:
        """The times of the events that satisfy the step now."""
        once = Step(step.label, step.conditions, step.windows, ())
        asked = self.compiled(Chain(chain.events, chain.order, (once,)))
        found = []
        for event in walk(self.view, ("xEvent",)) or []:
            at = instant_of(walk(event, ("timestamp",)))
            alone = {**self.view, "xEvent": [event]}
            if at is not None and asked.evaluate(alone, self.now_ms).holds:
                found.append(at)
        return found


QUANTIFIERS = frozenset(("exists", "forall", "filter"))


def _reads_events(node: Node) -> bool:
    return isinstance(node, Chain) or (isinstance(node, Not) and isinstance(node.operand, Chain))


def _conjuncts(node: Node) -> tuple[Node, ...]:
    return node.operands if isinstance(node, And) else (node,)


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _ago(ms: int) -> str:
    return f"{span_words(ms)} ago" if ms >= 0 else f"in {span_words(-ms)}"
