"""Typed nodes to a Python function, and the rule that asks it.

A rule is a pure function of the profile and of now; what it asks of time it notes in `now.until`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, structs

from perso_core.errors import RuleError, RuleFaults
from perso_core.pql.chains import Now
from perso_core.pql.checker import check
from perso_core.pql.fields import FieldTypes
from perso_core.pql.hints import too_deep
from perso_core.pql.nodes import Lambda, Node
from perso_core.pql.parser import parse
from perso_core.pql.predicate import condition_of, predicate_of
from perso_core.pql.reads import flips_exactly, reading_of, reads_time
from perso_core.pql.shapes import MAX_TEXT, Compiled, Parts, Text
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


class Verdict(Struct, frozen=True):
    """holds: the rule's answer. until_ms: the first later instant at which time alone changes it;
    FOREVER_MS when none does."""

    holds: bool
    until_ms: int


class CompiledRule(Struct, frozen=True, eq=False):
    """One rule, ready to ask.

    event_window_ms: an event matters while it is at most this old.
    """

    text: str
    event_window_ms: int
    reads: Reads
    _node: Node | None
    _test: Callable[[Mapping[str, Any], Now], bool]
    _value: Callable[[Mapping[str, Any], Now], Any]
    _exact: bool  # the first flip noted is one of the answer: no need to look on

    @property
    def node(self) -> Node:
        """The typed nodes. Read from the text when they are first asked for where the rule was
        compiled as another one's like."""
        if self._node is None:
            structs.force_setattr(self, "_node", _checked(self.text, None))
        assert self._node is not None, "set above"
        return self._node

    def evaluate(self, view: Mapping[str, Any], now_ms: int) -> Verdict:
        """The answer at now_ms and until when it holds."""
        now = Now(now_ms)
        holds = self._test(view, now)
        if self._exact or now.until >= FOREVER_MS:
            return Verdict(holds, now.until)
        for _ in range(self._looks(view)):
            if now.until >= FOREVER_MS:
                break
            now = Now(now.until)
            if self._test(view, now) is not holds:
                return Verdict(holds, now.ms)
        return Verdict(holds, now.until)

    def _looks(self, view: Mapping[str, Any]) -> int:
        if not self.reads.events:
            return MAX_LOOKS
        number = len(view.get("xEvent") or ())
        return MAX_LOOKS if number <= FEW_EVENTS else max(2, MAX_LOOKS * FEW_EVENTS // number)

    def value(self, view: Mapping[str, Any], now_ms: int) -> Any:
        """What the expression gives: None for a missing value."""
        return self._value(view, Now(now_ms))


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
    apart = Text(text, event_window_ms) if len(text) <= MAX_TEXT else None
    found = apart and apart.remembered()
    if not found:
        node = node or _checked(text, None)
        parts = _parts(text, node, event_window_ms)
        found = parts.made()
        if apart:
            apart.remember(parts)
    return _rule(text, node, event_window_ms, found)


def compile_node(node: Node, *, event_window_ms: int) -> CompiledRule:
    """A part of a rule, typed already, that reads no element or variable from around it."""
    return _rule("", node, event_window_ms, _parts("", node, event_window_ms).made())


def compile_condition(node: Node) -> Callable[[Mapping[str, Any]], bool]:
    """A function of one event that says whether the condition holds for it.

    node: typed, as it stands inside `xEvent[...]` or `WHAT(...)`; Element(0), or the variable of
    a Lambda, is the event. It must read nothing but the event: neither now nor the profile nor
    an element further out.
    """
    assert not reads_time(node), "the condition reads now"
    found: Callable[[Mapping[str, Any]], bool] = condition_of(node).made()
    return found


def _rule(text: str, node: Node | None, event_window_ms: int, found: Compiled) -> CompiledRule:
    return CompiledRule(
        text, event_window_ms, found.reads, node, found.test, found.value, found.exact
    )


def _checked(text: str, schema: FieldTypes | None) -> Node:
    """The typed nodes. Raises RuleFaults."""
    source = Source(text)
    try:
        node, faults = check(source, parse(text), schema)
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
