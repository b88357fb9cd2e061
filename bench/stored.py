"""A store with any number of profiles in it, made in seconds: the rows that Perso's own writer
would have made, in one go."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random

import apsw

from bench.audiences import DATASTREAM, on_one_destination
from bench.audiences_mixed import mixed
from bench.audiences_parts import pql
from bench.audiences_stream import MINUTE_MS, START_MS, Visitor, visitors
from perso_core.assembly import DATABASE, open_perso
from perso_core.decision.event import Event
from perso_core.decision.profile import Profile
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.settings import Settings
from perso_core.stores.record import event_record, profile_record

# Noon on the day after the visitors' events began; all of them are in memory by then.
NOW_MS = START_MS + 24 * 3_600_000
# So many different visitors, over and over under other keys.
DIFFERENT = 500
ROWS_AT_ONCE = 100_000

Rules = Iterable[tuple[str, str]]  # id and text


def of_the_mix(count: int) -> Rules:
    return ((rule.id, pql(rule.part)) for rule in mixed(count))


def definitions(rules: Rules) -> Definitions:
    """These audiences, all activated on one destination."""
    audiences = tuple(Audience(id=name, name=name, pql=text) for name, text in rules)
    return on_one_destination(audiences)


def apply(data_dir: Path, defined: Definitions) -> None:
    """Put in force, as `perso apply` does."""

    async def applied() -> None:
        async with open_perso(Settings(data_dir=str(data_dir)), announce=True) as perso:
            await perso.apply(defined)

    asyncio.run(applied())


def ecids(count: int) -> Iterator[str]:
    """The same count: the same ones; a smaller count: the first of them."""
    chance = Random(11)
    return (f"{chance.randrange(10**37, 10**38)}" for _ in range(count))


def fill(data_dir: Path, profiles: int, *, events: int) -> None:
    """Add so many profiles, of so many events each, to a store that has definitions."""
    connection = apsw.Connection(str(data_dir / DATABASE))
    try:
        # Nothing is acknowledged to anybody, so nothing has to be durable yet.
        connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        rows = zip(ecids(profiles), _records(visitors(DIFFERENT), events), strict=False)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            _insert(connection, some)
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    # What is still to be written would disturb what is measured.
    with (data_dir / DATABASE).open("rb") as file:
        os.fsync(file.fileno())


# A profile's record, and those of its events with their ids and times.
Records = tuple[bytes, Sequence[tuple[str, int, bytes]]]


def _records(everybody: Iterable[Visitor], events: int) -> Iterator[Records]:
    """Without end."""
    return cycle([_record(visitor, events) for visitor in everybody])


def _record(visitor: Visitor, events: int) -> Records:
    profile = Profile(
        key="",
        attributes=visitor.attributes,
        evaluated_ms=NOW_MS - MINUTE_MS,  # with the last event
        datastreams=(DATASTREAM,),
    )
    kept = [
        Event(id=f"e{number}", timestamp_ms=at, xdm={**one, "timestamp": at})
        for number, at, one in _dated(visitor, events)
    ]
    return profile_record(profile), [(e.id, e.timestamp_ms, event_record(e)) for e in kept]


def _dated(visitor: Visitor, events: int) -> Iterator[tuple[int, int, dict[str, object]]]:
    """So many of the visitor's events, over and over where there are not as many: each with a
    number, and a time a minute and more before NOW_MS."""
    for number, one in enumerate(islice(cycle(visitor.events), events)):
        yield number, NOW_MS - MINUTE_MS * (events - number), one


def _insert(connection: apsw.Connection, rows: Sequence[tuple[str, Records]]) -> None:
    with connection:
        connection.executemany(
            "INSERT INTO profile (key, version, record) VALUES (?, ?, ?)",
            ((f"ECID:{ecid}", START_MS, record) for ecid, (record, _) in rows),
        )
        connection.executemany(
            "INSERT INTO event (key, id, timestamp_ms, record) VALUES (?, ?, ?, ?)",
            ((f"ECID:{ecid}", *event) for ecid, (_, events) in rows for event in events),
        )
