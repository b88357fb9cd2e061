"""event_1000/event_100: what ten times the audiences cost one event."""

from __future__ import annotations

import gc
from statistics import median
from time import process_time_ns

from bench.audiences import DATASTREAM, definitions
from bench.figures import record
from bench.visitor import ATTRIBUTES, PRODUCT_VIEW
from perso_core.decision.event import event_from
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import AttributesPatched, EventArrived

# Noon on 15 March 2026, UTC.
NOON_MS = 1_773_576_000_000
ROUNDS = 60
# A visitor's session: then another visitor, so that events do not pile up on one profile.
EVENTS = 20


def measure() -> None:
    few = Engine(compile_snapshot(definitions(100)))
    many = Engine(compile_snapshot(definitions(1_000)))
    of_few, of_many = [], []
    for turn in range(ROUNDS):
        of_few.append(_session(few, turn))
        of_many.append(_session(many, turn))
    few_us, many_us = (median(times) / EVENTS / 1_000 for times in (of_few, of_many))
    record(
        "event_1000/event_100",
        many_us / few_us,
        unit="ratio",
        event_1000_us=round(many_us, 2),
        event_100_us=round(few_us, 2),
        rounds=ROUNDS,
        events_per_visitor=EVENTS,
    )


def fresh_visitor(engine: Engine, turn: int) -> str:
    """The key of a new profile with attributes, evaluated and committed."""
    key = f"ECID:{turn:038d}"
    _decide(
        engine,
        Interaction(
            profile_key=key,
            datastream_id=DATASTREAM,
            changes=(AttributesPatched(ATTRIBUTES),),
            new=True,
        ),
        NOON_MS,
    )
    return key


def view(engine: Engine, key: str, number: int) -> int:
    """One product view. Returns the CPU time of the decision alone, in nanoseconds."""
    event = event_from(PRODUCT_VIEW, event_id=f"{key}-{number}", received_ms=NOON_MS + number)
    interaction = Interaction(
        profile_key=key, datastream_id=DATASTREAM, changes=(EventArrived(event=event),)
    )
    return _decide(engine, interaction, NOON_MS + number)


def _session(engine: Engine, turn: int) -> int:
    key = fresh_visitor(engine, turn)
    gc.collect()
    return sum(view(engine, key, number) for number in range(1, EVENTS + 1))


def _decide(engine: Engine, interaction: Interaction, now_ms: int) -> int:
    began = process_time_ns()
    answer = engine.decide(interaction, now_ms=now_ms)
    spent = process_time_ns() - began
    assert isinstance(answer, Answer), "the profile is new or hot"
    assert answer.sequence, "each event is new, so each is to be kept"
    engine.committed(answer.sequence)
    return spent
