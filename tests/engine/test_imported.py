"""Imported memberships as the engine answers by them: exact in time, with no event."""

from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.decision.identity import Identity, server_key
from perso_core.decision.lookup import Lookup
from perso_core.decision.membership import (
    MOST_GONE_THROUGH,
    ImportedMembership,
    Membership,
    came_ms,
)
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import resumed
from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.external import with_membership_rule
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.erased import Erased
from perso_core.engine.journal import EventArrived, Expired
from tests.building import DAY_MS, HOUR_MS, NOON_MS, ORG, definitions, event

ANNA = "ECID:" + "1" * 38
UNTIL_MS = NOON_MS + HOUR_MS


def in_force(retention_days: int | None = None) -> Snapshot:
    """`risk` is external; `calm` is whoever is not in it and has a basket."""
    rules = {"basket": 'xEvent[eventType = "add"].count() >= 1'}
    found = definitions({**rules, "calm": 'inSegment("basket") and not inSegment("risk")'})
    risk = with_membership_rule(Audience(id="risk", name="Risk", pql="", source="external"))
    demo = structs.replace(found.datastreams[0], retention_days=retention_days)
    return compile_snapshot(
        structs.replace(
            found,
            datastreams=(demo,),
            audiences=(*found.audiences, risk),
            activations=(*found.activations, Activation(audience="risk", destination="d-cms")),
        )
    )


RISK = 'externalAudience.get("risk").since <= now and externalAudience.get("risk").until > now'


def realized(audience_id: str) -> Membership:
    return Membership(audience_id=audience_id, status="realized", since_ms=NOON_MS - HOUR_MS // 2)


def imported(since_ms: int = NOON_MS, until_ms: int = UNTIL_MS) -> Profile:
    return Profile(key=ANNA, imported={"risk": ImportedMembership(since_ms, until_ms)})


def engine_with(profile: Profile | None, *, now_ms: int = NOON_MS) -> Engine:
    engine = Engine(in_force(), hot_profiles=10, journal_limit=5)
    engine.admit(ANNA, profile, None, now_ms=now_ms)
    return engine


def audiences(engine: Engine, now_ms: int, key: str = ANNA) -> tuple[set[str], int]:
    """Those that the page is told of, and until when."""
    found = engine.lookup(key, "demo", now_ms=now_ms)
    assert isinstance(found, Lookup)
    return set(found.destinations[0].audiences) if found.destinations else set(), found.until_ms


def membership(engine: Engine, now_ms: int) -> Membership | None:
    profile = engine.profile(ANNA, now_ms=now_ms)
    assert isinstance(profile, Profile)
    return profile.memberships.get("risk")


def test_it_holds_until_its_expiry_to_the_millisecond_and_the_answer_says_so() -> None:
    engine = engine_with(imported())

    assert audiences(engine, NOON_MS) == ({"risk"}, UNTIL_MS)
    assert audiences(engine, UNTIL_MS - 1)[0] == {"risk"}
    assert audiences(engine, UNTIL_MS)[0] == set()
    assert membership(engine, UNTIL_MS + 5) == Membership(
        audience_id="risk", status="exited", since_ms=UNTIL_MS
    )


def test_a_profile_that_slept_through_entry_and_expiry_has_both_instants() -> None:
    engine = engine_with(imported(since_ms=NOON_MS + 5, until_ms=NOON_MS + 9))

    assert membership(engine, NOON_MS + HOUR_MS) == Membership(
        audience_id="risk", status="exited", since_ms=NOON_MS + 9
    )


def test_whoever_left_unseen_and_was_imported_again_left_at_the_expiry() -> None:
    until_noon = ImportedMembership(NOON_MS - HOUR_MS, NOON_MS)
    again = ImportedMembership(NOON_MS + 3 * HOUR_MS, NOON_MS + 9 * HOUR_MS, until_noon)
    in_force = compile_snapshot(
        definitions(
            {
                "seen": 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "add")'
                " WHEN(<= 2 hours before now)])",
                "both": f'{RISK} and inSegment("seen")',
                "never": f"not ({RISK})",
            }
        )
    )
    engine = Engine(in_force, hot_profiles=10, journal_limit=5)
    seen_ms = NOON_MS - HOUR_MS // 2
    stored = Profile(
        key=ANNA,
        version=1,
        events=(event("add", at_ms=seen_ms),),
        memberships={one.audience_id: one for one in (realized("seen"), realized("both"))},
        evaluated_ms=seen_ms,
        snapshot_id=in_force.id,
        imported={"risk": again},
    )
    engine.admit(ANNA, stored, None, now_ms=NOON_MS + 4 * HOUR_MS)

    found = engine.profile(ANNA, now_ms=NOON_MS + 4 * HOUR_MS)

    assert isinstance(found, Profile)
    assert found.imported == stored.imported
    assert {one.audience_id: (one.status, one.since_ms) for one in found.memberships.values()} == {
        "seen": ("exited", seen_ms + 2 * HOUR_MS + 1),
        "both": ("exited", NOON_MS),
        "never": ("exited", NOON_MS + 3 * HOUR_MS),
    }


def test_what_was_imported_by_a_clock_that_was_ahead_holds_once_that_is_put_right() -> None:
    ahead = imported(since_ms=NOON_MS + DAY_MS, until_ms=NOON_MS + 2 * DAY_MS)
    engine = engine_with(ahead)

    assert audiences(engine, NOON_MS) == ({"risk"}, NOON_MS + 2 * DAY_MS)
    assert audiences(engine, NOON_MS + 2 * DAY_MS)[0] == set()


def test_who_is_known_by_an_import_alone_is_in_no_audience_since_before_it() -> None:
    in_force = compile_snapshot(
        definitions({"quiet": "xEvent.count() < 1"}), in_force_ms=NOON_MS - HOUR_MS
    )
    engine = Engine(in_force, hot_profiles=10, journal_limit=5)
    engine.admit(ANNA, imported(), None, now_ms=NOON_MS + 5)

    profile = engine.profile(ANNA, now_ms=NOON_MS + 5)

    assert isinstance(profile, Profile)
    assert profile.memberships["quiet"].since_ms == NOON_MS


def test_an_import_into_a_profile_in_memory_counts_from_the_import_on() -> None:
    engine = engine_with(None)
    arrived = EventArrived(event=event("add", at_ms=NOON_MS), datastream_id="demo")
    answer = engine.decide(
        Interaction(profile_key=ANNA, datastream_id="demo", changes=(arrived,)), now_ms=NOON_MS
    )
    assert isinstance(answer, Answer)
    engine.committed(answer.sequence)
    before = engine.profile(ANNA, now_ms=NOON_MS)
    assert isinstance(before, Profile)

    later = structs.replace(before, imported=imported(since_ms=NOON_MS + 7).imported)
    engine.renew(ANNA, later, None, now_ms=NOON_MS + 20)

    assert audiences(engine, NOON_MS + 20) == ({"basket", "risk"}, UNTIL_MS)
    assert membership(engine, NOON_MS + 20) == Membership(
        audience_id="risk", status="realized", since_ms=NOON_MS + 7
    )
    # Whoever leaves it is in what asks for that, at the same instant.
    assert audiences(engine, UNTIL_MS)[0] == {"basket", "calm"}


def test_a_rule_about_the_end_alone_knows_of_it_from_the_import_on() -> None:
    until = 'externalAudience.get("risk").until'
    in_force = compile_snapshot(
        definitions(
            {
                "ending": f"{until} occurs <= 3 hours after now",
                "far": f"{until} occurs > 5 hours after now",
                "unknown": f"{until}.isNull()",
            }
        )
    )
    engine = Engine(in_force, hot_profiles=10, journal_limit=5)
    stored = Profile(
        key=ANNA,
        version=1,
        evaluated_ms=NOON_MS - 9 * HOUR_MS,
        snapshot_id=in_force.id,
        imported=imported().imported,
    )
    engine.admit(ANNA, stored, None, now_ms=NOON_MS + 5)

    found = engine.profile(ANNA, now_ms=NOON_MS + 5)

    assert isinstance(found, Profile)
    assert {one.audience_id: (one.status, one.since_ms) for one in found.memberships.values()} == {
        "ending": ("realized", NOON_MS),
        "unknown": ("exited", NOON_MS),
    }


def test_who_was_imported_into_many_audiences_is_in_each_from_its_import_on() -> None:
    """Also in those that are not gone through one by one."""
    names = [f"list-{n:03}" for n in range(3 * MOST_GONE_THROUGH)]
    external = tuple(
        with_membership_rule(Audience(id=name, name=name, pql="", source="external"))
        for name in names
    )
    found = definitions({"basket": 'xEvent[eventType = "add"].count() >= 1'})
    snapshot = compile_snapshot(structs.replace(found, audiences=(*found.audiences, *external)))
    came = {name: NOON_MS + n for n, name in enumerate(names)}
    imported = {name: ImportedMembership(at_ms, UNTIL_MS) for name, at_ms in came.items()}
    stored = Profile(
        key=ANNA, version=1, evaluated_ms=NOON_MS, snapshot_id=snapshot.id, imported=imported
    )

    profile = resumed(stored, snapshot, now_ms=NOON_MS + HOUR_MS // 2).profile

    assert {one.audience_id: one.since_ms for one in profile.memberships.values()} == came
    assert len(came_ms(imported, NOON_MS, UNTIL_MS)) == MOST_GONE_THROUGH


def test_the_first_event_of_whoever_was_only_imported_begins_the_profile() -> None:
    engine = engine_with(imported())
    arrived = EventArrived(event=event("add", at_ms=NOON_MS + 1), datastream_id="demo")

    answer = engine.decide(
        Interaction(profile_key=ANNA, datastream_id="demo", changes=(arrived,)), now_ms=NOON_MS + 1
    )

    assert isinstance(answer, Answer)
    (entry,) = engine.pending(5)
    assert entry.base_version == 0
    assert set(answer.lookups[0].destinations[0].audiences) == {"basket", "risk"}


def test_what_was_before_an_erasure_stores_no_profile_of_who_was_imported_since() -> None:
    engine = engine_with(imported())
    arrived = EventArrived(event=event("add", at_ms=NOON_MS), datastream_id="demo")
    asked = Interaction(profile_key=ANNA, datastream_id="demo", changes=(arrived,))
    engine.decide(asked, now_ms=NOON_MS + 2)

    # The store refused it, for it is of before; and nothing could be written over what it is now.
    engine.renew(ANNA, imported(), None, now_ms=NOON_MS + 3, erased=Erased(at_ms=NOON_MS + 1))

    (entry,) = engine.pending(5)
    assert entry.profile is None


@pytest.mark.parametrize("version", [0, 1])
def test_a_retention_takes_no_imported_membership_away(version: int) -> None:
    customer = server_key(Identity("CRMID", "4711"), org=ORG, datastream_id="demo")
    engine = Engine(in_force(retention_days=2), hot_profiles=10, journal_limit=5)
    lasts = imported(until_ms=NOON_MS + 9 * DAY_MS)
    known = structs.replace(lasts, key=customer, version=version, touched_ms=NOON_MS)
    engine.admit(customer, known, None, now_ms=NOON_MS)

    assert audiences(engine, NOON_MS + 9 * DAY_MS - 1, customer)[0] == {"risk"}
    assert audiences(engine, NOON_MS + 9 * DAY_MS, customer)[0] == set()


def test_a_look_by_who_is_known_by_an_import_alone_stores_nothing() -> None:
    engine = Engine(in_force(retention_days=2), hot_profiles=10, journal_limit=5)
    customer = server_key(Identity("CRMID", "4711"), org=ORG, datastream_id="demo")
    lasts = structs.replace(imported(until_ms=NOON_MS + 9 * DAY_MS), key=customer)
    engine.admit(customer, lasts, None, now_ms=NOON_MS)

    looked = Interaction(profile_key=customer, datastream_id="demo", visits=True)
    engine.decide(looked, now_ms=NOON_MS + 3 * DAY_MS)

    assert not engine.pending(5)


def test_whoever_comes_again_past_the_retention_is_in_what_was_imported() -> None:
    engine = Engine(in_force(retention_days=2), hot_profiles=10, journal_limit=5)
    lasts = imported(until_ms=NOON_MS + 9 * DAY_MS)
    seen = structs.replace(lasts, version=1, datastreams=("demo",), touched_ms=NOON_MS)
    engine.admit(ANNA, seen, None, now_ms=NOON_MS)

    later_ms = NOON_MS + 3 * DAY_MS
    arrived = EventArrived(event=event("add", at_ms=later_ms), datastream_id="demo")
    asked = Interaction(profile_key=ANNA, datastream_id="demo", changes=(arrived,))
    answer = engine.decide(asked, now_ms=later_ms)

    assert isinstance(answer, Answer)
    assert set(answer.lookups[0].destinations[0].audiences) == {"basket", "risk"}
    gone, began = engine.pending(5)
    assert (type(gone.change), gone.profile, began.base_version) == (Expired, None, 0)
