"""A profile's events in memory: packed, without what no rule reads, and no rule can tell."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.blocks import LARGE, SMALL
from perso_core.decision.event import Event
from perso_core.decision.kept_events import KeptEvents, ReadEvent
from perso_core.decision.profile import Profile, merge, packed
from perso_core.decision.projection import Paths, Projection, event_of
from perso_core.pql.compiler import compile_rule
from perso_core.pql.event_paths import THERE
from perso_core.pql.explain import explain_rule, reason
from perso_core.pql.values import walk
from perso_core.stores.record import event_record, read_event
from tests.building import NOON_MS, event
from tests.pql import making_elements, making_focused, making_profiles
from tests.pql.admitted import admitted

Situation = tuple[dict[str, Any], int, int]
situations = making_profiles.situations()

NAMES = ("a", "b", "web", "items")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("xyß")
SCALARS |= st.sampled_from(("x" * 101, "ß" * 60, "ß" * 101, 2**70, -(2**64), 10**300))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3) | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
PLACES = st.lists(st.sampled_from(NAMES), max_size=3).map(tuple)
PATHS = st.frozensets(PLACES | PLACES.filter(bool).map(lambda path: (*path, THERE)), max_size=4)


def reported(number: int, at_ms: int, xdm: Mapping[str, Any]) -> Event:
    seen = {**xdm, "_id": f"e{number}", "timestamp": at_ms}
    return Event(id=f"e{number}", timestamp_ms=at_ms, xdm=seen, client_timestamp=f"c{number}")


@given(making_focused.rules, situations)
def test_no_rule_can_tell_that_the_events_lack_what_it_does_not_read(
    text: str, situation: Situation
) -> None:
    cannot_tell(text, situation)


@settings(max_examples=400)
@given(making_elements.rules, making_elements.situations)
def test_no_rule_can_tell_that_the_elements_lack_what_it_does_not_read(
    text: str, situation: Situation
) -> None:
    cannot_tell(text, situation)


def cannot_tell(text: str, situation: Situation) -> None:
    view, now_ms, event_window_ms = situation
    rule = admitted(text, event_window_ms)
    events = [
        reported(number, at if type(at := one.get("timestamp")) is int else now_ms, one)
        for number, one in enumerate(view.get("xEvent", ()))
    ]
    events.sort(key=lambda one: one.timestamp_ms)
    projection = Projection(frozenset(rule.reads.event_paths))

    kept = KeptEvents.of(events).packed(projection)
    read = KeptEvents.read((as_stored(one, projection) for one in events), projection)

    assert read.xdm() == kept.xdm()
    whole = {**view, "xEvent": [one.xdm for one in events]}
    lacking = {**view, "xEvent": kept.xdm()}
    assert rule.evaluate(lacking, now_ms) == rule.evaluate(whole, now_ms)
    assert reason(explain_rule(rule, lacking, now_ms)) == reason(explain_rule(rule, whole, now_ms))


def test_what_a_rule_reads_of_an_event_is_told_by_path() -> None:
    rule = compile_rule(
        'CHAIN(xEvent, timestamp, [C0: WHAT(web.webPageDetails.name = "a") WHEN(today)]) and '
        'xEvent.filter(x => x.commerce.order.priceTotal > 5).count() > 1 and loyalty.tier = "gold"'
    )

    assert set(rule.reads.event_paths) - {("timestamp",)} == {
        ("web", "webPageDetails", "name"),
        ("commerce", "order", "priceTotal"),
    }


@given(st.lists(st.tuples(st.integers(0, 5), OBJECTS), max_size=12), PATHS, st.data())
def test_events_are_in_the_order_of_their_times_and_of_arrival_however_they_are_packed(
    sent: list[tuple[int, dict[str, Any]]], paths: frozenset[tuple[str, ...]], data: st.DataObject
) -> None:
    events = [reported(number, at_ms, xdm) for number, (at_ms, xdm) in enumerate(sent)]
    kept = KeptEvents.of(())
    for one in events:
        kept = kept.with_event(one)
        if data.draw(st.booleans()):
            kept = kept.packed(WHOLE)
    ordered = sorted(events, key=lambda one: one.timestamp_ms)
    count, oldest_ms = data.draw(st.integers(0, 13)), data.draw(st.integers(0, 6))

    assert [one.id for one in kept] == [one.id for one in ordered]
    assert [one.xdm for one in kept] == [one.xdm for one in ordered]
    assert [kept.place_of(one.id) for one in ordered] == list(range(len(ordered)))
    assert kept.place_of("another") is None
    assert [one.id for one in kept.newest(count)] == [
        one.id for one in ordered[max(0, len(ordered) - count) :]
    ]
    assert [one.id for one in kept.since(oldest_ms)] == [
        one.id for one in ordered if one.timestamp_ms >= oldest_ms
    ]
    again = kept.packed(Projection(paths)).packed(Projection(paths))
    assert [one.id for one in again] == [one.id for one in ordered]


WHOLE = Projection(frozenset({()}))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_events_are_what_they_were_when_they_lie_compressed(chance: Random) -> None:
    kept, known = KeptEvents.of(()), list[Event]()
    for number in range(LARGE + 3 * SMALL):
        late = chance.randrange(-300, 0) if chance.random() < 0.05 else 0
        one = reported(number, NOON_MS + 10 * number + late, {"a": number, "b": "x" * number})
        kept = kept.with_event(one)
        known = sorted([*known, one], key=lambda one: one.timestamp_ms)
        if chance.random() < 0.02:
            kept, known = kept.newest(30), known[-30:]
        if chance.random() < 0.02:
            oldest_ms = NOON_MS + chance.randrange(10 * number + 1)
            kept = kept.since(oldest_ms)
            known = [one for one in known if one.timestamp_ms >= oldest_ms]
        if chance.random() < chance.choice((0.1, 0.9)):
            kept = kept.packed(WHOLE if chance.random() < 0.95 else Projection(WHOLE.paths))

    assert [one.xdm for one in kept] == [one.xdm for one in known]
    assert kept.xdm() == [one.xdm for one in known]
    assert [kept.place_of(one.id) for one in known] == list(range(len(known)))
    ended = kept.packed(Projection(frozenset({("a",)})))
    assert [one.xdm["a"] for one in ended] == [one.xdm["a"] for one in known]


@given(st.integers(0, 90), st.integers(0, 90), st.booleans())
def test_the_last_events_give_way_to_others_wherever_the_first_ones_lie(
    older: int, stay: int, together: bool
) -> None:
    first = KeptEvents.of([reported(n, NOON_MS + n, {"a": n}) for n in range(older)]).packed(WHOLE)
    kept = KeptEvents.of(()) if together else first
    for n in range(0 if together else older, older + 2):
        kept = kept.with_event(reported(n, NOON_MS + n, {"a": n}))
    stay = min(stay, older)

    ended = kept.ending(stay, [reported(91, NOON_MS + 91, {"a": 91})])

    assert [one.xdm["a"] for one in ended] == [*range(stay), 91]
    assert [one.xdm["a"] for one in ended.packed(WHOLE)] == [*range(stay), 91]
    assert [ended.place_of(f"e{n}") for n in (*range(stay), 91)] == list(range(stay + 1))
    assert ended.place_of(f"e{older}") is None


def test_an_event_that_is_late_takes_its_place_among_compressed_ones() -> None:
    kept = KeptEvents.of([reported(n, NOON_MS + n, {"a": n}) for n in range(90)]).packed(WHOLE)

    late = kept.with_event(reported(90, NOON_MS + 70, {"a": 90}))

    assert [one.xdm["a"] for one in late] == [*range(71), 90, *range(71, 90)]
    assert [late.whole_at(place) is None for place in (0, 63, 70, 71, 72)] == [
        *[True] * 3,
        False,
        True,
    ]
    assert late.packed(WHOLE).whole_at(71) is None


@settings(max_examples=300)
@given(OBJECTS, PATHS)
def test_what_stands_at_a_path_is_kept_as_it_is(xdm: dict[str, Any], paths: Paths) -> None:
    one = reported(1, NOON_MS, xdm)
    older = KeptEvents.of((one, reported(2, NOON_MS, {})))

    (kept, _) = older.packed(Projection(paths)).xdm()

    for path in paths:
        if path[-1:] != (THERE,):
            assert walk(kept, path) == walk(one.xdm, path)
            assert repr(walk(kept, path)) == repr(walk(one.xdm, path))
        for size in range(len(path) * (path[-1:] == (THERE,))):
            of = shape(walk(one.xdm, path[:size]))
            assert shape(walk(kept, path[:size])) == of or size < len(path) - 1


def shape(value: Any) -> Any:
    """What is there, and how many, without what they are."""
    if isinstance(value, list):
        return [shape(one) for one in value]
    return None if value is None else isinstance(value, dict) or type(value)


@given(OBJECTS, PATHS, PATHS)
def test_what_is_kept_of_what_is_kept_is_what_is_kept_of_all(
    xdm: dict[str, Any], paths: Paths, fewer: Paths
) -> None:
    one, other = reported(1, NOON_MS, xdm), reported(2, NOON_MS, {})
    more, less = Projection(paths | fewer), Projection(fewer)
    assert more.covers(less)

    again = KeptEvents.of((one, other)).packed(more).packed(less)

    assert again.xdm() == KeptEvents.of((one, other)).packed(less).xdm()


def test_of_each_element_is_kept_what_rules_read_of_it() -> None:
    items = [{"SKU": "a", "price": 1, "more": "x" * 999}, {"price": 2}, "x" * 999, [{"SKU": "b"}]]
    one = reported(1, NOON_MS, {"items": items, "web": [{"page": {"a": 1, "b": 2}}]})
    projection = Projection(frozenset({("items", "SKU"), ("items", THERE), ("web", "page", "a")}))

    read = as_stored(one, projection)

    assert isinstance(read.row, bytes)
    assert projection.unpacked(read.row, NOON_MS) == {
        "_id": "e1",
        "timestamp": NOON_MS,
        "items": [{"SKU": "a"}, {}, "x" * 100, [{"SKU": "b"}]],
        "web": [{"page": {"a": 1}}],
    }


def test_the_newest_event_is_whole_and_those_before_it_are_what_rules_read() -> None:
    profile = Profile(key="ECID:1")
    for number in range(3):
        one = event(event_id=f"e{number}", device={"type": "mobile"}, web={"x": number})
        merged = merge(profile, one, max_events=10)
        profile = packed(merged.profile, Projection(frozenset({("web", "x")})))

    kept = KeptEvents.of(profile.events)

    assert [one.xdm.get("web") for one in kept] == [{"x": 0}, {"x": 1}, {"x": 2}]
    assert kept.whole_at(1) is None
    assert kept.whole_at(2) == event(event_id="e2", device={"type": "mobile"}, web={"x": 2})


def as_stored(one: Event, projection: Projection) -> ReadEvent:
    """Read from its record."""
    return read_event(event_record(one), projection)


@settings(max_examples=300)
@given(OBJECTS, PATHS)
def test_what_is_not_kept_is_not_read_and_nobody_can_tell(
    xdm: dict[str, Any], paths: Paths
) -> None:
    one, projection = reported(1, NOON_MS, xdm), Projection(paths)

    read = as_stored(one, projection)

    assert read.row == projection.packed(one)
    assert event_of(bytes(read.whole)) == one


@pytest.mark.parametrize("number", [0, 1, 15, 16, 70_000])
@pytest.mark.parametrize("one", [{}, {"a": 2**70}, {"a": 1, "b": "x" * 99}, "ß" * 70, None, [{}]])
def test_a_list_may_have_any_number_of_elements_of_any_size(number: int, one: Any) -> None:
    sent = reported(1, NOON_MS, {"items": [one] * number})
    projection = Projection(frozenset({("items", "a"), ("items", THERE)}))

    assert as_stored(sent, projection).row == projection.packed(sent)


@pytest.mark.parametrize("number", [64, 65, 200])
def test_rules_may_read_any_number_of_paths(number: int) -> None:
    names = [f"field{n}" for n in range(number)]
    one = reported(1, NOON_MS, dict.fromkeys(names, "x"))
    projection = Projection(frozenset((name,) for name in names))

    read = as_stored(one, projection)

    assert read.row == projection.packed(one)
    assert isinstance(read.row, bytes)
    assert projection.unpacked(read.row, NOON_MS) == one.xdm


@settings(max_examples=60)
@given(
    st.lists(st.tuples(OBJECTS, st.integers(0, 20)), max_size=5),
    st.integers(0, 3 * LARGE),
    PATHS,
    st.randoms(use_true_random=False),
)
def test_events_that_are_packed_as_they_are_read_lie_as_those_that_were_read_before(
    sent: list[tuple[dict[str, Any], int]], more: int, paths: Paths, chance: Random
) -> None:
    kinds = [*sent, ({}, 0)]
    events = []
    for number in range(len(sent) + more if sent else 0):
        xdm, odd = chance.choice(kinds)
        one = reported(number, NOON_MS + number // 2, xdm)
        # Of no form that a projection takes: it stays whole.
        events.append(one if odd < 19 or chance.random() < 0.9 else structs.replace(one, id="odd"))
    projection = Projection(paths)

    read = KeptEvents.read((as_stored(one, projection) for one in events), projection)

    known = KeptEvents.of(events).packed(projection)
    assert read.projection is projection
    assert read == known
    assert read.xdm() == known.xdm()
    places = range(len(events))
    assert [read.whole_at(n) for n in places] == [known.whole_at(n) for n in places]
    assert [read.place_of(one.id) for one in events] == [known.place_of(one.id) for one in events]
    assert read.parked() == known.parked()
    assert read.packed(projection) is read


def test_a_number_may_have_any_size() -> None:
    large = reported(1, NOON_MS, {"a": 2**70, "items": [{"b": -(2**64)}]})

    (kept, _) = KeptEvents.of((large, reported(2, NOON_MS, {}))).packed(WHOLE)

    assert kept.xdm == large.xdm


def test_an_event_with_a_value_that_no_packing_takes_stays_as_it_is() -> None:
    odd = reported(1, NOON_MS, {"a": object()})
    profile = Profile(key="ECID:1", events=(odd, reported(2, NOON_MS, {})))

    kept = packed(profile, WHOLE)

    assert kept.events[0] == odd
    assert structs.replace(kept, events=()) == structs.replace(profile, events=())


def test_events_whose_ids_have_the_same_mark_are_told_apart() -> None:
    class Same(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

    ids = [Same("one"), Same("other"), Same("third")]
    kept = KeptEvents.of([event(event_id=one) for one in ids[:2]])

    assert [kept.place_of(one) for one in ids] == [0, 1, None]
