"""Rules of one literal and no part that time changes, in the making: thousands of them in a few
integers, one bit a rule."""

from __future__ import annotations

from perso_core.pql.instants import DAY_MS
from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.asking import Asking
from perso_core.rules.program import Series
from perso_core.rules.recount import all_ends, all_living, living
from perso_core.rules.standing import Ends, entry_of, entry_position, holders_of


def first_of(ends_ms: list[int]) -> int:
    """The place of the earliest, the first of several; 0: there is none."""
    first = 0
    for place in range(1, len(ends_ms)):
        if ends_ms[place] < ends_ms[first]:
            first = place
    return first


class Alone(Asking):
    """Their answer is base ^ (live & sensitive). Simple ones keep their ends by class, series
    theirs in the order: one entry for each sensitive bit that is live."""

    # ---- everything anew

    def weigh_first(self, position: int) -> None:
        """The rule's bits from the profile, and its answer. Which simple ones are live is known."""
        parts = self.rules.alone_parts.get(position)
        flag = 1 << position
        if parts is not None:
            table = parts.table(self.held(parts)[0][1], self.members)
            self.base |= flag if table & 1 else 0
            self.sensitive |= flag if table in (1, 2) else 0
        series = self.rules.series.get(position)
        if series is not None:
            self.begin_series(series)
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    def recount_alone(self) -> None:
        """Which are live, from the log; their answers stay as they are."""
        self.live = all_living(self.rules, self.log, self.now_ms)

    def recount_ends(self) -> None:
        """When simple ones end, from the log."""
        ends = all_ends(self.rules, self.log, self.live & self.sensitive)
        for one, of_class in zip(ends, self.rules.classes, strict=True):
            if not one.holders:
                self.holding |= of_class.bits
        self._settle([one.holders for one in ends], [one.end_ms for one in ends], set())

    def answer_alone(self) -> None:
        """The answers from what was recounted; series begin anew."""
        alone = self.rules.alone
        series = self.rules.series
        self.order = tuple([one for one in self.order if entry_position(one) not in series])
        self.begun = []
        for one in series.values():
            self.begin_series(one)
        answers = self.base ^ (self.live & self.sensitive)
        self.flip((self.members ^ answers) & alone)

    # ---- series

    def begin_series(self, one: Series) -> int:
        """Its bit where its literal holds and matters, 0 otherwise. Call for one that is not live;
        the answer is the caller's. Nobody looks after a bit that is not sensitive."""
        if not self.sensitive & one.flag:
            return 0
        end_ms = self.end(one.literal)
        if end_ms <= self.now_ms:
            return 0
        self.live |= one.flag
        self.begun.append(entry_of(end_ms, one.position))
        return one.flag

    def end_series(self, one: Series) -> None:
        """Its entry has come: it ends, or was extended."""
        self.live &= ~one.flag
        if not self.begin_series(one):
            self.alert |= one.alarm
            self.flip(one.flag)

    def _neglect_series(self, one: Series) -> None:
        position = one.position
        self.live &= ~one.flag
        self.order = tuple([one for one in self.order if entry_position(one) != position])
        self.begun = [one for one in self.begun if entry_position(one) != position]

    # ---- one event

    def happen_simply(self, at: int, deciding: int) -> None:
        """The newest event: the sensitive simple rules of which it satisfies the literal."""
        rules = self.rules
        now_ms = self.now_ms
        if at != now_ms and (now_ms - at >= rules.shortest_ms or at // DAY_MS != now_ms // DAY_MS):
            deciding = self._counting(at, deciding)
        fresh = deciding & ~self.live
        holding = deciding & self.holding
        self.live |= fresh
        if holding:
            self._begin_or_last(at, holding)
        if fresh:
            self.flip(fresh)

    def happen_simply_late(self, at: int, deciding: int) -> None:
        """A late event: the sensitive simple rules of which it satisfies the literal."""
        holders, ends_ms = list(self.holders), list(self.ends_ms)
        fresh, again = 0, set[int]()
        for number, one in enumerate(self.rules.classes):
            some = deciding & one.bits
            end_ms = one.lasting.end(at) if some else self.now_ms
            if end_ms <= self.now_ms:
                continue
            # What was not live has no event after it: that would count longer.
            begun = some & ~self.live
            fresh |= begun
            extended = some & holders[number] and end_ms > ends_ms[number]
            if extended or (begun and end_ms <= ends_ms[number]):
                again.add(number)
        self.live |= fresh
        if again:
            first = ends_ms.index(self.simple_until_ms)
            for number in again:
                self._recount_class(number, holders, ends_ms)
            self._settle(holders, ends_ms, again | {first})
        if fresh:
            self.flip(fresh)

    def _counting(self, at: int, simple: int) -> int:
        """The bits for which an event of that time counts still."""
        for one in self.rules.classes:
            if one.lasting.end(at) <= self.now_ms:
                simple &= ~one.bits
        return simple

    def _begin_or_last(self, at: int, found: int) -> None:
        """The newest event makes these sensitive bits, all of them holding, last from its time on:
        for some class it is the first, or what ends first of all now ends later, or they hold
        nothing any more."""
        holders, ends_ms = list(self.holders), list(self.ends_ms)
        class_of, classes = self.rules.class_of, self.rules.classes
        begun, lasts = set(), False
        # Exact unless this event is one of its holders'.
        first = ends_ms.index(self.simple_until_ms)
        while found:
            number = class_of[found.bit_length() - 1]
            one = classes[number]
            some = found & one.bits
            found ^= some
            if not holders[number]:
                holders[number], ends_ms[number] = some, one.lasting.end(at)
                self.holding &= ~one.bits
                begun.add(number)
            elif number == first and some & holders[first]:
                lasts = True
            else:
                self.holding &= ~some
        self._settle(holders, ends_ms, begun if lasts else begun | {first})

    def _settle(self, holders: list[int], ends_ms: list[int], exact: set[int]) -> None:
        """These ends, the earliest of them exact. exact: the classes that are so already."""
        first = first_of(ends_ms)
        first_ms = ends_ms[first] if ends_ms else FOREVER_MS
        while first_ms < FOREVER_MS:
            if first not in exact:
                exact.add(first)
                self._recount_class(first, holders, ends_ms)
            if ends_ms[first] == first_ms:
                self.holding |= holders[first]
                break
            first = first_of(ends_ms)
            first_ms = ends_ms[first]
        self.holders, self.ends_ms, self.simple_until_ms = tuple(holders), tuple(ends_ms), first_ms

    def _recount_class(self, number: int, holders: list[int], ends_ms: list[int]) -> None:
        found = self._holders(number)
        holders[number], ends_ms[number] = found.holders, found.end_ms
        if not found.holders:
            self.holding |= self.rules.classes[number].bits

    def _holders(self, number: int) -> Ends:
        one = self.rules.classes[number]
        return holders_of(self.log, self.live & self.sensitive & one.bits, one.lasting.end)

    # ---- time

    def expire_simply(self) -> None:
        """Simple rules whose event counts no more."""
        holders, ends_ms = list(self.holders), list(self.ends_ms)
        # The first of the earliest is exact (see _settle).
        exact = {ends_ms.index(self.simple_until_ms)}
        first = first_of(ends_ms)
        while ends_ms[first] <= self.now_ms:
            if first in exact:
                self.live &= ~holders[first]
                self.flip(holders[first])
            exact.add(first)
            self._recount_class(first, holders, ends_ms)
            first = first_of(ends_ms)
        self._settle(holders, ends_ms, exact)

    # ---- a silent part

    def weigh(self, position: int) -> None:
        """A rule of one literal whose silent part may have changed."""
        flag = 1 << position
        parts = self.rules.alone_parts.get(position)
        if parts is None:
            return
        table = parts.table(self.held(parts)[0][1], self.members)
        sensitive = table in (1, 2)
        self.base = self.base | flag if table & 1 else self.base & ~flag
        if sensitive is not bool(self.sensitive & flag):
            self.sensitive ^= flag
            series = self.rules.series.get(position)
            if series is None:
                self._weigh_ends(position, flag)
            elif sensitive:
                self.alert |= series.alarm
                self.begin_series(series)
            else:
                self._neglect_series(series)
        self.answer(position, bool((self.base ^ (self.live & self.sensitive)) & flag))

    def _weigh_ends(self, position: int, flag: int) -> None:
        """A simple rule began to be sensitive, or to be so no more."""
        number = self.rules.class_of[position]
        holders, ends_ms = list(self.holders), list(self.ends_ms)
        if self.sensitive & flag:
            # Nobody looked after this bit while it did not matter.
            end = self.rules.classes[number].lasting.end
            self.live = (self.live & ~flag) | living(self.log, flag, end, self.now_ms)
        elif holders[number] != flag:
            holders[number] &= ~flag
            self._settle(holders, ends_ms, set())
            return
        self._recount_class(number, holders, ends_ms)
        self._settle(holders, ends_ms, {number})
