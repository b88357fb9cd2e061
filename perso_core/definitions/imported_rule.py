"""The rule of an exported segment definition: compiled, or every fault of it; and how far back it
looks."""

from __future__ import annotations

from collections.abc import Iterator

from perso_core.definitions.finding import Finding
from perso_core.definitions.imported_outcome import Reason
from perso_core.definitions.toml_file import caret_line
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.eligibility import (
    MAX_EVENT_WINDOW_DAYS,
    age_words,
    events_read,
    local_reasons,
)
from perso_core.pql.fields import FieldTypes
from perso_core.pql.instants import DAY_MS
from perso_core.pql.lookback import lookback
from perso_core.pql.nodes import Chain, Events, Node, Window, children

# Adobe's builder takes no longer chain today; definitions that have one keep running there.
MAX_STEPS_THERE = 6


def rule_of(
    text: str, *, event_window_ms: int, schema: FieldTypes | None
) -> CompiledRule | list[Reason]:
    """The rule, or why there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        return [Reason(f"The rule holds half of a character ({half}).", "Export it again.")]
    try:
        return compile_rule(text, event_window_ms=event_window_ms, schema=schema)
    except RuleFaults as faults:
        reasons = [
            reason_at(text, one.line, one.column, one.detail, one.fix) for one in faults.faults
        ]
        more = [Reason(rest, "Mend the first ones and import again.") for rest in faults.rest()]
        return [*reasons, *more]


def reason_at(text: str, line: int, column: int, detail: str, fix: str) -> Reason:
    """A reason with its place in the rule's text, 1-based."""
    excerpt = caret_line(text.split("\n")[line - 1], column)
    return Reason(detail, fix, line, column, excerpt)


def reason_of(finding: Finding, text: str) -> Reason:
    """What a check of all definitions found in the rule of this text."""
    if finding.rule_index is None:
        return Reason(finding.detail, finding.fix)
    before = text[: finding.rule_index]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return reason_at(text, line, column, finding.detail, finding.fix)


def event_window_days(rule: CompiledRule) -> int | None:
    """For how many days events have to count, so that no window of the rule looks further back;
    None: the days that it was compiled with do, or no number would."""
    if not local_reasons(rule.node, rule.event_window_ms):
        return None
    few, enough = rule.event_window_ms // DAY_MS, MAX_EVENT_WINDOW_DAYS
    if local_reasons(rule.node, enough * DAY_MS):
        return None
    while enough - few > 1:
        days = (few + enough) // 2
        if local_reasons(rule.node, days * DAY_MS):
            few = days
        else:
            enough = days
    # `> 60 days before now` begins where 60 days end: as long again is a window to be in.
    return min(enough * 2, MAX_EVENT_WINDOW_DAYS) if looks_back_for_ever(rule.node) else enough


def rule_notes(rule: CompiledRule, days: int | None) -> Iterator[str]:
    """What the rule finds otherwise here. days: as event_window_days gives them."""
    if days is not None:
        yield (
            f"It looks further back than events count by default: event_window_days = {days} is"
            " written with it."
        )
    if looks_back_for_ever(rule.node):
        kept = rule.event_window_ms if days is None else days * DAY_MS
        yield f"It asks for events however old they are; here those of {age_words(kept)} count."
    longest = max(
        (len(one.steps) for one in _below(rule.node) if isinstance(one, Chain)), default=0
    )
    if longest > MAX_STEPS_THERE:
        yield (
            f"A chain has {longest} steps, more than the {MAX_STEPS_THERE} that Adobe's builder"
            " takes today; it is evaluated whole."
        )


def looks_back_for_ever(root: Node) -> bool:
    """Whether some part of the rule asks for events without saying how old they may be."""
    read = events_read(root)
    if any(part.farthest_ms is None for test in read.tests for part in test.parts):
        return True
    for node in read.others:
        ended = [
            one
            for one in _below(node)
            if isinstance(one, Window) and lookback(one).farthest_ms is not None
        ]
        if len(ended) < sum(isinstance(one, Events) for one in _below(node)):
            return True
    return False


def _below(root: Node) -> Iterator[Node]:
    """The node and all below it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += children(node)
