"""Rules that ask for others: in the making, one that changes makes those that name it due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappush
from typing import Any

from perso_core.pql.compiler import Verdict
from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.ahead import Seen
from perso_core.rules.bits import bits_of
from perso_core.rules.judging import Over
from perso_core.rules.known import Known
from perso_core.rules.program import Parts

# No part is run.
NO_PARTS: Over = ((FOREVER_MS, 0),)
REALIZED = {"status": "realized"}
MEMBERSHIPS = "segmentMembership"


class Asking(Known):
    def queue(self, positions: Iterable[int]) -> None:
        """These rules are due; one that is already may be due twice, and is looked at once."""
        for position in positions:
            heappush(self.due, position)

    def flip(self, bits: int) -> None:
        """These rules changed."""
        self.members ^= bits
        asked_for = bits & self.rules.index.referenced
        if asked_for:
            for position in bits_of(asked_for):
                self._tell(position)

    def answer(self, position: int, holds: bool) -> None:
        """The rule's answer, which may be what it was."""
        if (self.members >> position & 1) != holds:
            self.flip(1 << position)

    def _tell(self, position: int) -> None:
        """Rules that ask for this one are due; those that follow see it as it is now."""
        if self.realized is not None:
            audience_id = self.rules.ids_by_position[position]
            if self.members >> position & 1:
                self.realized[audience_id] = REALIZED
            else:
                self.realized.pop(audience_id, None)
        dependents = self.rules.index.dependents(position)
        self.retold = self.retold.union(dependents)
        self.queue(dependents)

    def profile(self) -> Mapping[str, Any]:
        """The profile with the memberships of this draft."""
        if self.seen is None:
            view = self.view()
            others = view.get(MEMBERSHIPS)
            others = others if isinstance(others, Mapping) else {}
            outside = others.get("ups")
            known = self.rules.position_of
            realized = {
                audience_id: standing
                for audience_id, standing in (
                    outside.items() if isinstance(outside, Mapping) else ()
                )
                if audience_id not in known
            }
            for position in bits_of(self.members & self.rules.index.referenced):
                realized[self.rules.ids_by_position[position]] = REALIZED
            self.realized = realized
            self.seen = {**view, MEMBERSHIPS: {**others, "ups": realized}}
        return self.seen

    def held(self, parts: Parts) -> Over:
        """The silent parts that hold, one bit each, over time from now on."""
        if not parts.parts:
            return NO_PARTS
        view = self.view
        if type(view) is Seen:
            return view.held(parts, self.profile, self.now_ms)
        return parts.held_over(self.profile(), self.now_ms)

    def run(self, position: int) -> int:
        """The instant until which the answer holds."""
        verdict = self.verdict_of(position)
        self.deadlines[position] = verdict.until_ms
        self.answer(position, verdict.holds)
        return verdict.until_ms

    def verdict_of(self, position: int) -> Verdict:
        """Raises NotYet."""
        rule, view = self.rules.rules[position], self.view
        if type(view) is Seen:
            return view.verdict(rule, self.profile, self.now_ms)
        return rule.evaluate(self.profile(), self.now_ms)
