"""One profile's standing in one audience."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct, structs

Status = Literal["realized", "exited"]

# Exited memberships stay 30 days, as in Adobe's profiles (pql.md, 8); then they are forgotten.
EXITED_KEPT_MS = 30 * 24 * 60 * 60 * 1000
# Of a visitor who was imported into more audiences since the last visit the newest are gone
# through, a millisecond each with hundreds of them: 300 had held all others for 0.3 s.
MOST_GONE_THROUGH = 32


class Membership(Struct, frozen=True, kw_only=True, gc=False):
    """One profile's standing in one audience."""

    audience_id: str
    status: Status
    since_ms: int  # when this status began; epoch milliseconds, UTC


class ImportedMembership(Struct, frozen=True, gc=False, omit_defaults=True):
    """What an import said of one profile and one external audience: in it from since_ms on, and
    no more from until_ms on; epoch milliseconds, UTC. earlier: when it was in before, last."""

    since_ms: int
    until_ms: int
    earlier: ImportedMembership | None = None


def imported_by_now(
    imported: Mapping[str, ImportedMembership], now_ms: int
) -> Mapping[str, ImportedMembership]:
    """With what a clock that was ahead dated later as of now. Itself where there is none."""
    ahead = {
        audience_id: structs.replace(one, since_ms=now_ms)
        for audience_id, one in imported.items()
        if one.since_ms > now_ms
    }
    return {**imported, **ahead} if ahead else imported


def imported_as_of(
    imported: Mapping[str, ImportedMembership], at_ms: int
) -> Mapping[str, ImportedMembership]:
    """Without what came after an instant. Itself where nothing did."""
    gone_through_ms = _gone_through_ms(imported)
    then = {
        audience_id: one if _there_at(one, at_ms, gone_through_ms) else one.earlier
        for audience_id, one in imported.items()
    }
    if all(one is imported[audience_id] for audience_id, one in then.items()):
        return imported
    return {audience_id: one for audience_id, one in then.items() if one is not None}


def came_ms(
    imported: Mapping[str, ImportedMembership], after_ms: int, through_ms: int
) -> list[int]:
    """When something was imported, in order."""
    gone_through_ms = _gone_through_ms(imported)
    found = {
        one.since_ms
        for one in imported.values()
        if one.since_ms > after_ms and not _there_at(one, after_ms, gone_through_ms)
    }
    return sorted(at_ms for at_ms in found if at_ms <= through_ms)


def _there_at(one: ImportedMembership, at_ms: int, gone_through_ms: int) -> bool:
    return one.since_ms <= at_ms or (one.earlier is None and one.since_ms < gone_through_ms)


def _gone_through_ms(imported: Mapping[str, ImportedMembership]) -> int:
    """From when on each import that was the first one is gone through; those before were there
    all the time: rules that read when it began find no difference."""
    if len(imported) <= MOST_GONE_THROUGH:
        return 0
    firsts = sorted(one.since_ms for one in imported.values() if one.earlier is None)
    return firsts[-MOST_GONE_THROUGH] if len(firsts) > MOST_GONE_THROUGH else 0


def imported_of_both(
    one: Mapping[str, ImportedMembership], other: Mapping[str, ImportedMembership]
) -> Mapping[str, ImportedMembership]:
    """By audience id, what was imported of either; of both the first beginning and the last end,
    whichever comes first; and of what was earlier what ended last."""
    if not (one and other):
        return one or other
    found = dict(one)
    for audience_id, more in other.items():
        known = found.get(audience_id, more)
        earlier = [of for of in (known.earlier, more.earlier) if of is not None]
        found[audience_id] = ImportedMembership(
            min(known.since_ms, more.since_ms),
            max(known.until_ms, more.until_ms),
            max(earlier, key=lambda of: (of.until_ms, of.since_ms), default=None),
        )
    return found


# (status before, does the rule hold now) -> status after. None: never qualified.
TRANSITIONS: Mapping[tuple[Status | None, bool], Status | None] = {
    (None, True): "realized",
    (None, False): None,
    ("realized", True): "realized",
    ("realized", False): "exited",
    ("exited", True): "realized",
    ("exited", False): "exited",
}


def qualify(
    audience_id: str, before: Membership | None, *, holds: bool, now_ms: int
) -> Membership | None:
    """The membership after its rule was evaluated.

    Returns `before` itself when the status stays: callers find transitions with
    `is not`, and `since_ms` keeps meaning when the status began.
    """
    status = before.status if before else None
    after = TRANSITIONS[status, holds]
    if after is None or after == status:
        return before
    return Membership(audience_id=audience_id, status=after, since_ms=now_ms)


class Memberships(Mapping[str, Membership]):
    """One profile's memberships by audience id, in the order of the ids: a value, which takes a
    fifth of what a dict of them does. A change makes a new one."""

    # instants: since_ms, times two, and one more for realized ones; eight bytes each.
    __slots__ = ("_ids", "_instants")

    def __init__(self, ids: tuple[str, ...] = (), instants: bytes = b"") -> None:
        self._ids = ids
        self._instants = instants

    @classmethod
    def of(cls, memberships: Mapping[str, Membership] | Iterable[Membership]) -> Memberships:
        """Itself where it is that already."""
        if isinstance(memberships, Memberships):
            return memberships
        each = memberships.values() if isinstance(memberships, Mapping) else memberships
        ordered = sorted(each, key=lambda one: one.audience_id)
        instants = array("q", map(_instant, ordered))
        return cls(tuple([one.audience_id for one in ordered]), instants.tobytes())

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __getitem__(self, audience_id: str) -> Membership:
        found = self.of_audience(audience_id)
        if found is None:
            raise KeyError(audience_id)
        return found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Memberships):
            return self._ids == other._ids and self._instants == other._instants
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as a dict

    def of_audience(self, audience_id: str) -> Membership | None:
        """None: it never was in that one. As `get`, which tells by an exception that nothing is
        there."""
        place = self._place(audience_id)
        if place is None:
            return None
        return _membership(audience_id, array("q", self._instants)[place])

    def each(self) -> Iterator[Membership]:
        return map(_membership, self._ids, array("q", self._instants))

    def columns(self) -> tuple[tuple[str, ...], bytes]:
        """What makes an equal one."""
        return self._ids, self._instants

    def since(self) -> tuple[dict[str, int], dict[str, int]]:
        """By audience id, since when: of the realized ones, and of the exited ones."""
        return _since(self._ids, array("q", self._instants))

    def exited_by(self, at_ms: int) -> bool:
        """Whether some audience was left at that instant or before."""
        return any(
            not instant & 1 and instant >> 1 <= at_ms for instant in array("q", self._instants)
        )

    def replaced(self, changed: Iterable[Membership]) -> Memberships:
        """With these, which may be new."""
        ids, instants = [*self._ids], array("q", self._instants)
        for one in changed:
            place = bisect_left(ids, one.audience_id)
            if place < len(ids) and ids[place] == one.audience_id:
                instants[place] = _instant(one)
            else:
                ids.insert(place, one.audience_id)
                instants.insert(place, _instant(one))
        return Memberships(tuple(ids), instants.tobytes())

    def _place(self, audience_id: str) -> int | None:
        place = bisect_left(self._ids, audience_id)
        known = place < len(self._ids) and self._ids[place] == audience_id
        return place if known else None


def _since(ids: tuple[str, ...], instants: array[int]) -> tuple[dict[str, int], dict[str, int]]:
    realized: dict[str, int] = {}
    exited: dict[str, int] = {}
    for audience_id, instant in zip(ids, instants, strict=True):
        if instant & 1:
            realized[audience_id] = instant >> 1
        else:
            exited[audience_id] = instant >> 1
    return realized, exited


def _instant(membership: Membership) -> int:
    return membership.since_ms << 1 | (membership.status == "realized")


def _membership(audience_id: str, instant: int) -> Membership:
    status: Status = "realized" if instant & 1 else "exited"
    return Membership(audience_id=audience_id, status=status, since_ms=instant >> 1)
