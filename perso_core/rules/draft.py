"""The next standing in the making: the one place where a standing's parts change."""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush

from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.alone import Alone
from perso_core.rules.bits import lowest_bits
from perso_core.rules.judging import Over, judged_alone, judgement_of, until
from perso_core.rules.layered import changed, entry_at, layered
from perso_core.rules.program import JUDGED, SILENT, Look, Parts, Series
from perso_core.rules.standing import (
    NOT_JUDGED,
    Judged,
    Order,
    Standing,
    entry_ms,
    entry_of,
    entry_position,
    happened,
)

# Replaced entries of an order are put up with up to so many, and a quarter of the order.
MANY_STALE = 16


class Draft(Alone):
    """Judged rules, and everything together."""

    # ---- everything anew

    def run_all(self) -> Standing:
        """Every rule run: an event is dated in the future, or not at all."""
        for position in range(len(self.rules.rules)):
            self.run(position)
        until_ms = min(self.deadlines.values(), default=FOREVER_MS)
        return Standing(self.now_ms, self.members, until_ms, plain=True)

    def begin(self) -> None:
        """Every rule, from the log and the profile."""
        rules = self.rules
        self.count_anew()
        self.recount_alone()
        self.alert = lowest_bits(len(rules.effects))
        self.base, self.sensitive = rules.base, rules.sensitive
        self.old_judged = layered([NOT_JUDGED] * len(rules.judges))
        for position, kind in enumerate(rules.kinds):
            if kind == SILENT:
                self.run(position)
            elif kind == JUDGED:
                self._judge(rules.judge_of[position])
            else:
                self.weigh_first(position)
        shared = [rules.shared(self.judged[place]) for place in range(len(rules.judges))]
        self.old_judged, self.judged = layered(shared), {}
        self.recount_ends()
        self.due.clear()
        self.put_off = True

    def replay(self) -> None:
        """What is known of events anew from the log; every judged rule is due."""
        self.count_anew()
        self._answer_anew()
        self.queue(judge.position for judge in self.rules.judges)

    def count_otherwise(self, matched: int) -> None:
        """An event of these, in the log, satisfies some of them no more: what it counts in anew;
        judged rules it counts in are due."""
        conditions = matched >> self.rules.shift
        self.count_again(conditions)
        self._answer_anew()
        self._look_again(conditions)

    def happen_late(self, at: int, matched: int) -> None:
        """A late event, which is in the log: what it changes; judged rules it counts in are due."""
        deciding = matched & self.sensitive
        if deciding:
            self.happen_simply_late(at, deciding)
        conditions = matched >> self.rules.shift
        if not conditions:
            return
        times, chains = self.count_late(at, conditions)
        changed = times
        for chain in chains:
            changed |= self.rules.chain_bits[chain]
        self.alert |= changed
        for one in self.rules.series.values() if changed else ():
            literal = one.literal
            if (literal.chain in chains) or (literal.chain is None and times & one.alarm):
                self._series_late(one)
        self._look_again(changed)
        self.run_again(matched)

    def _series_late(self, one: Series) -> None:
        """It may hold now, or for longer."""
        if self.live & self.sensitive & one.flag:
            self.first_moved = True
        elif self.begin_series(one):
            self.flip(one.flag)

    def run_again(self, matched: int) -> None:
        """The rules that are run and read an event of these are due."""
        conditions = matched >> self.rules.shift & self.rules.running
        for place, reach in enumerate(self.rules.reach) if conditions else ():
            if reach & conditions and self.rules.is_run(place):
                self.queue((self.rules.judges[place].position,))

    def _look_again(self, conditions: int) -> None:
        if conditions:
            self.queue(
                judge.position
                for judge, reach in zip(self.rules.judges, self.rules.reach, strict=True)
                if reach & conditions
            )

    def _answer_anew(self) -> None:
        self.recount_alone()
        self.answer_alone()
        self.recount_ends()
        self.alert = lowest_bits(len(self.rules.effects))

    # ---- one event

    def happen(self, at: int, matched: int) -> None:
        """The newest event: what it makes true of rules of one literal; judged ones it touches are
        due."""
        deciding = matched & self.sensitive
        if deciding:
            self.happen_simply(at, deciding)
        conditions = matched >> self.rules.shift
        if conditions:
            self._happen_to(at, conditions)

    def _happen_to(self, at: int, conditions: int) -> None:
        """One more event of these conditions: their times, the chains it carries on, and the rules
        whose answer may change, or when it ends."""
        effects, times = self.rules.effects, self.times
        alarming = conditions & (self.alert | self.rules.running)
        while conditions:
            condition = conditions.bit_length() - 1
            one = effects[condition]
            conditions ^= one.flag
            if one.kept:
                known = happened(entry_at(self.old_times, condition), at, one.kept)
                times[condition] = known
            if one.steps:
                self.carry_on(one.steps, at)
            if alarming & one.flag:
                quiet = not one.series or self._series(one.series, len(known))
                if one.looks and not self._look(one.looks):
                    quiet = False
                if quiet:
                    self.alert &= ~one.flag

    def _series(self, touched: tuple[Series, ...], number: int) -> bool:
        """What an event makes true of series; whether the next one changes none of them. number:
        of times known of its condition."""
        order = self.old_order
        quiet = True
        for one in touched:
            if self.live & one.flag:
                if order and entry_position(order[0]) == one.position:
                    self.first_moved = True
                    quiet = False
            elif self.sensitive & one.flag:
                if number > one.literal.least and self.begin_series(one):
                    self.flip(one.flag)
                else:
                    quiet = False
        return quiet

    def _look(self, looks: tuple[Look, ...]) -> bool:
        """The judged rules whose answer may change, or when it ends, are due; whether the next
        event changes none of them."""
        below, index, _, _ = self.old_judged
        quiet = True
        for look in looks:
            if look.literal is not None:
                # As entry_at does: a call for each of them costs more than all else here.
                if index is not None:
                    one = below[index[look.place]]
                else:
                    one = entry_at(self.old_judged, look.place)
                if not one.watched & look.flag or self._only_lasts(one, look.flag, look.position):
                    continue
                quiet = False
                if look.literal.several and self.end(look.literal) <= self.now_ms:
                    continue
            heappush(self.due, look.position)
        return quiet

    def _only_lasts(self, one: Judged, flag: int, position: int) -> bool:
        """It held alone, and holds now for longer: nothing changes but when it ends. That is
        looked at once its old end is the first of all."""
        if one.standing != flag or one.tables[0][0] < FOREVER_MS:
            return False
        order = self.old_order
        return not order or entry_position(order[0]) != position

    def _judged_at(self, place: int) -> Judged:
        found = self.judged.get(place)
        return entry_at(self.old_judged, place) if found is None else found

    # ---- time

    def expire(self) -> None:
        """Everything that ends at or before now_ms."""
        now_ms = self.now_ms
        if self.simple_until_ms <= now_ms:
            self.expire_simply()
        passed = 0
        for entry in self.order:
            if entry_ms(entry) > now_ms:
                break
            passed += 1
            position = entry_position(entry)
            one = self.rules.series.get(position)
            if one is not None:
                self.end_series(one)
            elif self._counts(entry):
                self.queue((position,))
        if passed:
            self.order = self.order[passed:]

    # ---- evaluating

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
            elif kind == SILENT:
                self.run(position)
                self.put_off = True
            else:
                self.weigh(position)

    def _judge(self, place: int) -> None:
        position, flag, parts, literals, conditions = self.rules.judging[place]
        if parts is None:
            self.judged[place] = Judged(until_ms=self.run(position))
            return
        before, now_ms = self._judged_at(place), self.now_ms
        tables, held = before.tables, before.held
        if not tables or tables[0][0] <= now_ms or self.outdated or self.retold:
            tables, held = self._tables(position, parts, before)
        if len(literals) == 1 and tables[0][0] == FOREVER_MS:
            now = judged_alone(tables[0][1], self.end(literals[0]), now_ms)
        else:
            now = judgement_of(tables, [self.end(one) for one in literals], now_ms)
        holds, until_ms, watched, standing = now
        if until_ms == tables[-1][0] < FOREVER_MS:  # so far nobody looked
            until_ms = self.verdict_of(position).until_ms
        self.judged[place] = Judged(tables, held, watched, standing, until_ms)
        for number, condition in enumerate(conditions):
            if watched >> number & 1:
                self.alert |= condition
        self.deadlines[position] = until_ms
        if bool(self.members & flag) is not holds:
            self.flip(flag)

    def _tables(self, position: int, parts: Parts, before: Judged) -> tuple[Over, Over]:
        """The truth tables over time from now on, and the silent parts that hold."""
        tables, held, now_ms = before.tables, before.held, self.now_ms
        if not tables or tables[-1][0] <= now_ms or position in self.outdated:
            held = self.held(parts)
        elif position not in self.retold:
            left = [one for one in tables if one[0] > now_ms]
            return tuple(left), tuple([one for one in held if one[0] > now_ms])
        held = tuple([one for one in held if one[0] > now_ms])
        tables = tuple([until(ends_ms, parts.table(one, self.members)) for ends_ms, one in held])
        return self.rules.shared(tables), self.rules.shared(held)

    # ---- the outcome

    def frozen(self) -> Standing:
        """The next standing. Nothing may be due any more."""
        order, stale = self.order, self.stale
        if self.deadlines or self.begun or self.first_moved or order is not self.old_order:
            order, stale = self._ordered(stale)
        first_ms = entry_ms(order[0]) if order else FOREVER_MS
        simple_until_ms = self.simple_until_ms
        return Standing(
            self.now_ms,
            self.members,
            first_ms if first_ms < simple_until_ms else simple_until_ms,
            self.log,
            self.live,
            self.base,
            self.sensitive,
            self.holders,
            self.ends_ms,
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
        for entry in self.begun:
            insort(order, entry)
        if self.put_off or len(self.deadlines) > MANY_STALE:
            order = [one for one in order if entry_position(one) not in self.deadlines]
            for position, at in self.deadlines.items():
                if at < FOREVER_MS:
                    order.append(entry_of(at, position))
            order.sort()
        else:
            for position, at in self.deadlines.items():
                old_ms = self._deadline_before(position)
                if at != old_ms:
                    stale += old_ms < FOREVER_MS
                    if at < FOREVER_MS:
                        insort(order, entry_of(at, position))
        stale -= self._make_first_exact(order)
        if stale > MANY_STALE + len(order) // 4:
            order, stale = [one for one in order if self._counts(one)], 0
        return tuple(order), stale

    def _make_first_exact(self, order: list[int]) -> int:
        """Looks at the order's first entries until the first is exact, changing it. Returns how
        many replaced entries it dropped."""
        known = self.old_order[0] if self.old_order and not self.first_moved else None
        passed = 0
        while order and not (order[0] == known and self._counts(known)):
            at, position = entry_ms(order[0]), entry_position(order[0])
            series = self.rules.series.get(position)
            if series is not None:
                until_ms = self.end(series.literal)
                # Whoever is the first has to be looked at when it is extended.
                self.alert |= series.alarm
            elif not self._counts(order[0]):
                passed += 1
                until_ms = FOREVER_MS
            else:
                until_ms = self._exact_deadline(at, position)
            if until_ms == at:
                break
            order.pop(0)
            if until_ms < FOREVER_MS:
                insort(order, entry_of(until_ms, position))
        return passed

    def _exact_deadline(self, at: int, position: int) -> int:
        """When the answer changes of a silent or judged rule that has this deadline."""
        place = self.rules.judge_of.get(position)
        if place is None or position in self.deadlines or self.rules.is_run(place):
            return at
        self._judge(place)
        return self.deadlines[position]

    def _deadline_before(self, position: int) -> int:
        return entry_at(self.old_judged, self.rules.judge_of[position]).until_ms

    def _counts(self, entry: int) -> bool:
        """Whether the entry was not replaced by another."""
        place = self.rules.judge_of.get(entry_position(entry))
        return place is None or self._judged_at(place).until_ms == entry_ms(entry)
