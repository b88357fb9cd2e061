"""Typed nodes to a Python function, and the rule that asks it.

A rule is a pure function of the profile and of now; what it asks of time it notes in `now.until`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from perso_core.errors import RuleError, RuleFaults
from perso_core.pql import chains, elements, instants, values
from perso_core.pql.chains import Now
from perso_core.pql.checker import check
from perso_core.pql.hints import too_deep
from perso_core.pql.kinds import type_of
from perso_core.pql.nodes import (
    Lambda,
    Node,
)
from perso_core.pql.parser import parse
from perso_core.pql.predicate import Predicate
from perso_core.pql.reads import flips_exactly, reads_of
from perso_core.pql.source import Source
from perso_core.pql.types import Reads
from perso_core.pql.windows import (
    FOREVER_MS,
)

__all__ = ["DEFAULT_EVENT_WINDOW_MS", "FOREVER_MS", "CompiledRule", "Verdict", "compile_rule"]

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

    node: the typed nodes. event_window_ms: an event matters while it is at most this old.
    """

    text: str
    node: Node
    reads: Reads
    event_window_ms: int
    _test: Callable[[Mapping[str, Any], Now], bool]
    _value: Callable[[Mapping[str, Any], Now], Any]
    _exact: bool  # the first flip noted is one of the answer: no need to look on

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


def compile_rule(text: str, *, event_window_ms: int = DEFAULT_EVENT_WINDOW_MS) -> CompiledRule:
    """The rule. Raises RuleFaults with every fault found, each with its place."""
    source = Source(text)
    try:
        node, faults = check(source, parse(text))
        if faults:
            raise RuleFaults(faults)
        return _compiled(text, node, event_window_ms)
    except RuleError as fault:
        raise RuleFaults([fault]) from None
    except RecursionError:  # the caller's own stack was deep already
        raise RuleFaults([too_deep(source, (0, 1))]) from None


def compile_node(node: Node, *, event_window_ms: int) -> CompiledRule:
    """A part of a rule, typed already, that reads no element or variable from around it."""
    return _compiled("", node, event_window_ms)


def _compiled(text: str, node: Node, event_window_ms: int) -> CompiledRule:
    compiler = Predicate(event_window_ms)
    body = node.body if isinstance(node, Lambda) else node
    compiler.define("test", compiler.test(body), ["view", "now"])
    if type_of(body) != "flag":
        compiler.define("value", compiler.value(body), ["view", "now"])
    module = ast.Module(compiler.functions, [])
    namespace: dict[str, Any] = {**RUNTIME, **compiler.table}
    exec(compile(module, "<rule>", "exec"), namespace)
    test = namespace["test"]
    value = namespace.get("value", test)
    reads = reads_of(node)
    return CompiledRule(text, node, reads, event_window_ms, test, value, flips_exactly(body))


def _runtime() -> dict[str, Any]:
    found: dict[str, Any] = {"type": type, "dict": dict, "list": list, "len": len, "str": str}
    for module in (values, elements, chains, instants):
        for name, thing in vars(module).items():
            if callable(thing) and thing.__module__ == module.__name__:
                assert name not in found, f"two functions are called {name}"
                found[name] = thing
    return {**found, "NUMBERS": values.NUMBERS, "__builtins__": {}}


RUNTIME = _runtime()
