"""What is past its retention is answered from no more, also before anybody removed it."""

from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.decision.profile import Profile
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    Entry,
    EventArrived,
    Expired,
    Nothing,
    Visited,
)
from tests.building import DAY_MS, MINUTE_MS, NOON_MS, definitions, event

ADDED = "commerce.productListAdds"
HALF_HOUR_MS = 30 * MINUTE_MS
KEY = "ECID:1"


def keeping(days: int | None = None) -> Snapshot:
    ordinary = definitions({"ever": 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType != "")])'})
    demo = structs.replace(ordinary.datastreams[0], retention_days=days)
    return compile_snapshot(structs.replace(ordinary, datastreams=(demo,)))


def opened(days: int | None = None) -> Engine:
    return Engine(keeping(days), first_visit_ms=HALF_HOUR_MS)


def asked(
    engine: Engine,
    *changes: Change,
    now_ms: int,
    new: bool = False,
    visits: bool = True,
) -> Answer:
    """Decided, and all that waits is committed."""
    interaction = Interaction(
        profile_key=KEY, datastream_id="demo", changes=changes, new=new, visits=visits and not new
    )
    answer = engine.decide(interaction, now_ms=now_ms)
    assert isinstance(answer, Answer)
    return answer


def committed(engine: Engine) -> list[Entry]:
    """What waited for the store, which has it now."""
    waiting = engine.pending(100)
    engine.kept(entry.sequence for entry in waiting)
    return list(waiting)


def arrived(event_id: str = "e1", at_ms: int = NOON_MS) -> EventArrived:
    return EventArrived(event=event(ADDED, event_id=event_id, at_ms=at_ms), datastream_id="demo")


def came_once(days: int | None = None) -> Engine:
    engine = opened(days)
    asked(engine, arrived(), now_ms=NOON_MS, new=True)
    committed(engine)
    return engine


def known(engine: Engine, now_ms: int, *, visits: bool = False) -> bool:
    answer = asked(engine, now_ms=now_ms, visits=visits)
    assert answer.known == bool(answer.lookups[0].destinations)
    return answer.known


# ---- first visits ----------------------------------------------------------------


def test_a_visitor_who_never_came_back_is_answered_as_a_stranger_after_half_an_hour() -> None:
    engine = came_once()

    assert known(engine, NOON_MS + HALF_HOUR_MS - 1)
    assert not known(engine, NOON_MS + HALF_HOUR_MS)


def test_an_answer_that_was_kept_is_told_no_longer_than_the_profile_lives() -> None:
    engine = came_once()
    before = engine.lookup(KEY, "demo", now_ms=NOON_MS + HALF_HOUR_MS - 1)

    after = engine.lookup(KEY, "demo", now_ms=NOON_MS + HALF_HOUR_MS)

    assert getattr(before, "destinations", ())
    assert not getattr(after, "destinations", ())


def test_a_visitor_who_only_looks_within_the_half_hour_stays() -> None:
    engine = came_once()
    asked(engine, now_ms=NOON_MS + HALF_HOUR_MS - 1)

    noted = committed(engine)

    assert [type(entry.change) for entry in noted] == [Visited]
    assert known(engine, NOON_MS + 300 * DAY_MS)


def test_a_visitor_who_sends_an_event_within_the_half_hour_stays() -> None:
    engine = came_once()
    asked(engine, arrived("e2", NOON_MS + 1), now_ms=NOON_MS + 1)

    noted = committed(engine)

    assert [type(entry.change) for entry in noted] == [Visited, EventArrived]
    assert known(engine, NOON_MS + DAY_MS)


def test_a_cookie_that_nobody_signed_begins_a_first_visit_and_proves_a_return() -> None:
    engine = opened()
    engine.admit(KEY, None, None, now_ms=NOON_MS)

    def came(event_id: str, now_ms: int) -> list[Entry]:
        visit = Interaction(
            profile_key=KEY,
            datastream_id="demo",
            changes=(arrived(event_id, now_ms),),
            visits=True,
            unsigned=True,
        )
        engine.decide(visit, now_ms=now_ms)
        return committed(engine)

    (first,) = came("e1", NOON_MS)
    again = came("e2", NOON_MS + MINUTE_MS)

    assert first.first_visit_ms == NOON_MS
    assert [type(entry.change) for entry in again] == [Visited, EventArrived]
    assert known(engine, NOON_MS + DAY_MS)


def test_whoever_returned_to_a_process_that_knew_nothing_of_the_first_visit_has_returned() -> None:
    """Events may be answered before they are on disk."""
    first, second = opened(), opened()
    asked(first, arrived(), now_ms=NOON_MS, new=True)
    (came,) = committed(first)
    second.admit(KEY, None, None, now_ms=NOON_MS)
    asked(second, arrived("e2"), now_ms=NOON_MS + 5)

    second.renew(KEY, came.profile, None, now_ms=NOON_MS, first_visit_ms=came.first_visit_ms)

    (again,) = committed(second)
    assert again.first_visit_ms == 0
    assert known(second, NOON_MS + DAY_MS)


def test_so_has_whoever_came_again_by_a_cookie_that_nobody_signed() -> None:
    first, second = opened(), opened()
    for engine, at_ms in ((first, NOON_MS), (second, NOON_MS + 5)):
        engine.admit(KEY, None, None, now_ms=NOON_MS)
        unsigned = Interaction(
            profile_key=KEY, datastream_id="demo", changes=(arrived(),), visits=True, unsigned=True
        )
        engine.decide(unsigned, now_ms=at_ms)
    (came,) = committed(first)

    second.renew(KEY, came.profile, None, now_ms=NOON_MS, first_visit_ms=came.first_visit_ms)

    (again,) = committed(second)
    assert (came.first_visit_ms, again.first_visit_ms) == (NOON_MS, 0)


def test_a_first_visit_that_is_decided_again_is_one_still() -> None:
    engine = opened()
    asked(engine, arrived(), now_ms=NOON_MS, new=True)
    engine.renew(KEY, None, None, now_ms=NOON_MS)
    (came,) = engine.pending(1)
    assert came.first_visit_ms == NOON_MS

    committed(engine)
    asked(engine, arrived("e2"), now_ms=NOON_MS, new=True)
    engine.renew(KEY, came.profile, None, now_ms=NOON_MS, first_visit_ms=NOON_MS)

    (more,) = committed(engine)
    assert more.first_visit_ms == NOON_MS


def test_whoever_merely_asks_about_a_device_is_not_its_visitor() -> None:
    engine = came_once()

    assert known(engine, NOON_MS + 1, visits=False)
    assert not engine.pending(1)
    assert not known(engine, NOON_MS + HALF_HOUR_MS)


def test_a_visit_is_noted_also_of_whom_the_last_change_took_long() -> None:
    """As no part comes after it."""
    engine = came_once(30)
    asked(engine, now_ms=NOON_MS + 1)
    committed(engine)
    later_ms = NOON_MS + 2 * DAY_MS
    again = Interaction(profile_key=KEY, datastream_id="demo", changes=(arrived(),), visits=True)

    engine.decide(again, now_ms=later_ms, enough=lambda: True)

    assert Visited in [type(entry.change) for entry in committed(engine)]


def test_a_second_look_notes_nothing_more() -> None:
    engine = came_once()
    asked(engine, now_ms=NOON_MS + 1)
    committed(engine)

    asked(engine, now_ms=NOON_MS + 2)

    assert not engine.pending(1)


def test_a_return_that_could_not_be_stored_is_noted_again() -> None:
    engine = came_once()
    asked(engine, now_ms=NOON_MS + 1)
    engine.abandon()

    asked(engine, now_ms=NOON_MS + 2)

    assert [type(entry.change) for entry in engine.pending(9)] == [Visited]


def test_whoever_comes_back_too_late_begins_anew_and_the_rest_is_removed() -> None:
    engine = came_once()
    late_ms = NOON_MS + HALF_HOUR_MS
    asked(engine, arrived("e2", late_ms), now_ms=late_ms)

    gone, begun = engine.pending(9)

    assert gone.change == Expired(version=NOON_MS, first_visit_ms=NOON_MS)
    assert gone.profile is None
    assert begun.base_version == 0
    assert begun.profile is not None
    assert [one.id for one in begun.profile.events] == ["e2"]
    assert begun.first_visit_ms == 0  # a cookie proved it


def test_a_refusal_outlives_the_first_visit_and_a_yes_does_not() -> None:
    for said, stays in ((ConsentChosen(None, "n"), True), (ConsentChosen("in"), False)):
        engine = opened()
        asked(engine, said, arrived(), now_ms=NOON_MS, new=True)
        committed(engine)

        answer = asked(engine, now_ms=NOON_MS + HALF_HOUR_MS, visits=False)

        assert (answer.consent is not None) == stays


def test_a_visit_that_another_process_heard_of_in_the_meantime_is_not_removed() -> None:
    engine = came_once()
    late_ms = NOON_MS + HALF_HOUR_MS
    asked(engine, arrived("e2", late_ms), now_ms=late_ms)
    kept = engine.profile(KEY, now_ms=NOON_MS)
    assert isinstance(kept, Profile)

    engine.renew(KEY, kept, None, now_ms=late_ms, first_visit_ms=0)

    last = engine.pending(9)[-1]
    assert last.profile is not None
    assert [one.id for one in last.profile.events] == ["e1", "e2"]


def test_what_another_process_removed_first_is_not_removed_again() -> None:
    engine = came_once()
    late_ms = NOON_MS + HALF_HOUR_MS
    asked(engine, arrived("e2", late_ms), now_ms=late_ms)

    engine.renew(KEY, None, None, now_ms=late_ms)

    nothing, begun = engine.pending(9)
    assert nothing.change == Nothing()
    assert (begun.base_version, begun.profile is None) == (0, False)


# ---- retention of a datastream ------------------------------------------------------


def returned(days: int | None) -> Engine:
    """A visitor of noon, who is no first visit any more."""
    engine = came_once(days)
    asked(engine, now_ms=NOON_MS)
    committed(engine)
    return engine


def test_a_profile_that_nobody_touched_for_its_retention_is_not_answered_from() -> None:
    engine = returned(7)

    assert known(engine, NOON_MS + 7 * DAY_MS - 1)
    assert not known(engine, NOON_MS + 7 * DAY_MS)
    assert engine.profile(KEY, now_ms=NOON_MS + 7 * DAY_MS) is None


def test_who_says_what_may_be_kept_has_been_here() -> None:
    engine = returned(2)
    asked(engine, ConsentChosen("in"), now_ms=NOON_MS + DAY_MS)
    committed(engine)

    assert known(engine, NOON_MS + 3 * DAY_MS - 1)
    assert not known(engine, NOON_MS + 3 * DAY_MS)


def test_without_retention_a_profile_stays() -> None:
    assert known(returned(None), NOON_MS + 3_000 * DAY_MS)


def test_whoever_looks_now_and_then_is_kept_and_is_written_at_most_once_a_day() -> None:
    engine, writes = returned(30), 0
    for hours in range(1, 60 * 24):
        asked(engine, now_ms=NOON_MS + hours * 60 * MINUTE_MS)
        writes += len(committed(engine))

    assert known(engine, NOON_MS + 60 * DAY_MS)
    assert writes == 59


@pytest.mark.parametrize("again", [AttributesPatched({"tier": "gold"}), arrived("e1")])
def test_whoever_is_told_of_again_as_before_is_kept(again: Change) -> None:
    """As by an import of each night, or a page that reports an event once more."""
    engine, writes = returned(30), 0
    asked(engine, AttributesPatched({"tier": "gold"}), now_ms=NOON_MS)
    for days in range(60):
        asked(engine, again, now_ms=NOON_MS + days * DAY_MS)
        writes += len(committed(engine))

    assert known(engine, NOON_MS + 60 * DAY_MS)
    assert writes == 60


def test_a_retention_that_is_put_in_force_holds_at_once() -> None:
    engine = returned(None)

    engine.swap(keeping(7))

    assert not known(engine, NOON_MS + 7 * DAY_MS)


def test_a_consent_outlives_the_profile_since_nobody_is_asked_twice() -> None:
    engine = opened(7)
    asked(engine, ConsentChosen("in"), arrived(), now_ms=NOON_MS, new=True)
    asked(engine, now_ms=NOON_MS)
    committed(engine)

    answer = asked(engine, now_ms=NOON_MS + 7 * DAY_MS)

    assert not answer.known
    assert answer.consent == Consent("in", NOON_MS)


# ---- clocks -------------------------------------------------------------------------


def test_who_came_once_is_kept_to_the_millisecond_between_two_words_of_the_time() -> None:
    """Whoever came just before the next word of it had been dated a second too early."""
    engine = opened()
    engine.keeping.clock_ms = engine.keeping.told_ms = NOON_MS
    asked(engine, arrived(), now_ms=NOON_MS + 900, new=True)
    committed(engine)

    end_ms = NOON_MS + 900 + HALF_HOUR_MS
    engine.keeping.clock_ms = engine.keeping.told_ms = end_ms - 1
    assert known(engine, end_ms - 1)
    assert not known(engine, end_ms)


def test_a_calendar_that_jumps_a_year_ahead_makes_nobody_a_stranger() -> None:
    engine = returned(7)
    engine.keeping.clock_ms = engine.keeping.told_ms = NOON_MS + 5

    assert known(engine, NOON_MS + 365 * DAY_MS)


def test_a_calendar_that_is_set_back_and_right_again_makes_nobody_a_stranger() -> None:
    engine = opened(7)
    engine.keeping.clock_ms = NOON_MS
    asked(engine, arrived(), now_ms=NOON_MS - 365 * DAY_MS, new=True)
    asked(engine, now_ms=NOON_MS - 365 * DAY_MS)
    committed(engine)

    assert known(engine, NOON_MS)
