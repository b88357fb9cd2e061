"""All rules together: what one event, one attribute or time alone changes for one visitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perso_core.rules.draft import Draft, View
from perso_core.rules.program import Program
from perso_core.rules.standing import Standing

__all__ = ["RuleSet", "Standing", "View"]


class RuleSet(Program):
    """The rules in force. Every standing comes with the instant until which it holds."""

    def matching(self, event: Mapping[str, Any]) -> int:
        """One bit for each simple rule whose condition the event satisfies."""
        return self.matcher.matching(event) & self.simple

    # ---- one visitor

    def standing(self, view: View, *, now_ms: int) -> Standing:
        """Everything evaluated. O(rules + events)."""
        return Draft.whole(self, view, now_ms).frozen()

    def after_event(
        self,
        before: Standing,
        event: Mapping[str, Any],
        view: View,
        *,
        now_ms: int,
        kept: int | None = None,
    ) -> Standing:
        """After one event arrived.

        view: with the event. kept: how many events the profile holds now, where the oldest may
        have had to make room; None: all. Call advance for each until_ms before now_ms first to
        have every change at its own instant.
        O(rules the event changes), a few integers for the others; a late event costs a walk over
        the visitor's events.
        """
        return Draft.of_event(self, before, event, view, now_ms, kept)

    def after_attributes(
        self, before: Standing, names: Iterable[str], view: View, *, now_ms: int
    ) -> Standing:
        """After top-level attributes changed. O(rules that read one of them)."""
        return Draft.of_rules(self, before, self.index.reading(names), view, now_ms).frozen()

    def advance(self, before: Standing, view: View, *, now_ms: int) -> Standing:
        """At now_ms, with no news. Call for each until_ms in turn to have every change at its
        own instant; an instant before that of `before` changes nothing."""
        if now_ms <= before.now_ms:
            return before
        return Draft.of_time(self, before, view, now_ms)
