from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.lookup import EMPTY, Lookup
from perso_core.decision.profile import Profile, mark_of, packed
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import OPERATOR, Answer, Engine, Interaction, NeedProfile
from perso_core.engine.erased import Erased
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
    Nothing,
    PrivacySignalled,
)
from perso_core.errors import Overloaded, UnknownDatastream
from tests.building import BASKET_RULE, DAY_MS, HOUR_MS, NOON_MS, definitions, event, snapshot

ADDED = "commerce.productListAdds"


def asking(
    *changes: Change, key: str = "ECID:1", datastream: str = "demo", new: bool = False
) -> Interaction:
    return Interaction(profile_key=key, datastream_id=datastream, changes=changes, new=new)


def arrived(one: Event) -> EventArrived:
    return EventArrived(event=one)


def decided(engine: Engine, interaction: Interaction, now_ms: int = NOON_MS) -> Answer:
    answer = engine.decide(interaction, now_ms=now_ms)
    assert isinstance(answer, Answer)
    return answer


def audiences(found: Lookup | NeedProfile) -> tuple[str, ...]:
    assert isinstance(found, Lookup)
    return found.destinations[0].audiences if found.destinations else ()


def engine_with(*changes: Change, now_ms: int = NOON_MS, **rules: str) -> Engine:
    """An engine in which ECID:1 is hot and the changes are committed."""
    engine = Engine(snapshot(rules or None))
    engine.admit("ECID:1", None, None, now_ms=now_ms)
    if changes:
        engine.committed(decided(engine, asking(*changes), now_ms).sequence)
    return engine


def test_an_event_answers_with_the_audiences_it_brings_the_visitor_into() -> None:
    engine = engine_with()

    answer = decided(engine, asking(arrived(event(ADDED))))

    assert audiences(answer.lookups[0]) == ("basket",)
    assert answer.known
    assert answer.sequence == 1


def test_a_profile_that_is_not_in_memory_is_asked_for_and_never_guessed() -> None:
    engine = Engine(snapshot())

    assert engine.decide(asking(), now_ms=NOON_MS) == NeedProfile("ECID:1")
    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")


def test_a_device_that_was_just_made_needs_no_load() -> None:
    answer = decided(Engine(snapshot()), asking(arrived(event(ADDED)), new=True))

    assert audiences(answer.lookups[0]) == ("basket",)


def test_a_membership_ends_at_its_instant_with_no_event() -> None:
    engine = engine_with(arrived(event(ADDED)))

    last_moment = engine.lookup("ECID:1", "demo", now_ms=NOON_MS + HOUR_MS)
    over = engine.lookup("ECID:1", "demo", now_ms=NOON_MS + HOUR_MS + 1)
    profile = engine.profile("ECID:1", now_ms=NOON_MS + DAY_MS)

    assert audiences(last_moment) == ("basket",)
    assert audiences(over) == ()
    assert profile is not None
    assert not isinstance(profile, NeedProfile)
    assert profile.memberships["basket"].status == "exited"
    assert profile.memberships["basket"].since_ms == NOON_MS + HOUR_MS + 1


def test_an_uncommitted_change_is_shown_to_no_other_request() -> None:
    engine = engine_with()
    answer = decided(engine, asking(arrived(event(ADDED))))

    meanwhile = engine.lookup("ECID:1", "demo", now_ms=NOON_MS)
    other = decided(engine, asking())
    engine.committed(answer.sequence)
    after = engine.lookup("ECID:1", "demo", now_ms=NOON_MS)

    assert audiences(meanwhile) == ()
    assert audiences(other.lookups[0]) == ()
    assert audiences(after) == ("basket",)


def test_a_retry_waits_for_the_commit_of_what_it_repeats() -> None:
    engine = engine_with()
    first = decided(engine, asking(arrived(event(ADDED))))

    retry = decided(engine, asking(arrived(event(ADDED))))

    assert retry.sequence == first.sequence
    assert len(engine.pending(10)) == 1


def test_an_event_that_was_committed_before_leaves_nothing_to_wait_for() -> None:
    engine = engine_with(arrived(event(ADDED)))

    assert decided(engine, asking(arrived(event(ADDED)))).sequence == 0


def test_a_second_report_of_an_older_event_asks_for_it_whole_and_then_completes_it() -> None:
    older, newer = event(ADDED), event("x", event_id="e2")
    engine = engine_with(arrived(older), arrived(newer))
    again = asking(arrived(event(ADDED, device={"type": "mobile"})))

    asked = engine.decide(again, now_ms=NOON_MS)
    stored = Profile(key="ECID:1", version=NOON_MS + 1, events=(older, newer))
    engine.renew("ECID:1", stored, None, now_ms=NOON_MS, whole=True)
    decided(engine, again)
    (entry,) = engine.pending(10)

    assert asked == NeedProfile("ECID:1", behind=True, whole=True, again=("e1",))
    assert entry.event is not None
    assert entry.event.xdm["device"] == {"type": "mobile"}
    assert entry.event.xdm["eventType"] == ADDED


def test_a_second_report_that_says_what_is_stored_of_its_event_completes_that() -> None:
    older, newer = event(ADDED), event("x", event_id="e2")
    engine = engine_with(arrived(older), arrived(newer))
    report = arrived(event(ADDED, device={"type": "mobile"}))

    same = decided(engine, asking(structs.replace(arrived(older), known=older)))
    decided(engine, asking(structs.replace(report, known=older)))
    (entry,) = engine.pending(10)

    assert same.sequence == 0
    assert entry.change == report, "what is known is of the moment"
    assert entry.event is not None
    assert entry.event.xdm["device"] == {"type": "mobile"}
    assert entry.event.xdm["eventType"] == ADDED


def test_what_is_stored_of_an_event_at_another_instant_is_not_what_is_known() -> None:
    older, newer = event(ADDED), event("x", event_id="e2")
    engine = engine_with(arrived(older), arrived(newer))
    moved = event(ADDED, at_ms=NOON_MS - 1)

    asked = engine.decide(asking(structs.replace(arrived(older), known=moved)), now_ms=NOON_MS)

    assert asked == NeedProfile("ECID:1", behind=True, whole=True, again=("e1",))


def test_events_that_lack_what_new_rules_read_are_loaded_again() -> None:
    engine = engine_with(arrived(event(device={"type": "mobile"})))
    reading = {"phone": 'xEvent.filter(x => x.device.type = "mobile").count() > 0'}

    engine.swap(snapshot(reading))

    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")
    assert engine.decide(asking(), now_ms=NOON_MS) == NeedProfile("ECID:1")


def counting_for(days: int) -> Snapshot:
    """Whoever added something within so many days, which is as long as events count."""
    told = definitions({"added": f'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "{ADDED}")])'})
    (audience,) = told.audiences
    longer = structs.replace(told, audiences=(structs.replace(audience, event_window_days=days),))
    return compile_snapshot(longer, event_window_ms=DAY_MS)


def test_events_that_counted_no_more_are_loaded_again_where_new_definitions_count_longer() -> None:
    """They are still stored, and are counted by a process that loads the profile now."""
    first, second, third = (
        event(kind, at_ms=NOON_MS + days * DAY_MS, event_id=kind)
        for days, kind in enumerate((ADDED, "x", "y"))
    )
    now_ms = third.timestamp_ms
    stored = Profile(key="ECID:1", version=NOON_MS, events=(first, second))
    engine = Engine(counting_for(1))
    for key in ("ECID:1", "ECID:2"):
        loaded = structs.replace(stored, key=key)
        engine.admit(key, packed(loaded, engine.projection), None, now_ms=now_ms)
    for key in ("ECID:1", "ECID:2"):
        decided(engine, asking(arrived(third), key=key), now_ms)
    engine.kept([1])

    engine.swap(counting_for(30))

    assert engine.decide(asking(), now_ms=now_ms) == NeedProfile("ECID:1")
    waiting = asking(key="ECID:2")
    assert engine.decide(waiting, now_ms=now_ms) == NeedProfile("ECID:2", behind=True)
    engine.renew("ECID:2", structs.replace(stored, key="ECID:2"), None, now_ms=now_ms)
    decided(engine, waiting, now_ms)
    engine.committed(2)
    assert audiences(engine.lookup("ECID:2", "demo", now_ms=now_ms)) == ("added",)


def test_where_new_definitions_count_no_longer_nothing_is_loaded_again() -> None:
    engine = Engine(counting_for(30))
    engine.admit("ECID:1", Profile(key="ECID:1", version=1), None, now_ms=NOON_MS)

    for days in (30, 1):
        engine.swap(counting_for(days))

    decided(engine, asking())


def test_events_that_lack_what_new_rules_read_of_elements_are_loaded_again() -> None:
    items = [{"SKU": "a", "price": 1}, {"SKU": "b", "price": 9}]
    visit = arrived(event(items=items))
    engine = engine_with(visit, one='xEvent.exists(items.exists(SKU = "a"))')

    engine.swap(snapshot({"dear": "xEvent.exists(items.exists(price > 5))"}))

    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")
    stored = Profile(key="ECID:1", version=1, events=(visit.event,))
    engine.admit("ECID:1", packed(stored, engine.projection), None, now_ms=NOON_MS)
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("dear",)


def test_events_that_were_loaded_for_other_rules_are_not_taken() -> None:
    stored = Profile(key="ECID:1", version=1, events=(event(device={"type": "mobile"}),))
    engine = engine_with(arrived(event()))
    loaded = packed(stored, engine.projection)
    engine.swap(snapshot({"phone": 'xEvent.filter(x => x.device.type = "mobile").count() > 0'}))
    other = structs.replace(loaded, key="ECID:2")

    asked = engine.renew("ECID:1", loaded, None, now_ms=NOON_MS)
    engine.admit("ECID:2", other, None, now_ms=NOON_MS)

    assert asked == NeedProfile("ECID:1", behind=True)
    assert not engine.holds("ECID:2")
    engine.admit("ECID:2", packed(stored, engine.projection), None, now_ms=NOON_MS)
    assert audiences(engine.lookup("ECID:2", "demo", now_ms=NOON_MS)) == ("phone",)


def test_what_waits_is_decided_again_on_whole_events_where_it_reports_one_of_them() -> None:
    """Both processes heard of one event: the report that was slower completes the other one."""
    first, newer = event(ADDED), event("x", event_id="e2")
    engine = engine_with()
    decided(engine, asking(arrived(event(ADDED, device={"type": "mobile"}))))
    stored = Profile(key="ECID:1", version=NOON_MS, events=(first, newer))

    asked = engine.renew("ECID:1", packed(stored, engine.projection), None, now_ms=NOON_MS)
    assert asked == NeedProfile("ECID:1", behind=True, whole=True, again=("e1",))
    assert engine.renew("ECID:1", stored, None, now_ms=NOON_MS) is None

    (entry,) = engine.pending(10)
    assert entry.base_version == NOON_MS
    assert entry.event is not None
    assert entry.event.xdm["device"] == {"type": "mobile"}


def test_events_that_wait_for_their_commit_are_decided_again_where_new_rules_read_more() -> None:
    older = event("x", device={"type": "mobile"})
    engine = engine_with(arrived(older))
    decided(engine, asking(arrived(event("x", event_id="e2", device={"type": "mobile"}))))
    reading = {"phone": 'xEvent.filter(x => x.device.type = "mobile").count() = 2'}

    engine.swap(snapshot(reading))
    asked = engine.decide(asking(), now_ms=NOON_MS)
    stored = Profile(key="ECID:1", version=NOON_MS, events=(older,))
    engine.renew("ECID:1", stored, None, now_ms=NOON_MS)
    engine.committed(2)

    assert asked == NeedProfile("ECID:1", behind=True)
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("phone",)


def test_the_same_event_completed_by_the_script_runs_the_rules_again() -> None:
    engine = engine_with(
        arrived(event("x")),
        phone='CHAIN(xEvent, timestamp, [C0: WHAT(device.type = "mobile") WHEN(today)])',
    )

    answer = decided(engine, asking(arrived(event("x", device={"type": "mobile"}))))

    assert audiences(answer.lookups[0]) == ("phone",)
    assert len(engine.pending(10)) == 1


def test_a_store_that_failed_leaves_the_profile_as_it_was_committed() -> None:
    engine = engine_with(AttributesPatched({"loyalty": {"tier": "gold"}}))
    decided(engine, asking(arrived(event(ADDED))))

    engine.abandon()

    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("gold",)
    assert engine.pending(10) == ()


def test_what_another_process_wrote_is_taken_and_our_own_change_is_decided_on_top() -> None:
    engine = engine_with()
    mine = decided(engine, asking(arrived(event(ADDED))))
    other = Engine(snapshot())
    theirs = decided(other, asking(AttributesPatched({"loyalty": {"tier": "gold"}}), new=True))
    other.committed(theirs.sequence)
    written = other.profile("ECID:1", now_ms=NOON_MS)
    assert written is not None
    assert not isinstance(written, NeedProfile)

    engine.renew("ECID:1", written, None, now_ms=NOON_MS)
    (entry,) = engine.pending(10)
    engine.committed(mine.sequence)

    assert entry.sequence == mine.sequence
    assert entry.base_version == written.version
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("basket", "gold")


def test_what_waits_is_dropped_where_the_profile_was_erased_since() -> None:
    engine = engine_with()
    before = decided(engine, asking(arrived(event(ADDED))))
    after = decided(engine, asking(AttributesPatched({"n": 1})), now_ms=NOON_MS + 2)

    engine.renew("ECID:1", None, None, now_ms=NOON_MS + 3, erased=Erased(NOON_MS + 1))
    dropped, kept = engine.pending(10)
    engine.committed(after.sequence)

    assert (dropped.sequence, dropped.event, dropped.profile) == (before.sequence, None, None)
    assert kept.profile
    profile = engine.profile("ECID:1", now_ms=NOON_MS + 3)
    assert isinstance(profile, Profile)
    assert (profile.attributes["n"], profile.events) == (1, ())


def test_an_event_that_was_erased_is_dropped_where_it_is_sent_again() -> None:
    engine = engine_with()
    again = decided(engine, asking(arrived(event(ADDED, event_id="e1"))))
    other = decided(engine, asking(arrived(event(ADDED, event_id="e2"))))

    erased = Erased(NOON_MS - 5, frozenset({mark_of("e1")}))
    engine.renew("ECID:1", None, None, now_ms=NOON_MS, erased=erased)
    dropped, kept = engine.pending(10)

    assert (dropped.sequence, dropped.event) == (again.sequence, None)
    assert (kept.sequence, kept.event) == (other.sequence, event(ADDED, event_id="e2"))


@pytest.mark.parametrize(
    "said", [ConsentChosen("in"), ConsentChosen(None, "n"), PrivacySignalled()]
)
@pytest.mark.parametrize(
    "erased",
    [Erased(NOON_MS - 5, frozenset({mark_of("e1")})), Erased(NOON_MS + 1)],
    ids=["known again", "erased since"],
)
def test_what_an_erased_event_brings_along_is_dropped_with_it(
    said: ConsentChosen | PrivacySignalled, erased: Erased
) -> None:
    engine = engine_with()
    decided(engine, asking(structs.replace(said, by=event(ADDED, event_id="e1"))))

    engine.renew("ECID:1", None, None, now_ms=NOON_MS + 3, erased=erased)
    (dropped,) = engine.pending(10)

    assert (dropped.change, dropped.consent, dropped.profile) == (Nothing(), None, None)


def test_a_profile_that_begins_anew_has_none_of_the_versions_before() -> None:
    engine = engine_with(arrived(event(ADDED)))
    versions = [version_of(engine)]
    for _ in range(20):
        decided(engine, asking(AttributesPatched({"n": len(versions)})))
        versions.append(version_of(engine))
    decided(engine, asking(Forgotten()))
    decided(engine, asking(arrived(event(ADDED))), now_ms=NOON_MS + 1_000)

    assert version_of(engine) > max(versions)


def version_of(engine: Engine) -> int:
    engine.committed(10**9)
    profile = engine.profile("ECID:1", now_ms=NOON_MS)
    assert isinstance(profile, Profile)
    return profile.version


def test_new_definitions_are_in_force_for_the_next_answer() -> None:
    engine = engine_with(arrived(event(ADDED)))
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("basket",)

    engine.swap(snapshot({"renamed": BASKET_RULE}))

    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("renamed",)


def test_a_segment_of_segments_follows_the_segment_it_names() -> None:
    engine = engine_with(
        a='inSegment("z") and loyalty.points > 1',
        z=BASKET_RULE,
    )
    engine.committed(
        decided(engine, asking(AttributesPatched({"loyalty": {"points": 5}}))).sequence
    )

    entered = decided(engine, asking(arrived(event(ADDED))))
    engine.committed(entered.sequence)
    left = engine.lookup("ECID:1", "demo", now_ms=NOON_MS + 2 * HOUR_MS)

    assert set(audiences(entered.lookups[0])) == {"a", "z"}
    assert audiences(left) == ()


@pytest.mark.parametrize("default", ["pending", "out"])
def test_without_consent_nothing_is_kept_and_nothing_is_answered(default: str) -> None:
    engine = Engine(snapshot(default_consent=default))

    answer = decided(engine, asking(arrived(event(ADDED)), new=True))

    assert not answer.permitted
    assert answer.lookups == (EMPTY,)
    assert engine.pending(10) == ()


def test_a_visitor_who_withdraws_is_answered_nothing_from_then_on() -> None:
    engine = engine_with(arrived(event(ADDED)))

    withdrawn = decided(engine, asking(ConsentChosen("out")))
    engine.committed(withdrawn.sequence)

    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) is EMPTY
    assert not decided(engine, asking(arrived(event(ADDED, event_id="e2")))).permitted
    assert engine.pending(10) == ()


def test_a_refusal_takes_the_profile_with_it_and_an_agreement_does_not_bring_it_back() -> None:
    engine = engine_with(arrived(event(ADDED)))

    refused = decided(engine, asking(ConsentChosen("out")))
    engine.committed(refused.sequence)
    assert engine.profile("ECID:1", now_ms=NOON_MS) is None
    agreed = decided(engine, asking(ConsentChosen("in")))

    assert agreed.permitted
    assert not agreed.known


def test_the_same_choice_again_writes_nothing() -> None:
    engine = engine_with(ConsentChosen("out"))

    again = decided(engine, asking(ConsentChosen("out")))

    assert again.sequence == 0
    assert engine.pending(10) == ()


def test_a_choice_for_those_who_have_not_chosen_changes_no_choice() -> None:
    engine = engine_with(ConsentChosen("out"))

    again = decided(engine, asking(ConsentChosen("in", unless_chosen=True)))

    assert not again.permitted


def test_an_event_that_waits_is_dropped_when_another_process_kept_a_refusal() -> None:
    """It was decided before; nothing of it may make a profile again."""
    engine = engine_with(ConsentChosen("in"))
    decided(engine, asking(arrived(event(ADDED))))

    engine.renew("ECID:1", None, Consent("out", NOON_MS), now_ms=NOON_MS)

    (entry,) = engine.pending(10)
    assert (entry.profile, entry.event) == (None, None)
    engine.committed(entry.sequence)
    assert engine.profile("ECID:1", now_ms=NOON_MS) is None


def test_a_browsers_signal_is_written_once_and_not_for_those_who_refused() -> None:
    engine = engine_with(arrived(event(ADDED)))
    first = decided(engine, asking(PrivacySignalled()))
    engine.committed(first.sequence)

    assert first.sequence
    assert decided(engine, asking(PrivacySignalled())).sequence == 0
    refused = engine_with(ConsentChosen("out"))
    assert decided(refused, asking(PrivacySignalled())).sequence == 0


def test_a_signal_takes_effect_on_the_answers_that_were_kept() -> None:
    advertising = structs.replace(definitions().destinations[0], advertising=True)
    engine = Engine(compile_snapshot(structs.replace(definitions(), destinations=(advertising,))))
    stored = decided(engine, asking(arrived(event(ADDED)), new=True))
    engine.committed(stored.sequence)
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("basket",)

    signalled = decided(engine, asking(PrivacySignalled()))
    engine.committed(signalled.sequence)

    assert audiences(signalled.lookups[0]) == ()
    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ()


def test_consent_alone_writes_no_profile() -> None:
    engine = Engine(snapshot(default_consent="pending"))

    decided(engine, asking(ConsentChosen("in"), new=True))

    (entry,) = engine.pending(10)
    assert entry.profile is None
    assert entry.consent is not None


def test_a_forgotten_visitor_is_unknown_and_may_begin_anew() -> None:
    engine = engine_with(arrived(event(ADDED)))

    gone = decided(engine, asking(Forgotten()))
    engine.committed(gone.sequence)
    anew = decided(engine, asking(arrived(event("x", event_id="e2"))))

    assert not gone.known
    assert anew.known
    assert engine.pending(10)[0].base_version == 0


def test_a_datastream_without_edge_segmentation_keeps_the_event_and_runs_no_rule() -> None:
    engine = engine_with()

    silent = decided(engine, asking(EventArrived(event=event(ADDED), segmentation=False)))
    engine.committed(silent.sequence)
    later = decided(engine, asking())

    assert audiences(silent.lookups[0]) == ()
    assert audiences(later.lookups[0]) == ("basket",)


def test_whoever_looks_after_such_an_event_is_told_what_came_of_it() -> None:
    engine = engine_with()
    silent = decided(engine, asking(EventArrived(event=event(ADDED), segmentation=False)))
    engine.committed(silent.sequence)

    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS)) == ("basket",)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    engine = engine_with(arrived(event(ADDED)))

    assert audiences(engine.lookup("ECID:1", "demo", now_ms=NOON_MS - DAY_MS)) == ("basket",)


def test_a_profile_that_was_loaded_is_what_it_was_with_what_time_changed() -> None:
    first = engine_with(arrived(event(ADDED)))
    stored = first.profile("ECID:1", now_ms=NOON_MS)
    assert stored is not None
    assert not isinstance(stored, NeedProfile)
    second = Engine(snapshot())

    second.admit("ECID:1", stored, None, now_ms=NOON_MS + 2 * HOUR_MS)
    profile = second.profile("ECID:1", now_ms=NOON_MS + 2 * HOUR_MS)

    assert profile is not None
    assert not isinstance(profile, NeedProfile)
    assert profile.memberships["basket"].since_ms == NOON_MS + HOUR_MS + 1


def test_a_full_journal_refuses_the_next_write_and_keeps_what_it_has() -> None:
    engine = Engine(snapshot(), journal_limit=1)
    decided(engine, asking(arrived(event()), new=True))

    with pytest.raises(Overloaded):
        engine.decide(asking(arrived(event()), key="ECID:2", new=True), now_ms=NOON_MS)

    assert len(engine.pending(10)) == 1


def test_memory_is_bounded_and_what_waits_for_its_commit_is_never_evicted() -> None:
    engine = Engine(snapshot(), hot_profiles=3, journal_limit=2)
    first = decided(engine, asking(arrived(event()), key="ECID:first", new=True))

    for number in range(10):
        engine.admit(f"ECID:{number}", None, None, now_ms=NOON_MS)

    assert len(engine) <= 3
    assert decided(engine, asking(key="ECID:first")).known is False  # its commit is not in yet
    engine.committed(first.sequence)
    assert decided(engine, asking(key="ECID:first")).known


def test_an_unknown_datastream_is_named() -> None:
    engine = engine_with()

    with pytest.raises(UnknownDatastream, match="'bogus'"):
        engine.decide(asking(arrived(event()), datastream="bogus"), now_ms=NOON_MS)


def test_the_operator_writes_unless_the_visitor_said_no() -> None:
    engine = Engine(snapshot(default_consent="pending"))
    patch = AttributesPatched({"loyalty": {"tier": "gold"}})

    stated = decided(engine, asking(patch, datastream=OPERATOR, new=True))
    refused = decided(
        engine, asking(ConsentChosen("out"), patch, key="ECID:2", datastream=OPERATOR, new=True)
    )

    assert stated.permitted
    assert not refused.permitted
    assert not refused.known


# ---- who reported a profile ---------------------------------------------------


def reported(datastream: str, event_id: str = "e1") -> EventArrived:
    return EventArrived(event=event(ADDED, event_id=event_id), datastream_id=datastream)


def test_a_profile_says_which_datastreams_have_reported_an_event_of_it() -> None:
    engine = engine_with(reported("demo"), reported("demo", "e2"), reported("shop", "e3"))

    assert decided(engine, asking()).datastreams == ("demo", "shop")


def test_the_second_datastream_to_report_an_event_is_told_of_too() -> None:
    engine = engine_with(reported("demo"), reported("shop"))

    assert decided(engine, asking()).datastreams == ("demo", "shop")


def test_what_the_operator_writes_makes_no_datastream_a_reporter() -> None:
    engine = engine_with(AttributesPatched({"loyalty": {"tier": "gold"}}))

    assert decided(engine, asking()).datastreams == ()


def test_an_event_that_consent_forbids_makes_no_datastream_a_reporter() -> None:
    engine = engine_with(ConsentChosen("out"), reported("demo"))

    assert decided(engine, asking()).datastreams == ()


def test_a_datastream_that_reported_is_no_reporter_before_the_event_is_on_disk() -> None:
    engine = engine_with()
    decided(engine, asking(reported("demo")))

    assert decided(engine, asking()).datastreams == ()
