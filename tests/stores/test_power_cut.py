"""P1: what was acknowledged is there after a power cut, wherever in the work it comes."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import apsw
import pytest
from msgspec import Struct

from perso_core.assembly import DATABASE
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.soaking import Progress, times
from tests.stores.building import arrived
from tests.stores.power import Acknowledged, Record, after_cut, recorded
from tests.stores.watched_disk import Operation

COMMITS = 60
VISITORS = 7
STATES = times(600, 10_000)
SEED = 5


def key(number: int) -> str:
    return f"ECID:{number % VISITORS:038d}"


def worked(directory: Path, record: Record) -> None:
    """A workload of commits, each with one event; each is acknowledged once it returned."""
    directory.mkdir()
    path = directory / DATABASE
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    for number in range(COMMITS):
        entry = arrived(event(event_id=f"e{number}"), key(number), base=number // VISITORS)
        assert not writer.commit([entry], False)
        record.acknowledge(number + 1)
    writer.close()


class Found(Struct):
    """What became of the store in a number of cuts."""

    states: int = 0
    lost: int = 0
    corrupt: int = 0


def found_after_cuts(directory: Path, record: Record, states: int) -> Found:
    """As many cuts, spread over the whole work, each with a fate of its own."""
    chance = Random(SEED)
    found = Found()
    first = record.operations.index(Acknowledged(1))
    progress = Progress("states")
    while found.states < states:
        progress.tell(found.states, states)
        cut = chance.randint(first, len(record.operations))
        place = directory / "cut"
        place.mkdir()
        after_cut(record.operations[:cut], place, chance)
        found.states += 1
        try:
            kept = kept_in(place / DATABASE)
        except apsw.Error:
            found.corrupt += 1
        else:
            found.lost += any(
                f"e{number}" not in kept for number in range(record.acknowledged(cut))
            )
        shutil.rmtree(place)
    return found


def kept_in(path: Path) -> set[str]:
    """Ids of the events, of a store that is sound. Raises apsw.Error for one that is not."""
    connection = apsw.Connection(str(path))
    try:
        if connection.execute("PRAGMA integrity_check").get != "ok":
            raise apsw.CorruptError("integrity_check")
        return {row[0] for row in connection.execute("SELECT id FROM event")}
    finally:
        connection.close()


def test_no_cut_loses_what_was_acknowledged_or_spoils_the_store(tmp_path: Path) -> None:
    with recorded() as record:
        worked(tmp_path / "work", record)

    found = found_after_cuts(tmp_path, record, STATES)

    assert (found.states, found.lost, found.corrupt) == (STATES, 0, 0)
    checkpoints = record.operations.count(Operation(kind="sync", file=DATABASE))
    print(
        f"{STATES:,} states of {len(record.operations)} operations, {checkpoints} syncs of the file"
    )


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_same_cuts_find_what_a_store_that_does_not_sync_loses(
    synchronous: str, tmp_path: Path
) -> None:
    """So that the test before says something."""
    with recorded(synchronous=synchronous) as record:
        worked(tmp_path / "work", record)

    found = found_after_cuts(tmp_path, record, 100)
    assert found.lost + found.corrupt > 0


def test_a_store_after_a_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    with recorded() as record:
        worked(tmp_path / "work", record)
    middle = record.operations.index(Acknowledged(COMMITS // 2))
    place = tmp_path / "cut"
    place.mkdir()
    after_cut(record.operations[: middle + 1], place, Random(SEED))

    writer = Writer(place / DATABASE, origin=2, max_events=100)
    reader = Reader(place / DATABASE, origin=2)
    profile = reader.load(key(0)).stored.profile
    assert profile
    more = arrived(event(event_id="after"), key(0), base=profile.version)
    assert not writer.commit([more], False)

    again = reader.load(key(0)).stored.profile
    assert again
    assert "after" in {one.id for one in again.events}
    writer.close()
    reader.close()
