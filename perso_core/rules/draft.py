"""The next standing in the making: the one place where a standing's parts change."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any

from msgspec import structs

from perso_core.pql.instants import DAY_MS, instant_of
from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.judging import Over, judgement_of
from perso_core.rules.layered import NO_DEADLINES, changed, entries, layered, moved
from perso_core.rules.matcher import bits_of
from perso_core.rules.program import JUDGED, SILENT, SIMPLE, Parts, Program, Told
from perso_core.rules.standing import (
    NEVER_HAPPENED,
    Ends,
    Judged,
    Reached,
    Standing,
    Times,
    happened,
    holders_of,
    log_of,
    logged,
    newest_first,
    reached,
    run_up_to,
)
from perso_core.rules.swift import carried, expired, held

# The profile as rules see it, made only when a rule has to be run.
View = Callable[[], Mapping[str, Any]]

# No part is run.
NO_PARTS: Over = ((FOREVER_MS, 0),)
REALIZED = {"status": "realized"}
MEMBERSHIPS = "segmentMembership"
NO_TIMES: dict[int, Times] = {}


class Draft:
    """rules: the set. now_ms: the instant the next standing is for. due: rules to evaluate, by
    position, each once and in order, as rules ask for those before them."""

    __slots__ = (
        "_realized",
        "_seen",
        "base",
        "before",
        "deadlines",
        "due",
        "ends",
        "judged",
        "late",
        "live",
        "log",
        "members",
        "now_ms",
        "plain",
        "queued",
        "retold",
        "rules",
        "runs",
        "sensitive",
        "stale",
        "times",
        "view",
    )

    def __init__(self, rules: Program, before: Standing, view: View, now_ms: int) -> None:
        self.rules = rules
        self.before = before
        self.view = view
        self.now_ms = now_ms
        self.members = before.members
        self.live = before.live
        self.base = before.base
        self.sensitive = before.sensitive
        self.log = before.log
        self.ends = before.ends
        self.times = before.times
        self.runs = before.runs
        self.judged: dict[int, Judged] = {}
        self.deadlines: dict[int, int] = {}
        self.late = before.late
        self.plain = False
        self.due: list[int] = []
        self.queued: set[int] = set()
        # Rules whose silent parts may give something else now.
        self.stale: set[int] = set()
        # Rules that ask for one that changed.
        self.retold: set[int] = set()
        self._seen: dict[str, Any] | None = None
        self._realized: dict[str, Any] = {}

    # ---- what happened

    @classmethod
    def whole(cls, rules: Program, view: View, now_ms: int) -> Draft:
        """Everything from the profile and its events."""
        draft = cls(rules, Standing(now_ms, 0, FOREVER_MS), view, now_ms)
        events = view().get("xEvent")
        events = events if isinstance(events, list) else []
        stamps = [stamp_of(event) for event in events]
        if not all(NEVER_MS < at <= now_ms for at in stamps):
            draft.run_all()
            return draft
        matching = rules.matcher.matching
        log = [(at, matching(event)) for at, event in zip(stamps, events, strict=True)]
        draft.log = log_of(sorted(log, key=lambda one: one[0]))
        draft.begin()
        return draft

    @classmethod
    def of_event(
        cls,
        rules: Program,
        before: Standing,
        event: Mapping[str, Any],
        view: View,
        now_ms: int,
        kept: int | None,
    ) -> Standing:
        at = stamp_of(event)
        if before.plain or not NEVER_MS < at <= now_ms:
            return cls.whole(rules, view, now_ms).frozen()
        matched = rules.matcher.matching(event)
        swift = carried(rules, before, at, matched, now_ms, kept)
        if swift is not None:
            return swift
        draft = cls(rules, before, view, now_ms)
        in_order = draft.write(at, matched, kept)
        if before.until_ms <= now_ms:
            draft.expire()
        if in_order:
            draft.happen(at, matched)
        else:
            draft.replay(matched)
        draft.evaluate()
        return draft.frozen()

    @classmethod
    def of_rules(
        cls, rules: Program, before: Standing, touched: Iterable[int], view: View, now_ms: int
    ) -> Draft:
        if before.plain:
            return cls.whole(rules, view, now_ms)
        draft = cls(rules, before, view, now_ms)
        if before.until_ms <= now_ms:
            draft.expire()
        draft.stale.update(touched)
        draft.queue(draft.stale)
        draft.evaluate()
        return draft

    @classmethod
    def of_time(cls, rules: Program, before: Standing, view: View, now_ms: int) -> Standing:
        if before.plain:
            return cls.whole(rules, view, now_ms).frozen()
        if before.until_ms > now_ms:
            return structs.replace(before, now_ms=now_ms)
        swift = expired(rules, before, now_ms)
        if swift is not None:
            return swift
        draft = cls(rules, before, view, now_ms)
        draft.expire()
        draft.evaluate()
        return draft.frozen()

    # ---- every rule run: an event is dated in the future, or not at all

    def run_all(self) -> None:
        self.plain = True
        for position in range(len(self.rules.rules)):
            self._run(position)

    # ---- the log

    def write(self, at: int, matched: int, kept: int | None) -> bool:
        """The event into the log. False: it is late, or one that still counted had to go, so
        that what is known of events has to be made anew."""
        log = self.log
        late = log is not None and at < log.at_ms
        oldest_ms = self.now_ms - self.rules.longest_ms
        number = 0 if log is None else log.length
        if not late and (kept is None or number < kept):
            self.log = logged(log, at, matched)
            return True
        events = [*newest_first(log)][::-1]
        insort_right(events, (at, matched), key=lambda one: one[0])
        # Those from before the longest window count for no rule any more.
        counting = [one for one in events if one[0] >= oldest_ms]
        last = counting if kept is None else counting[max(len(counting) - kept, 0) :]
        self.log = log_of(last)
        return not late and len(last) == len(counting)

    def replay(self, matched: int) -> None:
        """What is known of events anew from the log; every judged rule is due. matched: of the
        new event: rules that are run need not run for others that were there."""
        rules = self.rules
        self._recount()
        simple = (self.base ^ (self.live & self.sensitive)) & rules.simple
        self.flip((self.members & rules.simple) ^ simple)
        self.ends = tuple(map(self._holders, range(len(rules.classes))))
        self.queue(judge.position for judge in rules.judges)

    def _recount(self) -> None:
        rules = self.rules
        self.times = layered([NEVER_HAPPENED] * len(rules.kept))
        self.runs = layered([((((), ()),) * (len(steps) - 1)) for steps, _ in rules.chains])
        self._count_all()
        self.live = 0
        for one in rules.classes:
            self.live |= self._living(one.bits, one.lasting.end)

    def begin(self) -> None:
        """Every rule, from the log and the profile."""
        rules = self.rules
        self._recount()
        self.base, self.sensitive = rules.base, rules.sensitive
        judged = layered([Judged()] * len(rules.judges))
        self.before = structs.replace(self.before, judged=judged, deadlines=NO_DEADLINES)
        self.late = frozenset()
        for position, kind in enumerate(rules.kinds):
            if kind == SILENT:
                self._run(position)
            elif kind == SIMPLE:
                self._weigh_first(position)
            else:
                self._judge(rules.judge_of[position])
        self.ends = tuple(map(self._holders, range(len(rules.classes))))
        self.due.clear()

    def _living(self, bits: int, end: Callable[[int], int]) -> int:
        """The bits whose last event still counts."""
        found = 0
        for at, matched in newest_first(self.log):
            if end(at) <= self.now_ms:
                break
            found |= matched & bits
        return found

    def _weigh_first(self, position: int) -> None:
        parts = self.rules.simple_parts.get(position)
        flag = 1 << position
        if parts is not None:
            table = parts.table(self._held(parts)[0][1], self.members)
            self.base |= flag if table & 1 else 0
            self.sensitive |= flag if table in (1, 2) else 0
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    def _count_all(self) -> None:
        shift = self.rules.shift
        times = [NEVER_HAPPENED] * len(self.rules.kept)
        runs = entries(self.runs)
        for at, matched in [*newest_first(self.log)][::-1]:
            conditions = list(bits_of(matched >> shift))
            for condition in conditions:
                times[condition] = happened(times[condition], at, self.rules.kept[condition])
            for condition in conditions:
                for step, chain in self.rules.steps[condition]:
                    steps, _ = self.rules.chains[chain]
                    found = run_up_to(runs[chain], step, times[steps[0]], at)
                    if found is not None:
                        after = list(runs[chain])
                        after[step - 1] = reached(after[step - 1], found)
                        runs[chain] = tuple(after)
        self.times = layered(times)
        self.runs = layered(runs)

    # ---- one event

    def happen(self, at: int, matched: int) -> None:
        """The newest event: what it makes true of simple rules; judged ones it touches are due."""
        simple = matched & self.rules.simple
        if simple:
            self._happen_simply(at, simple)
        conditions = matched >> self.rules.shift
        if conditions:
            self._count(at, conditions)

    def _happen_simply(self, at: int, simple: int) -> None:
        if self.now_ms - at >= self.rules.shortest_ms or at // DAY_MS != self.now_ms // DAY_MS:
            simple = self._counting(at, simple)
        deciding = simple & self.sensitive
        fresh = deciding & ~self.live
        self.live |= simple
        if deciding:
            wanted = self.live & self.sensitive
            self.ends, _ = held(self.rules, self.ends, 0, at, deciding, self.log, wanted)
        if fresh:
            self.flip(fresh)

    def _counting(self, at: int, simple: int) -> int:
        """The bits for which an event of that time counts still."""
        for bits, lasting in self.rules.classes:
            if lasting.end(at) <= self.now_ms:
                simple &= ~bits
        return simple

    def _holders(self, number: int) -> Ends:
        bits, lasting = self.rules.classes[number]
        return holders_of(self.log, self.live & self.sensitive & bits, lasting.end)

    def _count(self, at: int, conditions: int) -> None:
        """Times of conditions, runs of chains; queues the judged rules that may change."""
        rules = self.rules
        counted: dict[int, Times] = {}
        completed: list[tuple[int, int]] = []
        touched: list[tuple[int, int, Told | None]] = []
        while conditions:
            low = conditions & -conditions
            conditions ^= low
            condition = low.bit_length() - 1
            kept, steps, touches = rules.reactions[condition]
            if kept:
                counted[condition] = happened(self._times(condition), at, kept)
            completed += steps
            touched += touches
        if counted:
            self.times = changed(self.times, counted)
        if completed:
            self._extend_runs(at, completed)
        judged, again = self.before.judged
        for place, flag, literal in touched:
            position = rules.judging[place][0]
            if literal is not None:
                tables, _, watched, standing, first_end_ms = again.get(place) or judged[place]
                if not watched & flag:
                    continue
                if standing & flag and self.now_ms < first_end_ms and len(tables) == 1:
                    # It holds, and now for longer: nothing changes but when it ends, and that is
                    # not before the first of those that hold does.
                    self.late |= {position}
                    if standing != flag:
                        self.deadlines[position] = first_end_ms
                    continue
                if literal.several and self._end(literal) <= self.now_ms:
                    continue
            if position not in self.queued:
                self.queued.add(position)
                heappush(self.due, position)

    def _extend_runs(self, at: int, completed: list[tuple[int, int]]) -> None:
        """completed: (step, chain), of one chain the later step first."""
        extended: dict[int, tuple[Reached, ...]] = {}
        for step, chain in completed:
            runs = extended.get(chain)
            if runs is None:
                runs = self._runs(chain)
            first = self.rules.chains[chain][0][0]
            found = run_up_to(runs, step, self._times(first), at)
            if found is not None:
                after = list(runs)
                after[step - 1] = reached(after[step - 1], found)
                extended[chain] = tuple(after)
        if extended:
            self.runs = changed(self.runs, extended)

    def _times(self, condition: int) -> Times:
        below, above = self.times
        found = above.get(condition)
        return below[condition] if found is None else found

    def _runs(self, chain: int) -> tuple[Reached, ...]:
        below, above = self.runs
        found = above.get(chain)
        return below[chain] if found is None else found

    # ---- time

    def expire(self) -> None:
        """Everything that ends at or before now_ms."""
        if self.before.simple_until_ms <= self.now_ms:
            ends = list(self.ends)
            for number, one in enumerate(ends):
                while one.end_ms <= self.now_ms:
                    self.live &= ~one.holders
                    self.flip(one.holders)
                    one = self._holders(number)
                ends[number] = one
            self.ends = tuple(ends)
        self.queue(self.before.deadlines.due(self.now_ms))

    # ---- evaluating

    def queue(self, positions: Iterable[int]) -> None:
        for position in positions:
            if position not in self.queued:
                self.queued.add(position)
                heappush(self.due, position)

    def evaluate(self) -> None:
        """The rules that are due, and those that hang on one that changed."""
        rules = self.rules
        while self.due:
            position = heappop(self.due)
            kind = rules.kinds[position]
            if kind == JUDGED:
                self._judge(rules.judge_of[position])
            elif kind == SIMPLE:
                self._weigh(position)
            else:
                self._run(position)

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
        if self._seen is not None:
            audience_id = self.rules.ids_by_position[position]
            if self.members >> position & 1:
                self._realized[audience_id] = REALIZED
            else:
                self._realized.pop(audience_id, None)
        dependents = self.rules.index.dependents(position)
        self.retold.update(dependents)
        self.queue(dependents)

    def seen(self) -> Mapping[str, Any]:
        """The profile with the memberships of this draft."""
        if self._seen is None:
            view = self.view()
            others = view.get(MEMBERSHIPS)
            others = others if isinstance(others, Mapping) else {}
            outside = others.get("ups")
            known = self.rules.position_of
            self._realized = {
                audience_id: standing
                for audience_id, standing in (
                    outside.items() if isinstance(outside, Mapping) else ()
                )
                if audience_id not in known
            }
            for position in bits_of(self.members & self.rules.index.referenced):
                self._realized[self.rules.ids_by_position[position]] = REALIZED
            self._seen = {**view, MEMBERSHIPS: {**others, "ups": self._realized}}
        return self._seen

    def _run(self, position: int) -> None:
        verdict = self.rules.rules[position].evaluate(self.seen(), self.now_ms)
        self.deadlines[position] = verdict.until_ms
        self.answer(position, verdict.holds)

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
            self.live = (self.live & ~flag) | self._living(flag, end)
            self._change_ends(number, self._holders(number))
        elif not sensitive and self.sensitive & flag:
            self.sensitive ^= flag
            holders, end_ms = self.ends[number]
            if holders & flag:
                left = Ends(holders ^ flag, end_ms)
                self._change_ends(number, left if left.holders else self._holders(number))
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    def _change_ends(self, number: int, after: Ends) -> None:
        self.ends = (*self.ends[:number], after, *self.ends[number + 1 :])

    def _held(self, parts: Parts) -> Over:
        return parts.held_over(self.seen(), self.now_ms) if parts.parts else NO_PARTS

    def _judge(self, place: int) -> None:
        position, parts, literals = self.rules.judging[place]
        if parts is None:
            self._run(position)
            return
        below, above = self.before.judged
        tables, held, _, _, _ = above.get(place) or below[place]
        if not tables or tables[-1][0] <= self.now_ms or position in self.stale:
            held = self._held(parts)
            tables = tuple([(until, parts.table(one, self.members)) for until, one in held])
        elif position in self.retold:
            tables = tuple([(until, parts.table(one, self.members)) for until, one in held])
        if tables[0][0] <= self.now_ms:
            tables = tuple([one for one in tables if one[0] > self.now_ms])
            held = tuple([one for one in held if one[0] > self.now_ms])
        ends = [self._end(literal) for literal in literals]
        holds, until_ms, watched, standing, first_end_ms = judgement_of(tables, ends, self.now_ms)
        if until_ms == tables[-1][0] < FOREVER_MS:  # so far nobody looked
            until_ms = self.rules.rules[position].evaluate(self.seen(), self.now_ms).until_ms
        self.judged[place] = Judged(tables, held, watched, standing, first_end_ms)
        self.deadlines[position] = until_ms
        if position in self.late:
            self.late -= {position}
        if (self.members >> position & 1) != holds:
            self.flip(1 << position)

    def _end(self, literal: Told) -> int:
        """The instant until which the literal holds; NEVER_MS: it has not come about."""
        condition, least, chain, lasting = literal
        if chain is None:
            times = self._times(condition)
            return lasting[0].end(times[-least]) if len(times) > least else NEVER_MS
        last = self._runs(chain)[-1][1]
        return (
            min([one.end(at) for one, at in zip(lasting, last, strict=True)]) if last else NEVER_MS
        )

    # ---- the outcome

    def frozen(self) -> Standing:
        before = self.before
        deadlines = before.deadlines
        if self.deadlines:
            deadlines = moved(deadlines, self.deadlines)
        first = deadlines.earliest if self.deadlines else before.first_deadline
        while first[1] in self.late:
            self.deadlines = {}
            self._judge(self.rules.judge_of[first[1]])
            deadlines = moved(deadlines, self.deadlines)
            first = deadlines.earliest
        if self.ends is before.ends:
            simple_until_ms = before.simple_until_ms
        else:
            simple_until_ms = min([one[1] for one in self.ends], default=FOREVER_MS)
        return Standing(
            self.now_ms,
            self.members,
            min(first[0], simple_until_ms),
            self.log,
            self.live,
            self.base,
            self.sensitive,
            self.ends,
            simple_until_ms,
            self.times,
            self.runs,
            changed(before.judged, self.judged) if self.judged else before.judged,
            deadlines,
            first,
            self.late,
            self.plain,
        )


def stamp_of(event: Any) -> int:
    """When the event happened; NEVER_MS where it does not say."""
    known = type(event) is dict or isinstance(event, Mapping)
    stamp = event.get("timestamp") if known else None
    at = stamp if type(stamp) is int else instant_of(stamp)
    return NEVER_MS if at is None else at
