"""A disk that fails at any one operation, or from then on: what was acknowledged is kept, what was
not is said not to be, and once the disk is well again the store goes on by itself."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import pytest

from perso_core.assembly import DATABASE
from perso_core.errors import StoreUnavailable
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.soaking import times
from tests.stores.building import arrived
from tests.stores.failing import Fault, failing
from tests.stores.test_power_cut import kept_in

# Of errors that SQLite itself passes over, as when it closes a file, apsw tells by a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

COMMITS = 10
# Every one in the soak; in each run every third.
STEP = times(3, 1)


def key(number: int) -> str:
    return f"ECID:{number:038d}"


def worked(path: Path) -> tuple[set[str], set[str]]:
    """Commits to profiles that are loaded before, each second one to a profile that has an event; a
    checkpoint at the end. Returns the ids acknowledged, and those said not to be stored."""
    kept: set[str] = set()
    refused: set[str] = set()
    try:
        create_file(path)
        writer = Writer(path, origin=1, max_events=100)
        reader = Reader(path, origin=1)
    except StoreUnavailable:
        return kept, {f"e{number}" for number in range(COMMITS)}
    for number in range(COMMITS):
        name = f"e{number}"
        try:
            of = key(number - number % 2)
            profile = reader.load(of).stored.profile
            base = profile.version if profile else 0
            assert not writer.commit([arrived(event(event_id=name), of, base=base)], False)
            kept.add(name)
        except StoreUnavailable:
            refused.add(name)
    for one in (reader, writer):
        with contextlib.suppress(StoreUnavailable):
            one.close()
    return kept, refused


def operations_of(path: Path) -> int:
    fault = Fault()
    with failing(fault):
        worked(path)
    return fault.operations


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=["error", "full"])
def test_whichever_operation_fails_nothing_acknowledged_is_lost(
    error: type[apsw.Error], lasting: bool, tmp_path: Path
) -> None:
    total = operations_of(tmp_path / "whole" / DATABASE)
    hit = 0
    for at in range(1, total + 1, STEP):
        path = tmp_path / f"{at}" / DATABASE
        fault = Fault(at, lasting, error)
        with failing(fault):
            kept, refused = worked(path)
        hit += fault.hits > 0

        assert kept | refused == {f"e{number}" for number in range(COMMITS)}
        # The disk is well again: what is there is whole, and the store goes on.
        writer = Writer(path, origin=2, max_events=100)
        writer.commit([arrived(event(event_id="after"), key(99))], False)
        writer.close()
        found = kept_in(path)
        assert kept | {"after"} <= found
        assert found <= kept | refused | {"after"}

    assert total >= 30
    assert hit == len(range(1, total + 1, STEP))


def test_a_store_whose_disk_failed_once_takes_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    create_file(path)
    fault = Fault()
    with failing(fault):
        writer = Writer(path, origin=1, max_events=100)
        writer.commit([arrived(event(event_id="e1"), key(1))], False)
        fault.at = fault.operations + 1
        with pytest.raises(StoreUnavailable):
            writer.commit([arrived(event(event_id="e2"), key(2))], False)
        writer.commit([arrived(event(event_id="e3"), key(3))], False)
        writer.close()

    assert {"e1", "e3"} <= kept_in(path)


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=["error", "full"])
def test_a_commit_that_changes_nothing_is_on_disk_or_says_why_it_is_not(
    error: type[apsw.Error], tmp_path: Path
) -> None:
    """By it somebody who watches a server hears of its disk (`/ee/health`)."""
    path = tmp_path / DATABASE
    create_file(path)
    fault = Fault(lasting=True, error=error)
    with failing(fault):
        writer = Writer(path, origin=1, max_events=100)
        writer.commit([arrived(event(event_id="e1"), key(1))], False)
        before = fault.operations
        writer.try_commit()
        written = fault.operations - before
        fault.at = fault.operations + 1
        with pytest.raises(StoreUnavailable):
            writer.try_commit()
        fault.at = 0
        writer.try_commit()
        writer.close()

    assert written >= 2, "a page, and that it is synced"
    assert kept_in(path) == {"e1"}
