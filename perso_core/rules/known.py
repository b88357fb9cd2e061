"""What is known of one visitor's events, in the making: when conditions were satisfied, how far
chains came, until when literals hold."""

from __future__ import annotations

from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.bits import bits_of
from perso_core.rules.layered import entry_at
from perso_core.rules.making import Making
from perso_core.rules.program import Told
from perso_core.rules.recount import carried_on, counted, counted_of, extended
from perso_core.rules.standing import Reached, Times, with_time


class Known(Making):
    """What is known of the visitor's events, with what changed in this draft on top."""

    def count_anew(self) -> None:
        """Everything from the log."""
        self.old_times, self.old_runs = counted(self.rules, self.log)
        self.times, self.runs = {}, {}

    def count_again(self, conditions: int) -> None:
        """What events of these conditions (one bit each) count in, from the log."""
        self.times, self.runs = counted_of(self.rules, self.log, conditions)

    def count_late(self, at_ms: int, conditions: int) -> tuple[int, set[int]]:
        """One more event of these conditions, which is late, and in the log: the conditions (one
        bit each) of which other times are known now, and the chains that came elsewhere."""
        rules, changed = self.rules, 0
        for condition in bits_of(conditions):
            one = rules.effects[condition]
            if one.kept:
                known = self.times_of(condition)
                self.times[condition] = after = with_time(known, at_ms, one.kept)
                if after != known:
                    changed |= one.flag
        chains = set[int]()
        for chain, bits in enumerate(rules.chain_bits):
            if bits & conditions and self._late_step(chain, at_ms, conditions):
                chains.add(chain)
        return changed, chains

    def _late_step(self, chain: int, at_ms: int, conditions: int) -> bool:
        """Whether a late event of these conditions has it come elsewhere."""
        rules, runs = self.rules, self.runs_of(chain)
        numbers, _ = rules.chains[chain]
        steps = [(1 << one + rules.shift, self.times_of(one)) for one in numbers]
        late = [step for step, one in enumerate(numbers) if conditions >> one & 1]
        after = carried_on(runs, steps, self.log, at_ms, late)
        self.runs[chain] = after
        return after != runs

    def carry_on(self, steps: tuple[tuple[int, int, int], ...], at_ms: int) -> None:
        """Chains of which the newest event completes these steps."""
        for step, chain, first in steps:
            self.runs[chain] = extended(self.runs_of(chain), step, self.times_of(first), at_ms)

    def times_of(self, condition: int) -> Times:
        """When the condition was satisfied, this draft's event included."""
        found = self.times.get(condition)
        return entry_at(self.old_times, condition) if found is None else found

    def runs_of(self, chain: int) -> tuple[Reached, ...]:
        """How far the chain came, this draft's event included."""
        found = self.runs.get(chain)
        return entry_at(self.old_runs, chain) if found is None else found

    def end(self, literal: Told) -> int:
        """The instant until which the literal holds; NEVER_MS: it has not come about."""
        if literal.chain is None:
            times = self.times_of(literal.condition)
            least = literal.least
            if len(times) <= least:
                return NEVER_MS
            return _end(literal, 0, times[-least])
        last = self.runs_of(literal.chain)[-1][1]
        if not last:
            return NEVER_MS
        earliest_ms = FOREVER_MS
        for step in range(len(last)):
            end_ms = _end(literal, step, last[step])
            if end_ms < earliest_ms:
                earliest_ms = end_ms
        return earliest_ms


def _end(literal: Told, step: int, at_ms: int) -> int:
    """When an event of that time counts no more for the literal's step."""
    ms = literal.ms[step]
    return literal.lasting[step].end(at_ms) if ms is None else at_ms + ms
