"""hot_profile_bytes: what a visitor takes in memory, with 50 events, among 1,000 audiences of the
mix of which they are in about twenty."""

from __future__ import annotations

import gc
import tracemalloc
from random import Random
from statistics import fmean

import msgspec

from bench.audiences import DATASTREAM
from bench.audiences_stream import GAP_MS, START_MS, attributes, event
from bench.figures import record
from bench.mixed_site import Site, rare
from perso_core.decision.event import event_from
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import AttributesPatched, Change, EventArrived

AUDIENCES, SHARE = 1_000, 0.07
EVENTS = 50
# What all of them share, such as remembered values, is there before, or is spread over so many.
BEFORE, VISITORS = 300, 600


def measure() -> None:
    site = Site(rare(AUDIENCES, SHARE))
    for number in range(VISITORS, VISITORS + BEFORE):
        _visit(site, number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(VISITORS):
            _visit(site, number)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    record(
        "hot_profile_bytes",
        held / VISITORS,
        unit="bytes",
        audiences=AUDIENCES,
        memberships=round(fmean(_memberships(site, number) for number in range(VISITORS)), 1),
        events=EVENTS,
        visitors=VISITORS,
    )


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


def _memberships(site: Site, number: int) -> int:
    hot = site.engine.held(site.key(number))
    assert hot is not None, "so many visitors fit in memory"
    assert hot.committed.qualified is not None, "they have a profile"
    members = hot.committed.qualified.profile.memberships.values()
    return sum(one.status == "realized" for one in members)
