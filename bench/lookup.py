"""lookup_hit/dict_get: what a hot lookup costs, in dict reads."""

from __future__ import annotations

from itertools import repeat
from statistics import median
from time import process_time_ns

from bench.audiences import DATASTREAM, definitions
from bench.event import NOON_MS, fresh_visitor, view
from bench.figures import record
from perso_core.decision.lookup import Lookup
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.engine.engine import Engine

ROUNDS = 31
CALLS = 100_000
AUDIENCES = 100


def measure() -> None:
    engine = Engine(compile_snapshot(definitions(AUDIENCES)))
    key = fresh_visitor(engine, 1)
    view(engine, key, 1)
    found = engine.lookup(key, DATASTREAM, now_ms=NOON_MS + 2)
    assert isinstance(found, Lookup), "the visitor is hot"
    assert engine.lookup(key, DATASTREAM, now_ms=NOON_MS + 2) is found, "a hit answers as kept"
    known = {key: found}
    loops, gets, hits = [], [], []
    for _ in range(ROUNDS):
        loops.append(_empty())
        gets.append(_dict_get(known, key))
        hits.append(_lookup(engine, key))
    loop_ns, get_ns, hit_ns = (median(times) / CALLS for times in (loops, gets, hits))
    record(
        "lookup_hit/dict_get",
        (hit_ns - loop_ns) / (get_ns - loop_ns),
        unit="ratio",
        lookup_hit_ns=round(hit_ns - loop_ns, 2),
        dict_get_ns=round(get_ns - loop_ns, 2),
        loop_ns=round(loop_ns, 2),
        rounds=ROUNDS,
        calls=CALLS,
    )


def _empty() -> int:
    began = process_time_ns()
    for _ in repeat(None, CALLS):
        pass
    return process_time_ns() - began


def _dict_get(known: dict[str, Lookup], key: str) -> int:
    get = known.get
    began = process_time_ns()
    for _ in repeat(None, CALLS):
        get(key)
    return process_time_ns() - began


def _lookup(engine: Engine, key: str) -> int:
    lookup, now_ms = engine.hits.lookup, NOON_MS + 2
    began = process_time_ns()
    for _ in repeat(None, CALLS):
        lookup(key, DATASTREAM, now_ms)
    return process_time_ns() - began
