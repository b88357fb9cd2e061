from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.event import MAX_QUEUE_MS, event_from
from perso_core.decision.identity import Device, Identity, ecid_from, is_ecid
from perso_core.decision.profile import (
    Profile,
    merge,
    patched,
    view,
    with_claims,
    without_events_before,
)
from tests.building import NOON_MS, event

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=4)


def test_merging_the_same_event_again_changes_nothing() -> None:
    once = merge(Profile(key="ECID:1"), event(), max_events=10).profile

    again = merge(once, event(), max_events=10)

    assert again.outcome == "duplicate"
    assert again.profile is once


def test_a_second_report_of_an_event_adds_what_only_it_knows_and_changes_nothing_known() -> None:
    server = event(web={"webPageDetails": {"name": "home"}})
    script = event(web={"webPageDetails": {"name": "HOME", "viewport": 320}}, device={"w": 1})
    once = merge(Profile(key="ECID:1"), server, max_events=10).profile

    merged = merge(once, script, max_events=10)

    assert merged.outcome == "completed"
    assert len(merged.profile.events) == 1
    xdm = merged.profile.events[0].xdm
    assert xdm["web"] == {"webPageDetails": {"name": "home", "viewport": 320}}
    assert xdm["device"] == {"w": 1}
    assert xdm["timestamp"] == NOON_MS


def test_events_stand_in_the_order_of_their_time_whatever_order_they_come_in() -> None:
    profile = Profile(key="ECID:1")
    for at_ms, event_id in ((NOON_MS, "b"), (NOON_MS - 5, "a"), (NOON_MS, "c")):
        profile = merge(profile, event(at_ms=at_ms, event_id=event_id), max_events=10).profile

    assert [kept.id for kept in profile.events] == ["a", "b", "c"]


def test_the_oldest_event_makes_room_and_says_so() -> None:
    profile = Profile(key="ECID:1")
    for number in range(3):
        merged = merge(profile, event(at_ms=NOON_MS + number, event_id=str(number)), max_events=2)
        profile = merged.profile

    assert [kept.id for kept in profile.events] == ["1", "2"]
    assert merged.evicted


def test_events_that_no_rule_can_see_any_more_are_let_go() -> None:
    profile = Profile(key="ECID:1")
    for at_ms in (NOON_MS, NOON_MS + 10):
        profile = merge(profile, event(at_ms=at_ms, event_id=str(at_ms)), max_events=9).profile

    assert len(without_events_before(profile, NOON_MS + 1).events) == 1
    assert without_events_before(profile, NOON_MS) is profile


def test_the_time_of_an_event_is_ours_less_its_time_in_the_queue() -> None:
    xdm = {"timestamp": "1999-01-01T00:00:00Z"}

    queued = event_from(xdm, event_id="e", received_ms=NOON_MS, queue_ms=250)
    too_long = event_from(xdm, event_id="e", received_ms=NOON_MS, queue_ms=10**9)
    negative = event_from(xdm, event_id="e", received_ms=NOON_MS, queue_ms=-5)

    assert queued.timestamp_ms == queued.xdm["timestamp"] == NOON_MS - 250
    assert queued.client_timestamp == "1999-01-01T00:00:00Z"
    assert too_long.timestamp_ms == NOON_MS - MAX_QUEUE_MS
    assert negative.timestamp_ms == NOON_MS


def test_a_browser_that_says_it_is_signed_in_proves_nothing_to_a_rule() -> None:
    profile = with_claims(Profile(key="ECID:1"), (Identity("CRMID", "anna"),), max_claims=50)

    identities = view(profile, {})["identityMap"]

    assert identities["CRMID"] == [{"id": "anna", "authenticatedState": "ambiguous"}]


def test_what_the_site_says_of_an_identity_stands_over_what_a_browser_claims() -> None:
    stated = {"identityMap": {"CRMID": [{"id": "anna", "authenticatedState": "authenticated"}]}}
    profile = Profile(key="ECID:1", attributes=stated, claims=(Identity("CRMID", "anna"),))

    assert view(profile, {})["identityMap"]["CRMID"] == stated["identityMap"]["CRMID"]


def test_claims_are_bounded() -> None:
    claims = tuple(Identity("CRMID", str(number)) for number in range(200))

    assert len(with_claims(Profile(key="ECID:1"), claims, max_claims=50).claims) == 50


def test_an_unproven_name_has_a_profile_of_its_own() -> None:
    ecid = ecid_from(bytes(range(16)))

    assert is_ecid(ecid)
    assert Device(ecid).profile_key != Device(ecid, suffix="00ff00ff00ff00ff").profile_key


def test_a_null_in_a_patch_removes_and_objects_merge() -> None:
    attributes = {"loyalty": {"tier": "gold", "points": 5}, "vip": True}

    after = patched(attributes, {"loyalty": {"points": None, "since": 1}, "vip": None})

    assert after == {"loyalty": {"tier": "gold", "since": 1}}


@given(OBJECTS, OBJECTS)
def test_patching_twice_is_patching_once(attributes: dict[str, Any], patch: dict[str, Any]) -> None:
    once = patched(attributes, patch)

    assert patched(once, patch) == once


@given(st.binary(min_size=16, max_size=16))
def test_every_ecid_has_38_digits(entropy: bytes) -> None:
    assert is_ecid(ecid_from(entropy))


def test_where_there_is_one_event_too_many_a_sixteenth_of_them_goes_at_once() -> None:
    profile = Profile(key="ECID:1")
    for number in range(65):
        merged = merge(profile, event(event_id=f"e{number}"), max_events=64)
        profile = merged.profile

    assert merged.evicted
    assert [one.id for one in profile.events] == [f"e{number}" for number in range(5, 65)]
