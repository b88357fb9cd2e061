"""A file that is not whole is told at once, with what to do, and not served from."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import apsw
import pytest

from perso_core.errors import DamagedStore, StoreUnavailable
from perso_core.stores import soundness
from perso_core.stores.presence import Presence
from perso_core.stores.soundness import Records
from perso_core.stores.sqlite import open_sqlite
from perso_core.stores.sqlite_file import create_file, reading_connection
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import event
from tests.stores.building import arrived
from tests.stores.test_sqlite import sql

PAGE = 4_096


def key(number: int) -> str:
    return f"ECID:{number:038d}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a hundred visitors, closed."""
    path = tmp_path / "perso.sqlite"
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    writer.commit([arrived(event(), key(number)) for number in range(100)], False)
    writer.close()
    return path


def middle_page_overwritten(path: Path) -> None:
    """A page of events: those who look at the first rows alone do not see it."""
    [(page,)] = sql(
        path,
        "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf'"
        " ORDER BY path LIMIT 1 OFFSET 1",
    )
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def crashed(path: Path) -> None:
    """A log is left by whoever does not close."""
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"not begun yet")


async def crashed_with_damage(path: Path) -> None:
    """With a log that holds a commit."""
    middle_page_overwritten(path)
    await (await open_sqlite(path)).close()
    last = apsw.Connection(str(path))
    last.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    last.execute("INSERT INTO notice (origin, key) VALUES (1, NULL)")
    last.close()


async def refused(path: Path) -> str:
    with pytest.raises(DamagedStore, match="perso restore") as told:
        await open_sqlite(path)
    return told.value.detail


async def test_a_file_that_was_cut_off_is_refused(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(22 * PAGE)

    assert "malformed" in await refused(path)


async def test_a_file_without_one_of_its_tables_is_refused(path: Path) -> None:
    sql(path, "DROP TABLE consent")

    assert "the table consent is missing" in await refused(path)


async def test_a_file_that_forgot_which_steps_it_took_is_refused(path: Path) -> None:
    """It was whole for `perso doctor`, and no server could begin with it."""
    sql(path, "PRAGMA user_version = 1")

    assert "says that it is at step 1, and took step" in await refused(path)


@pytest.mark.parametrize("damage", [b"\xff" * 100, b"\x00" * 100])
async def test_a_file_whose_head_is_overwritten_is_refused(damage: bytes, path: Path) -> None:
    with path.open("r+b") as file:
        file.write(damage)

    with pytest.raises(Exception, match=r"NotADB|another application|damaged"):
        await open_sqlite(path)


# ---- a file that is empty --------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for who might be making the file."""
    monkeypatch.setattr(soundness, "MADE_WITHIN_MS", -1)


def emptied(path: Path, *, left: bytes = b"") -> bytes:
    """Returns what was in it."""
    whole = path.read_bytes()
    path.write_bytes(left)
    return whole


def contents(*paths: Path) -> list[bytes]:
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize("beside", ["cookie-keys.json", "compiled-rules", "perso.sqlite-wal"])
async def test_a_file_that_lost_all_it_had_is_not_taken_for_a_new_one(
    beside: str, path: Path, at_once: None
) -> None:
    """SQLite would delete the log, from which something might be saved."""
    left = path.with_name(beside)
    left.write_bytes(b"what is left")
    emptied(path)

    assert f"is empty, and {beside} beside it" in await refused(path)

    assert contents(path, left) == [b"", b"what is left"]


async def test_a_file_that_is_gone_while_its_log_is_there_is_not_made_anew(path: Path) -> None:
    """As by somebody who moved the one and not the other: they belong together."""
    left = path.with_name("perso.sqlite-wal")
    left.write_bytes(b"what is left")
    remove(path)

    assert "is missing, and perso.sqlite-wal beside it" in await refused(path)

    assert contents(left) == [b"what is left"]
    with pytest.raises(FileNotFoundError):
        contents(path)


async def test_who_comes_after_others_makes_no_store_where_theirs_is_away(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is not there any more"):
        await open_sqlite(tmp_path / "data" / "perso.sqlite", anew=False)

    with pytest.raises(FileNotFoundError):
        os.listdir(tmp_path / "data")


async def test_a_file_of_which_one_byte_is_left_has_lost_all_it_had(
    path: Path, at_once: None
) -> None:
    """SQLite takes it for an empty one: visitors had begun anew without a word."""
    path.with_name("cookie-keys.json").touch()
    emptied(path, left=b"S")

    assert "is empty, and cookie-keys.json beside it" in await refused(path)


async def test_it_is_told_what_to_remove_to_begin_anew(path: Path, at_once: None) -> None:
    path.with_name("cookie-keys.json").touch()
    emptied(path)
    with pytest.raises(DamagedStore) as told:
        await open_sqlite(path)
    assert "remove perso.sqlite and perso.sqlite-wal" in told.value.fix

    remove(path)

    await (await open_sqlite(path)).close()


def remove(path: Path) -> None:
    path.unlink()


async def test_an_empty_file_that_somebody_made_for_us_is_a_new_one(
    tmp_path: Path, at_once: None
) -> None:
    """As where a container's volume is prepared."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "settings.toml").touch()
    (tmp_path / "perso.sqlite-wal").touch()
    path = tmp_path / "perso.sqlite"
    path.touch()

    store = await open_sqlite(path)

    assert not (await store.commit([arrived(event())])).conflicts
    await store.close()


async def test_a_file_that_another_process_is_making_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.with_name("cookie-keys.json").touch()
    whole = emptied(path)
    made = "perso_core.stores.soundness.time.sleep"
    monkeypatch.setattr(made, lambda _: path.write_bytes(whole))

    store = await open_sqlite(path)

    assert (await store.load(key(1))).profile is not None
    await store.close()


def test_whoever_only_reads_an_empty_file_is_told_that_it_is(path: Path) -> None:
    emptied(path)

    with pytest.raises(StoreUnavailable, match="is empty"):
        reading_connection(path)


# ---- after a crash -----------------------------------------------------------------


async def test_after_a_crash_the_whole_file_is_looked_through(path: Path) -> None:
    middle_page_overwritten(path)
    await (await open_sqlite(path)).close()

    crashed(path)
    await refused(path)


async def test_a_file_that_was_refused_after_a_crash_is_refused_again(path: Path) -> None:
    """The first look had removed the log: a supervisor's next start served what is damaged."""
    await crashed_with_damage(path)

    for _ in range(3):
        assert await refused(path)


async def test_whoever_reads_a_file_after_a_crash_does_not_make_it_a_clean_end(path: Path) -> None:
    """After a `perso backup` that refused to copy it, a server began on what is damaged."""
    await crashed_with_damage(path)

    reader = Reader(path, origin=0)
    reader.load(key(1))
    reader.close()
    reading_connection(path).close()

    assert await refused(path)


async def test_after_a_crash_what_was_on_its_way_to_the_disk_is_put_there_before_it_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it waited for the disk, a server had told nobody; sent again to the next one it
    was acknowledged as known, and a power cut took it."""
    crashed(path)
    log, synced = f"{path}-wal", list[int]()
    wanted = [os.stat(one).st_ino for one in (log, path.parent)]

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("os.fsync", noted)
    await (await open_sqlite(path)).close()
    assert synced == wanted

    crashed(path)
    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(StoreUnavailable, match="cannot be put on disk"):
        await open_sqlite(path)
    monkeypatch.undo()
    await (await open_sqlite(path)).close()


def broken(descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_beside_a_running_server_a_log_is_no_sign_of_a_crash(path: Path) -> None:
    middle_page_overwritten(path)
    crashed(path)
    presence = Presence(path.parent)

    await (await open_sqlite(path)).close()

    presence.close()


async def test_the_look_after_a_crash_ends_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the file: what was found by then counts."""
    middle_page_overwritten(path)
    crashed(path)
    monkeypatch.setattr(soundness, "LOOKED_THROUGH_MS", -1)
    monkeypatch.setattr(soundness, "_STEPS", 1)

    await (await open_sqlite(path)).close()


def test_the_whole_look_finds_an_index_that_is_not_its_tables(path: Path) -> None:
    sql(path, "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name LIKE '%by_key%'")
    connection = reading_connection(path)

    found = soundness.looked_through(connection, until=lambda: False, quick=False)

    connection.close()
    assert found


def test_records_that_cannot_be_read_are_counted(path: Path) -> None:
    sql(path, "UPDATE event SET record = x'00' WHERE sequence IN (3, 4)")
    connection = reading_connection(path)
    told: list[tuple[int, int]] = []

    found = soundness.records(connection, lambda done, of: told.append((done, of)))

    connection.close()
    assert found == {
        "profile": Records(100),
        "event": Records(100, unreadable=2),
        "consent": Records(),
        "definitions": Records(),
        "imported": Records(),
    }
    assert told[-1] == (200, 200)


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("profile", "UPDATE profile SET record = (SELECT record FROM profile WHERE rowid = 2)"),
        ("profile", "UPDATE profile SET version = 'abc'"),
        ("event", "UPDATE event SET id = 'another'"),
    ],
    ids=["another visitor's", "no version", "another event's"],
)
def test_records_whose_row_is_another_ones_are_counted(path: Path, table: str, damage: str) -> None:
    sql(path, f"{damage} WHERE rowid = 1")
    connection = reading_connection(path)

    found = soundness.records(connection, lambda done, of: None)

    connection.close()
    assert found[table] == Records(100, misplaced=1)


async def test_damage_that_is_met_later_is_told_as_such(path: Path) -> None:
    middle_page_overwritten(path)
    store = await open_sqlite(path)
    told = 0
    for number in range(100):
        try:
            await store.load(key(number))
        except DamagedStore:
            told += 1
    await store.close()

    assert 0 < told < 100
