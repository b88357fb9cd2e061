"""How the cost of one event, and of taking a profile into memory, grows with audiences and with
the events of a profile.

CPU time, each size in turn, so that a noisy machine disturbs them alike.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import process_time_ns

from msgspec import Struct

from bench.audiences import DATASTREAM
from bench.audiences_stream import visitors
from bench.figures import ROOT, record
from bench.stored import NOW_MS, apply, definitions, ecids, fill, of_the_mix
from bench.timing import Spent
from perso_core.assembly import DATABASE
from perso_core.decision.event import event_from
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Answer, Engine, Interaction, NeedProfile
from perso_core.engine.journal import EventArrived
from perso_core.stores.sqlite_reader import Reader

AUDIENCES = (100, 1_000, 10_000)
EVENTS = (1, 50, 500, 5_000)
# What the other one is while one grows.
USUAL_AUDIENCES, USUAL_EVENTS = 1_000, 50
PROFILES = 40
# Events sent to each of them while it is in memory.
SENT = 5


class Profiles(Struct, frozen=True):
    """Stored ones, and the engine that takes them into memory."""

    engine: Engine
    reader: Reader
    keys: Iterator[str]
    sent: Sequence[Mapping[str, object]]


class Cost(Struct, frozen=True):
    """CPU microseconds. load: read, taken into memory and evaluated. event: one more of it, the
    median of SENT."""

    load_us: float
    event_us: float


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        snapshots = {n: compile_snapshot(definitions(of_the_mix(n))) for n in AUDIENCES}
        stores = {n: _filled(Path(scratch) / str(n), n) for n in EVENTS}
        usual = stores[USUAL_EVENTS]
        by_audiences = {n: _profiles(one, usual) for n, one in snapshots.items()}
        snapshot = snapshots[USUAL_AUDIENCES]
        by_events = {n: _profiles(snapshot, store) for n, store in stores.items()}
        _record("audiences", _costs(by_audiences), events_per_profile=USUAL_EVENTS)
        _record("events", _costs(by_events), audiences=USUAL_AUDIENCES)


def _filled(data_dir: Path, events: int) -> Path:
    """A database of profiles with so many events."""
    apply(data_dir, definitions(of_the_mix(1)))
    fill(data_dir, PROFILES, events=events)
    return data_dir / DATABASE


def _profiles(snapshot: Snapshot, database: Path) -> Profiles:
    engine = Engine(snapshot)
    keys = iter([f"ECID:{ecid}" for ecid in ecids(PROFILES)])
    sent = [visitor.events[-1] for visitor in visitors(SENT)]
    return Profiles(engine, Reader(database, origin=0), keys, sent)


def _costs(sizes: Mapping[int, Profiles]) -> Mapping[int, Sequence[Cost]]:
    """Of each size, one profile after another. The first makes the rules' functions."""
    costs: dict[int, list[Cost]] = {size: [] for size in sizes}
    for number in range(PROFILES):
        gc.collect()
        for size, profiles in sizes.items():
            cost = _cost(profiles, next(profiles.keys))
            if number:
                costs[size].append(cost)
    for profiles in sizes.values():
        profiles.reader.close()
    return costs


def _cost(profiles: Profiles, key: str) -> Cost:
    load_ns = _ns(lambda: _load(profiles, key))
    # The median: one in some hundreds makes room where a profile is full.
    event_ns = median(
        _ns(_arrival(profiles.engine, key, number, xdm)) for number, xdm in enumerate(profiles.sent)
    )
    return Cost(load_ns / 1_000, event_ns / 1_000)


def _load(profiles: Profiles, key: str) -> None:
    stored = profiles.reader.load(key, profiles.engine.projection).stored
    assert stored.profile is not None, "it was stored"
    profiles.engine.admit(key, stored.profile, stored.consent, now_ms=NOW_MS)
    found = profiles.engine.profile(key, now_ms=NOW_MS)
    assert not isinstance(found, NeedProfile), "it was just admitted"


def _arrival(
    engine: Engine, key: str, number: int, xdm: Mapping[str, object]
) -> Callable[[], None]:
    now_ms = NOW_MS + 1 + number
    event = event_from(xdm, event_id=f"new-{number}", received_ms=now_ms)
    interaction = Interaction(
        profile_key=key, datastream_id=DATASTREAM, changes=(EventArrived(event=event),)
    )

    def arrive() -> None:
        answer = engine.decide(interaction, now_ms=now_ms)
        assert isinstance(answer, Answer), "the profile is in memory"
        engine.committed(answer.sequence)

    return arrive


def _ns(work: Callable[[], object]) -> int:
    began = process_time_ns()
    work()
    return process_time_ns() - began


def _record(grows: str, costs: Mapping[int, Sequence[Cost]], **fixed: int) -> None:
    """Each size beside the smallest."""
    (least, *more) = costs
    for kind in ("event", "load"):
        spent = {
            size: Spent(tuple(getattr(cost, f"{kind}_us") for cost in some))
            for size, some in costs.items()
        }
        for size in more:
            record(
                f"{kind}_{size}_{grows}/{kind}_{least}_{grows}",
                spent[size].over(spent[least]),
                unit="ratio",
                us={size: spent[size].told(), least: spent[least].told()},
                rounds=len(costs[size]),
                **fixed,
            )
