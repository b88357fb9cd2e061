"""Which of many conditions one event satisfies, in time that hardly grows with their number.

Every condition has a bit. For each path that some test reads, the value there gives the bits whose
tests fail; what no path fails, holds. Values come back (event types, page names), so what a value
fails is remembered by value. Which paths can still fail anything is known from the event's type.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from perso_core.pql.values import NUMBERS, fold, ordered, project, walk
from perso_core.rules.bits import bits_of, lowest_bits
from perso_core.rules.conditions import Among, Begins, Computed, Condition, Limit, OfValue, Segments

# Values remembered for one path; then it starts afresh. A page's address has no end of values.
MAX_REMEMBERED = 4_096
# What events satisfied is kept for so many kinds of them. Those who come first are the usual ones.
MAX_COMMON = 4_096
# Longer texts are looked at each time: remembering them would keep them alive.
MAX_TEXT = 300

TYPE: Segments = ("eventType",)


class Matcher:
    """conditions: by bit; None: a bit that is never set. O(paths the event's type leaves open)
    for values seen before."""

    def __init__(self, conditions: Sequence[Condition | None]) -> None:
        self._all = 0
        self._paths: dict[Segments, _AtPath] = {}
        self._rest: dict[int, Any] = {}
        self._resting = 0
        # Alternatives after the first have bits above the conditions' own: (bit, whose).
        self._own = lowest_bits(len(conditions))
        self._above = len(conditions)
        self._whose: list[int] = []
        for bit, condition in enumerate(conditions):
            if condition is not None:
                self._add(bit, condition)
                for other in condition.others:
                    self._whose.append(1 << bit)
                    self._add(self._above + len(self._whose) - 1, other)
        for at_path in self._paths.values():
            at_path.ready()
        self._type = self._paths.pop(TYPE, _AtPath(TYPE))
        self._plans: dict[Any, _Plan] = {}
        # Bits that events satisfied, and the place of each: first come, first kept.
        self.common: list[int] = []
        self.number_of: dict[int, int] = {}

    def _add(self, bit: int, condition: Condition) -> None:
        self._all |= 1 << bit
        for path, test in condition.tests:
            self._paths.setdefault(path, _AtPath(path)).add(bit, test)
        if condition.rest is not None:
            self._rest[bit] = condition.rest
            self._resting |= 1 << bit

    def matching(self, event: Mapping[str, Any]) -> int:
        """The bits of the conditions that the event satisfies."""
        kind = event.get("eventType")
        plan = self._plans.get(kind) if type(kind) is str else self._plan(kind)
        if plan is None:
            plan = self._plan(kind)
        open_bits, groups = plan
        failed = 0
        for parents, leaves, absent in groups:
            parent: Any = event
            for segment in parents:
                if type(parent) is dict:
                    within = parent
                    parent = within.get(segment)
                elif parent is None:
                    break
                else:  # a list of objects, perhaps
                    parent = walk(event, parents)
                    break
            if type(parent) is dict:
                within = parent
                for segment, remembered, at_path in leaves:
                    value = within.get(segment)
                    found = remembered.get(value) if type(value) is str else None
                    failed |= at_path.failed_by(value) if found is None else found
            elif parent is None:
                failed |= absent
            elif type(parent) is list:
                for segment, _, at_path in leaves:
                    failed |= at_path.failed_by(project(parent, segment))
            else:
                for segment, _, at_path in leaves:
                    failed |= at_path.failed_by(walk(parent, (segment,)))
        found = open_bits & ~failed
        if found & self._resting:
            for bit in bits_of(found & self._resting):
                if not self._rest[bit](event):
                    found ^= 1 << bit
        other = found >> self._above if self._whose else 0
        if other:
            found &= self._own
            for number in bits_of(other):
                found |= self._whose[number]
        # Every visitor's log holds what each event satisfied: one and the same number where it is
        # equal.
        place = self.number_of.get(found)
        if place is not None:
            return self.common[place]
        if len(self.common) < MAX_COMMON:
            self.number_of[found] = len(self.common)
            self.common.append(found)
        return found

    def _plan(self, kind: Any) -> _Plan:
        open_bits = self._all & ~self._type.computed(kind)
        groups: dict[Segments, list[_Leaf]] = {}
        for one in self._paths.values():
            if one.bits & open_bits:
                *parents, leaf = one.segments
                groups.setdefault(tuple(parents), []).append((leaf, one.remembered, one))
        plan = open_bits, tuple(map(_group, groups.items()))
        if type(kind) is str and len(kind) <= MAX_TEXT:
            if len(self._plans) >= MAX_REMEMBERED:
                self._plans.clear()
            self._plans[kind] = plan
        return plan


class _AtPath:
    """The tests of the value at one path. bits: the conditions that have one."""

    __slots__ = (
        "_begins",
        "_computed",
        "_equal",
        "_folded",
        "_has_among",
        "_has_limit",
        "_limits",
        "_numbers",
        "_singles",
        "_steps",
        "_texts",
        "absent",
        "among_alone",
        "bits",
        "remembered",
        "segments",
    )

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.bits = 0
        # The bits that a missing value fails.
        self.absent = 0
        # Whether every test asks for one of some values: then a list fails what each element does.
        self.among_alone = False
        self.remembered: dict[Any, int] = {}
        self._equal: dict[int, int] = {}
        self._has_among = 0
        self._has_limit: dict[str, int] = {}
        self._texts: dict[str, int] = {}
        self._folded: dict[str, int] = {}
        self._numbers: dict[float, int] = {}
        # op -> limit -> bits
        self._limits: dict[str, dict[float, int]] = {}
        # op -> (limits ascending, bits that hold below each place)
        self._steps: dict[str, tuple[list[float], list[int], int]] = {}
        self._begins: dict[tuple[bool, int], dict[str, int]] = {}
        self._singles: list[tuple[OfValue, int]] = []
        self._computed: dict[Any, list[Any]] = {}

    def add(self, bit: int, test: Among | Limit | Begins | Computed) -> None:
        flag = 1 << bit
        self.bits |= flag
        if isinstance(test, Among) and not self._has_among & flag:
            self._has_among |= flag
            for texts, values in ((self._texts, test.texts), (self._folded, test.folded)):
                for value in values:
                    texts[value] = texts.get(value, 0) | flag
            for number in test.numbers:
                self._numbers[number] = self._numbers.get(number, 0) | flag
        elif isinstance(test, Limit) and not self._has_limit.get(test.op, 0) & flag:
            self._has_limit[test.op] = self._has_limit.get(test.op, 0) | flag
            limits = self._limits.setdefault(test.op, {})
            limits[test.limit] = limits.get(test.limit, 0) | flag
        elif isinstance(test, Limit):
            # Of a list, each limit may be kept by another element.
            self._singles.append((_limited(test), flag))
        elif isinstance(test, Begins):
            self._singles.append((_beginning(test), flag))
        elif isinstance(test, Computed):
            known = self._computed.setdefault(test.key, [test.holds, 0])
            known[1] |= flag
        else:
            self._singles.append((_being(test), flag))

    def ready(self) -> None:
        """Sums up the limits; call once, after the last add."""
        self.among_alone = not (self._limits or self._singles or self._computed)
        for op, limits in self._limits.items():
            ascending = sorted(limits)
            falling = op in ("<", "<=")
            # Below place i stand the i smallest limits. "<" fails those at or below the value.
            order = ascending if falling else list(reversed(ascending))
            sums = [0]
            for limit in order:
                sums.append(sums[-1] | limits[limit])
            self._steps[op] = (ascending, sums, sums[-1])
        self.absent = self.computed(None)

    # ---- what a value fails

    def failed(self, value: str | float) -> int:
        """The bits whose tests the value fails; remembers it."""
        found = self.computed(value)
        if type(value) is str and len(value) > MAX_TEXT:
            return found
        if len(self.remembered) >= MAX_REMEMBERED:
            self.remembered.clear()
            self._equal.clear()
        # Many values fail the same: every price between two limits.
        found = self._equal.setdefault(found, found)
        self.remembered[value] = found
        return found

    def failed_by(self, value: Any) -> int:
        """`failed` for any value. A list: the bits that no element satisfies."""
        if value is None:
            return self.absent
        if type(value) is str or type(value) in NUMBERS:
            found = self.remembered.get(value)
            return self.failed(value) if found is None else found
        if type(value) is not list or not self.among_alone:
            return self.computed(value)
        failed = self._has_among
        for one in value:
            if type(one) is str or type(one) in NUMBERS:
                found = self.remembered.get(one)
                failed &= self.failed(one) if found is None else found
        return failed

    def computed(self, value: Any) -> int:
        """`failed_by`, remembering nothing."""
        values = value if type(value) is list else (value,)
        failed = self._has_among & ~self._among(values)
        for op, (ascending, sums, everything) in self._steps.items():
            failed |= _beyond(op, values, ascending, sums, everything)
        for holds, flag in self._singles:
            if not holds(value):
                failed |= flag
        for holds, bits in self._computed.values():
            if not holds(value):
                failed |= bits
        return failed

    def _among(self, values: Sequence[Any]) -> int:
        found = 0
        for value in values:
            if type(value) is str:
                found |= self._texts.get(value, 0)
                if self._folded:
                    found |= self._folded.get(fold(value), 0)
            elif type(value) in NUMBERS:
                found |= self._numbers.get(value, 0)
        return found


def _beyond(
    op: str, values: Sequence[Any], ascending: list[float], sums: list[int], everything: int
) -> int:
    """The bits of the limits for which no value satisfies `value op limit`."""
    failed = everything
    for value in values:
        if type(value) not in NUMBERS or value != value:
            continue
        # How many limits, from the side that fails first, this value fails.
        if op == "<":
            number = bisect_right(ascending, value)
        elif op == "<=":
            number = bisect_left(ascending, value)
        elif op == ">":
            number = len(ascending) - bisect_left(ascending, value)
        else:
            number = len(ascending) - bisect_right(ascending, value)
        failed &= sums[number]
    return failed


def _being(among: Among) -> OfValue:
    def holds(value: Any) -> bool:
        return any(_is_among(one, among) for one in (value if type(value) is list else (value,)))

    return holds


def _is_among(value: Any, among: Among) -> bool:
    if type(value) is str:
        return value in among.texts or (bool(among.folded) and fold(value) in among.folded)
    return type(value) in NUMBERS and value in among.numbers


def _limited(test: Limit) -> OfValue:
    return lambda value: ordered(test.op, value, test.limit)


def _beginning(begins: Begins) -> OfValue:
    def holds(value: Any) -> bool:
        for one in value if type(value) is list else (value,):
            if type(one) is str:
                seen = fold(one) if begins.folded else one
                if seen.startswith(begins.prefixes):
                    return True
        return False

    return holds


# The last segment of a path, what is remembered of values there, and the tests.
_Leaf = tuple[str, dict[Any, int], _AtPath]
# Paths that have all but the last segment in common: these, the leaves, and what a missing parent
# fails.
_Group = tuple[Segments, tuple[_Leaf, ...], int]
# What an event's type leaves open: the bits, and the paths that can fail one.
_Plan = tuple[int, tuple[_Group, ...]]


def _group(alike: tuple[Segments, list[_Leaf]]) -> _Group:
    parents, leaves = alike
    absent = 0
    for _, _, at_path in leaves:
        absent |= at_path.absent
    return parents, tuple(leaves), absent
