"""hot_profile_bytes, parked_profile_bytes: what a visitor takes in memory while it is here, and
between visits, with 50 events, among 1,000 audiences of the mix of which it is in about twenty.
unpark/typed_decode: what it takes to have it ready again."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from functools import partial
from random import Random
from statistics import fmean

import msgspec

from bench.audiences import DATASTREAM
from bench.audiences_stream import GAP_MS, START_MS, attributes, event
from bench.figures import record
from bench.mixed_site import Site, rare
from bench.timing import interleaved
from bench.typed_event import decode
from perso_core.decision.event import event_from
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import AttributesPatched, Change, EventArrived
from perso_core.engine.parking import Parked, Parking
from perso_core.engine.state import State
from perso_core.worker.collection import old_left_alone

AUDIENCES, SHARE = 1_000, 0.07
EVENTS = 50
# What all of them share, such as values that many conditions were asked of, is bounded, and mostly
# there before; the rest of it is spread over so many.
BEFORE, VISITORS = 1_000, 600
WOKEN, ROUNDS, TURN_MS = 200, 12, 20.0


def measure() -> None:
    rules = rare(AUDIENCES, SHARE)
    site = Site(rules)
    _record("hot_profile_bytes", site, _bytes_each(site))
    _record_unparking(site)
    parking = Site(rules, unparked=1)
    _record("parked_profile_bytes", parking, _bytes_each(parking))


def _bytes_each(site: Site) -> float:
    """Of each of VISITORS visitors, after BEFORE others."""
    for number in range(VISITORS, VISITORS + BEFORE):
        _visit(site, number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(VISITORS):
            _visit(site, number)
        # Answers that were told to several are remembered, up to a bound, and are no visitor's own.
        site.engine.swap(site.snapshot)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held / VISITORS


def _record(name: str, site: Site, each: float) -> None:
    record(
        name,
        each,
        unit="bytes",
        audiences=AUDIENCES,
        memberships=round(fmean(_memberships(site, number) for number in range(VISITORS)), 1),
        events=EVENTS,
        visitors=VISITORS,
    )


def _record_unparking(site: Site) -> None:
    """Of WOKEN visitors one after the other, beside the decode of one event."""
    parking = Parking(site.snapshot)
    states = [_state(site, number) for number in range(WOKEN)]
    for state in states:  # what they have in common is known then
        parking.parked(state)
    parked = [one for state in states if (one := parking.parked(state)) is not None]
    assert len(parked) == WOKEN, "every one of them can be parked"
    with old_left_alone():  # as a server does
        spent = interleaved(
            {
                "typed_decode": decode,
                "unpark": partial(_unpark, parking, parked),
                "park": partial(_park, parking, states),
            },
            rounds=ROUNDS,
            turn_ms=TURN_MS,
        )
    record(
        "unpark/typed_decode",
        spent["unpark"].over(spent["typed_decode"]) / WOKEN,
        unit="ratio",
        unpark_us=round(spent["unpark"].median_us / WOKEN, 2),
        park_us=round(spent["park"].median_us / WOKEN, 2),
        typed_decode_us=spent["typed_decode"].told(),
        audiences=AUDIENCES,
        events=EVENTS,
        visitors=WOKEN,
        rounds=ROUNDS,
    )


def _unpark(parking: Parking, parked: Sequence[Parked]) -> None:
    for one in parked:
        parking.woken("ECID:1", one)


def _park(parking: Parking, states: Sequence[State]) -> None:
    for state in states:
        parking.parked(state)


def _visit(site: Site, number: int) -> None:
    """One visitor's session: attributes, then events, each with values of its own."""
    chance, at_ms = Random(number), START_MS
    _apply(site, number, at_ms, AttributesPatched(_own(attributes(chance, "C1"))))
    for place in range(EVENTS):
        at_ms += round(chance.expovariate(1 / GAP_MS)) + 1
        xdm = _own(event(chance, at_ms, "C1"))
        arrived = event_from(xdm, event_id=f"{number}-{place}", received_ms=at_ms)
        _apply(site, number, at_ms, EventArrived(event=arrived, datastream_id=DATASTREAM))


def _own(value: dict[str, object]) -> dict[str, object]:
    """As decoded from a request: no text is shared with another one."""
    decoded: dict[str, object] = msgspec.json.decode(msgspec.json.encode(value))
    return decoded


def _apply(site: Site, number: int, at_ms: int, change: Change) -> None:
    new = isinstance(change, AttributesPatched)
    asked = Interaction(
        profile_key=site.key(number), datastream_id=DATASTREAM, changes=(change,), new=new
    )
    answer = site.engine.decide(asked, now_ms=at_ms)
    assert isinstance(answer, Answer), "the profile is new or in memory"
    site.engine.committed(answer.sequence)


def _state(site: Site, number: int) -> State:
    hot = site.engine.held(site.key(number))
    assert hot is not None, "so many visitors fit in memory"
    return hot.committed


def _memberships(site: Site, number: int) -> int:
    qualified = _state(site, number).qualified
    assert qualified is not None, "they have a profile"
    members = qualified.profile.memberships.values()
    return sum(one.status == "realized" for one in members)
