"""Profiles between visits: nobody can tell that they were parked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.decision.consent import Consent
from perso_core.decision.event import Event, event_from
from perso_core.decision.identity import Identity
from perso_core.decision.lookup import Lookup
from perso_core.decision.membership import ImportedMembership
from perso_core.decision.profile import Profile, with_whole_events
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction, NeedProfile
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from tests.building import BASKET_RULE, DAY_MS, HOUR_MS, NOON_MS, definitions, event, snapshot
from tests.rules import making_stories
from tests.soaking import times

CAPS = Caps(events=40, identities=3)
VISITORS = tuple(f"ECID:{number}" for number in range(3))
STEPS = 60
WINDOW_MS = 2 * DAY_MS


@lru_cache(maxsize=64)
def in_force(seed: int, began_ms: int) -> Snapshot:
    """Definitions with rules at random."""
    made = making_stories.rules(Random(seed), 8, WINDOW_MS)
    rules = {audience_id: rule.text for audience_id, rule in made}
    return compile_snapshot(definitions(rules), event_window_ms=WINDOW_MS, in_force_ms=began_ms)


class Both:
    """Two engines that are told the same. In the one nobody is ever parked, in the other whoever
    was not asked last. What another process would read is what the first one has, events whole."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.now_ms = NOON_MS
        first = in_force(chance.randrange(20), 0)
        self.one = Engine(first, caps=CAPS, hot_profiles=50, journal_limit=40)
        self.other = Engine(
            first, caps=CAPS, hot_profiles=50, journal_limit=40, unparked_profiles=1
        )
        self.sent: dict[str, Event] = {}
        self.store: dict[str, tuple[Profile | None, Consent | None]] = {}
        for key in VISITORS:
            for engine in (self.one, self.other):
                engine.admit(key, None, None, now_ms=NOON_MS)

    def each(self, does: Callable[[Engine], Any]) -> Any:
        """Done by both; what the first one says, which the other one says as well."""
        said, again = does(self.one), does(self.other)
        assert again == said
        return said

    def decide(self, key: str, *changes: Change, **more: Any) -> None:
        asked = Interaction(profile_key=key, datastream_id="demo", changes=changes, **more)
        answer = self.each(lambda engine: engine.decide(asked, now_ms=self.now_ms))
        while isinstance(answer, NeedProfile):
            self.load(key, answer)
            answer = self.each(lambda engine: engine.decide(asked, now_ms=self.now_ms))

    def load(self, key: str, needed: NeedProfile) -> None:
        """As the worker does."""
        self.commit()
        profile, consent = self.store[key]
        self.each(
            lambda engine: (
                engine.renew(key, profile, consent, now_ms=self.now_ms, whole=needed.whole)
                if needed.behind
                else engine.admit(key, profile, consent, now_ms=self.now_ms)
            )
        )

    def commit(self) -> None:
        entries = self.each(lambda engine: engine.pending(100))
        for entry in entries:
            if entry.event is not None:
                self.sent[entry.event.id] = entry.event
        if entries:
            self.each(lambda engine: engine.committed(entries[-1].sequence))
        for key in VISITORS:
            state = self.one.held(key)
            if state is not None:
                qualified, consent = state.committed.qualified, state.committed.consent
                profile = qualified.profile if qualified else None
                self.store[key] = whole(profile, self.sent), consent

    # ---- what happens

    def happen(self) -> None:
        chance, key = self.chance, self.chance.choice(VISITORS)
        if chance.random() < 0.3:
            self.now_ms += chance.choice((1, 60_000, HOUR_MS, 5 * HOUR_MS, DAY_MS))
        pick = chance.random()
        if pick < 0.5:
            self.decide(key, self.arrived(), visits=chance.random() < 0.5)
        elif pick < 0.65:
            name, value = making_stories.attribute(chance, self.now_ms)
            self.decide(key, AttributesPatched({name: value, "loyalty": {"tier": "gold"}}))
        elif pick < 0.8:
            self.look(key)
        elif pick < 0.85:
            self.decide(key, self.said())
        elif pick < 0.9:
            self.renew(key)
        elif pick < 0.93:
            found = in_force(chance.randrange(20), self.now_ms)
            self.each(lambda engine: engine.swap(found))
        if chance.random() < 0.8:
            self.commit()

    def arrived(self) -> EventArrived:
        chance = self.chance
        at_ms = self.now_ms - (chance.randrange(5 * HOUR_MS) if chance.random() < 0.15 else 0)
        xdm = making_stories.event(chance, at_ms)
        known = [*self.sent]
        again = bool(known) and chance.random() < 0.15
        event_id = chance.choice(known[-6:]) if again else f"e{chance.random()}"
        return EventArrived(
            event=event_from(xdm, event_id=event_id, received_ms=at_ms),
            claims=(Identity("CRM", str(chance.randrange(9))),) if chance.random() < 0.1 else (),
            segmentation=chance.random() < 0.9,
            datastream_id="demo",
        )

    def said(self) -> Change:
        made: tuple[Change, ...] = (
            ConsentChosen("in"),
            ConsentChosen("out"),
            ConsentChosen(share="n"),
            PrivacySignalled(),
            Forgotten(),
        )
        return self.chance.choice(made)

    def look(self, key: str) -> None:
        self.each(lambda engine: engine.lookup(key, "demo", now_ms=self.now_ms))
        self.each(lambda engine: engine.profile(key, now_ms=self.now_ms))
        self.each(lambda engine: engine.seen(key))

    def renew(self, key: str) -> None:
        """Another process wrote it."""
        self.commit()
        profile, consent = self.store[key]
        if profile is not None:
            month_ms = self.now_ms + 30 * DAY_MS
            profile = structs.replace(
                profile,
                version=profile.version + 1,
                attributes={**profile.attributes, "tier": "s"},
                imported={"of-others": ImportedMembership(self.now_ms, month_ms)},
            )
        self.each(lambda engine: engine.renew(key, profile, consent, now_ms=self.now_ms))


def whole(profile: Profile | None, sent: Mapping[str, Event]) -> Profile | None:
    return profile and with_whole_events(profile, [*sent.values()])


@settings(max_examples=times(40, 4_000))
@given(st.integers(0, 2**48))
def test_nobody_can_tell_that_profiles_were_parked(seed: int) -> None:
    both = Both(Random(seed))
    for _ in range(STEPS):
        both.happen()

    for key in VISITORS:
        both.look(key)
    both.each(len)
    both.each(Engine.keys)


# ---- one fact each --------------------------------------------------------------------------


def engine_of(*keys: str, unparked: int = 1, **rules: str) -> Engine:
    """An engine in which these profiles have a product in the basket. But for the last ones all
    are parked."""
    engine = Engine(
        snapshot(rules or None), hot_profiles=10, journal_limit=5, unparked_profiles=unparked
    )
    for key in keys:
        added(engine, key)
    return engine


def added(engine: Engine, key: str, *, proven: bool = False) -> Answer:
    """A product was put into the basket, and that is stored. proven: by a cookie."""
    change = EventArrived(event=event("commerce.productListAdds", event_id=f"of {key}, {proven}"))
    asked = Interaction(
        profile_key=key, datastream_id="demo", changes=(change,), new=not proven, visits=proven
    )
    answer = engine.decide(asked, now_ms=NOON_MS)
    assert isinstance(answer, Answer)
    engine.kept([entry.sequence for entry in engine.pending(9) if entry.key == key])
    return answer


def audiences(engine: Engine, key: str, now_ms: int = NOON_MS) -> tuple[str, ...]:
    found = engine.lookup(key, "demo", now_ms=now_ms)
    assert isinstance(found, Lookup)
    return found.destinations[0].audiences if found.destinations else ()


def test_whoever_was_not_asked_for_the_longest_is_parked_and_still_in_memory() -> None:
    engine = engine_of(*(f"ECID:{number}" for number in range(1, 9)), unparked=2)

    assert len(engine) == 8
    assert 2 <= engine.unparked <= 3
    assert audiences(engine, "ECID:1") == ("basket",)


def test_nobody_is_answered_by_what_is_parked_of_a_visitor_who_cannot_be_read() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    engine.following.unreadable("ECID:1")

    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")
    assert audiences(engine, "ECID:2") == ("basket",)


def test_who_is_parked_leaves_an_audience_at_its_instant() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    profile = engine.profile("ECID:1", now_ms=NOON_MS + DAY_MS)

    assert isinstance(profile, Profile)
    assert profile.memberships["basket"].status == "exited"
    assert profile.memberships["basket"].since_ms == NOON_MS + HOUR_MS + 1


def test_who_is_parked_is_decided_under_new_rules_at_the_next_request() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    engine.swap(snapshot({"new": BASKET_RULE, "no-basket": f"not({BASKET_RULE})"}))

    assert audiences(engine, "ECID:1") == ("new",)


def test_who_is_parked_leaves_at_its_instant_where_the_same_rules_were_put_in_force_again() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    engine.swap(snapshot())

    assert audiences(engine, "ECID:1", NOON_MS + HOUR_MS) == ("basket",)
    assert audiences(engine, "ECID:1", NOON_MS + HOUR_MS + 1) == ()


def test_what_another_process_wrote_of_who_is_parked_is_in_the_next_answer() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    heard = engine.hot(["ECID:1", "ECID:9"])
    engine.renew("ECID:1", None, None, now_ms=NOON_MS)

    assert heard == {"ECID:1"}
    assert audiences(engine, "ECID:1") == ()


def test_where_announcements_were_missed_who_is_parked_is_read_again_too() -> None:
    engine = engine_of("ECID:1", "ECID:2", "ECID:3")

    assert engine.keys() == {"ECID:1", "ECID:2", "ECID:3"}


def test_what_waits_for_its_commit_is_not_parked() -> None:
    engine = engine_of("ECID:1")
    patch = AttributesPatched({"loyalty": {"tier": "gold"}})
    asked = Interaction(profile_key="ECID:1", datastream_id="demo", changes=(patch,))
    waiting = engine.decide(asked, now_ms=NOON_MS)
    assert isinstance(waiting, Answer)

    for number in range(2, 8):
        added(engine, f"ECID:{number}")

    (entry,) = engine.pending(10)
    engine.committed(entry.sequence)
    assert audiences(engine, "ECID:1") == ("basket", "gold")


def test_who_cannot_be_parked_is_loaded_at_the_next_request() -> None:
    engine = engine_of()
    odd = Profile(key="ECID:1", version=1, attributes={"odd": object()})
    engine.admit("ECID:1", odd, None, now_ms=NOON_MS)

    added(engine, "ECID:2")
    added(engine, "ECID:3")

    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")


def test_who_came_once_is_left_to_the_store_and_takes_nobodys_place() -> None:
    engine = Engine(
        snapshot(), hot_profiles=10, journal_limit=5, unparked_profiles=1, first_visit_ms=DAY_MS
    )
    added(engine, "ECID:known")
    added(engine, "ECID:known", proven=True)

    for number in range(50):
        added(engine, f"ECID:{number}")

    assert audiences(engine, "ECID:known") == ("basket",)
    assert engine.lookup("ECID:1", "demo", now_ms=NOON_MS) == NeedProfile("ECID:1")


def test_who_is_parked_goes_before_anybody_who_is_not() -> None:
    engine = engine_of(*(f"ECID:{number}" for number in range(10)), unparked=4)

    added(engine, "ECID:another")

    assert len(engine) == 10
    assert engine.unparked >= 4
    assert engine.hot(["ECID:0"]) == set()
