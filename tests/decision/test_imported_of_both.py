"""What was imported of two profiles that become one: in any order, and again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.membership import ImportedMembership, imported_of_both

INSTANT = st.integers(0, 9)
EARLIER = st.none() | st.builds(ImportedMembership, INSTANT, INSTANT)
IMPORTED = st.dictionaries(
    st.sampled_from("abc"), st.builds(ImportedMembership, INSTANT, INSTANT, EARLIER)
)


@given(IMPORTED, IMPORTED, IMPORTED)
def test_no_order_matters_and_again_changes_nothing(
    one: dict[str, ImportedMembership],
    other: dict[str, ImportedMembership],
    third: dict[str, ImportedMembership],
) -> None:
    both = imported_of_both(one, other)

    assert both == imported_of_both(other, one)
    assert imported_of_both(both, other) == both
    assert imported_of_both(both, third) == imported_of_both(one, imported_of_both(other, third))


@given(IMPORTED, IMPORTED)
def test_nothing_that_still_holds_is_lost(
    one: dict[str, ImportedMembership], other: dict[str, ImportedMembership]
) -> None:
    both = imported_of_both(one, other)

    for found in (one, other):
        for audience_id, imported in found.items():
            assert both[audience_id].since_ms <= imported.since_ms
            assert both[audience_id].until_ms >= imported.until_ms
