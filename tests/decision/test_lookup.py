from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.consent import Consent, may_collect
from perso_core.decision.lookup import Lookup, Lookups, lookup
from perso_core.decision.membership import Membership
from perso_core.definitions.activation import Activation
from perso_core.definitions.destination import AttributeMapping
from perso_core.definitions.snapshot import FOREVER_MS, connected
from tests.building import DAY_MS, NOON_MS, snapshot

GOLD = {"gold": Membership(audience_id="gold", status="realized", since_ms=1)}
MIDNIGHT_MS = NOON_MS - 12 * 60 * 60 * 1000


def _found(activation: Activation, now_ms: int = NOON_MS) -> Lookup:
    destinations = snapshot(activations=(activation,)).destinations["demo"]
    return lookup(GOLD, {}, destinations, until_ms=FOREVER_MS, now_ms=now_ms)


def test_an_activation_counts_from_its_start_date_to_the_end_of_its_end_date() -> None:
    today = date(2026, 3, 15)
    activation = Activation(audience="gold", destination="d-cms", start_date=today, end_date=today)

    during = _found(activation)
    before = _found(activation, MIDNIGHT_MS - 1)
    after = _found(activation, MIDNIGHT_MS + DAY_MS)

    assert during.destinations[0].audiences == ("gold",)
    assert during.until_ms == MIDNIGHT_MS + DAY_MS
    assert before.destinations[0].audiences == ()
    assert before.destinations[0].refused[0].reason == "not-started"
    assert before.until_ms == MIDNIGHT_MS
    assert after.destinations[0].refused[0].reason == "ended"
    assert after.until_ms == FOREVER_MS


def test_an_activation_may_end_on_the_last_day_that_there_is() -> None:
    """What other systems write for "never" had ended `perso apply` with a traceback."""
    activation = Activation(audience="gold", destination="d-cms", end_date=date.max)

    found = _found(activation)

    assert found.destinations[0].audiences == ("gold",)
    assert found.until_ms == 253_402_300_800_000, "10000-01-01T00:00Z"


def test_an_exited_membership_is_not_answered() -> None:
    exited = {"gold": Membership(audience_id="gold", status="exited", since_ms=1)}
    destinations = snapshot().destinations["demo"]

    found = lookup(exited, {}, destinations, until_ms=FOREVER_MS, now_ms=NOON_MS)

    assert found.destinations[0].audiences == ()


def test_before_a_choice_only_in_permits_and_a_choice_stands_over_the_default() -> None:
    assert may_collect(None, "in")
    assert not may_collect(None, "pending")
    assert not may_collect(None, "out")
    assert may_collect(Consent("in", 1), "out")
    assert not may_collect(Consent("out", 1), "in")


@pytest.mark.parametrize(
    ("stands", "reason"),
    [
        ({}, "missing"),
        ({"loyalty": {}}, "missing"),
        ({"loyalty": "gold"}, "missing"),
        ({"loyalty": [{"tier": "gold"}]}, "missing"),
        ({"loyalty": {"tier": None}}, "not-single"),
        ({"loyalty": {"tier": ["gold"]}}, "not-single"),
        ({"loyalty": {"tier": {"name": "gold"}}}, "not-single"),
    ],
)
def test_a_mapped_attribute_without_a_single_value_is_withheld_with_the_reason(
    stands: dict[str, Any], reason: str
) -> None:
    (entry,) = _mapped_from(stands).destinations

    assert entry.attributes == {}
    assert [(one.target, one.reason) for one in entry.withheld] == [("tier", reason)]


@pytest.mark.parametrize("value", ["gold", "", 0, 1.5, True, False])
def test_a_mapped_attribute_is_any_single_value(value: object) -> None:
    (entry,) = _mapped_from({"loyalty": {"tier": value}}).destinations

    assert (entry.attributes, entry.withheld) == ({"tier": value}, ())


def _mapped_from(attributes: dict[str, Any]) -> Lookup:
    (cms,) = snapshot().destinations["demo"]
    mapping = AttributeMapping(source="loyalty.tier", target="tier")
    definition = structs.replace(cms.definition, attributes=(mapping,))
    destinations = (connected(definition, cms.activations),)
    return lookup({}, attributes, destinations, until_ms=FOREVER_MS, now_ms=NOON_MS)


DAYS = st.none() | st.dates(date(2026, 3, 13), date(2026, 3, 17))
# In another order than the audiences' own.
NAMES = ("gold", "basket", "third", "fourth")


@given(
    st.permutations(NAMES),
    st.lists(st.tuples(DAYS, DAYS), min_size=4, max_size=4),
    st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.integers(-3, 3)), max_size=6),
    st.sampled_from((None, Consent("in", 5, share="n", share_since_ms=7))),
    st.booleans(),
)
def test_what_is_remembered_of_others_is_what_each_would_be_told_alone(
    names: list[str],
    days: list[tuple[date | None, date | None]],
    asked: list[tuple[set[str], int]],
    consent: Consent | None,
    advertising: bool,
) -> None:
    activations = tuple(
        Activation(audience=name, destination="d-cms", start_date=start, end_date=end)
        for name, (start, end) in zip(names[:3], days, strict=False)
    )
    rules = dict.fromkeys(NAMES, 'loyalty.tier = "gold"')
    known = snapshot(rules, activations=activations, advertising=advertising)
    remembered, before = Lookups(known), 0

    for realized, day in asked:
        now_ms, until_ms = NOON_MS + day * DAY_MS, NOON_MS + 4 * DAY_MS
        members = sum(1 << known.rules.position_of[name] for name in realized)
        memberships = {
            name: Membership(audience_id=name, status="realized", since_ms=1) for name in realized
        }
        alone = lookup(
            memberships,
            {},
            known.destinations["demo"],
            until_ms=until_ms,
            now_ms=now_ms,
            consent=consent,
        )
        told = remembered.of(
            members, {}, "demo", until_ms=until_ms, now_ms=now_ms, consent=consent, before=before
        )
        assert alone == told
        before = members
