"""kill -9 at each point of a store's work: in a commit, a checkpoint, a backup, while definitions
are saved or a visitor is erased. What was acknowledged is there, once; what was erased is not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from perso_core.assembly import DATABASE
from perso_core.errors import StoreUnavailable
from perso_core.stores import sqlite_file
from perso_core.stores.sqlite_backup import check_store, copy_store
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import definitions, event
from tests.soaking import Progress, times
from tests.stores.building import arrived, forgot
from tests.stores.killing import Acknowledge, Point, killed_at, operations_of
from tests.stores.test_power_cut import kept_in

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

ROUNDS = 6
COPY = "copy.sqlite"
KILLS = times(15, 2_000)
SEED = 17


@pytest.fixture(autouse=True)
def _many_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_CHECKPOINT_PAGES", 12)


def key(name: str) -> str:
    return f"ECID:{name:0>38}"


def worked(directory: Path, acknowledge: Acknowledge) -> None:
    """In each round: two visitors' events in one commit, and a new one's in another; one of them
    erased, definitions saved. A backup in the middle. Told is what was acknowledged, by name."""
    path = directory / DATABASE
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    for number in range(ROUNDS):
        entries = [arrived(event(event_id=f"{who}{number}"), key(who), base=number) for who in "ab"]
        assert not writer.commit(entries, True)
        acknowledge(f"a{number} b{number}")
        assert not writer.commit([arrived(event(event_id=f"c{number}"), key(f"{number}"))], True)
        acknowledge(f"c{number}")
        if number % 2:
            writer.commit([forgot(key(f"{number}"), base=1)], False)
            acknowledge(f"erased{number}")
        writer.save_definitions(definitions(), 0)
        acknowledge(f"saved{number}")
        if number == ROUNDS // 2:
            copy_store(path, directory / COPY, lambda done, of: None)
            acknowledge("copied")
    writer.close()


def assert_kept(directory: Path, told: list[str]) -> None:
    """Also after a second process took it up: that one goes on with it."""
    path = directory / DATABASE
    if not path.exists():
        assert not told
        return
    writer = Writer(path, origin=2, max_events=100)
    assert not writer.commit([arrived(event(event_id="after"), key("after"))], False)
    writer.close()
    kept = kept_in(path)
    erased = {act.removeprefix("erased") for act in told if act.startswith("erased")}
    events = {act for act in told if act[0] in "abc" and act != "copied"}
    # An erasure that nobody was told of may have been kept, or not.
    may_be_gone = {f"c{number}" for number in range(1, ROUNDS, 2)}
    assert {"after", *events} - may_be_gone <= kept
    assert not {f"c{number}" for number in erased} & kept
    reader = Reader(path, origin=3)
    for who in "ab":
        profile = reader.load(key(who)).stored.profile
        ids = [one.id for one in profile.events] if profile else []
        # Each round's once, and none that came after one that is missing.
        assert ids == [f"{who}{number}" for number in range(len(ids))]
        assert profile is None or profile.version == len(ids)
    stored = reader.definitions()
    reader.close()
    assert (stored.version if stored else 0) >= sum(act.startswith("saved") for act in told)
    assert_copied(directory / COPY, "copied" in told)


def assert_copied(copy: Path, acknowledged: bool) -> None:
    """A backup that was not finished is none."""
    if not copy.exists():
        assert not acknowledged
        return
    try:
        check_store(copy)
    except StoreUnavailable:
        assert not acknowledged
    else:
        rounds = range(ROUNDS // 2 + 1)
        assert {f"{who}{number}" for who in "ab" for number in rounds} <= kept_in(copy)


def killed(point: Point, directory: Path) -> bool:
    """Whether it came to that; what is left is looked at."""
    directory.mkdir()
    told = killed_at(point, worked, directory)
    if told is None:
        return False
    assert_kept(directory, told)
    return True


NAMED = {
    "before a commit is in the log": ("write", f"{DATABASE}-wal"),
    "before a commit is on disk, and after": ("sync", f"{DATABASE}-wal"),
    "in the middle of a checkpoint": ("write", DATABASE),
    "at the end of a checkpoint": ("sync", DATABASE),
    "in the middle of a backup": ("write", COPY),
    "at the end of a backup": ("sync", COPY),
    "as the file is made": ("delete", f"{DATABASE}-journal"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_kill_at_a_named_point_loses_nothing_and_doubles_nothing(
    name: str, tmp_path: Path
) -> None:
    kind, file = NAMED[name]
    (tmp_path / "whole").mkdir()
    there_are = operations_of(worked, tmp_path / "whole").get((kind, file), 0)
    assert there_are, f"the work never comes to {name}"
    step = max(1, there_are // times(1, 40))
    for nth in range(1, there_are + 1, step):
        for before in (True, False):
            point = Point(kind, file, nth, before)
            assert killed(point, tmp_path / f"{nth}-{before}"), point


def test_a_kill_anywhere_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    seen = operations_of(worked, tmp_path / "whole")
    chance = Random(SEED)
    points = [(kind, file, nth) for (kind, file), many in seen.items() for nth in range(1, many)]
    done, progress = 0, Progress("kills")
    for number in range(KILLS):
        progress.tell(number, KILLS)
        point = Point(*chance.choice(points), chance.random() < 0.5)
        done += killed(point, tmp_path / f"{number}")
    assert done >= KILLS * 0.9
    print(f"{done:,} kills among {len(points)} operations")


def test_a_store_that_acknowledges_too_early_is_found_out(tmp_path: Path) -> None:
    """So that the tests before say something."""
    directory = tmp_path / "early"
    directory.mkdir()

    def lying(directory: Path, acknowledge: Acknowledge) -> None:
        acknowledge("a0")
        worked(directory, acknowledge)

    told = killed_at(Point("write", f"{DATABASE}-wal", 1, True), lying, directory)

    assert told is not None
    with pytest.raises(AssertionError):
        assert_kept(directory, told)
