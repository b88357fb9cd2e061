"""Since when a visitor who comes back is in an audience that was defined meanwhile."""

from __future__ import annotations

from msgspec import structs

from perso_core.decision.event import event_from
from perso_core.decision.membership import Membership
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import MAX_STEPS, qualify_all, resumed
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from tests.building import DAY_MS, HOUR_MS, NOON_MS, definitions

APPLIED_MS = NOON_MS + DAY_MS
MIDNIGHT_MS = NOON_MS + 12 * HOUR_MS
GOLD = {"loyalty": {"tier": "Gold"}}


def newer(rule: str = 'loyalty.tier = "Gold"', *, in_force_ms: int = APPLIED_MS) -> Snapshot:
    return compile_snapshot(definitions({"new": rule}), in_force_ms=in_force_ms)


def stored(**fields: object) -> Profile:
    """What was stored at noon, under definitions that knew no such audience."""
    before = Profile(key="CRMID:7", version=3, evaluated_ms=NOON_MS, snapshot_id="older")
    return structs.replace(before, **fields)


def since(profile: Profile, snapshot: Snapshot, now_ms: int) -> int:
    return resumed(profile, snapshot, now_ms=now_ms).profile.memberships["new"].since_ms


def test_since_when_stays_the_same_however_often_a_profile_is_read_again() -> None:
    reads = [APPLIED_MS + hours * HOUR_MS for hours in (1, 5, 90)]

    told = [since(stored(attributes=GOLD), newer(), read_ms) for read_ms in reads]

    assert told == [APPLIED_MS] * 3


def test_what_was_stored_after_the_definitions_came_is_dated_by_what_was_stored() -> None:
    late = stored(attributes=GOLD, evaluated_ms=APPLIED_MS + HOUR_MS)

    assert since(late, newer(), APPLIED_MS + DAY_MS) == APPLIED_MS + HOUR_MS


def test_what_time_brings_after_new_definitions_came_has_its_own_instant() -> None:
    view = event_from({"eventType": "view"}, event_id="1", received_ms=NOON_MS)
    rule = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view") WHEN(> 2 days before now)])'

    entered = since(stored(events=(view,)), newer(rule), NOON_MS + 9 * DAY_MS)

    assert entered == NOON_MS + 2 * DAY_MS + 1


def test_who_no_longer_fits_a_changed_rule_left_when_the_rule_changed() -> None:
    member = Membership(audience_id="new", status="realized", since_ms=NOON_MS)

    left = since(stored(memberships={"new": member}), newer(), APPLIED_MS + DAY_MS)

    assert left == APPLIED_MS


def test_who_had_left_by_time_alone_before_other_rules_came_left_when_that_was() -> None:
    view = event_from({"eventType": "view"}, event_id="1", received_ms=NOON_MS)
    member = Membership(audience_id="new", status="realized", since_ms=NOON_MS)
    rule = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view") WHEN(<= 3 seconds before now)])'
    visitor = stored(events=(view,), memberships={"new": member})

    left = [since(visitor, newer(rule), APPLIED_MS + hours * HOUR_MS) for hours in (0, 9)]

    assert left == [NOON_MS + 3_001] * 2


def test_who_was_in_hundreds_of_audiences_has_left_each_at_its_own_instant() -> None:
    """However often, and whenever, it is read again: nothing is written until the next event."""
    count = MAX_STEPS + 44
    kinds = [f"kind {number}" for number in range(count)]
    rule = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "{}") WHEN({})])'
    rules = {kind: rule.format(kind, "<= 1 hour before now") for kind in kinds}
    in_force = compile_snapshot(definitions(rules | {kinds[0]: rule.format(kinds[0], "today")}))
    events = tuple(
        event_from({"eventType": kind}, event_id=kind, received_ms=NOON_MS + 10 * number)
        for number, kind in enumerate(kinds)
    )
    came = Profile(key="CRMID:7", version=3, events=events)
    visitor = qualify_all(came, in_force, now_ms=NOON_MS + 10 * count).profile

    for days in (2, 3):
        now_ms = NOON_MS + days * DAY_MS
        left = resumed(visitor, in_force, now_ms=now_ms).profile.memberships
        assert {kind: (one.status, one.since_ms) for kind, one in left.items()} == {
            kind: ("exited", NOON_MS + 10 * number + HOUR_MS + 1 if number else MIDNIGHT_MS)
            for number, kind in enumerate(kinds)
        }


def test_definitions_of_a_clock_that_is_ahead_date_nothing_in_the_future() -> None:
    assert since(stored(attributes=GOLD), newer(), APPLIED_MS - HOUR_MS) == APPLIED_MS - HOUR_MS


def test_under_definitions_without_a_date_it_is_the_instant_the_profile_was_stored_for() -> None:
    assert since(stored(attributes=GOLD), newer(in_force_ms=0), APPLIED_MS) == NOON_MS
