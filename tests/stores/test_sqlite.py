"""What SQLite adds to a store's promises: durability, faults of the disk, damaged records."""

from __future__ import annotations

import asyncio
import stat
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.decision.identity import identity_of
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.profile import mark_of
from perso_core.decision.projection import NOTHING_KEPT, Projection
from perso_core.decision.retention import Retention
from perso_core.errors import StoreTooNew, StoreUnavailable, UnreadableRecord
from perso_core.stores import sqlite_file
from perso_core.stores.protocol import News, Stored
from perso_core.stores.record import event_record
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_file import create_file, unavailable, writing_connection
from tests.building import DAY_MS, NOON_MS, ORG, definitions, event
from tests.stores.building import ANNA, BERT, arrived, chose, forgot, held, profile
from tests.stores.faulty_disk import FaultyDisk, faulty_disk

CUSTOMER = f"{ORG} demo CRMID:4711"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "perso.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_sqlite(path)
    yield opened
    await opened.close()


def sql(path: Path, statement: str, *values: Any) -> Any:
    """From outside, as another program on the file."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


# ---- the file -------------------------------------------------------------------------


async def test_the_file_and_its_directory_are_for_their_owner_alone(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([arrived(event())])

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {f"perso.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    create_file(tmp_path / "perso.sqlite")

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


async def test_a_file_of_a_newer_perso_is_refused(path: Path) -> None:
    await (await open_sqlite(path)).close()
    sql(path, "PRAGMA user_version = 999")

    with pytest.raises(StoreTooNew, match="step 999"):
        await open_sqlite(path)


async def test_another_applications_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    sql(path, "CREATE TABLE theirs (x)")

    with pytest.raises(StoreUnavailable, match="another application"):
        await open_sqlite(path)

    assert sql(path, "SELECT name FROM sqlite_schema") == [("theirs",)]


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("to do: everything " * 100)

    with pytest.raises(StoreUnavailable, match="backup"):
        await open_sqlite(path)


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable, match="directory"):
        await open_sqlite(tmp_path / "file" / "perso.sqlite")


async def test_two_stores_may_make_one_file_at_once(path: Path) -> None:
    stores = await asyncio.gather(*(open_sqlite(path) for _ in range(4)))
    try:
        for n, store in enumerate(stores):
            await store.commit([arrived(event(), f"ECID:{n}")])
        for n in range(4):
            assert (await stores[0].load(f"ECID:{n}")).profile is not None
    finally:
        for store in stores:
            await store.close()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux tells which locks there are")
async def test_a_second_store_of_a_process_does_not_cost_the_first_its_locks(
    store: SqliteStore, path: Path
) -> None:
    """Whoever closes a descriptor of a file lets go of all locks that the process has on it."""

    def locked() -> bool:
        return f":{path.stat().st_ino} " in Path("/proc/locks").read_text()

    assert locked()

    second = await open_sqlite(path)

    assert locked()
    await second.close()
    assert locked()


# ---- closing --------------------------------------------------------------------------


async def test_a_file_that_lacks_nothing_is_opened_without_a_write(path: Path) -> None:
    """Each command wrote to it, and none could on a full disk, not even one that only reads."""
    opened = await open_sqlite(path)
    log = path.with_name(path.name + "-wal")
    before = log.read_bytes()

    again = await open_sqlite(path)

    assert log.read_bytes() == before
    await again.close()
    await opened.close()


async def test_closing_loses_nothing_that_was_begun(path: Path) -> None:
    store = await open_sqlite(path)
    commits = [
        asyncio.create_task(store.commit([arrived(event(), f"ECID:{n}")])) for n in range(50)
    ]
    await asyncio.sleep(0)  # each has handed its work to the writer

    await store.close()
    await asyncio.gather(*commits)

    assert sql(path, "SELECT count(*) FROM profile") == [(50,)]


async def test_a_closed_store_leaves_one_file(store: SqliteStore, path: Path) -> None:
    await store.commit([arrived(event())])

    await store.close()

    assert [one.name for one in path.parent.iterdir()] == ["perso.sqlite"]


async def test_a_closed_store_is_unavailable(store: SqliteStore) -> None:
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await store.load(ANNA)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit([arrived(event())])


# ---- records that cannot be read ---------------------------------------------------------


def damage(path: Path, table: str, key: str = ANNA) -> None:
    sql(path, f"UPDATE {table} SET record = CAST(record || 'x' AS BLOB) WHERE key = ?", key)


async def test_a_damaged_profile_is_a_miss_goes_to_quarantine_and_the_others_load(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.commit([arrived(event()), arrived(event(), BERT)])
    damage(path, "profile")

    assert await held(store, ANNA) == Stored(None, None, set_aside=True)
    assert await held(store, ANNA) == Stored(None, None)
    assert (await store.load(BERT)).profile is not None
    assert store.quarantined == 1
    assert "A stored profile is set aside" in caplog.text
    assert ANNA not in caplog.text
    kinds = sql(path, "SELECT kind FROM quarantine WHERE key = ? ORDER BY sequence", ANNA)
    assert kinds == [("profile",), ("event",)]


async def test_a_visitor_whose_profile_was_damaged_begins_anew(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([arrived(event(event_id="before"))])
    damage(path, "profile")
    await store.load(ANNA)

    committed = await store.commit([arrived(event(event_id="after"))])

    assert not committed.conflicts
    kept = (await store.load(ANNA)).profile
    assert kept is not None
    assert [one.id for one in kept.events] == ["after"]


async def test_a_damaged_event_is_left_out_and_its_profile_stays(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([arrived(event(event_id="e1")), arrived(event(event_id="e2"), base=1)])
    sql(path, "UPDATE event SET record = x'00' WHERE id = 'e1'")

    kept = (await store.load(ANNA)).profile

    assert kept == structs.replace(profile(version=2), events=(event(event_id="e2"),))
    assert sql(path, "SELECT kind, record FROM quarantine") == [("event", b"\0")]
    assert sql(path, "SELECT id FROM event") == [("e2",)]


async def test_a_damaged_event_is_set_aside_where_little_of_it_is_wanted(
    store: SqliteStore, path: Path
) -> None:
    both = [arrived(event(event_id="e1")), arrived(event(event_id="e2"), base=1)]
    await store.commit([*both, arrived(event(event_id="e3"), base=2)])
    sql(path, "UPDATE event SET record = x'00' WHERE id IN ('e1', 'e3')")

    stored = await store.load(ANNA, NOTHING_KEPT)

    assert stored.set_aside
    assert stored.profile is not None
    kept = KeptEvents.of(stored.profile.events)
    assert [one.id for one in kept] == ["e2"]
    assert kept.whole_at(0) == event(event_id="e2")
    assert sql(path, "SELECT id FROM event") == [("e2",)]


@pytest.mark.parametrize("listed", [False, True])
async def test_of_many_large_events_one_at_a_time_is_in_memory(
    store: SqliteStore, path: Path, listed: bool
) -> None:
    """Somebody with 100 MB of them, as anybody may make, took 1 to 3 GB to be read: a few at once
    had the process killed."""
    fields = {f"k{n}": {"a": n, "b": []} for n in range(1_000)}
    large = [fields] if listed else fields
    entries = [arrived(event(event_id=f"e{n}", web=large), base=n) for n in range(100)]
    await store.commit(entries)
    projection = Projection(frozenset({("web", "k7", "a")}))
    of_one = len(event_record(event(web=large)))
    del entries, large
    await store.load(ANNA, projection)
    tracemalloc.start()
    try:
        await store.load(ANNA, projection)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # As objects an event takes some thirty times its size.
    assert peak < 25 * of_one


async def test_damaged_consent_stands_as_refused_until_the_visitor_chooses_again(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([chose("in")])
    damage(path, "consent")

    found = [(await store.load(ANNA)).consent for _ in range(2)]
    await store.commit([chose("in")])

    assert found == [Consent("out", 0)] * 2
    assert (await store.load(ANNA)).consent == Consent("in", NOON_MS)
    assert store.quarantined == 1


async def test_a_forgotten_visitor_leaves_quarantine_too(store: SqliteStore, path: Path) -> None:
    await store.commit([arrived(event())])
    damage(path, "profile")
    await store.load(ANNA)

    await store.commit([forgot()])

    assert sql(path, "SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.parametrize(
    ("key", "days"), [(ANNA, 3), (CUSTOMER, 7), (f"{ORG} gone CRMID:4711", 30)]
)
async def test_what_was_set_aside_is_kept_for_as_long_as_its_datastream_keeps_a_profile(
    store: SqliteStore, path: Path, key: str, days: int
) -> None:
    """Of a device's record nobody can tell whose events it had."""
    both = Retention(by_datastream={"demo": 7 * DAY_MS, "short": 3 * DAY_MS}, org=ORG)
    await store.commit([arrived(event(), key)])
    damage(path, "profile", key)
    await store.load(key)

    left = []
    for since_ms in (0, days * DAY_MS - 1, days * DAY_MS):
        await store.sweep_set_aside(both, now_ms=NOON_MS + since_ms, after=0)
        left += sql(path, "SELECT count(*) FROM quarantine")

    assert left == [(2,), (2,), (0,)]


@pytest.mark.parametrize("key", ["a b:c", "", b"\x01"])
async def test_what_was_set_aside_under_no_key_at_all_goes_as_well(
    store: SqliteStore, path: Path, key: str | bytes
) -> None:
    row = "INSERT INTO quarantine VALUES (NULL, 'event', ?, x'00', 'damaged', 1)"
    sql(path, row, key)

    await store.sweep_set_aside(Retention(), now_ms=NOON_MS, after=0)

    assert sql(path, "SELECT count(*) FROM quarantine") == [(0,)]


async def test_what_a_clock_that_was_ahead_set_aside_is_kept_no_longer(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([arrived(event())])
    damage(path, "profile")
    await store.load(ANNA)

    for years in (10, 0, 1):
        await store.sweep_set_aside(Retention(), now_ms=NOON_MS + 365 * years * DAY_MS, after=0)

    assert sql(path, "SELECT count(*) FROM quarantine") == [(0,)]


async def test_whose_record_was_set_aside_is_found_by_it(store: SqliteStore, path: Path) -> None:
    """An export said that nothing is kept, and an erasure passed over it where the datastream is no
    more."""
    await store.commit([arrived(event()), arrived(event(), CUSTOMER)])
    damage(path, "profile")
    damage(path, "profile", CUSTOMER)
    for key in (ANNA, CUSTOMER):
        await store.load(key)

    assert await store.keys_of(identity_of(ANNA)) == (ANNA,)
    assert await store.keys_of(identity_of(CUSTOMER)) == (CUSTOMER,)
    assert len((await store.whole(CUSTOMER)).quarantined) == 2


async def test_an_erased_first_visit_is_not_named_by_those_that_are_still_to_be_looked_at(
    store: SqliteStore, path: Path
) -> None:
    for key in (ANNA, BERT):
        await store.commit([structs.replace(arrived(event(), key), first_visit_ms=NOON_MS)])

    await store.commit([forgot(ANNA)])

    assert sql(path, "SELECT key FROM first_visit") == [(BERT,)]


async def test_of_a_forgotten_visitor_no_byte_stays_in_the_file_or_its_log(
    store: SqliteStore, path: Path
) -> None:
    for version in range(12):
        for key in (ANNA, BERT):
            # Attributes that grow and shrink: what was replaced lay in pages that became free.
            tier = f"said of {key} " * (version * 37 % 60 + 1)
            entry = arrived(event(event_id=f"e{version}"), key, base=version, tier=tier)
            await store.commit([entry])
    await store.commit([forgot(ANNA)])

    await store.sweep_notices(await store.sweep_notices(0))  # announcements name the key, too
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    left = b"".join(file.read_bytes() for file in files)

    assert ANNA.encode() not in left
    assert f"said of {BERT}".encode() in left


def test_a_fault_that_sqlite_has_no_words_for_is_not_called_no_error(path: Path) -> None:
    with pytest.raises(StoreUnavailable) as fault, unavailable(path):
        raise apsw.FullError("not an error")

    assert fault.value.detail == "perso.sqlite: FullError."
    assert fault.value.fix.startswith("Make room")


async def test_definitions_that_are_announced_again_are_kept_once(
    store: SqliteStore, path: Path
) -> None:
    """Each erasure and each import kept a copy of them, a hundred in all, where what was in force
    before had gone for it."""
    await store.save_definitions(definitions(default_consent="out"), saved_ms=NOON_MS)
    for _ in range(3):
        last = await store.save_definitions(definitions(), saved_ms=NOON_MS)

    stored = await store.definitions()

    assert (last, stored and stored.version) == (4, 4)
    assert sql(path, "SELECT version FROM definitions ORDER BY version") == [(1,), (4,)]


async def test_damaged_definitions_are_an_error_never_the_older_ones(
    store: SqliteStore, path: Path
) -> None:
    await store.save_definitions(definitions())
    await store.save_definitions(definitions(default_consent="out"))
    sql(path, "UPDATE definitions SET record = x'0102' WHERE version = 2")

    for _ in range(2):
        with pytest.raises(UnreadableRecord):
            await store.definitions()
    await store.save_definitions(definitions())
    saved = await store.definitions()
    assert saved is not None
    assert saved.version == 3


# ---- faults of the disk ------------------------------------------------------------------


@pytest.fixture
def limit_pages() -> Iterator[Callable[[int], None]]:
    """Files of connections opened from now on may have so many pages: a full disk."""
    hooks: list[Callable[[apsw.Connection], None]] = []

    def limit(pages: int) -> None:
        for hook in hooks:
            apsw.connection_hooks.remove(hook)
        hooks[:] = [lambda connection: connection.pragma("max_page_count", pages)]
        apsw.connection_hooks.extend(hooks)

    yield limit
    for hook in hooks:
        apsw.connection_hooks.remove(hook)


async def test_a_full_disk_is_said_keeps_nothing_by_halves_and_is_survived(
    path: Path, limit_pages: Callable[[int], None]
) -> None:
    limit_pages(40)
    store = await open_sqlite(path)
    try:
        await store.commit([arrived(event())])
        before = await store.load(ANNA)
        large = event(event_id="large", text="x" * 400_000)

        with pytest.raises(StoreUnavailable, match="FullError") as caught:
            await store.commit([arrived(event(), BERT), arrived(large, base=1), chose("in")])

        assert "Make room on the disk" in caught.value.fix
        assert await store.load(ANNA) == before
        assert await held(store, BERT) == Stored(None, None)

        limit_pages(10_000)  # somebody made room; what failed is opened anew
        assert not (await store.commit([arrived(large, base=1)])).conflicts
    finally:
        await store.close()


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as made:
        yield made


async def test_a_commit_returns_only_after_its_last_write_was_synced(
    disk: FaultyDisk, path: Path
) -> None:
    store = await open_sqlite(path)
    try:
        for base in range(3):
            disk.begin()
            await store.commit([arrived(event(event_id=f"e{base}"), base=base)])

            on_the_log = [call for call, name in disk.calls if name == "perso.sqlite-wal"]
            assert "write" in on_the_log
            assert on_the_log[-1] == "sync"
    finally:
        await store.close()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
async def test_wherever_the_disk_fails_a_commit_is_whole_or_refused(
    disk: FaultyDisk, path: Path, lasting: bool
) -> None:
    """The first write or sync fails, then the second, and so on until none is reached."""
    store = await open_sqlite(path)
    kept: list[str] = []
    try:
        for number in range(1, 100):
            one = event(event_id=f"e{number}", text="x" * 9_000)
            disk.begin(fails_from=number, fails_until=1 << 60 if lasting else number + 1)
            try:
                await store.commit([arrived(one, base=len(kept)), chose("in")])
            except StoreUnavailable:
                refused = True
            else:
                refused = False
                kept.append(one.id)
            reached = disk.failed
            disk.begin()
            loaded = (await store.load(ANNA)).profile
            assert [event.id for event in loaded.events if loaded] == kept if loaded else not kept
            if not reached:
                break
            assert refused, "a commit whose write or sync failed must not be acknowledged"
        assert number > 3, "the fault was reached at least at three places"
    finally:
        await store.close()


async def test_a_store_is_closed_on_a_disk_that_fails_and_loses_nothing(
    disk: FaultyDisk, path: Path
) -> None:
    """On a full disk `perso profile show` had told nothing but that."""
    store = await open_sqlite(path)
    await store.commit([arrived(event())])
    disk.begin(fails_from=1, fails_until=2)

    await store.close()

    assert disk.failed
    disk.begin()
    again = await open_sqlite(path)
    assert (await again.load(ANNA)).profile is not None
    await again.close()


async def test_a_file_that_another_process_holds_too_long_is_unavailable_and_then_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.stores.sqlite_file.BUSY_TIMEOUT_MS", 20)
    store = await open_sqlite(path)
    other = apsw.Connection(str(path))
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="Another process holds"):
            await store.commit([arrived(event())])
        assert await held(store, ANNA) == Stored(None, None)  # readers do not wait
        other.execute("ROLLBACK")

        assert not (await store.commit([arrived(event())])).conflicts
    finally:
        other.close()
        await store.close()


async def test_an_own_write_costs_the_next_news_nothing_to_tell(store: SqliteStore) -> None:
    await store.commit([arrived(event())], announce=True)

    assert await store.news() == News()


def test_a_writer_waits_for_another_ones_commit_and_gives_up_at_last(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_file(path)
    mine, theirs = writing_connection(path), writing_connection(path)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            theirs.execute("COMMIT")

    monkeypatch.setattr("time.sleep", sleep)
    theirs.execute("BEGIN IMMEDIATE")
    mine.execute("BEGIN IMMEDIATE; COMMIT")
    assert slept == [0.000_5] * 3

    theirs.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_MS", 0)
    with pytest.raises(apsw.BusyError):
        mine.execute("BEGIN IMMEDIATE")
    mine.close()
    theirs.close()


async def test_what_was_erased_is_known_again_for_a_day(path: Path) -> None:
    now_ms = NOON_MS
    store = await open_sqlite(path, clock_ms=lambda: now_ms)
    await store.commit([arrived(event(event_id="e1"))])
    await store.commit([forgot(base=1)])

    now_ms = NOON_MS + DAY_MS
    await store.sweep_notices(0)
    assert (await store.load(ANNA)).erased_events == {mark_of("e1")}

    now_ms += 1
    await store.sweep_notices(0)
    assert (await store.load(ANNA)).erased_events == frozenset()
    await store.close()


async def test_a_log_that_somebody_keeps_from_being_emptied_is_told_once_it_is_large(
    store: SqliteStore,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_file, "LARGE_LOG_BYTES", 10_000)
    await store.commit([arrived(event())])
    reading = apsw.Connection(str(path))
    reading.execute("BEGIN; SELECT * FROM profile").fetchall()
    await store.commit([arrived(event(), BERT)])

    await store.sweep_notices(await store.sweep_notices(0))
    told = caplog.text
    reading.close()
    caplog.clear()
    await store.sweep_notices(await store.sweep_notices(0))

    assert "The log beside perso.sqlite has" in told
    assert not caplog.text
