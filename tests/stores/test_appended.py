"""What another process adds to a profile is taken over by itself: as if all of it were read."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from msgspec import structs

from perso_core.decision.consent import Choice
from perso_core.decision.event import Event, event_from
from perso_core.decision.identity import Identity
from perso_core.decision.membership import EXITED_KEPT_MS, Membership, Memberships
from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.appended import MOST_PUT_BY, with_appended
from perso_core.engine.engine import Interaction, NeedProfile
from perso_core.engine.hot_profiles import Appended, Hot
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
)
from perso_core.errors import StoreUnavailable
from perso_core.stores import sqlite_appended
from perso_core.stores.sqlite import open_sqlite
from tests.building import DAY_MS, HOUR_MS, NOON_MS, definitions, snapshot
from tests.rules import making_stories as stories
from tests.soaking import times
from tests.stores.building import ANNA, BERT
from tests.stores.two_processes import Process, loaded_anew
from tests.worker.stack import WatchedStore, running

STORIES, STEPS = times(25, 600), times(25, 60)
WINDOW_MS = 5 * HOUR_MS
REALIZED = Membership(audience_id="gold", status="realized", since_ms=NOON_MS)


@contextmanager
def two(
    in_force: Snapshot, data_dir: Path, *, unparked: int = 10_000
) -> Iterator[tuple[Process, Process]]:
    path = data_dir / "perso.sqlite"
    path.touch(mode=0o600)
    ours = Process(path, in_force, origin=1, unparked=unparked)
    theirs = Process(path, in_force, origin=2, unparked=unparked)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def ours_and_theirs(tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """Both know Anna by one event."""
    with two(snapshot(), tmp_path) as (ours, theirs):
        theirs.decide(ANNA, viewed("first"), now_ms=NOON_MS)
        for one in (ours, theirs):
            one.hear(now_ms=NOON_MS)
            one.decide(ANNA, now_ms=NOON_MS)
        ours.loads = 0
        yield ours, theirs


Both = tuple[Process, Process]


def viewed(event_id: str, *, at_ms: int = NOON_MS, event_type: str = "view") -> EventArrived:
    event = event_from({"eventType": event_type}, event_id=event_id, received_ms=at_ms)
    return EventArrived(event=event, datastream_id="demo")


def held(process: Process) -> Hot:
    found = process.engine.held(ANNA)
    assert found is not None
    return found


def told(hot: Hot, in_force: Snapshot, oldest_ms: int) -> dict[str, Any]:
    """All that anybody can be told of a profile, now and later."""
    read = Projection(in_force.event_paths)
    state = hot.committed
    if state.qualified is None:
        return {"consent": state.consent}
    profile, standing = state.qualified.profile, state.qualified.standing
    return {
        "consent": state.consent,
        "first visit": state.first_visit_ms,
        # No rule tells apart which of two came first that are dated to the same millisecond.
        "events": sorted(
            (one.timestamp_ms, one.id, read.packed(one))
            for one in profile.events
            if one.timestamp_ms >= oldest_ms
        ),
        "rest": {
            name: getattr(profile, name)
            for name in profile.__struct_fields__
            if name not in ("events", "evaluated_ms")
        },
        "members": standing and (standing.members, standing.until_ms),
    }


def as_read_anew(process: Process, in_force: Snapshot, *, now_ms: int) -> bool:
    """Whether a profile in memory is what a process has that reads it now."""
    process.decide(ANNA, now_ms=now_ms)
    anew = loaded_anew(process, ANNA, in_force, now_ms=now_ms)
    oldest_ms = now_ms - in_force.event_window_ms
    assert told(held(process), in_force, oldest_ms) == told(anew, in_force, oldest_ms)
    return True


# ---- what costs no reading of the whole -----------------------------------------------


def test_an_event_that_another_process_added_to_who_is_parked_is_seen_at_the_next_request(
    tmp_path: Path,
) -> None:
    with two(snapshot(), tmp_path, unparked=1) as (ours, theirs):
        theirs.decide(ANNA, viewed("first"), now_ms=NOON_MS)
        for one in (ours, theirs):
            one.hear(now_ms=NOON_MS)
            one.decide(ANNA, now_ms=NOON_MS)
        ours.serve_others(now_ms=NOON_MS)
        loads, unparked = ours.loads, ours.engine.unparked
        theirs.decide(ANNA, viewed("second"), now_ms=NOON_MS + 1)
        theirs.decide(ANNA, viewed("third"), now_ms=NOON_MS + 2)

        ours.hear(now_ms=NOON_MS + 2)

        assert (ours.loads, ours.engine.unparked) == (loads, unparked), "it stays parked"
        ours.decide(ANNA, now_ms=NOON_MS + 2)
        assert ours.loads == loads
        assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 2)


def test_an_event_that_another_process_added_is_seen_and_nothing_is_read_again(
    ours_and_theirs: Both,
) -> None:
    ours, theirs = ours_and_theirs
    basket = viewed("second", event_type="commerce.productListAdds")
    theirs.decide(ANNA, basket, now_ms=NOON_MS + 1)

    ours.hear(now_ms=NOON_MS + 1)
    ours.decide(ANNA, now_ms=NOON_MS + 1)

    assert ours.loads == 0
    assert told(held(ours), snapshot(), 0) == told(held(theirs), snapshot(), 0)


def test_an_audience_that_was_left_long_ago_is_forgotten_as_by_whoever_reads_all(
    ours_and_theirs: Both,
) -> None:
    ours, theirs = ours_and_theirs
    basket = viewed("second", event_type="commerce.productListAdds")
    theirs.decide(ANNA, basket, now_ms=NOON_MS)
    ours.hear(now_ms=NOON_MS)
    theirs.decide(ANNA, viewed("later", at_ms=NOON_MS + DAY_MS), now_ms=NOON_MS + DAY_MS)
    ours.hear(now_ms=NOON_MS + DAY_MS)
    ours.decide(ANNA, now_ms=NOON_MS + DAY_MS)
    forgotten_ms = memberships(ours)["basket"].since_ms + EXITED_KEPT_MS
    for at_ms in (forgotten_ms - 1, forgotten_ms):
        theirs.decide(ANNA, viewed(f"e-{at_ms}", at_ms=at_ms), now_ms=at_ms)
        ours.hear(now_ms=at_ms)
        assert as_read_anew(ours, snapshot(), now_ms=at_ms)
        assert ("basket" in memberships(ours)) is (at_ms < forgotten_ms)

    assert ours.loads == 2, "to compare, and for nothing else"


def memberships(process: Process) -> Mapping[str, Membership]:
    return qualified(process).memberships


def qualified(process: Process) -> Profile:
    found = held(process).committed.qualified
    assert found
    return found.profile


def test_two_processes_take_turns_with_one_visitor_and_none_reads_again(
    ours_and_theirs: Both,
) -> None:
    for number in range(40):
        process = ours_and_theirs[number % 2]
        process.hear(now_ms=NOON_MS + number)
        process.decide(ANNA, viewed(f"e-{number}"), now_ms=NOON_MS + number)

    assert [one.loads for one in ours_and_theirs] == [0, 1]
    profile = held(ours_and_theirs[1]).committed.qualified
    assert profile
    assert len(profile.profile.events) == 41


def test_of_a_visitor_who_goes_on_elsewhere_few_events_are_put_by(ours_and_theirs: Both) -> None:
    ours, theirs = ours_and_theirs
    for number in range(3 * MOST_PUT_BY):
        theirs.decide(ANNA, viewed(f"e-{number}"), now_ms=NOON_MS + number)
        ours.hear(now_ms=NOON_MS + number)
        put_by = held(ours).appended
        assert put_by is None or len(put_by.events) <= MOST_PUT_BY

    assert ours.loads == 0


def test_nothing_is_read_of_profiles_that_are_not_in_memory(tmp_path: Path) -> None:
    with two(snapshot(), tmp_path) as (ours, theirs):
        for number in range(2):
            theirs.decide(ANNA, viewed(f"e-{number}"), now_ms=NOON_MS)
            news = ours.hear(now_ms=NOON_MS)

    assert news.keys == {ANNA}
    assert not news.appended


def test_news_that_could_not_be_read_to_its_end_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two(snapshot(), tmp_path) as (ours, theirs):
        for number in range(2):  # the second time by a connection that is as old as the first
            theirs.decide(ANNA, viewed(f"e-{number}"), now_ms=NOON_MS)
            with monkeypatch.context() as patched:
                patched.setattr("perso_core.stores.sqlite_reader.appended", _broken)
                with pytest.raises(StoreUnavailable):
                    ours.hear(now_ms=NOON_MS)

            assert ours.hear(now_ms=NOON_MS).keys == {ANNA}


def _broken(*_: object, **__: object) -> None:
    raise apsw.IOError("the disk is gone")


# ---- what has the whole read ------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        AttributesPatched({"loyalty": {"tier": "gold"}}),
        ConsentChosen("out"),
        ConsentChosen("in"),
        Forgotten(),
        viewed("first"),
        EventArrived(event=viewed("second").event, claims=(Identity("CRMID", "c-1"),)),
        EventArrived(event=viewed("second").event, segmentation=False),
    ],
    ids=["attributes", "refusal", "consent", "erasure", "second report", "claim", "unsegmented"],
)
def test_whatever_else_another_process_changed_is_in_force_too(
    ours_and_theirs: Both, change: Change
) -> None:
    ours, theirs = ours_and_theirs
    theirs.decide(ANNA, change, now_ms=NOON_MS + 1)
    theirs.decide(ANNA, viewed("third", at_ms=NOON_MS + 2), now_ms=NOON_MS + 2)

    ours.hear(now_ms=NOON_MS + 3)

    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 3)


@pytest.mark.parametrize("said", [{}, {"gold": REALIZED}], ids=["as before", "others"])
def test_audiences_to_which_our_rules_do_not_come_have_the_whole_read(
    ours_and_theirs: Both, said: Mapping[str, Membership]
) -> None:
    """The event leads into `basket`, and the other process says that it does not."""
    ours, theirs = ours_and_theirs
    basket = viewed("second", event_type="commerce.productListAdds")
    theirs.decide(ANNA, basket, now_ms=NOON_MS + 1)
    written = qualified(theirs)

    def profile(known: Memberships) -> tuple[Profile, int]:
        return structs.replace(written, events=(), memberships=said or known), 0

    appended = Appended(written.version, profile, (lambda: basket.event,))

    assert with_appended(held(ours).committed, appended, snapshot(), max_events=9) is None


def test_events_that_another_process_gave_another_instant_are_seen_there(
    ours_and_theirs: Both,
) -> None:
    """Its clock, and ours, ran a day ahead and was put right."""
    ours, theirs = ours_and_theirs
    ahead = viewed("ahead", at_ms=NOON_MS + DAY_MS, event_type="commerce.productListAdds")
    theirs.decide(ANNA, ahead, now_ms=NOON_MS + DAY_MS)
    ours.hear(now_ms=NOON_MS + DAY_MS)
    ours.decide(ANNA, now_ms=NOON_MS + DAY_MS)
    theirs.decide(ANNA, viewed("now", at_ms=NOON_MS + 9), now_ms=NOON_MS + 9)

    ours.hear(now_ms=NOON_MS + 9)

    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 9)
    assert told(held(ours), snapshot(), 0) == told(held(theirs), snapshot(), 0)


def test_who_begins_anew_right_after_an_erasure_has_nothing_of_before(
    ours_and_theirs: Both,
) -> None:
    """The first version of a profile is its instant: the next one, as if an event had come."""
    ours, theirs = ours_and_theirs
    theirs.decide(BERT, viewed("of another one"), now_ms=NOON_MS)
    ours.hear(now_ms=NOON_MS)
    theirs.decide(ANNA, Forgotten(), now_ms=NOON_MS)
    theirs.decide(ANNA, viewed("anew"), now_ms=NOON_MS + 1)

    ours.hear(now_ms=NOON_MS + 2)
    ours.decide(ANNA, now_ms=NOON_MS + 2)

    found = held(ours).committed.qualified
    assert found
    assert [one.id for one in found.profile.events] == ["anew"]


def test_a_version_whose_event_did_not_come_has_the_whole_read(ours_and_theirs: Both) -> None:
    """Its row is an old one: a second report that had more to tell."""
    ours, theirs = ours_and_theirs
    more = event_from({"eventType": "view", "web": {"x": 1}}, event_id="first", received_ms=NOON_MS)
    theirs.decide(ANNA, EventArrived(event=more), now_ms=NOON_MS + 1)
    theirs.decide(ANNA, viewed("second"), now_ms=NOON_MS + 2)

    news = ours.hear(now_ms=NOON_MS + 3)
    ours.decide(ANNA, now_ms=NOON_MS + 3)

    assert len(news.appended[ANNA].events) == 1
    assert held(ours).committed.version == held(theirs).committed.version
    assert ours.loads == 1


def test_a_page_that_cannot_wait_is_answered_by_what_is_known_until_the_rest_is_read(
    ours_and_theirs: Both,
) -> None:
    ours, theirs = ours_and_theirs
    signed_in = EventArrived(event=viewed("second").event, claims=(Identity("CRMID", "c-1"),))
    theirs.decide(ANNA, signed_in, now_ms=NOON_MS + 1)
    ours.hear(now_ms=NOON_MS + 1)

    answers = [ours.engine.lookup(ANNA, "demo", now_ms=NOON_MS + 1) for _ in range(2)]
    assert not any(isinstance(one, NeedProfile) for one in answers)
    assert ours.loads == 0

    ours.hear(now_ms=NOON_MS + 1)
    assert ours.loads == 1
    assert held(ours).committed.version == held(theirs).committed.version


def test_a_profile_that_has_to_be_read_again_stays_in_memory_meanwhile(
    ours_and_theirs: Both,
) -> None:
    """Who signs in asks what the device left behind, without waiting: it must not be gone then."""
    ours, theirs = ours_and_theirs
    signed_in = EventArrived(event=viewed("second").event, claims=(Identity("CRMID", "c-1"),))
    theirs.decide(ANNA, signed_in, now_ms=NOON_MS + 1)
    ours.hear(now_ms=NOON_MS + 1)

    asked = Interaction(profile_key=ANNA, datastream_id="demo")
    answer = ours.engine.decide(asked, now_ms=NOON_MS + 1)

    assert answer == NeedProfile(ANNA, behind=True)
    assert ours.engine.holds(ANNA)


async def test_what_was_put_by_of_a_profile_that_began_anew_since_is_asked_for_once(
    tmp_path: Path,
) -> None:
    """Its version may be higher than that of what came after."""
    async with running(WatchedStore(await open_sqlite(tmp_path / "perso.sqlite"))) as stack:
        await stack.begin_visit(ANNA)
        stored = await stack.store.load(ANNA)
        profile = stored.profile
        assert profile
        beyond = Appended(profile.version + 1_000, lambda _: (profile, 0), ())
        stack.engine.appended(ANNA, beyond)

        asked = Interaction(profile_key=ANNA, datastream_id="demo")
        answer = await asyncio.wait_for(stack.admission.decided(asked), 5)
        await stack.store.close()

    assert answer.known


def test_whoever_was_away_for_many_events_reads_the_whole(
    ours_and_theirs: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_appended, "MOST_EVENTS", 2)
    ours, theirs = ours_and_theirs
    for number in range(3):
        theirs.decide(ANNA, viewed(f"e-{number}"), now_ms=NOON_MS + number)

    news = ours.hear(now_ms=NOON_MS + 3)

    assert news.keys == {ANNA}
    assert not news.appended
    assert held(ours).committed.version == held(theirs).committed.version


def test_what_waits_for_its_commit_meanwhile_is_decided_again_on_top(
    ours_and_theirs: Both,
) -> None:
    ours, theirs = ours_and_theirs
    theirs.decide(ANNA, viewed("theirs"), now_ms=NOON_MS + 1)
    changes = (viewed("ours", at_ms=NOON_MS + 2),)
    asked = Interaction(profile_key=ANNA, datastream_id="demo", changes=changes)
    ours.engine.decide(asked, now_ms=NOON_MS + 2)

    ours.hear(now_ms=NOON_MS + 2)
    ours.commit(now_ms=NOON_MS + 3)

    found = held(ours).committed.qualified
    assert found
    assert [one.id for one in found.profile.events] == ["first", "theirs", "ours"]
    assert ours.loads == 0
    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 3)


def test_an_event_that_is_sent_to_both_at_once_counts_once(ours_and_theirs: Both) -> None:
    ours, theirs = ours_and_theirs
    for number in range(3):
        sent = viewed(f"e-{number}", at_ms=NOON_MS + number)
        asked = Interaction(profile_key=ANNA, datastream_id="demo", changes=(sent,))
        for process in ours_and_theirs:
            process.engine.decide(asked, now_ms=NOON_MS + number)
        theirs.commit(now_ms=NOON_MS + number)
        ours.commit(now_ms=NOON_MS + number)

    stored = ours.load(ANNA).profile
    assert stored
    assert [one.id for one in stored.events] == ["first", "e-0", "e-1", "e-2"]
    assert stored.version == NOON_MS + 3
    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 3)


def test_a_second_report_of_what_lies_packed_waits_for_the_whole(ours_and_theirs: Both) -> None:
    """It was decided on while nothing else was there; then another process was faster."""
    ours, theirs = ours_and_theirs
    theirs.decide(ANNA, viewed("second"), now_ms=NOON_MS + 1)
    ours.hear(now_ms=NOON_MS + 1)
    ours.decide(ANNA, viewed("third", at_ms=NOON_MS + 1), now_ms=NOON_MS + 1)
    more = event_from({"eventType": "view", "web": {"x": 1}}, event_id="first", received_ms=NOON_MS)
    theirs.decide(ANNA, viewed("fourth", at_ms=NOON_MS + 2), now_ms=NOON_MS + 2)

    ours.decide(ANNA, EventArrived(event=more, datastream_id="demo"), now_ms=NOON_MS + 2)

    stored = ours.load(ANNA).profile
    assert stored
    assert stored.events[0].xdm["web"] == {"x": 1}
    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 3)


def test_a_reading_that_began_before_hides_nothing_that_was_added_since(
    ours_and_theirs: Both,
) -> None:
    ours, theirs = ours_and_theirs
    stored = ours.load(ANNA)
    theirs.decide(ANNA, viewed("second"), now_ms=NOON_MS + 1)
    ours.hear(now_ms=NOON_MS + 1)

    ours.engine.renew(ANNA, stored.profile, stored.consent, now_ms=NOON_MS + 1)

    assert as_read_anew(ours, snapshot(), now_ms=NOON_MS + 1)


def test_an_event_with_an_id_of_long_ago_is_seen_by_who_also_forgot_one_of_its_own(
    tmp_path: Path,
) -> None:
    """Each by itself would not fit the versions: together they do."""
    in_force = compile_snapshot(definitions(), event_window_ms=WINDOW_MS)
    with two(in_force, tmp_path) as (ours, theirs):
        theirs.decide(ANNA, viewed("used again"), now_ms=NOON_MS)
        for one in (ours, theirs):
            one.hear(now_ms=NOON_MS)
            one.decide(ANNA, now_ms=NOON_MS)
        ours.decide(ANNA, viewed("forgotten", at_ms=NOON_MS + 1), now_ms=NOON_MS + 1)
        later_ms = NOON_MS + WINDOW_MS + 2
        ours.decide(ANNA, viewed("later", at_ms=later_ms), now_ms=later_ms)
        theirs.hear(now_ms=later_ms)
        theirs.decide(ANNA, viewed("used again", at_ms=later_ms), now_ms=later_ms)

        ours.hear(now_ms=later_ms)

        assert as_read_anew(ours, in_force, now_ms=later_ms)


@pytest.mark.parametrize("they_do", ["use an id again", "complete an event"])
def test_an_event_that_was_forgotten_makes_up_for_none_that_is_not_told(
    tmp_path: Path, they_do: str
) -> None:
    """As many events are read as there are versions, of which one is forgotten again and one has
    the id of an event that is known, or none was added for one."""
    both = {"both": "xEvent.exists(e => e.opened = true and e.bought = true)"}
    in_force = compile_snapshot(definitions(both), event_window_ms=WINDOW_MS)
    known_ms = NOON_MS + WINDOW_MS + 2
    last_ms = known_ms + (WINDOW_MS + 1 if they_do == "use an id again" else 1)
    with two(in_force, tmp_path) as (ours, theirs):
        theirs.decide(ANNA, viewed("first"), now_ms=NOON_MS)
        ours.hear(now_ms=NOON_MS)
        ours.decide(ANNA, viewed("forgotten", at_ms=NOON_MS + 1), now_ms=NOON_MS + 1)
        ours.decide(ANNA, viewed("known", at_ms=known_ms), now_ms=known_ms)
        assert [one.id for one in qualified(ours).events] == ["known"]
        theirs.hear(now_ms=known_ms)
        more = {"eventType": "view", "opened": True}
        again = event_from(more, event_id="known", received_ms=last_ms)
        theirs.decide(ANNA, EventArrived(event=again, datastream_id="demo"), now_ms=last_ms)
        theirs.decide(ANNA, viewed("last", at_ms=last_ms), now_ms=last_ms)

        ours.hear(now_ms=last_ms)

        assert as_read_anew(ours, in_force, now_ms=last_ms)


# ---- the law ----------------------------------------------------------------------------


@settings(max_examples=STORIES, deadline=None)
@given(stories.randoms)
def test_what_is_taken_over_equals_what_is_read_anew(chance: Random) -> None:
    """Events in and out of order, second reports, claims, attributes, consent, erasure, time, and
    others who come, so that she is parked."""
    in_force = compile_snapshot(definitions(_rules(chance)), event_window_ms=WINDOW_MS)
    now_ms = stories.START_MS
    sent: list[Event] = []
    with (
        tempfile.TemporaryDirectory() as data_dir,
        two(in_force, Path(data_dir), unparked=1) as processes,
    ):
        for _ in range(STEPS):
            now_ms += chance.choice((0, 1, 20, 60_000, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS))
            process = chance.choice(processes)
            if chance.random() < 0.4:
                process.serve_others(now_ms=now_ms)
            if chance.random() < 0.7:
                process.hear(now_ms=now_ms)
            changes = [_change(chance, now_ms, sent) for _ in range(chance.choice((0, 1, 1, 1, 2)))]
            process.decide(ANNA, *changes, now_ms=now_ms)
            if chance.random() < 0.4:
                process.hear(now_ms=now_ms)
                as_read_anew(process, in_force, now_ms=now_ms)
        for process in processes:
            process.hear(now_ms=now_ms)
            as_read_anew(process, in_force, now_ms=now_ms)


def _rules(chance: Random) -> dict[str, str]:
    made: dict[str, str] = {}
    while len(made) < 6:
        text = stories.rule(chance, list(made))
        if stories.compiled_or_not(text, WINDOW_MS) is not None:
            made[f"s{len(made)}"] = text
    return made


def _change(chance: Random, now_ms: int, sent: list[Event]) -> Change:
    pick = chance.random()
    if pick < 0.02:
        return Forgotten()
    if pick < 0.06:
        choices: tuple[Choice, ...] = ("in", "in", "out")
        return ConsentChosen(chance.choice(choices))
    if pick < 0.12:
        name, value = stories.attribute(chance, now_ms)
        return AttributesPatched({name: value})
    claims = (Identity("CRMID", chance.choice("ab")),) if chance.random() < 0.05 else ()
    return EventArrived(
        event=_event(chance, now_ms, sent), claims=claims, datastream_id=chance.choice(("demo", ""))
    )


def _event(chance: Random, now_ms: int, sent: list[Event]) -> Event:
    if sent and chance.random() < 0.1:
        return chance.choice(sent)  # reported again
    fields = stories.event(chance, now_ms)
    event_id = fields.pop("_id")
    late_ms = chance.randrange(3 * HOUR_MS) if chance.random() < 0.15 else 0
    again = chance.random() < 0.05 and sent
    event = event_from(
        fields,
        event_id=chance.choice(sent).id if again else event_id,
        received_ms=now_ms,
        dated_ms=now_ms - late_ms,
    )
    sent.append(event)
    return event
