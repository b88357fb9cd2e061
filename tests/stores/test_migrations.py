"""A store's tables change by numbered steps: of an old file nothing is lost, a crash leaves it
before a step or after it, and an older Perso beside a newer one knows when to stop."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import apsw
import pytest

from perso_core.errors import StoreTooNew, StoreUnavailable
from perso_core.stores import migrations
from perso_core.stores.migrations import STEPS, Step
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_backup import copy_store, put_back
from perso_core.stores.sqlite_file import bring_up_to_date, create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.stores.building import ANNA, BERT, arrived
from tests.stores.failing import Fault, failing
from tests.stores.power import after_cut, recorded
from tests.stores.test_sqlite import sql

# Of errors that SQLite itself passes over, as when it closes a file, apsw tells by a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Knows = Callable[[Sequence[Step]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perso.sqlite"


@pytest.fixture
def perso_knows(monkeypatch: pytest.MonkeyPatch) -> Knows:
    """From here on Perso is one that knows these steps."""

    def knows(steps: Sequence[Step]) -> None:
        monkeypatch.setattr(migrations, "STEPS", tuple(steps))

    return knows


def adding(*, oldest: int) -> Step:
    """A step of a Perso that is yet to come."""
    number = len(STEPS) + 1
    made = "CREATE TABLE later (n INTEGER); INSERT INTO later VALUES (1);"
    return Step(number=number, oldest=oldest, made=made, undone="DROP TABLE later;")


def taken(path: Path) -> int:
    [(number,)] = sql(path, "PRAGMA user_version")
    return int(number)


def tables(connection: apsw.Connection) -> list[object]:
    listed = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1, 2"
    return list(connection.execute(listed))


def old_file(path: Path) -> None:
    """As the first Perso left it, with a visitor in it."""
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    writer.commit([arrived(event(event_id="old"), ANNA)], False)
    writer.close()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    for step in reversed(migrations.STEPS[1:]):
        connection.execute(step.undone)
    connection.execute("DROP TABLE migration; PRAGMA user_version = 1")
    connection.close()


def test_the_steps_are_numbered_without_gaps_and_none_lets_in_who_was_shut_out() -> None:
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert all(step.oldest <= step.number for step in STEPS)
    assert sorted(step.oldest for step in STEPS) == [step.oldest for step in STEPS]


@pytest.mark.parametrize("number", range(2, len(STEPS) + 1))
def test_each_step_but_the_first_can_be_taken_back(
    number: int, path: Path, perso_knows: Knows
) -> None:
    perso_knows(STEPS[: number - 1])
    create_file(path)
    connection = apsw.Connection(str(path))
    with connection:
        while migrations.take_next(connection, path):
            pass
    before = tables(connection)
    perso_knows(STEPS[:number])
    with connection:
        assert migrations.take_next(connection, path)
        assert not migrations.take_next(connection, path)
    assert tables(connection) != before

    connection.execute(STEPS[number - 1].undone)

    assert tables(connection) == before
    connection.close()


async def test_of_an_old_file_nothing_is_lost(path: Path) -> None:
    old_file(path)
    assert taken(path) == 1

    store = await open_sqlite(path)
    kept = (await store.load(ANNA)).profile
    await store.close()

    assert taken(path) == len(STEPS)
    assert kept is not None
    assert [one.id for one in kept.events] == ["old"]


async def test_a_file_that_lacks_nothing_is_opened_while_somebody_holds_it_for_writing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is replaced then shows each visitor what they are in: the calls that wait for
    it had hung until it was given up."""
    monkeypatch.setattr("perso_core.stores.sqlite_file.BUSY_TIMEOUT_MS", 0)
    await (await open_sqlite(path)).close()
    shell = apsw.Connection(str(path))
    shell.execute("BEGIN IMMEDIATE")

    store = await open_sqlite(path)

    with pytest.raises(StoreUnavailable, match="locked"):
        await store.try_commit()
    shell.close()
    await store.try_commit()
    await store.close()


def test_an_old_file_that_is_only_read_takes_its_steps_first(path: Path) -> None:
    old_file(path)

    reader = Reader(path, origin=0)
    assert reader.load(ANNA).stored.profile is not None
    reader.close()

    assert taken(path) == len(STEPS)


def test_a_file_in_which_the_first_step_made_the_marks_of_the_erased_keeps_them(
    path: Path,
) -> None:
    old_file(path)
    sql(path, f"{STEPS[1].made} INSERT INTO erased VALUES (x'01', 5);")

    bring_up_to_date(path)

    assert sql(path, "SELECT erased_ms FROM erased") == [(5,)]
    assert taken(path) == len(STEPS)


# ---- older and newer side by side ------------------------------------------------------


async def test_an_older_perso_goes_on_beside_a_newer_one_that_only_added(
    path: Path, perso_knows: Knows
) -> None:
    older = await open_sqlite(path)
    perso_knows([*STEPS, adding(oldest=1)])
    newer = await open_sqlite(path)
    assert taken(path) == len(STEPS) + 1
    perso_knows(STEPS)

    await older.commit([arrived(event(event_id="e1"), ANNA)])
    after_its_restart = await open_sqlite(path)
    await after_its_restart.commit([arrived(event(event_id="e2"), BERT)])

    for store in (older, newer, after_its_restart):
        assert (await store.load(ANNA)).profile is not None
        assert (await store.load(BERT)).profile is not None
        await store.close()
    assert taken(path) == len(STEPS) + 1


async def test_an_older_perso_stops_once_a_newer_one_took_a_step_it_must_know(
    path: Path, perso_knows: Knows
) -> None:
    older = await open_sqlite(path)
    await older.commit([arrived(event(event_id="e1"), ANNA)])
    new_step = adding(oldest=len(STEPS) + 1)
    perso_knows([*STEPS, new_step])
    newer = await open_sqlite(path)
    perso_knows(STEPS)

    said = f"asks for step {new_step.number}; this Perso knows {len(STEPS)}"
    with pytest.raises(StoreTooNew, match=said):
        await older.commit([arrived(event(event_id="e2"), BERT)])
    with pytest.raises(StoreTooNew, match=said):
        await older.load(ANNA)
    with pytest.raises(StoreTooNew, match=said):
        await older.news()
    with pytest.raises(StoreTooNew, match=said):
        await open_sqlite(path)

    perso_knows([*STEPS, new_step])
    assert (await newer.load(BERT)).profile is None
    for store in (older, newer):
        await store.close()


def test_a_store_of_a_newer_perso_is_not_replaced_by_a_backup(
    path: Path, tmp_path: Path, perso_knows: Knows
) -> None:
    backup = tmp_path / "backup.sqlite"
    old_file(path)
    copy_store(path, backup, lambda done, of: None)
    perso_knows([*STEPS, adding(oldest=len(STEPS) + 1)])
    bring_up_to_date(path)
    perso_knows(STEPS)

    with pytest.raises(StoreTooNew):
        put_back(backup, path, lambda done, of: None)

    assert taken(path) == len(STEPS) + 1
    assert not path.with_suffix(".restoring").exists()


# ---- crashes -----------------------------------------------------------------------------


def whole(path: Path) -> int:
    """The step that a file is at, which has what that step made, and the old visitor."""
    number = taken(path)
    names = {name for (name,) in sql(path, "SELECT name FROM sqlite_schema")}
    assert "profile" in names
    assert ("erased" in names) == (number >= 2)
    assert ("later" in names) == (number >= len(STEPS) + 1)
    assert sql(path, "SELECT key FROM profile") == [(ANNA,)]
    return number


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_whichever_operation_fails_a_file_is_before_a_step_or_after_it(
    lasting: bool, tmp_path: Path, perso_knows: Knows
) -> None:
    perso_knows([*STEPS, adding(oldest=1)])
    old_file(tmp_path / "old.sqlite")
    seen = set()
    at = hits = 1
    while hits:
        path = tmp_path / str(at) / "perso.sqlite"
        path.parent.mkdir()
        shutil.copy(tmp_path / "old.sqlite", path)
        fault = Fault(at, lasting)
        with failing(fault), contextlib.suppress(StoreUnavailable):
            bring_up_to_date(path)

        seen.add(whole(path))
        bring_up_to_date(path)
        assert whole(path) == len(STEPS) + 1
        at, hits = at + 1, fault.hits
    assert seen == {*range(1, len(STEPS) + 2)}


def test_no_power_cut_leaves_half_a_step(tmp_path: Path, perso_knows: Knows) -> None:
    perso_knows([*STEPS, adding(oldest=1)])
    path = tmp_path / "before" / "perso.sqlite"
    with recorded() as record:
        old_file(path)
        made = len(record.operations)
        bring_up_to_date(path)
    seen = set()
    chance = Random(3)
    cuts = 60
    for number in range(cuts):
        left = tmp_path / f"{number}"
        left.mkdir()
        done = made + (len(record.operations) - made) * number // (cuts - 1)
        after_cut(record.operations[:done], left, chance)

        seen.add(whole(left / "perso.sqlite"))

    assert seen == {*range(1, len(STEPS) + 2)}
