"""The next standing in the making: the one place where a standing's parts change."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any

from msgspec import Struct

from perso_core.pql.instants import DAY_MS
from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.judging import Over, judged_alone, judgement_of
from perso_core.rules.layered import Layered, changed, layered
from perso_core.rules.matcher import bits_of
from perso_core.rules.program import JUDGED, SILENT, SIMPLE, Parts, Program, Told
from perso_core.rules.recount import all_ends, all_living, counted, extended, living
from perso_core.rules.standing import (
    Ends,
    Judged,
    Log,
    Order,
    Reached,
    Standing,
    Times,
    happened,
    holders_of,
)

# The profile as rules see it, made only when a rule has to be run.
View = Callable[[], Mapping[str, Any]]

# No part is run.
NO_PARTS: Over = ((FOREVER_MS, 0),)
REALIZED = {"status": "realized"}
MEMBERSHIPS = "segmentMembership"
NOT_JUDGED = Judged()

# Replaced entries of an order are put up with up to so many, and a quarter of the order.
MANY_STALE = 16


class Draft(Struct, gc=False, eq=False):
    """rules: the set. before: the standing it starts from, its parts copied in the same order.
    now_ms: the instant the next standing is for. due: rules to evaluate, by position, each once
    and in order, as rules ask for those before them.

    A Struct, since it costs a quarter of a class with an __init__ of as many lines.
    """

    rules: Program
    before: Standing
    view: View
    now_ms: int
    members: int
    log: Log | None
    live: int
    base: int
    sensitive: int
    ends: tuple[Ends, ...]
    simple_until_ms: int
    holding: int
    old_times: Layered[Times]
    old_runs: Layered[tuple[Reached, ...]]
    old_judged: Layered[Judged]
    alert: int
    order: Order
    times: dict[int, Times] = {}
    runs: dict[int, tuple[Reached, ...]] = {}
    judged: dict[int, Judged] = {}
    # Of silent and judged rules that were looked at, by position.
    deadlines: dict[int, int] = {}
    due: list[int] = []
    # Rules whose silent parts may give something else now.
    outdated: frozenset[int] = frozenset()
    # Rules that ask for one that changed.
    retold: frozenset[int] = frozenset()
    # A silent rule was run, and its old deadline may still be in the order.
    put_off: bool = False
    # The profile with the memberships of this draft, and these: made once some rule is run.
    seen: dict[str, Any] | None = None
    realized: dict[str, Any] | None = None

    # ---- everything anew

    def run_all(self) -> Standing:
        """Every rule run: an event is dated in the future, or not at all."""
        for position in range(len(self.rules.rules)):
            self._run(position)
        until_ms = min(self.deadlines.values(), default=FOREVER_MS)
        return Standing(self.now_ms, self.members, until_ms, plain=True)

    def begin(self) -> None:
        """Every rule, from the log and the profile."""
        rules = self.rules
        self._recount()
        self.base, self.sensitive = rules.base, rules.sensitive
        self.old_judged = layered([NOT_JUDGED] * len(rules.judges))
        for position, kind in enumerate(rules.kinds):
            if kind == SILENT:
                self._run(position)
            elif kind == SIMPLE:
                self._weigh_first(position)
            else:
                self._judge(rules.judge_of[position])
        self._recount_ends()
        self.due.clear()
        self.put_off = True

    def replay(self) -> None:
        """What is known of events anew from the log; every judged rule is due."""
        rules = self.rules
        self._recount()
        simple = (self.base ^ (self.live & self.sensitive)) & rules.simple
        self.flip((self.members & rules.simple) ^ simple)
        self._recount_ends()
        self.queue(judge.position for judge in rules.judges)

    def _recount(self) -> None:
        self.old_times, self.old_runs = counted(self.rules, self.log)
        self.times, self.runs = {}, {}
        self.live = all_living(self.rules, self.log, self.now_ms)

    def _recount_ends(self) -> None:
        self._settle(all_ends(self.rules, self.log, self.live & self.sensitive))

    def _weigh_first(self, position: int) -> None:
        parts = self.rules.simple_parts.get(position)
        flag = 1 << position
        if parts is not None:
            table = parts.table(self._held(parts)[0][1], self.members)
            self.base |= flag if table & 1 else 0
            self.sensitive |= flag if table in (1, 2) else 0
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    # ---- one event

    def happen(self, at: int, matched: int) -> None:
        """The newest event: what it makes true of simple rules; judged ones it touches are due."""
        rules = self.rules
        simple = matched & rules.simple
        if simple:
            if self.now_ms - at >= rules.shortest_ms or at // DAY_MS != self.now_ms // DAY_MS:
                simple = self._counting(at, simple)
            deciding = simple & self.sensitive
            fresh = deciding & ~self.live
            self.live |= simple
            if deciding & self.holding:
                self._begin_or_last(at, deciding)
            if fresh:
                self.flip(fresh)
        conditions = matched >> rules.shift
        if conditions:
            self._count(at, conditions)
            alarming = conditions & (self.alert | rules.running)
            if alarming:
                self._look(alarming)

    def _counting(self, at: int, simple: int) -> int:
        """The bits for which an event of that time counts still."""
        for one in self.rules.classes:
            if one.lasting.end(at) <= self.now_ms:
                simple &= ~one.bits
        return simple

    def _begin_or_last(self, at: int, deciding: int) -> None:
        """The newest event makes these sensitive bits last from its time on: for some class it is
        the first, or what ends first of all now ends later."""
        ends, first_ms = list(self.ends), self.simple_until_ms
        class_of, classes = self.rules.class_of, self.rules.classes
        settled = True
        found = deciding & self.holding
        while found:
            number = class_of[found.bit_length() - 1]
            one = classes[number]
            found &= ~one.bits
            if ends[number].holders:
                settled = False
            else:
                begun = Ends(deciding & one.bits, one.lasting.end(at))
                ends[number] = begun
                self.holding &= ~one.bits
                settled = settled and begun.end_ms > first_ms
        if settled:
            self.ends = tuple(ends)
        else:
            self._settle(ends)

    def _settle(self, ends: list[Ends]) -> None:
        """These ends, the earliest of them exact."""
        while True:
            first_ms, first = FOREVER_MS, -1
            for number, one in enumerate(ends):
                if one.end_ms < first_ms:
                    first_ms, first = one.end_ms, number
            if first < 0:
                break
            exact = ends[first] = self._holders(first)
            if exact.end_ms == first_ms:
                break
        self.ends = tuple(ends)
        self.simple_until_ms = first_ms
        holding = 0
        for one, of_class in zip(ends, self.rules.classes, strict=True):
            if not one.holders:
                holding |= of_class.bits
            elif one.end_ms == first_ms:
                holding |= one.holders
        self.holding = holding

    def _holders(self, number: int) -> Ends:
        one = self.rules.classes[number]
        return holders_of(self.log, self.live & self.sensitive & one.bits, one.lasting.end)

    def _count(self, at: int, conditions: int) -> None:
        """One more event of these conditions: their times, the chains it carries on."""
        kept, steps, times = self.rules.kept, self.rules.steps, self.times
        below, above = self.old_times.below, self.old_times.above
        while conditions:
            condition = conditions.bit_length() - 1
            conditions ^= 1 << condition
            number = kept[condition]
            if number:
                times[condition] = happened(above.get(condition) or below[condition], at, number)
            for step, chain in steps[condition]:
                first = self._times_of(self.rules.chains[chain][0][0])
                self.runs[chain] = extended(self._runs_of(chain), step, first, at)

    def _look(self, conditions: int) -> None:
        """The judged rules whose answer may change, or when it ends, are due."""
        looks, old = self.rules.looks, self.old_judged
        below, above = old.below, old.above
        for condition in bits_of(conditions):
            quiet = True
            for place, position, flag, literal in looks[condition]:
                if literal is not None:
                    one = above.get(place) or below[place]
                    if not one.watched & flag or self._only_lasts(one, flag, position):
                        continue
                    quiet = False
                    if literal.several and self._end(literal) <= self.now_ms:
                        continue
                heappush(self.due, position)
            if quiet:
                self.alert &= ~(1 << condition)

    def _only_lasts(self, one: Judged, flag: int, position: int) -> bool:
        """It held alone, and holds now for longer: nothing changes but when it ends. That is
        looked at once its old end is the first of all."""
        if one.standing != flag or one.tables[0][0] < FOREVER_MS:
            return False
        order = self.before.order
        return not order or order[0][1] != position

    def _times_of(self, condition: int) -> Times:
        found = self.times.get(condition)
        if found is None:
            found = self.old_times.above.get(condition)
        return self.old_times.below[condition] if found is None else found

    def _runs_of(self, chain: int) -> tuple[Reached, ...]:
        found = self.runs.get(chain)
        if found is None:
            found = self.old_runs.above.get(chain)
        return self.old_runs.below[chain] if found is None else found

    def _judged_at(self, place: int) -> Judged:
        found = self.judged.get(place)
        if found is None:
            found = self.old_judged.above.get(place)
        return self.old_judged.below[place] if found is None else found

    # ---- time

    def expire(self) -> None:
        """Everything that ends at or before now_ms."""
        now_ms = self.now_ms
        if self.simple_until_ms <= now_ms:
            self._expire_simply()
        passed = 0
        for at, position in self.order:
            if at > now_ms:
                break
            passed += 1
            place = self.rules.judge_of.get(position)
            if place is None or self._judged_at(place).until_ms == at:
                self.queue((position,))
        self.order = self.order[passed:]

    def _expire_simply(self) -> None:
        ends = list(self.ends)
        exact = False
        for number, one in enumerate(ends):
            if one.end_ms <= self.now_ms:
                # The first of the earliest is exact (see _settle).
                if exact or one.end_ms > self.simple_until_ms:
                    one = self._holders(number)
                else:
                    exact = True
                while one.end_ms <= self.now_ms:
                    self.live &= ~one.holders
                    self.flip(one.holders)
                    one = self._holders(number)
                ends[number] = one
        self._settle(ends)

    # ---- evaluating

    def queue(self, positions: Iterable[int]) -> None:
        for position in positions:
            heappush(self.due, position)

    def evaluate(self) -> None:
        """The rules that are due, and those that hang on one that changed."""
        rules, due = self.rules, self.due
        before = -1
        while due:
            position = heappop(due)
            if position == before:
                continue
            before = position
            kind = rules.kinds[position]
            if kind == JUDGED:
                self._judge(rules.judge_of[position])
            elif kind == SIMPLE:
                self._weigh(position)
            else:
                self._run(position)
                self.put_off = True

    def flip(self, bits: int) -> None:
        """These rules changed."""
        self.members ^= bits
        asked_for = bits & self.rules.index.referenced
        if asked_for:
            for position in bits_of(asked_for):
                self._tell(position)

    def answer(self, position: int, holds: bool) -> None:
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

    def _profile(self) -> Mapping[str, Any]:
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

    def _run(self, position: int) -> int:
        """The instant until which the answer holds."""
        verdict = self.rules.rules[position].evaluate(self._profile(), self.now_ms)
        self.deadlines[position] = verdict.until_ms
        self.answer(position, verdict.holds)
        return verdict.until_ms

    def _weigh(self, position: int) -> None:
        """A simple rule whose silent part may have changed."""
        flag = 1 << position
        parts = self.rules.simple_parts.get(position)
        if parts is None:
            return
        table = parts.table(self._held(parts)[0][1], self.members)
        number = self.rules.class_of[position]
        sensitive = table in (1, 2)
        self.base = self.base | flag if table & 1 else self.base & ~flag
        if sensitive and not self.sensitive & flag:
            # Nobody looked after this bit while it did not matter.
            self.sensitive |= flag
            end = self.rules.classes[number].lasting.end
            alive = living(self.log, flag, end, self.now_ms)
            self.live = (self.live & ~flag) | alive
            self._change_ends(number, self._holders(number))
        elif not sensitive and self.sensitive & flag:
            self.sensitive ^= flag
            one = self.ends[number]
            if one.holders & flag:
                left = one.holders ^ flag
                self._change_ends(number, Ends(left, one.end_ms) if left else self._holders(number))
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    def _change_ends(self, number: int, after: Ends) -> None:
        ends = list(self.ends)
        ends[number] = after
        self._settle(ends)

    def _held(self, parts: Parts) -> Over:
        return parts.held_over(self._profile(), self.now_ms) if parts.parts else NO_PARTS

    def _judge(self, place: int) -> None:
        position, flag, parts, literals, conditions = self.rules.judging[place]
        if parts is None:
            self.judged[place] = Judged(until_ms=self._run(position))
            return
        before, now_ms = self._judged_at(place), self.now_ms
        tables, held = before.tables, before.held
        if not tables or tables[0][0] <= now_ms or self.outdated or self.retold:
            tables, held = self._tables(position, parts, before)
        if len(literals) == 1 and tables[0][0] == FOREVER_MS:
            now = judged_alone(tables[0][1], self._end(literals[0]), now_ms)
        else:
            now = judgement_of(tables, [self._end(one) for one in literals], now_ms)
        until_ms = now.until_ms
        if until_ms == tables[-1][0] < FOREVER_MS:  # so far nobody looked
            until_ms = self.rules.rules[position].evaluate(self._profile(), now_ms).until_ms
        self.judged[place] = Judged(tables, held, now.watched, now.standing, until_ms)
        for number, condition in enumerate(conditions):
            if now.watched >> number & 1:
                self.alert |= condition
        self.deadlines[position] = until_ms
        if bool(self.members & flag) is not now.holds:
            self.flip(flag)

    def _tables(self, position: int, parts: Parts, before: Judged) -> tuple[Over, Over]:
        """The truth tables over time from now on, and the silent parts that hold."""
        tables, held, now_ms = before.tables, before.held, self.now_ms
        if not tables or tables[-1][0] <= now_ms or position in self.outdated:
            held = self._held(parts)
        elif position not in self.retold:
            left = [one for one in tables if one[0] > now_ms]
            return tuple(left), tuple([one for one in held if one[0] > now_ms])
        held = tuple([one for one in held if one[0] > now_ms])
        return tuple([(until, parts.table(one, self.members)) for until, one in held]), held

    def _end(self, literal: Told) -> int:
        """The instant until which the literal holds; NEVER_MS: it has not come about."""
        if literal.chain is None:
            times = self._times_of(literal.condition)
            least = literal.least
            return literal.lasting[0].end(times[-least]) if len(times) > least else NEVER_MS
        last = self._runs_of(literal.chain)[-1][1]
        if not last:
            return NEVER_MS
        return min([one.end(at) for one, at in zip(literal.lasting, last, strict=True)])

    # ---- the outcome

    def frozen(self) -> Standing:
        before = self.before
        order, stale = self.order, before.stale
        if self.deadlines or order is not before.order:
            order, stale = self._ordered(stale)
        first_ms = order[0][0] if order else FOREVER_MS
        simple_until_ms = self.simple_until_ms
        return Standing(
            self.now_ms,
            self.members,
            first_ms if first_ms < simple_until_ms else simple_until_ms,
            self.log,
            self.live,
            self.base,
            self.sensitive,
            self.ends,
            simple_until_ms,
            self.holding,
            changed(self.old_times, self.times) if self.times else self.old_times,
            changed(self.old_runs, self.runs) if self.runs else self.old_runs,
            changed(self.old_judged, self.judged) if self.judged else self.old_judged,
            self.alert,
            order,
            stale,
        )

    def _ordered(self, stale: int) -> tuple[Order, int]:
        """The order with the deadlines that moved, and how many of its entries were replaced."""
        order = list(self.order)
        if self.put_off or len(self.deadlines) > MANY_STALE:
            order = [one for one in order if one[1] not in self.deadlines]
            moved = [(at, position) for position, at in self.deadlines.items() if at < FOREVER_MS]
            order.extend(moved)
            order.sort()
        else:
            for position, at in self.deadlines.items():
                old_ms = self._deadline_before(position)
                if at != old_ms:
                    stale += old_ms < FOREVER_MS
                    if at < FOREVER_MS:
                        insort(order, (at, position))
        known = self.before.order[0] if self.before.order else None
        while order and not self._is_exact(order[0], known):
            at, position = order.pop(0)
            place = self.rules.judge_of[position]
            if self._judged_at(place).until_ms != at:
                stale -= 1
                continue
            self._judge(place)
            until_ms = self.deadlines[position]
            if until_ms < FOREVER_MS:
                insort(order, (until_ms, position))
        if stale > MANY_STALE + len(order) // 4:
            order, stale = [one for one in order if self._counts(one)], 0
        return tuple(order), stale

    def _deadline_before(self, position: int) -> int:
        place = self.rules.judge_of[position]
        found = self.old_judged.above.get(place)
        return (self.old_judged.below[place] if found is None else found).until_ms

    def _is_exact(self, entry: tuple[int, int], known: tuple[int, int] | None) -> bool:
        """Whether the rule's answer changes at the instant of the entry. known: the entry that was
        the first."""
        at, position = entry
        place = self.rules.judge_of.get(position)
        if place is None:
            return True
        if self._judged_at(place).until_ms != at:
            return False
        return entry == known or position in self.deadlines or self.rules.is_run(place)

    def _counts(self, entry: tuple[int, int]) -> bool:
        """Whether the entry was not replaced by another."""
        at, position = entry
        place = self.rules.judge_of.get(position)
        return place is None or self._judged_at(place).until_ms == at


def draft_of(rules: Program, before: Standing, view: View, now_ms: int) -> Draft:
    """A draft in which nothing has changed yet."""
    return Draft(
        rules,
        before,
        view,
        now_ms,
        before.members,
        before.log,
        before.live,
        before.base,
        before.sensitive,
        before.ends,
        before.simple_until_ms,
        before.holding,
        before.times,
        before.runs,
        before.judged,
        before.alert,
        before.order,
    )
