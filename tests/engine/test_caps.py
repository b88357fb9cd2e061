"""What gives way where a profile holds as much as it may."""

from __future__ import annotations

import pytest

from perso_core.decision.caps import Caps
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile
from perso_core.engine.engine import Engine, Interaction
from perso_core.engine.interaction import Answer
from perso_core.engine.journal import AttributesPatched, Change, EventArrived
from perso_core.errors import BadAttributes, RecordTooLarge
from perso_core.stores.protocol import Stored, Whole
from perso_core.stores.record import profile_from, profile_record
from perso_core.stores.telling import everything, told
from tests.building import NOON_MS, event, snapshot

KEY = "ECID:1"


def profile_after(*changes: Change) -> Profile:
    engine = Engine(snapshot(), caps=Caps(events=3, identities=2, record_bytes=1_100))
    engine.admit(KEY, None, None, now_ms=NOON_MS)
    for number, change in enumerate(changes):
        visit = Interaction(profile_key=KEY, datastream_id="demo", changes=(change,))
        engine.decide(visit, now_ms=NOON_MS + number)
        engine.kept(entry.sequence for entry in engine.pending(9))
    found = engine.profile(KEY, now_ms=NOON_MS + len(changes))
    assert isinstance(found, Profile)
    return found


def visit(number: int, *claims: str) -> EventArrived:
    happened = event(event_id=f"e{number}", at_ms=NOON_MS + number)
    return EventArrived(event=happened, claims=tuple(Identity("CRMID", one) for one in claims))


def test_of_too_many_events_the_oldest_go_and_the_profile_says_how_many() -> None:
    full = profile_after(*(visit(number) for number in range(5)))

    assert [one.id for one in full.events] == ["e2", "e3", "e4"]
    assert told(full)["dropped"] == {"events": 2, "identities": 0, "attributes": 0}


def test_what_a_lowered_cap_takes_goes_with_the_next_event_and_is_counted() -> None:
    engine = Engine(snapshot(), caps=Caps(events=3))
    stored = Profile(
        key=KEY,
        version=1,
        events=tuple(visit(number).event for number in range(6)),
        dropped_events=10,
    )
    engine.admit(KEY, stored, None, now_ms=NOON_MS)
    looked_at = engine.profile(KEY, now_ms=NOON_MS)

    came = Interaction(
        profile_key=KEY, datastream_id="demo", changes=(visit(7),), counts_dropped=True
    )
    answer = engine.decide(came, now_ms=NOON_MS + 7)
    engine.kept(entry.sequence for entry in engine.pending(9))

    after = engine.profile(KEY, now_ms=NOON_MS + 7)
    assert isinstance(looked_at, Profile)
    assert len(looked_at.events) == 6
    assert isinstance(after, Profile)
    assert [one.id for one in after.events] == ["e4", "e5", "e7"]
    assert after.dropped_events == 14
    assert isinstance(answer, Answer)
    assert answer.dropped.events == 4


def test_of_too_many_identities_those_claimed_first_go_and_the_profile_says_how_many() -> None:
    full = profile_after(visit(1, "anna", "bert"), visit(2, "carl"), visit(3, "carl"))

    assert [one.id for one in full.claims] == ["bert", "carl"]
    assert told(full)["dropped"] == {"events": 0, "identities": 1, "attributes": 0}


def test_what_gave_way_is_kept_and_exported() -> None:
    full = profile_after(*(visit(number) for number in range(5)))

    again = profile_from(KEY, full.version, profile_record(full), full.events)

    assert everything(KEY, Whole(Stored(again)))["dropped"] == {
        "events": 2,
        "identities": 0,
        "attributes": 0,
    }


def test_a_patch_that_would_make_a_record_too_large_is_refused_whole() -> None:
    with pytest.raises(RecordTooLarge, match=r"would take 1,2\d\d bytes as JSON; 1,100 is") as why:
        profile_after(
            AttributesPatched({"a": "x" * 600}), AttributesPatched({"b": "y" * 600, "a": "z" * 600})
        )

    assert isinstance(why.value, BadAttributes)


def test_after_a_refusal_the_profile_is_as_it_was() -> None:
    engine = Engine(snapshot(), caps=Caps(record_bytes=1_100))
    engine.admit(KEY, None, None, now_ms=NOON_MS)
    large = Interaction(
        profile_key=KEY, datastream_id="demo", changes=(AttributesPatched({"a": "x" * 2_000}),)
    )

    with pytest.raises(RecordTooLarge):
        engine.decide(large, now_ms=NOON_MS)

    assert not engine.pending(1)
    assert engine.profile(KEY, now_ms=NOON_MS) is None


def test_a_profile_that_is_too_large_already_may_get_smaller() -> None:
    # As one of a time at which more was allowed.
    engine = Engine(snapshot(), caps=Caps(record_bytes=100))
    kept = Profile(key=KEY, version=1, attributes={"a": "x" * 500, "b": 1})
    engine.admit(KEY, kept, None, now_ms=NOON_MS)
    smaller = Interaction(
        profile_key=KEY, datastream_id="demo", changes=(AttributesPatched({"b": None}),)
    )

    engine.decide(smaller, now_ms=NOON_MS)

    (entry,) = engine.pending(9)
    assert entry.profile is not None
    assert "b" not in entry.profile.attributes


def test_values_that_had_no_room_at_a_join_are_kept_as_a_number_and_told() -> None:
    kept = Profile(key=KEY, version=1, dropped_attributes=3)

    again = profile_from(KEY, 1, profile_record(kept), ())

    assert told(again)["dropped"] == {"events": 0, "identities": 0, "attributes": 3}
