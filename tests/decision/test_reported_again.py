"""Events that are reported a second time leave what running every rule leaves."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from msgspec import structs

from perso_core.decision import qualification
from perso_core.decision.event import Event
from perso_core.decision.membership import EXITED_KEPT_MS, Membership, Memberships
from perso_core.decision.profile import Profile, merge, packed, view
from perso_core.decision.projection import Projection
from perso_core.decision.qualification import (
    Qualified,
    advance,
    after_completion,
    after_event,
    qualify_all,
)
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import EventArrived
from perso_core.pql.windows import FOREVER_MS
from tests.building import BASKET_RULE, NOON_MS, definitions, event, snapshot
from tests.rules import making_stories
from tests.rules.making_stories import DAY_MS, HOUR_MS, START_MS, randoms

MANY = 400


@given(randoms)
def test_memberships_and_their_instants_are_those_of_every_rule_run(chance: Random) -> None:
    window_ms = chance.choice((3 * HOUR_MS, 2 * DAY_MS, 35 * DAY_MS))
    rules = making_stories.rules(chance, 8, window_ms)
    texts = {audience_id: rule.text for audience_id, rule in rules}
    told = compile_snapshot(definitions(texts), event_window_ms=window_ms)
    read = Projection(told.event_paths)
    now_ms = START_MS
    carried = anew = qualify_all(Profile(key="ECID:1"), told, now_ms=now_ms)
    stored: dict[str, Event] = {}

    for number in range(25):
        now_ms += chance.choice((0, 1, 60_000, HOUR_MS, 5 * HOUR_MS, 32 * DAY_MS))
        carried, anew = advance(carried, told, now_ms=now_ms), brought(anew, told, now_ms)
        again = stored and chance.random() < 0.5
        event_id = chance.choice([*stored]) if again else str(number)
        late_ms = chance.choice((0, 0, chance.randrange(2 * HOUR_MS)))
        at_ms = stored[event_id].timestamp_ms if again else now_ms - late_ms
        sent = event_of(chance, event_id, at_ms)

        merged = merge(carried.profile, sent, max_events=MANY, stored=stored.get(event_id))
        if merged.event is None:
            continue
        stored[event_id] = merged.event
        profile, now = merged.profile, merged.event
        if merged.before:
            at_once = qualify_all(profile, told, now_ms=now_ms)
            carried = after_completion(
                carried, profile, merged.before, now, read, told, now_ms=now_ms
            )
            assert dict(carried.profile.memberships) == dict(at_once.profile.memberships)
        else:
            carried = after_event(carried, profile, now, told, now_ms=now_ms)
        whole = structs.replace(anew.profile, events=tuple(by_time(stored)))
        anew = qualify_all(whole, told, now_ms=now_ms)

        assert told_of(carried) == told_of(anew)
        assert carried.until_ms == anew.until_ms
        assert carried.profile.evaluated_ms == anew.profile.evaluated_ms
        carried = structs.replace(carried, profile=packed(carried.profile, read))


def brought(before: Qualified, told: Snapshot, now_ms: int) -> Qualified:
    """Every rule run at each instant at which time alone changes something."""
    while before.until_ms <= min(now_ms, FOREVER_MS - 1):
        before = qualify_all(before.profile, told, now_ms=before.until_ms)
    return before


def told_of(one: Qualified) -> list[Membership]:
    """What was left long ago is forgotten at the next chance."""
    oldest_ms = one.profile.evaluated_ms - EXITED_KEPT_MS
    known = Memberships.of(one.profile.memberships).each()
    return [each for each in known if each.status == "realized" or each.since_ms > oldest_ms]


def event_of(chance: Random, event_id: str, at_ms: int) -> Event:
    made = making_stories.event(chance, at_ms)
    unread = {"unread": {str(chance.randrange(9)): 1}} if chance.random() < 0.5 else {}
    if chance.random() < 0.3:
        made = {"timestamp": at_ms}
    return Event(id=event_id, timestamp_ms=at_ms, xdm={**made, **unread, "_id": event_id})


def by_time(stored: dict[str, Event]) -> list[Event]:
    return sorted(stored.values(), key=lambda one: one.timestamp_ms)


def engine_with_many() -> tuple[Engine, list[Event]]:
    """An engine in which ECID:1 has many events of the last seconds."""
    kinds = ("commerce.productListAdds", "web.webpagedetails.pageViews")
    events = [
        event(kinds[number % 2], at_ms=NOON_MS - MANY + number, event_id=f"e{number}")
        for number in range(MANY)
    ]
    engine = Engine(snapshot({"basket": BASKET_RULE, "many": "xEvent.count() > 9"}))
    known = Profile(key="ECID:1", version=1, events=tuple(events), datastreams=("demo",))
    engine.admit("ECID:1", known, None, now_ms=NOON_MS)
    return engine, events


def test_a_second_report_of_what_no_rule_reads_has_none_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, events = engine_with_many()
    looks = 0

    def looked(profile: Profile, _: object) -> dict[str, object]:
        nonlocal looks
        looks += 1
        return view(profile, {})

    monkeypatch.setattr(qualification, "view", looked)

    changes = tuple(
        EventArrived(
            event=structs.replace(known, xdm={**known.xdm, "unread": {"place": number}}),
            known=known,
        )
        for number, known in enumerate(events[:99])
    )
    answer = engine.decide(
        Interaction(profile_key="ECID:1", datastream_id="demo", changes=changes), now_ms=NOON_MS
    )

    assert isinstance(answer, Answer)
    assert (len(engine.pending(MANY)), looks) == (99, 0)
    assert engine.pending(1)[0].event is not None
