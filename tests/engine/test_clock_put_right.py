"""A clock that ran ahead is put right: what was dated by it counts as long as its rules say."""

from __future__ import annotations

from msgspec import structs

from perso_core.decision.dated_ahead import BEHIND_MS, LATELY_MS, STEP_MS
from perso_core.decision.event import Event
from perso_core.decision.profile import Profile
from perso_core.engine.engine import Engine, NeedProfile
from perso_core.engine.journal import AttributesPatched, Entry
from tests.building import (
    BASKET_RULE,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    event,
    snapshot,
)
from tests.engine.test_engine import ADDED, arrived, asking, audiences, decided

AHEAD_MS = NOON_MS + DAY_MS
VIEW_THEN_ADD = (
    'CHAIN(xEvent, timestamp, [V: WHAT(eventType = "view"), '
    f'A: WHAT(eventType = "{ADDED}") WHEN(<= 15 minutes after V)])'
)


def seen_ahead(*events: Event, at_ms: int = AHEAD_MS, **rules: str) -> Engine:
    """An engine that was told so much while its clock was ahead; the events are whole."""
    engine = Engine(snapshot(rules or None))
    engine.admit("ECID:1", None, None, now_ms=NOON_MS)
    for one in events:
        engine.committed(decided(engine, asking(arrived(one)), at_ms).sequence)
    profile = engine.profile("ECID:1", now_ms=at_ms)
    assert isinstance(profile, Profile)
    stored = structs.replace(profile, events=events)
    engine.renew("ECID:1", stored, None, now_ms=at_ms, whole=True)
    return engine


def told(engine: Engine, one: Event, now_ms: int = NOON_MS) -> Entry:
    """What is to be kept of the event, which comes now."""
    decided(engine, asking(arrived(one)), now_ms)
    entry = engine.pending(10)[-1]
    engine.committed(entry.sequence)
    return entry


def now_in(engine: Engine, now_ms: int = NOON_MS) -> tuple[str, ...]:
    return audiences(engine.lookup("ECID:1", "demo", now_ms=now_ms))


def test_an_event_counts_at_once_after_the_clock_was_put_right() -> None:
    engine = seen_ahead(event("x", at_ms=AHEAD_MS))

    told(engine, event(ADDED, event_id="e2"))

    assert now_in(engine) == ("basket",)
    assert now_in(engine, NOON_MS + HOUR_MS + 1) == ()


def test_what_was_seen_while_it_was_ahead_counts_no_longer_than_its_rule_says() -> None:
    engine = seen_ahead(event(ADDED, at_ms=AHEAD_MS))

    entry = told(engine, event("x", event_id="e2"))

    (redated,) = entry.redated
    assert redated == event(ADDED, at_ms=NOON_MS - LATELY_MS)
    assert now_in(engine) == ("basket",)
    assert now_in(engine, NOON_MS - LATELY_MS + HOUR_MS + 1) == ()


def test_nobody_is_in_an_audience_since_an_instant_that_is_yet_to_come() -> None:
    engine = seen_ahead(event(ADDED, at_ms=AHEAD_MS))

    entry = told(engine, event("x", event_id="e2"))

    assert entry.profile is not None
    assert entry.profile.evaluated_ms == NOON_MS
    assert entry.profile.memberships["basket"].since_ms == NOON_MS


def test_what_was_between_the_events_stays_and_none_gets_before_an_earlier_one() -> None:
    last_ms = NOON_MS - 20 * MINUTE_MS
    engine = seen_ahead(
        event("x", at_ms=last_ms, event_id="before"),
        event("x", at_ms=AHEAD_MS - 30 * MINUTE_MS, event_id="far"),
        event("view", at_ms=AHEAD_MS - 14 * MINUTE_MS, event_id="view"),
        event(ADDED, at_ms=AHEAD_MS, event_id="add"),
        both=VIEW_THEN_ADD,
    )

    entry = told(engine, event("x", event_id="now"))

    assert [(one.id, one.timestamp_ms) for one in entry.redated] == [
        ("far", last_ms),
        ("view", NOON_MS - LATELY_MS - 14 * MINUTE_MS),
        ("add", NOON_MS - LATELY_MS),
    ]
    assert entry.profile is not None
    assert [one.id for one in entry.profile.events] == ["before", "far", "view", "add", "now"]
    assert now_in(engine) == ("both",)


def test_events_that_are_packed_are_asked_for_whole_first() -> None:
    engine = Engine(snapshot({"basket": BASKET_RULE}))
    engine.admit("ECID:1", None, None, now_ms=AHEAD_MS)
    for number in range(3):
        told(engine, event("x", at_ms=AHEAD_MS, event_id=f"e{number}"), AHEAD_MS)
    now = asking(arrived(event(ADDED, event_id="now")))

    asked = engine.decide(now, now_ms=NOON_MS)

    assert asked == NeedProfile("ECID:1", behind=True, whole=True)
    assert not engine.pending(10)


def test_who_only_looks_keeps_what_they_had_and_nothing_is_written() -> None:
    engine = seen_ahead(event(ADDED, at_ms=AHEAD_MS))

    assert now_in(engine) == ("basket",)
    assert not engine.pending(10)


def test_an_event_of_then_that_is_reported_again_changes_nothing() -> None:
    engine = seen_ahead(event(ADDED, at_ms=AHEAD_MS))

    decided(engine, asking(arrived(event(ADDED, at_ms=AHEAD_MS))))

    assert not engine.pending(10)


def test_attributes_put_a_profile_right_too() -> None:
    engine = seen_ahead(event(ADDED, at_ms=AHEAD_MS))

    decided(engine, asking(AttributesPatched({"loyalty": {"tier": "gold"}})))
    (entry,) = engine.pending(10)

    assert [one.timestamp_ms for one in entry.redated] == [NOON_MS - LATELY_MS]
    assert entry.profile is not None
    assert entry.profile.evaluated_ms == NOON_MS


def test_where_no_rule_is_run_with_the_event_the_next_look_counts_right() -> None:
    engine = seen_ahead(event("x", at_ms=AHEAD_MS))
    silent = structs.replace(arrived(event(ADDED, event_id="e2")), segmentation=False)

    engine.committed(decided(engine, asking(silent)).sequence)

    assert now_in(engine) == ("basket",)
    assert now_in(engine, NOON_MS + HOUR_MS + 1) == ()


def test_a_step_of_seconds_gives_nothing_another_instant() -> None:
    engine = seen_ahead(event("x", at_ms=NOON_MS + STEP_MS), at_ms=NOON_MS + STEP_MS)

    assert told(engine, event("x", event_id="e2")).redated == ()


def test_a_clock_that_is_wrong_itself_gives_nothing_another_instant() -> None:
    """It shows last year until it is set: what it dated would be too old then."""
    engine = seen_ahead(event("x", at_ms=AHEAD_MS))
    engine.keeping.clock_ms = NOON_MS + BEHIND_MS + 1

    entry = told(engine, event("x", event_id="e2"))

    assert entry.redated == ()
    assert entry.profile is not None
    assert entry.profile.evaluated_ms == AHEAD_MS


def test_a_clock_that_runs_a_year_ahead_takes_no_event_away() -> None:
    """The machine has run for a minute since the first one."""
    engine = Engine(snapshot({"basket": BASKET_RULE}))
    engine.admit("ECID:1", None, None, now_ms=NOON_MS)
    told(engine, event(ADDED, event_id="first"))
    engine.keeping.latest_ms = NOON_MS + MINUTE_MS

    year_ms = NOON_MS + 365 * DAY_MS
    entry = told(engine, event("x", at_ms=year_ms, event_id="ahead"), year_ms)

    assert entry.profile is not None
    assert [one.id for one in entry.profile.events] == ["first", "ahead"]
    assert entry.events_from_ms == NOON_MS + MINUTE_MS - engine.snapshot.event_window_ms


def test_after_a_machine_was_off_events_are_as_old_as_the_calendar_says() -> None:
    engine = Engine(snapshot({"basket": BASKET_RULE}))
    engine.keeping.clock_ms = NOON_MS
    engine.keeping.latest_ms = NOON_MS + 20 * DAY_MS
    engine.admit("ECID:1", None, None, now_ms=NOON_MS)

    now_ms = NOON_MS + 20 * DAY_MS + MINUTE_MS
    entry = told(engine, event("x", at_ms=now_ms), now_ms)

    assert entry.events_from_ms == now_ms - engine.snapshot.event_window_ms
