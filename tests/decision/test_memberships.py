"""What a profile is in, as it lies in memory: nobody can tell it from a dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.membership import Membership, Memberships, Status

IDS = st.sampled_from(("a", "b", "b2", "c", "ä"))
BOTH: tuple[Status, ...] = ("realized", "exited")
STATUSES = st.sampled_from(BOTH)
INSTANTS = st.integers(-(2**50), 2**50)


def member(audience_id: str, status: Status, since_ms: int) -> Membership:
    return Membership(audience_id=audience_id, status=status, since_ms=since_ms)


CHANGES = st.lists(st.lists(st.builds(member, IDS, STATUSES, INSTANTS), max_size=3), max_size=5)


@given(CHANGES)
def test_memberships_are_what_a_dict_of_them_is(changes: list[list[Membership]]) -> None:
    known, lying = dict[str, Membership](), Memberships()
    for changed in changes:
        known |= {one.audience_id: one for one in changed}
        lying = lying.replaced(changed)

    assert lying == known
    assert dict(lying) == known
    assert list(lying.each()) == sorted(known.values(), key=lambda one: one.audience_id)
    assert Memberships.of(known) == lying
    assert Memberships(*lying.columns()) == lying
    assert [lying.get(one) for one in ("a", "z")] == [known.get("a"), None]


@given(CHANGES)
def test_since_when_is_told_by_status(changes: list[list[Membership]]) -> None:
    lying = Memberships()
    for changed in changes:
        lying = lying.replaced(changed)

    realized, exited = lying.since()

    assert {one.audience_id: one.since_ms for one in lying.each() if one.status == "realized"} == (
        realized
    )
    assert realized.keys() | exited.keys() == set(lying)
