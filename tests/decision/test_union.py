"""A profile becomes part of another one: the laws, and what they come to."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.attributes import MAX_RECORD_BYTES
from perso_core.decision.caps import Caps
from perso_core.decision.identity import Identity
from perso_core.decision.membership import Membership
from perso_core.decision.profile import (
    Profile,
    attributes_of,
    mark_of,
    merge,
    said_of,
    was_moved,
)
from perso_core.decision.qualification import qualify_all, resumed
from perso_core.decision.union import (
    FEW_MARKS,
    MAX_MARKS,
    MAX_MOVES,
    MOVED_KNOWN_MS,
    holds_something,
    united,
    version_to_see,
)
from perso_core.stores.record import profile_from, profile_record
from tests.building import DAY_MS, HOUR_MS, NOON_MS, event, snapshot
from tests.soaking import times

some = settings(max_examples=times(30, 2_000))
ANNA = "o demo CRMID:4711"
PHONE = "ECID:" + "1" * 38
TABLET = "ECID:" + "2" * 38
MAIL = "o demo Email:anna@shop.test"

plain = st.sampled_from([True, 1, 1.5, "a", "b", ["a"]])
values = plain | st.dictionaries(st.sampled_from("xy"), plain)
trees = st.dictionaries(st.sampled_from("pqr"), values, max_size=3)
# Few ids and instants, so that profiles have some in common.
events = st.builds(
    lambda id, later_ms, fields: event(event_id=id, at_ms=NOON_MS + later_ms, **fields),
    st.sampled_from("abcd"),
    st.integers(0, 3),
    trees,
)
memberships = st.dictionaries(
    st.sampled_from(["gold", "basket"]),
    st.tuples(st.sampled_from(["realized", "exited"]), st.integers(0, 3)),
)


@st.composite
def profiles(draw: st.DrawFn, key: str) -> Profile:
    kept = {one.id: one for one in draw(st.lists(events, max_size=4))}
    return Profile(
        key=key,
        version=draw(st.integers(1, 9)),
        attributes=draw(trees),
        claims=tuple(draw(st.sets(st.sampled_from([Identity("Email", n) for n in "mno"])))),
        events=tuple(sorted(kept.values(), key=lambda one: one.timestamp_ms)),
        memberships={
            name: Membership(audience_id=name, status=status, since_ms=since_ms)  # type: ignore[arg-type]  # one of the two
            for name, (status, since_ms) in draw(memberships).items()
        },
        datastreams=tuple(draw(st.sets(st.sampled_from(["demo", "shop"])))),
        evaluated_ms=draw(st.integers(1, 3)),
        snapshot_id="s",
    )


def joined(
    into: Profile, *others: Profile, max_events: int = 100, max_bytes: int = MAX_RECORD_BYTES
) -> Profile:
    caps = Caps(events=max_events, record_bytes=max_bytes)
    for other in others:
        into = united(into, other, now_ms=NOON_MS, caps=caps).profile
    return into


def told(profile: Profile) -> dict[str, Any]:
    """All of it, without order where there is none, and without its version."""
    return {
        **structs.asdict(profile),
        "version": 0,
        "claims": set(profile.claims),
        "datastreams": set(profile.datastreams),
        "events": sorted(profile.events, key=lambda one: one.id),
    }


# ---- laws ----------------------------------------------------------------------


@some
@given(profiles(ANNA), profiles(PHONE), profiles(TABLET), profiles(MAIL))
def test_whatever_arrives_first_the_profile_is_the_same(
    anna: Profile, phone: Profile, tablet: Profile, mail: Profile
) -> None:
    orders = permutations((phone, tablet, mail))
    first, *rest = [told(joined(anna, *order)) for order in orders]

    assert all(one == first for one in rest)
    assert list(first["brought"]) == [
        name for name in ("Email", "ECID") if name in first["brought"]
    ]


def test_yes_and_one_are_two_values_whatever_arrives_first() -> None:
    reports = [
        Profile(key=key, version=1, events=(event(event_id="b", p=value),))
        for key, value in ((PHONE, True), (TABLET, 1), (MAIL, 1.5))
    ]

    for order in permutations(reports):
        (kept,) = joined(Profile(key=ANNA, version=1), *order).events
        assert repr(kept.xdm["p"]) == "1"


@some
@given(profiles(ANNA), profiles(PHONE), profiles(TABLET))
def test_a_profile_that_has_become_part_of_another_first_makes_no_difference(
    anna: Profile, phone: Profile, tablet: Profile
) -> None:
    mail = Profile(key=MAIL)
    by_way = told(joined(anna, joined(mail, phone, tablet)))
    straight = told(joined(anna, mail, phone, tablet))

    assert by_way == straight


@some
@given(profiles(ANNA), profiles(PHONE))
def test_merging_again_changes_nothing(anna: Profile, phone: Profile) -> None:
    once = joined(anna, phone)

    assert told(joined(once, phone)) == told(once)


@some
@given(profiles(ANNA), profiles(PHONE))
def test_nothing_of_either_is_lost(anna: Profile, phone: Profile) -> None:
    both = joined(anna, phone)

    ids = {one.id for one in (*anna.events, *phone.events)}
    assert {one.id for one in both.events} == ids
    assert len(both.events) == len(ids)
    assert list(both.events) == sorted(both.events, key=lambda one: one.timestamp_ms)
    assert {*anna.claims, *phone.claims, Identity("ECID", "1" * 38)} == set(both.claims)
    assert set(anna.memberships) | set(phone.memberships) == set(both.memberships)
    assert set(anna.attributes) | set(phone.attributes) == set(attributes_of(both))
    for name, value in anna.attributes.items():
        if not isinstance(value, dict):
            assert attributes_of(both)[name] == value


@some
@given(profiles(ANNA), profiles(PHONE), st.integers(1, 4))
def test_the_newest_events_stay_where_there_are_too_many(
    anna: Profile, phone: Profile, max_events: int
) -> None:
    whole, cut = joined(anna, phone), joined(anna, phone, max_events=max_events)

    assert cut.events == whole.events[-max_events:]


@some
@given(profiles(ANNA), profiles(PHONE))
def test_versions_go_up_for_both(anna: Profile, phone: Profile) -> None:
    found = united(anna, phone, now_ms=NOON_MS, caps=Caps(9))

    assert found.profile.version > max(anna.version, phone.version)
    assert found.rest.version > phone.version
    assert version_to_see(found.rest, ANNA) == found.profile.version
    assert version_to_see(found.rest, MAIL) == 0


@some
@given(profiles(ANNA), profiles(PHONE))
def test_what_stays_has_nothing_in_it_and_counts_no_event_again(
    anna: Profile, phone: Profile
) -> None:
    rest = united(anna, phone, now_ms=NOON_MS, caps=Caps(9)).rest

    assert not holds_something(rest)
    assert not rest.memberships
    assert rest.datastreams == phone.datastreams
    for one in phone.events:
        assert merge(rest, one, max_events=9).outcome == "duplicate"
    assert merge(rest, event(event_id="new"), max_events=9).outcome == "added"


@some
@given(profiles(ANNA), profiles(PHONE))
def test_a_record_keeps_what_became_of_both(anna: Profile, phone: Profile) -> None:
    found = united(anna, phone, now_ms=NOON_MS, caps=Caps(9))

    for one in (found.profile, found.rest):
        assert profile_from(one.key, one.version, profile_record(one), one.events) == one


# ---- what it comes to ------------------------------------------------------------


def anna(**fields: Any) -> Profile:
    return Profile(key=ANNA, version=5, **fields)


def phone(**fields: Any) -> Profile:
    return Profile(key=PHONE, version=7, **fields)


def test_what_is_said_of_the_customer_stands_and_the_device_fills_gaps() -> None:
    both = joined(
        anna(attributes={"loyalty": {"tier": "gold"}}),
        phone(attributes={"loyalty": {"tier": "none", "points": 3}, "theme": "dark"}),
    )

    assert attributes_of(both) == {"loyalty": {"tier": "gold", "points": 3}, "theme": "dark"}


def test_of_two_that_fill_one_gap_the_higher_namespace_does() -> None:
    device = phone(attributes={"city": "Bonn"})
    mail = Profile(key=MAIL, version=1, attributes={"city": "Ulm"})

    for others in ((device, mail), (mail, device)):
        assert attributes_of(joined(anna(), *others)) == {"city": "Ulm"}


def test_what_is_said_of_the_customer_later_stands_too_and_what_is_taken_away_is_gone() -> None:
    both = joined(anna(), phone(attributes={"theme": "dark", "city": "Bonn"}))

    later = said_of(both, {"theme": "light", "city": None})
    again = said_of(later, {"theme": None})

    assert attributes_of(later) == {"theme": "light"}
    assert attributes_of(again) == {}


def test_who_was_in_an_audience_on_both_is_in_it_since_the_earlier() -> None:
    def member(status: Any, since_ms: int) -> dict[str, Membership]:
        return {"a": Membership(audience_id="a", status=status, since_ms=since_ms)}

    for one, other, kept in (
        (("realized", 5), ("realized", 3), ("realized", 3)),
        (("exited", 5), ("realized", 8), ("realized", 8)),
        (("exited", 5), ("exited", 8), ("exited", 8)),
    ):
        both = joined(anna(memberships=member(*one)), phone(memberships=member(*other)))
        assert both.memberships == member(*kept)


def test_an_audience_that_neither_was_in_alone_begins_as_they_become_one() -> None:
    in_force = snapshot({"twice": 'xEvent[eventType = "add"].count() >= 2'})

    def decided(profile: Profile, event_id: str) -> Profile:
        added = structs.replace(
            profile, events=(event("add", event_id=event_id, at_ms=NOON_MS - HOUR_MS),)
        )
        return qualify_all(added, in_force, now_ms=NOON_MS - HOUR_MS).profile

    both = joined(decided(anna(), "a"), decided(phone(), "b"))
    later = resumed(both, in_force, now_ms=NOON_MS + HOUR_MS).profile

    assert later.memberships["twice"].since_ms == NOON_MS


def test_what_stays_of_a_device_was_touched_when_the_device_was() -> None:
    device = phone(touched_ms=NOON_MS, evaluated_ms=NOON_MS - DAY_MS)

    rest = united(anna(), device, now_ms=NOON_MS, caps=Caps()).rest

    assert rest.touched_ms == NOON_MS


def test_of_too_many_identities_those_that_were_there_first_go_and_are_counted() -> None:
    mails = tuple(Identity("Email", str(n)) for n in range(5))
    into = anna(claims=mails[:3], dropped_claims=7)

    both = united(into, phone(claims=mails[3:]), now_ms=NOON_MS, caps=Caps(identities=4)).profile

    assert both.claims == (mails[2], Identity("ECID", "1" * 38), *mails[3:])
    assert both.dropped_claims == 7 + 2


def test_one_event_that_both_report_is_one_and_has_what_either_knew() -> None:
    page = event(event_id="e", at_ms=NOON_MS + 1, page="home")
    server = event(event_id="e", at_ms=NOON_MS, price=3)

    (one,) = joined(anna(events=(page,)), phone(events=(server,))).events

    assert (one.xdm["page"], one.xdm["price"]) == ("home", 3)
    assert one.timestamp_ms == NOON_MS == one.xdm["timestamp"]


def test_attributes_beyond_what_a_record_holds_stay_out() -> None:
    text = "x" * (MAX_RECORD_BYTES - 100)
    both = joined(anna(attributes={"own": text}), phone(attributes={"b": "kept", "c": text}))
    more = joined(both, Profile(key=TABLET, version=1, attributes={"d": "x" * 99, "a": "kept"}))

    assert attributes_of(more) == {"own": text, "a": "kept", "b": "kept", "c": text}


def test_what_profiles_brought_is_kept_whole_up_to_the_setting_to_the_byte() -> None:
    said = {"a": 1, "b": {"c": "x", "d": {"e": 2, "é": 3}}, "f": [1, 2]}
    size = len(msgspec.json.encode(said))

    whole = joined(anna(), phone(attributes=said), max_bytes=size)
    cut = joined(anna(), phone(attributes=said), max_bytes=size - 1)

    assert (whole.brought, whole.dropped_attributes) == ({"ECID": said}, 0)
    assert (cut.brought, cut.dropped_attributes) == ({"ECID": {"a": 1, "b": said["b"]}}, 1)


def test_of_an_object_that_has_no_room_as_a_whole_some_stays() -> None:
    said = {"a": {"large": "x" * 2_000, "small": 1, "twice": {"y": "y" * 900, "z": "z" * 900}}}

    both = joined(anna(), phone(attributes={**said, "b": 2}), max_bytes=1_024)

    assert both.brought == {"ECID": {"a": {"small": 1, "twice": {"y": "y" * 900}}, "b": 2}}
    assert both.dropped_attributes == 2


def test_of_two_namespaces_the_lower_one_gives_way() -> None:
    of_mail = Profile(key=MAIL, version=1, attributes={"z": "m" * 600})
    of_phone = phone(attributes={"a": "p" * 600}, dropped_attributes=5)

    for order in permutations((of_mail, of_phone)):
        both = joined(anna(dropped_attributes=7), *order, max_bytes=1_024)
        assert both.brought == {"Email": {"z": "m" * 600}}
        assert both.dropped_attributes == 7 + 5 + 1


@some
@given(profiles(ANNA), profiles(PHONE), profiles(MAIL), st.integers(2, 80))
def test_no_value_that_a_profile_brings_is_lost_without_being_counted(
    anna: Profile, phone: Profile, mail: Profile, max_bytes: int
) -> None:
    for one, other in permutations((phone, mail)):
        before = joined(anna, one)
        whole = joined(before, other)
        cut = joined(before, other, max_bytes=max_bytes)
        size = sum(len(msgspec.json.encode(tree)) - 1 for tree in cut.brought.values()) + 1

        assert _brought(whole) == _brought(cut) + cut.dropped_attributes
        assert size <= max(max_bytes, 2)


def _brought(profile: Profile) -> int:
    return sum(_values(value) for tree in profile.brought.values() for value in tree.values())


def _values(tree: Any) -> int:
    """How many values there are that are no objects with fields."""
    return sum(map(_values, tree.values())) if isinstance(tree, dict) and tree else 1


def test_marks_of_moved_events_are_bounded_and_end_after_a_day() -> None:
    many = tuple(event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(MAX_MARKS + 5))
    rest = united(anna(), phone(events=many), now_ms=NOON_MS, caps=Caps(9_999)).rest
    marks = [len(one.marks) for one in rest.moved]
    later = structs.replace(rest, events=(event(event_id="later"),))
    again = united(anna(), later, now_ms=NOON_MS + HOUR_MS, caps=Caps(9)).rest
    tomorrow = united(anna(), later, now_ms=NOON_MS + MOVED_KNOWN_MS + 1, caps=Caps(9)).rest

    assert marks == [MAX_MARKS]
    assert [len(one.marks) for one in again.moved] == [MAX_MARKS, 1]
    assert [one.at_ms for one in tomorrow.moved] == [NOON_MS + DAY_MS + 1]


def test_a_device_that_signs_in_again_and_again_leaves_a_bounded_record() -> None:
    rest = phone()
    for n in range(2 * MAX_MOVES):
        rest = united(
            Profile(key=f"{ANNA}{n}", version=5), rest, now_ms=NOON_MS + n, caps=Caps(9)
        ).rest

    assert len(rest.moved) == MAX_MOVES


def test_who_signs_in_and_out_again_and_again_is_known_by_hundreds_of_events() -> None:
    rest, sent = phone(), list[bytes]()
    for n in range(MAX_MARKS):
        sent.append(mark_of(f"e{n}"))
        one = structs.replace(rest, events=(event(event_id=f"e{n}", at_ms=NOON_MS + n),))
        # Two customers take turns.
        taker = Profile(key=f"{ANNA}{n % 2}", version=5)
        rest = united(taker, one, now_ms=NOON_MS + n, caps=Caps(9)).rest
    known = frozenset[bytes]().union(*(one.marks for one in rest.moved))

    assert known.issuperset(sent[-MAX_MARKS // 2 :])
    assert len(rest.moved) <= MAX_MOVES
    assert sum(len(one.marks) for one in rest.moved) <= MAX_MARKS + FEW_MARKS
    assert [one.at_ms for one in rest.moved] == sorted(one.at_ms for one in rest.moved)


def test_a_move_of_many_events_is_known_until_as_many_moved_after_it() -> None:
    def moved(rest: Profile, begin: int, end: int) -> Profile:
        events = tuple(event(event_id=f"e{n}", at_ms=NOON_MS + n) for n in range(begin, end))
        one = structs.replace(rest, events=events)
        return united(anna(), one, now_ms=NOON_MS + end, caps=Caps(9_999)).rest

    rest = moved(moved(phone(), 0, MAX_MARKS - 100), MAX_MARKS - 100, MAX_MARKS + 100)

    assert all(was_moved(rest, f"e{n}") for n in range(100, MAX_MARKS + 100))
    after = moved(rest, MAX_MARKS + 100, 2 * MAX_MARKS + 100)
    assert sum(len(one.marks) for one in after.moved) == MAX_MARKS
