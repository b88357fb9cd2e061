"""All rules together: what one event, one attribute or time alone changes for one visitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import structs

from perso_core.pql.instants import instant_of
from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.ahead import Seen
from perso_core.rules.draft import Draft
from perso_core.rules.making import View
from perso_core.rules.program import Program
from perso_core.rules.recount import exchanged, inserted, placed
from perso_core.rules.standing import Log, Standing, log_of, logged

# So many events that count no more may be in a visitor's log: a part of those that do, and some.
SPARE_PART, SPARE_LEAST = 8, 8

__all__ = ["RuleSet", "Standing", "View"]


class RuleSet(Program):
    """The rules in force. Every standing comes with the instant until which it holds."""

    def matching(self, event: Mapping[str, Any]) -> int:
        """One bit for each simple rule whose condition the event satisfies."""
        return self.matcher.matching(event) & self.simple

    # ---- one visitor

    def standing(self, view: View, *, now_ms: int) -> Standing:
        """Everything evaluated. O(rules + events)."""
        known: View
        if type(view) is Seen:
            known, log = view, view.once("log", lambda: self._log_of(view(), now_ms))
        else:
            seen = view()  # once: of many large events each view takes much memory
            known, log = partial(_known, seen), self._log_of(seen, now_ms)
        draft = Draft(self, Standing(now_ms, 0, FOREVER_MS), known, now_ms)
        if log is None:
            return draft.run_all()
        (draft.log,) = log
        draft.begin()
        return draft.frozen()

    def _log_of(self, seen: Mapping[str, Any], now_ms: int) -> tuple[Log | None] | None:
        """The log of the profile's events; None: one is dated in the future, or not at all."""
        events = seen.get("xEvent")
        events = events if isinstance(events, list) else []
        stamps = [stamp_of(event) for event in events]
        if not all(NEVER_MS < at <= now_ms for at in stamps):
            return None
        matcher = self.matcher
        log = [(at, matcher.matching(event)) for at, event in zip(stamps, events, strict=True)]
        return (log_of(sorted(log, key=lambda one: one[0])),)

    def of_few_events(
        self, events: Iterable[Mapping[str, Any]], view: View, nobody: View, *, now_ms: int
    ) -> Standing:
        """Everything evaluated for somebody of whom these events are known, oldest first, their
        identities, and nothing else. nobody: of whom nothing is known: where they stand is kept as
        of the earliest instant asked for. O(rules that each event changes)."""
        before = self.nobody
        if before is None or before.now_ms > now_ms:
            self.nobody = before = self.standing(nobody, now_ms=now_ms)
        for kept, event in enumerate(events, 1):
            before = self.after_event(before, event, view, now_ms=now_ms, kept=kept, evicted=False)
            if before.plain:  # every rule was run, of all that is known
                return before
        return self.after_attributes(before, ("identityMap",), view, now_ms=now_ms)

    def after_event(
        self,
        before: Standing,
        event: Mapping[str, Any],
        view: View,
        *,
        now_ms: int,
        kept: int | None = None,
        evicted: bool = True,
    ) -> Standing:
        """After one event arrived.

        view: with the event. kept: how many events the profile holds now; None: all. evicted:
        of those that are gone some still counted; else they are older than any that does. Call
        advance for each until_ms before now_ms first to have every change at its own instant.
        O(rules the event changes), a few integers for the others; a late event that carries on a
        chain costs a walk over those before it.
        """
        stamp = event.get("timestamp")
        at = stamp if type(stamp) is int else stamp_of(event)
        if before.plain or not NEVER_MS < at <= now_ms:
            return self.standing(view, now_ms=now_ms)
        matched = self.matcher.matching(event)
        draft = Draft(self, before, view, now_ms)
        if before.until_ms <= now_ms:
            draft.expire()
        log = before.log
        newest_ms, number = (NEVER_MS, 0) if log is None else (log[0], log[1])
        # Events that count no more stay for a while: each time they go, all is counted anew.
        spare = 0 if evicted or kept is None else kept // SPARE_PART + SPARE_LEAST
        room = kept is None or number < kept + spare
        if at >= newest_ms and room:
            draft.log = logged(log, at, matched)
            draft.happen(at, matched)
        elif room:
            assert log is not None, "an event is late where there is a later one"
            if at >= now_ms - self.longest_ms:  # else it counts for no rule
                draft.log = placed(log, at, matched)
                draft.happen_late(at, matched)
        else:
            oldest_ms = now_ms - self.longest_ms
            draft.log, right = inserted(log, at, matched, oldest_ms=oldest_ms, kept=kept)
            if right:
                draft.happen(at, matched)
            else:
                draft.replay()
        if draft.due:
            draft.evaluate()
        return draft.frozen()

    def after_completion(
        self,
        before: Standing,
        event: Mapping[str, Any],
        completed: Mapping[str, Any],
        view: View,
        *,
        now_ms: int,
        newer: int,
    ) -> Standing:
        """After more was said of an event that had arrived. view: with the event as it is now.
        newer: how many events of the profile come after it. As after_event of a late one where it
        satisfies more; else what it counts in is counted anew."""
        if before.plain:
            return self.standing(view, now_ms=now_ms)
        at, matcher = stamp_of(event), self.matcher
        was, matched = matcher.matching(event), matcher.matching(completed)
        draft = Draft(self, before, view, now_ms)
        if before.until_ms <= now_ms:
            draft.expire()
        if was != matched:
            draft.log = exchanged(before.log, newer, at, was, matched)
            if draft.log is None:
                return self.standing(view, now_ms=now_ms)
            if was & ~matched:
                draft.count_otherwise(was | matched)
            else:
                draft.happen_late(at, matched & ~was)
        draft.run_again(was | matched)
        if draft.due:
            draft.evaluate()
        return draft.frozen()

    def after_attributes(
        self, before: Standing, names: Iterable[str], view: View, *, now_ms: int
    ) -> Standing:
        """After top-level attributes changed. O(rules that read one of them)."""
        if before.plain:
            return self.standing(view, now_ms=now_ms)
        draft = Draft(self, before, view, now_ms)
        if before.until_ms <= now_ms:
            draft.expire()
        draft.outdated = frozenset(self.index.reading(names))
        draft.queue(draft.outdated)
        draft.evaluate()
        return draft.frozen()

    def advance(self, before: Standing, view: View, *, now_ms: int) -> Standing:
        """At now_ms, with no news. Call for each until_ms in turn to have every change at its
        own instant; an instant before that of `before` changes nothing."""
        if now_ms <= before.now_ms:
            return before
        if before.plain:
            return self.standing(view, now_ms=now_ms)
        if before.until_ms > now_ms:
            return structs.replace(before, now_ms=now_ms)
        draft = Draft(self, before, view, now_ms)
        draft.expire()
        draft.evaluate()
        return draft.frozen()


def stamp_of(event: Any) -> int:
    """When the event happened; NEVER_MS where it does not say."""
    known = type(event) is dict or isinstance(event, Mapping)
    stamp = event.get("timestamp") if known else None
    at = stamp if type(stamp) is int else instant_of(stamp)
    return NEVER_MS if at is None else at


def _known(seen: Mapping[str, Any]) -> Mapping[str, Any]:
    return seen
