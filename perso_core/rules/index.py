"""Which rules read an attribute, and which ask for an audience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perso_core.pql.types import Reads

# Who reads this reads every membership: a rule may look through the map itself.
MEMBERSHIPS = "segmentMembership"


def reads_memberships(reads: Reads) -> bool:
    """Whether the rule looks through the memberships itself, beside inSegment."""
    return any(path.partition(".")[0] == MEMBERSHIPS for path in reads.profile_paths)


class AttributeIndex:
    """reads: of each rule, by position. position_of: audience id -> the position of its rule."""

    def __init__(self, reads: Sequence[Reads], position_of: Mapping[str, int]) -> None:
        self._by_attribute: dict[str, list[int]] = {}
        self._by_audience: dict[int, list[int]] = {}
        for position, one in enumerate(reads):
            for name in {path.partition(".")[0] for path in one.profile_paths}:
                self._by_attribute.setdefault(name, []).append(position)
            for audience_id in one.audience_ids & position_of.keys():
                self._by_audience.setdefault(position_of[audience_id], []).append(position)
        # A rule that looks through the memberships sees those of the rules before it.
        every = self._by_attribute.get(MEMBERSHIPS, [])
        self._dependents = {
            position: tuple(
                sorted({*self._by_audience.get(position, ()), *_after(position, every)})
            )
            for position in (range(len(reads)) if every else self._by_audience)
        }
        # The rules on which others hang, one bit each.
        self.referenced = sum(1 << position for position, some in self._dependents.items() if some)

    def reading(self, names: Iterable[str]) -> set[int]:
        """The rules that read one of these top-level attributes."""
        found: set[int] = set()
        for name in names:
            found.update(self._by_attribute.get(name, ()))
        return found

    def dependents(self, position: int) -> tuple[int, ...]:
        """The rules that ask for this rule's audience."""
        return self._dependents.get(position, ())


def _after(position: int, positions: Iterable[int]) -> list[int]:
    return [one for one in positions if one > position]
