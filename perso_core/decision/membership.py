"""One profile's standing in one audience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Status = Literal["realized", "exited"]

# Exited memberships stay 30 days, as in Adobe's profiles (pql.md, 8); then they are forgotten.
EXITED_KEPT_MS = 30 * 24 * 60 * 60 * 1000


class Membership(Struct, frozen=True, kw_only=True):
    """One profile's standing in one audience."""

    audience_id: str
    status: Status
    since_ms: int  # when this status began; epoch milliseconds, UTC


class ImportedMembership(Struct, frozen=True, gc=False):
    """What an import said of one profile and one external audience: in it from since_ms on, and
    no more from until_ms on; epoch milliseconds, UTC."""

    since_ms: int
    until_ms: int


def imported_of_both(
    one: Mapping[str, ImportedMembership], other: Mapping[str, ImportedMembership]
) -> Mapping[str, ImportedMembership]:
    """By audience id, what was imported of either; of both the first beginning and the last end,
    whichever comes first."""
    if not (one and other):
        return one or other
    found = dict(one)
    for audience_id, more in other.items():
        known = found.get(audience_id, more)
        found[audience_id] = ImportedMembership(
            min(known.since_ms, more.since_ms), max(known.until_ms, more.until_ms)
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
