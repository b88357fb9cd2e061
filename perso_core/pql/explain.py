"""Why a rule holds for a profile, or why not: the tree of the rule with the values it saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct, structs

from perso_core.pql.compiler import FOREVER_MS, CompiledRule, Verdict, compile_node
from perso_core.pql.instants import iso
from perso_core.pql.kinds import type_of
from perso_core.pql.nodes import (
    And,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Filter,
    Lambda,
    Method,
    Node,
    Not,
    Occurs,
    Or,
    Over,
    Path,
    Product,
    Sum,
)
from perso_core.pql.printer import print_rule
from perso_core.pql.seen import StepSeen, chain_seen
from perso_core.pql.sentences import ChainSentences, wants_that
from perso_core.pql.source import Source
from perso_core.pql.values_told import time_words, value_words
from perso_core.pql.words import (
    TIME_OPS,
    code_words,
    compared,
    condition_words,
    measure_words,
    turned,
    wanted,
    window_words,
)

NO_NAMES: Mapping[str, str] = MappingProxyType({})
NO_RULES: Mapping[str, CompiledRule] = MappingProxyType({})

# A list of more alternatives is told as one; so is every list once a tree has so many parts.
MAX_OPERANDS = 100
MAX_PARTS = 1_000
# Audiences that read audiences are told down to here.
MAX_BECAUSE = 8

# From a part of a rule to the first instant at which time alone changes it.
Until = Callable[[CompiledRule], int]

# A page explains the same rules at every view: their parts are compiled once. Nodes that say the
# same are equal wherever they stand, and compile to the same.
_part = lru_cache(maxsize=4_096)(compile_node)


class Explanation(Struct, frozen=True):
    """One part of the rule, in the order of the text.

    says: a sentence with what was found and what is wanted. got: what was found, alone.
    place: line:column. text: the part in canonical form. decides: it is on the way to the one
    part that decides. until_ms: when time alone changes `holds`; FOREVER_MS: never. kind: of a
    part with children. steps: of a chain, what satisfied it. because: of inSegment, the same for
    the rule of that audience, where its rule is known.
    """

    holds: bool
    says: str
    got: str
    place: str
    text: str
    decides: bool
    children: tuple[Explanation, ...] = ()
    until_ms: int = FOREVER_MS
    kind: Literal["leaf", "and", "or", "not"] = "leaf"
    steps: tuple[StepSeen, ...] = ()
    because: Explanation | None = None


def explain_rule(
    rule: CompiledRule,
    view: Mapping[str, Any],
    now_ms: int,
    names: Mapping[str, str] = NO_NAMES,
    rules: Mapping[str, CompiledRule] = NO_RULES,
    until: Until | None = None,
) -> Explanation:
    """The tree. names: audience id -> name. rules: by audience id; of those that inSegment reads
    the tree tells why, too. until: when time alone changes a part that reads audiences, of which
    the view says only what holds now; None: as the view stands. Compiles each part once:
    milliseconds at first."""
    explainer = _Explainer(rule, view, now_ms, names, rules, until)
    return explainer.explain(rule.node, wants=True, decides=True)


def reason(explanation: Explanation) -> str:
    """One line: what was found and what is needed, of the part that decides."""
    part = deciding(explanation)
    if explanation.holds or part.says.startswith(("No ", "Not in audience")):
        return part.says
    return f"Not in: {small(part.says)}"


def deciding(explanation: Explanation) -> Explanation:
    """The part that decides."""
    part = explanation
    while part.children:
        part = next(child for child in part.children if child.decides)
    return part


def small(sentence: str) -> str:
    """The sentence as it goes on after a colon; names and abbreviations keep their capitals."""
    first = sentence.split(" ", 1)[0]
    ordinary = len(first) == 1 or first[1:].islower()
    return sentence[0].lower() + sentence[1:] if ordinary else sentence


class _Explainer:
    def __init__(
        self,
        rule: CompiledRule,
        view: Mapping[str, Any],
        now_ms: int,
        names: Mapping[str, str],
        rules: Mapping[str, CompiledRule],
        until: Until | None,
        depth: int = 0,
    ) -> None:
        self.rule = rule
        self.source = Source(rule.text)
        self.view = view
        self.now_ms = now_ms
        self.names = names
        self.rules = rules
        self.until = until
        self.depth = depth  # audiences around this one
        self.chains = ChainSentences(view, now_ms, rule.event_window_ms, self.asking)
        self.parts = 0
        self.verdicts: dict[int, tuple[Node, Verdict]] = {}
        self.lacks: dict[tuple[int, bool], int] = {}

    def compiled(self, node: Node) -> CompiledRule:
        return _part(node, event_window_ms=self.rule.event_window_ms)

    def holds(self, node: Node) -> bool:
        return self.verdict(node).holds

    def verdict(self, node: Node) -> Verdict:
        """Whether the node holds and until when, asked once: a chain looks at every event."""
        known = self.verdicts.get(id(node))
        if known is None:
            verdict = self.compiled(node).evaluate(self.view, self.now_ms)
            # The node is kept with it, so that the id stays its own.
            known = self.verdicts[id(node)] = node, verdict
        return known[1]

    def value(self, node: Node) -> Any:
        return self.compiled(node).value(self.view, self.now_ms)

    # ---- the tree

    def explain(self, node: Node, *, wants: bool, decides: bool) -> Explanation:
        """wants: whether the rule wants the part to hold; false below an odd number of nots."""
        if isinstance(node, Lambda):
            return self.explain(node.body, wants=wants, decides=decides)
        self.parts += 1
        until = imported_until(node)
        if until is not None:
            says, got = self.imported(until, holds=self.holds(node))
            return self.part(node, self.holds(node), says, got, decides)
        if isinstance(node, And | Or):
            return self.joined(node, wants=wants, decides=decides)
        if isinstance(node, Not):
            child = self.explain(node.operand, wants=not wants, decides=decides)
            part = self.part(node, not child.holds, child.says, child.got, decides, (child,))
            return structs.replace(part, kind="not")
        holds = self.holds(node)
        if isinstance(node, Chain):
            steps = chain_seen(node, self.view, self.asking)
            until_ms = self.verdict(node).until_ms
            says, got = self.chains.told(node, steps, holds=holds, wants=wants, until_ms=until_ms)
            return structs.replace(self.part(node, holds, says, got, decides), steps=steps)
        says, got = self.leaf(node, holds=holds, wants=wants)
        part = self.part(node, holds, says, got, decides)
        return structs.replace(part, because=self.because(node))

    def asking(self, node: Node) -> Callable[[Mapping[str, Any]], Any]:
        """From a view to the node's value. Until when is not asked each time."""
        compiled = self.compiled(node)
        return lambda view: compiled.value(view, self.now_ms)

    def because(self, node: Node) -> Explanation | None:
        """Why the profile is in the audience that the node asks for, or not."""
        if not isinstance(node, Call) or node.name != "inSegment":
            return None
        audience = node.args[0]
        rule = self.rules.get(str(audience.value)) if isinstance(audience, Constant) else None
        if rule is None or self.depth >= MAX_BECAUSE:
            return None
        inner = _Explainer(
            rule, self.view, self.now_ms, self.names, self.rules, self.until, self.depth + 1
        )
        return inner.explain(rule.node, wants=True, decides=True)

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
        until = self.until_ms(node)
        text = print_rule(node)
        return Explanation(holds, says, got, f"{line}:{column}", text, decides, children, until)

    def until_ms(self, node: Node) -> int:
        if self.until is not None and self.compiled(node).reads.audience_ids:
            return self.until(self.compiled(node))
        return self.verdict(node).until_ms

    def joined(self, node: And | Or, *, wants: bool, decides: bool) -> Explanation:
        if len(node.operands) > MAX_OPERANDS or self.parts > MAX_PARTS:
            return self.crowd(node, wants=wants, decides=decides)
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
        part = self.part(node, holds, f"{got} hold; {word} needed.", got, decides, children)
        return structs.replace(part, kind="and" if isinstance(node, And) else "or")

    def crowd(self, node: And | Or, *, wants: bool, decides: bool) -> Explanation:
        """A list that is too long to be told part by part."""
        holds = self.holds(node)
        number = f"{len(node.operands):,}"
        if isinstance(node, Or):
            fact = f"{'one' if holds else 'none'} of {number} alternatives holds"
        else:
            fact = f"all {number} conditions hold" if holds else f"not all {number} conditions hold"
        want = "all" if isinstance(node, And) else "one at least"
        return self.part(node, holds, wants_that(fact, want, wants), str(holds), decides)

    def decider(self, node: And | Or, verdicts: list[bool], holds: bool) -> int:
        """The operand that says most: the one that decides alone; of those that fail together
        what is nearest to holding; else what a visitor just did rather than what is known."""
        if isinstance(node, And) != holds:
            return verdicts.index(holds)
        if isinstance(node, Or):
            lacks = [self.missing_parts(operand, True) for operand in node.operands]
        else:
            lacks = [0] * len(verdicts)
        order = sorted(
            range(len(verdicts)), key=lambda n: (lacks[n], not _reads_events(node.operands[n]), n)
        )
        return order[0]

    def missing_parts(self, node: Node, wanted: bool) -> int:
        """How many leaves would have to be otherwise for the node to be as wanted."""
        key = (id(node), wanted)
        if key not in self.lacks:
            self.lacks[key] = self.counted_missing(node, wanted)
        return self.lacks[key]

    def counted_missing(self, node: Node, wanted: bool) -> int:
        if isinstance(node, Not):
            return self.missing_parts(node.operand, not wanted)
        if not isinstance(node, And | Or) or len(node.operands) > MAX_OPERANDS:
            return int(self.holds(node) is not wanted)
        found = [self.missing_parts(operand, wanted) for operand in node.operands]
        return sum(found) if isinstance(node, And) is wanted else min(found)

    # ---- leaves

    def leaf(self, node: Node, *, holds: bool, wants: bool) -> tuple[str, str]:
        """The sentence and what was found."""
        if isinstance(node, Call) and node.name == "inSegment":
            return self.in_segment(node, holds=holds, wants=wants)
        if isinstance(node, Occurs):
            got = time_words(self.value(node.left))
            fact = f"{measure_words(node.left)} is {got}"
            it = "it" if wants else "whoever has it"
            return wants_that(fact, f"{it} {window_words(node.window)}", wants), got
        measured = compared(node)
        if measured is not None:
            return self.comparison(node, measured, wants=wants)
        if isinstance(node, Method) and node.name in ("isNull", "isNotNull"):
            got = value_words(self.value(node.base))
            want = "no value" if (node.name == "isNull") is wants else "a value"
            return wants_that(f"{measure_words(node.base)} is {got}", want, True), got
        asked = quantified(node)
        if asked is not None:
            return self.quantified(asked, wants=wants)
        value = self.value(node)
        if type_of(node) == "flag" and not isinstance(node, Constant):
            fact = f"{code_words(node)} {'holds' if value else 'does not hold'}"
            want = f"it {'' if wants else 'not '}to"
            return wants_that(fact, want, True), value_words(value)
        yes, no = ("yes", "no") if isinstance(value, bool) else ("a value", "no value")
        fact = f"{measure_words(node)} is {value_words(value)}"
        return wants_that(fact, yes if wants else no, True), value_words(value)

    def comparison(self, node: Node, left: Node, *, wants: bool) -> tuple[str, str]:
        value = self.value(left)
        want, needs = wanted(node)
        right = None if turned(node) else _other_side(node)
        if needs or right is not None:
            want = want.replace("under ", "less than ", 1).replace("over ", "more than ", 1)
        if right is not None:
            want += f", which is {value_words(self.value(right))}"
        elif want.startswith(tuple(TIME_OPS.values())):
            want = f"{'it' if wants else 'whoever has it'} {want}"
        subject = measure_words(left)
        several = isinstance(value, list) and subject.endswith("s") and " of " not in subject
        fact = f"{subject} {'are' if several else 'is'} {value_words(value)}"
        return wants_that(fact, want, wants, needs=needs), value_words(value)

    def in_segment(self, node: Call, *, holds: bool, wants: bool) -> tuple[str, str]:
        audience = node.args[0]
        assert isinstance(audience, Constant), "the checker wants ids written out"
        name = self.names.get(str(audience.value), str(audience.value))
        words = f"{'In' if holds else 'Not in'} audience {name}"
        if not wants:
            words += ", which the rule excludes"
        return f"{words}.", "in" if holds else "not in"

    def imported(self, until: Node, *, holds: bool) -> tuple[str, str]:
        """What was imported of an external audience."""
        ends_ms = self.value(until)
        if ends_ms is None:
            return "No import has put the profile into it.", "nothing"
        at = iso(int(ends_ms))
        if holds:
            return f"Imported, until {at}.", f"until {at}"
        return f"No import counts now: the last one ends at {at}.", f"until {at}"

    def quantified(self, asked: Quantified, *, wants: bool) -> tuple[str, str]:
        """exists, forall or a filter: how many elements satisfy the condition."""
        number = len(_items(self.value(asked.array)))
        subject = measure_words(asked.array)
        if asked.condition is None:
            got = value_words(number)
            return wants_that(f"number of {subject} is {got}", "one at least", wants), got
        found = len(_items(self.value(asked.found)))
        got = f"{found} of {number}"
        fit = f"with {condition_words(asked.condition)}"
        if not number:
            want = f"{'all' if asked.every else 'one'} {fit}"
            return wants_that(f"no {subject}", want, wants), got
        fact = f"of {number:,} {subject}, {f'{found:,}' if found else 'none'} {fit}"
        want = "all of them" if asked.every else "at least one" if wants else "none"
        return wants_that(fact, want, wants or not asked.every), got


def _other_side(node: Node) -> Node | None:
    """What something is compared with, where nobody sees in the rule what that is."""
    other = node.args[0] if isinstance(node, Method) else getattr(node, "right", None)
    known = not isinstance(other, WORKED_OUT) or type_of(other) == "time"
    return None if known else other


WORKED_OUT = (Path, Method, Call, Sum, Product, Over)


class Quantified(Struct, frozen=True):
    """every: all elements of the array have to satisfy the condition; else one, or, where there is
    no condition, be there. found: gives those that do."""

    array: Node
    condition: Node | None
    found: Node
    every: bool


def quantified(node: Node) -> Quantified | None:
    """What exists, forall or a filter asks for; None of any other node."""
    if isinstance(node, Filter):
        return Quantified(node.base, node.condition, node, False)
    if isinstance(node, Method) and node.name in ("exists", "forall", "filter"):
        condition = (*node.args, None)[0]
        found = node.base if condition is None else Filter(node.base, condition)
        body = condition.body if isinstance(condition, Lambda) else condition
        return Quantified(node.base, body, found, node.name == "forall")
    if isinstance(node, Binder) and not node.ranges[1:]:
        (one,) = node.ranges
        found = Binder("select", node.ranges)
        return Quantified(one.array, one.condition, found, node.kind == "forall")
    return None


def imported_until(node: Node) -> Node | None:
    """In the rule that an external audience is made of, where it ends; None of any other node."""
    match node:
        case And(
            operands=(
                Compare(
                    op="<=",
                    left=Path(
                        base=Method(base=Path(segments=("externalAudience",)), name="get"),
                        segments=("since",),
                    ),
                ),
                Compare(op=">", left=Path(segments=("until",)) as until),
            )
        ):
            return until
    return None


def _reads_events(node: Node) -> bool:
    return isinstance(node, Chain) or (isinstance(node, Not) and isinstance(node.operand, Chain))


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
