"""Rules made at random, of which some are refused at save: those prove nothing."""

from __future__ import annotations

from hypothesis import note, reject

from perso_core.errors import RuleFaults
from perso_core.pql.compiler import CompiledRule, compile_rule


def admitted(text: str, event_window_ms: int) -> CompiledRule:
    """The rule, where a person may write it; another example where not."""
    note(text)
    try:
        return compile_rule(text, event_window_ms=event_window_ms)
    except RuleFaults as faults:
        note(str(faults))
        reject()
