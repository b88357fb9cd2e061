"""Which rules a change can touch, from what the rules read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perso_core.pql.types import EventGuard, Reads
from perso_core.pql.values import fold, leaves

__all__ = ["EventGuard", "Reads", "RuleIndex"]

# Who reads this reads every membership: a rule may look through the map itself.
MEMBERSHIPS = "segmentMembership"

Scalar = str | int | float | bool


class _PathGuards:
    """The rules waiting for one path of an event, by what they want to find there."""

    __slots__ = ("equal", "folded", "folded_prefix", "path", "prefix", "present")

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.present: set[int] = set()
        self.equal: dict[Scalar, set[int]] = {}
        self.folded: dict[str, set[int]] = {}
        # length of the prefix -> prefix -> rules
        self.prefix: dict[int, dict[str, set[int]]] = {}
        self.folded_prefix: dict[int, dict[str, set[int]]] = {}

    def add(self, guard: EventGuard, rule: int) -> None:
        for value in guard.values:
            if guard.test == "equal":
                self.equal.setdefault(value, set()).add(rule)
            elif guard.test == "folded":
                self.folded.setdefault(str(value), set()).add(rule)
            else:
                by_length = self.prefix if guard.test == "prefix" else self.folded_prefix
                prefix = str(value)
                by_length.setdefault(len(prefix), {}).setdefault(prefix, set()).add(rule)
        if guard.test == "present":
            self.present.add(rule)

    def gather(self, event: Mapping[str, Any], touched: set[int]) -> None:
        found = leaves(event, self.path)
        if not found:
            return
        touched |= self.present
        for value in found:
            if isinstance(value, str | int | float):
                touched |= self.equal.get(value, _NONE)
            if isinstance(value, str):
                self._gather_text(value, touched)

    def _gather_text(self, value: str, touched: set[int]) -> None:
        for length, prefixes in self.prefix.items():
            touched |= prefixes.get(value[:length], _NONE)
        if self.folded or self.folded_prefix:
            folded = fold(value)
            touched |= self.folded.get(folded, _NONE)
            for length, prefixes in self.folded_prefix.items():
                touched |= prefixes.get(folded[:length], _NONE)


_NONE: frozenset[int] = frozenset()


class RuleIndex:
    """The rules by what can change them. Every answer comes in the order the rules were given.

    An event that satisfies none of a rule's guards leaves every part of the rule that reads
    events as it was; whether those parts stand under `not`, in a count or in an absence does
    not matter. O(paths guarded + rules touched) per event.
    """

    def __init__(self, rules: Sequence[tuple[str, Reads]]) -> None:
        self._ids = tuple(rule_id for rule_id, _ in rules)
        self._any_event: set[int] = set()
        self._guards: dict[tuple[str, ...], _PathGuards] = {}
        self._attributes: dict[str, set[int]] = {}
        self._audiences: dict[str, set[int]] = {}
        self._reading_events: set[int] = set()
        for rule, (_, reads) in enumerate(rules):
            self._add(rule, reads)

    def _add(self, rule: int, reads: Reads) -> None:
        if reads.events:
            self._reading_events.add(rule)
        for guard in reads.events:
            if guard.test == "any":
                self._any_event.add(rule)
            else:
                guards = self._guards.setdefault(guard.path, _PathGuards(guard.path))
                guards.add(guard, rule)
        for path in reads.profile_paths:
            self._attributes.setdefault(path.partition(".")[0], set()).add(rule)
        for audience_id in reads.audience_ids:
            self._audiences.setdefault(audience_id, set()).add(rule)

    def touched_by_event(self, xdm: Mapping[str, Any]) -> Iterable[str]:
        """The rules that the arrival of this event may change."""
        touched = set(self._any_event)
        for guards in self._guards.values():
            guards.gather(xdm, touched)
        return self._named(touched)

    def touched_by_attributes(self, names: Iterable[str]) -> Iterable[str]:
        """The rules that read one of these top-level attributes."""
        touched: set[int] = set()
        for name in names:
            touched |= self._attributes.get(name, _NONE)
        return self._named(touched)

    def touched_by_audience(self, audience_id: str) -> Iterable[str]:
        """The rules that ask for this audience, or read the memberships as a whole."""
        return self._named(
            self._audiences.get(audience_id, _NONE) | self._attributes.get(MEMBERSHIPS, _NONE)
        )

    def reading_events(self) -> Iterable[str]:
        """Every rule that reads events at all."""
        return self._named(self._reading_events)

    def _named(self, touched: Iterable[int]) -> list[str]:
        return [self._ids[rule] for rule in sorted(touched)]
