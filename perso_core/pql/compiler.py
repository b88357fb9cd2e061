"""Typed nodes to a Python function, and the rule that asks it.

A rule is a pure function of the profile and of now; what it asks of time it notes in `now.until`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, structs

from perso_core.errors import RuleError, RuleFaults, RuleSyntaxError
from perso_core.pql.chains import MAX_STEPS, Now, StepsSpent
from perso_core.pql.checker import check
from perso_core.pql.fields import FieldTypes
from perso_core.pql.forms import Compiled, Linked, Parts
from perso_core.pql.gathered import gathered
from perso_core.pql.hints import too_deep
from perso_core.pql.joining import joined
from perso_core.pql.kinds import loops
from perso_core.pql.nodes import Constant, Lambda, Node
from perso_core.pql.operands import join_of
from perso_core.pql.parser import parse
from perso_core.pql.predicate import condition_of, predicate_of
from perso_core.pql.reads import flips_exactly, reading_of, reads_time
from perso_core.pql.shapes import Text, taken_apart
from perso_core.pql.source import Source
from perso_core.pql.types import Reads
from perso_core.pql.windows import FOREVER_MS

__all__ = [
    "DEFAULT_EVENT_WINDOW_MS",
    "FOREVER_MS",
    "CompiledRule",
    "Verdict",
    "compile_condition",
    "compile_node",
    "compile_rule",
]

DEFAULT_EVENT_WINDOW_MS = 35 * 24 * 3600 * 1000

# How often one evaluation looks on from one flip of a part to the next for the instant at which
# the whole answer changes. Past it the instant reported is early, never late.
MAX_LOOKS = 64
# With more events than this it looks on less often: every look may go through all of them.
FEW_EVENTS = 32


class Verdict(Struct, frozen=True, gc=False):
    """holds: the rule's answer. until_ms: the first later instant at which time alone changes it;
    FOREVER_MS when none does."""

    holds: bool
    until_ms: int


class CompiledRule(Struct, frozen=True, eq=False, gc=False):
    """One rule, ready to ask.

    event_window_ms: an event matters while it is at most this old.
    """

    text: str
    event_window_ms: int
    reads: Reads
    exact: bool  # the first flip noted is one of the answer: no need to look on
    _link: Callable[[], Linked]
    _node: Node | None
    _linked: Linked | None = None

    @property
    def node(self) -> Node:
        """The typed nodes. Read from the text when they are first asked for where the rule was
        compiled as another one's like."""
        if self._node is None:
            structs.force_setattr(self, "_node", _checked(self.text, None))
        assert self._node is not None, "set above"
        return self._node

    @property
    def linked(self) -> Linked:
        """The functions, made when they are first asked for."""
        if self._linked is None:
            structs.force_setattr(self, "_linked", self._link())
        assert self._linked is not None, "set above"
        return self._linked

    def evaluate(self, view: Mapping[str, Any], now_ms: int, *, steps: int = MAX_STEPS) -> Verdict:
        """The answer at now_ms and until when it holds. A rule whose loops have more than
        MAX_STEPS to go through does not hold. Raises StepsSpent where it is given less than that,
        and they have more to go through."""
        test = (self._linked or self.linked)[0]
        now = Now(now_ms, FOREVER_MS, steps)
        try:
            holds = test(view, now)
        except StepsSpent:
            if steps < MAX_STEPS:
                raise
            return Verdict(False, FOREVER_MS)
        if self.exact or now.until >= FOREVER_MS:
            return Verdict(holds, now.until)
        for _ in range(self._looks(view)):
            if now.until >= FOREVER_MS:
                break
            if now.steps < 0:
                if steps < MAX_STEPS:
                    raise StepsSpent
                break
            later = Now(now.until, FOREVER_MS, now.steps)
            try:
                if test(view, later) is not holds:
                    return Verdict(holds, later.ms)
            except StepsSpent:
                if steps < MAX_STEPS:
                    raise
                break
            now = later
        return Verdict(holds, now.until)

    def _looks(self, view: Mapping[str, Any]) -> int:
        if not self.reads.events:
            return MAX_LOOKS
        number = len(view.get("xEvent") or ())
        return MAX_LOOKS if number <= FEW_EVENTS else max(2, MAX_LOOKS * FEW_EVENTS // number)

    def value(self, view: Mapping[str, Any], now_ms: int) -> Any:
        """What the expression gives: None for a missing value, and for more than MAX_STEPS."""
        try:
            return self.linked.value(view, Now(now_ms))
        except StepsSpent:
            return None


def compile_rule(
    text: str,
    *,
    event_window_ms: int = DEFAULT_EVENT_WINDOW_MS,
    schema: FieldTypes | None = None,
) -> CompiledRule:
    """The rule. schema: what is known of the fields; None: nothing.

    Raises RuleFaults with every fault found, each with its place.
    """
    # A schema tells more faults: the rule is read in any case.
    node = None if schema is None else _checked(text, schema)
    apart = taken_apart(text, event_window_ms)
    if apart is None:
        node = node or _checked(text, None)
        return _rule(text, node, event_window_ms, _parts(text, node, event_window_ms).compiled())
    found = apart.remembered() or _joined(apart)
    if not found:
        node = node or _checked(text, None)
        found = _alone(text, apart, node)
    return _rule(text, node, event_window_ms, found)


def _alone(text: str, apart: Text, node: Node) -> Compiled:
    """The rule compiled in full; remembers its shape."""
    parts = _parts(text, node, apart.event_window_ms)
    # A value alone is a rule, and none that could be joined.
    if not isinstance(node, Constant):
        apart.shape.remember(parts, apart)
    return parts.compiled()


def _joined(apart: Text) -> Compiled | None:
    """The rule from its operands; None where it has none, or they do not stand alone."""
    join = join_of(apart.skeleton)
    parts = join and apart.parts(join.parts)
    if not join or not parts:
        return None
    operands: list[tuple[Text, Compiled]] = []
    for part in parts:
        found = part.remembered() or _part(part)
        if found is None:
            return None
        operands.append((part, found))
    return joined(join.way, apart, operands)


def _part(apart: Text) -> Compiled | None:
    text = apart.whole()
    try:
        node = _checked(text, None)
        # `P => …` is a rule alone, and no operand.
        return None if isinstance(node, Constant | Lambda) else _alone(text, apart, node)
    except RuleFaults:
        return None  # read as a whole, the rule tells where


def compile_node(node: Node, *, event_window_ms: int) -> CompiledRule:
    """A part of a rule, typed already, that reads no element or variable from around it."""
    return _rule("", node, event_window_ms, _parts("", node, event_window_ms).compiled())


def compile_condition(node: Node) -> Callable[[Mapping[str, Any]], bool]:
    """A function of one event that says whether the condition holds for it.

    node: typed, as it stands inside `xEvent[...]` or `WHAT(...)`; Element(0), or the variable of
    a Lambda, is the event. It must read nothing but the event: neither now nor the profile nor
    an element further out. False of an event with more to go through than MAX_STEPS.
    """
    assert not reads_time(node), "the condition reads now"
    found: Callable[[Mapping[str, Any]], bool] = condition_of(node).made()
    return partial(bounded, found) if loops(node) else found


def bounded(condition: Callable[[Mapping[str, Any]], bool], event: Mapping[str, Any]) -> bool:
    """False of an event with too much to go through."""
    try:
        return condition(event)
    except StepsSpent:
        return False


def _rule(text: str, node: Node | None, event_window_ms: int, found: Compiled) -> CompiledRule:
    return CompiledRule(text, event_window_ms, found.reads, found.exact, found.link, node)


def _checked(text: str, schema: FieldTypes | None) -> Node:
    """The typed nodes. Raises RuleFaults."""
    source = Source(text)
    try:
        node, faults = check(source, parse(text), schema)
    except RuleSyntaxError as fault:
        raise gathered(source, fault, schema) from None
    except RuleError as fault:
        raise RuleFaults([fault]) from None
    except RecursionError:  # the caller's own stack was deep already
        raise RuleFaults([too_deep(source, (0, 1))]) from None
    if faults:
        raise RuleFaults(faults)
    return node


def _parts(text: str, node: Node, event_window_ms: int) -> Parts:
    body = node.body if isinstance(node, Lambda) else node
    try:
        test, value = predicate_of(body, event_window_ms)
        return Parts(test, value, reading_of(node), flips_exactly(body))
    except RecursionError:
        raise RuleFaults([too_deep(Source(text), (0, 1))]) from None
