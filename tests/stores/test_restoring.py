"""Who stays erased where a backup is put back, and who does not."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from perso_core.assembly import open_perso
from perso_core.decision.caps import Caps
from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.identity import identity_of
from perso_core.decision.profile import Moved, Profile, mark_of
from perso_core.decision.union import united
from perso_core.engine.journal import ConsentChosen, Entry
from perso_core.errors import StoreUnavailable
from perso_core.settings import Settings
from perso_core.stores import sqlite_backup
from perso_core.stores.links import Joining
from perso_core.stores.record import profile_record
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_backup import (
    check_store,
    copy_store,
    put_back,
    remove_unfinished,
)
from perso_core.stores.sqlite_erased import MOST_DEVICES, moved_mark
from perso_core.stores.sqlite_file import RESTORING, create_file, writing_connection
from perso_core.stores.sqlite_refusals import keep_refusals
from perso_core.stores.sqlite_writer import Writer
from tests.building import NOON_MS, ORG, event
from tests.stores.building import ANNA, BERT, arrived, chose, forgot, signalled
from tests.stores.test_sqlite import sql

CLARA = "ECID:" + "3" * 38
CUSTOMER = f"{ORG} demo CRMID:4711"
AN_HOUR_MS = 60 * 60 * 1000


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_sqlite(path, clock_ms=lambda: NOON_MS + AN_HOUR_MS)
    try:
        yield store
    finally:
        await store.close()


def told() -> Callable[[int, int], None]:
    return lambda done, pages: None


def came_back(now_ms: int) -> Entry:
    return arrived(event(event_id="again", at_ms=now_ms), now_ms=now_ms)


async def ids_of(path: Path, key: str) -> list[str]:
    async with opened(path) as store:
        profile = (await store.load(key)).profile
    return [one.id for one in profile.events] if profile is not None else []


async def test_who_was_erased_before_the_backup_and_came_back_is_restored_with_it(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        for key in (ANNA, BERT):
            await store.commit([arrived(event(event_id="before"), key)])
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 1)])
        await store.commit([came_back(NOON_MS + 2)])
        copy_store(path, backup, told())
        await store.commit([forgot(BERT, now_ms=NOON_MS + 3)])

    assert put_back(backup, path, told()) == 1

    assert await ids_of(path, ANNA) == ["again"]
    assert await ids_of(path, BERT) == []


async def test_who_was_erased_again_since_the_backup_stays_erased_whatever_the_clock_did(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 5)])
        await store.commit([came_back(NOON_MS + 6)])
        copy_store(path, backup, told())
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 3)])

    assert put_back(backup, path, told()) == 1

    assert await ids_of(path, ANNA) == []


async def test_who_is_erased_while_the_backup_is_copied_stays_erased(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([arrived(event(), ANNA)])
    copy_store(path, backup, told())

    def erasing(done: int, of: int) -> None:
        with ThreadPoolExecutor() as another:
            another.submit(asyncio.run, erased(path)).result()

    assert put_back(backup, path, erasing) == 1

    assert await ids_of(path, ANNA) == []


async def erased(path: Path) -> None:
    """As by `perso profile erase`."""
    async with opened(path) as store:
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 1)])


async def test_who_is_to_be_erased_once_that_is_copied_is_erased_in_what_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([arrived(event(), ANNA)])
    copy_store(path, backup, told())
    erasing: list[Future[None]] = []
    with ThreadPoolExecutor() as another:

        def late(database: Path, fresh: Path) -> bool:
            erasing.append(another.submit(asyncio.run, erased(path)))
            time.sleep(0.3)
            assert not erasing[0].done(), "it waits"
            return keep_refusals(database, fresh)

        monkeypatch.setattr(sqlite_backup, "keep_refusals", late)
        put_back(backup, path, told())
        erasing[0].result()

    assert await ids_of(path, ANNA) == []


async def test_beside_who_writes_for_long_nothing_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        copy_store(path, backup, told())
        await store.commit([arrived(event(), ANNA)])
    monkeypatch.setattr("perso_core.stores.sqlite_file.BUSY_TIMEOUT_MS", 100)
    with closing(writing_connection(path)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            put_back(backup, path, told())

    assert await ids_of(path, ANNA) == ["e1"]
    assert not path.with_suffix(RESTORING).exists()


async def test_an_erased_event_that_is_sent_again_after_a_restore_does_not_come_back(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        copy_store(path, backup, told())
        await store.commit([arrived(event(event_id="before"))])
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 1)])

    put_back(backup, path, told())

    async with opened(path) as store:
        assert (await store.load(ANNA)).erased_events == {mark_of("before")}
        sent_again = arrived(event(event_id="before"), now_ms=NOON_MS + 2)
        assert (await store.commit([sent_again])).conflicts == {ANNA}


@pytest.mark.parametrize("beside", ["-journal", "-wal"])
async def test_what_is_left_of_another_database_is_not_taken_for_what_was_put_back(
    tmp_path: Path, beside: str
) -> None:
    """As of one that was moved away after a crash."""
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    left = path.with_name(path.name + beside)
    async with opened(path) as store:
        await store.commit([arrived(event())])
        copy_store(path, backup, told())
    with closing(apsw.Connection(str(path))) as another:
        another.pragma("journal_mode", "DELETE" if beside == "-journal" else "WAL")
        another.pragma("cache_size", 1)
        another.execute("CREATE TABLE t (b); BEGIN; INSERT INTO t VALUES (zeroblob(90000));")
        another.execute("UPDATE profile SET record = zeroblob(90000)")
        written = left.read_bytes()
    path.unlink()
    left.write_bytes(written)

    put_back(backup, path, told())

    assert not left.exists()
    check_store(path)
    assert await ids_of(path, ANNA) == ["e1"]


async def test_nothing_that_a_backup_has_names_who_was_erased_since(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([structs.replace(arrived(event()), first_visit_ms=NOON_MS)])
        await store.join(Joining(source=BERT, target=ANNA, linked=True, decided_ms=NOON_MS))
        copy_store(path, backup, told())
        await store.join(Joining(source=BERT, target=CLARA, linked=True, decided_ms=NOON_MS))
        await store.commit([forgot(ANNA, now_ms=NOON_MS + 1)])

    put_back(backup, path, told())

    async with opened(path) as store:
        assert (await store.load(BERT)).linked_to == ""
        await store.sweep_notices(await store.sweep_notices(0))
    assert ANNA.encode() not in path.read_bytes()


async def signed_in(store: SqliteStore, now_ms: int) -> None:
    """What was done on the device becomes the customer's."""
    device, customer = (await store.load(ANNA)).profile, (await store.load(CUSTOMER)).profile
    assert device is not None
    into = customer or Profile(key=CUSTOMER)
    both = united(into, device, now_ms=now_ms, caps=Caps())
    joining = Joining(
        source=ANNA,
        target=CUSTOMER,
        decided_ms=now_ms,
        united=both,
        source_version=device.version,
        target_version=into.version,
    )
    assert (await store.join(joining)).kept


async def test_what_was_done_on_a_device_and_erased_with_its_customer_does_not_come_back(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        for key in (ANNA, BERT):
            await store.commit([arrived(event(event_id="anonymous"), key)])
        await store.commit([chose("in")])
        copy_store(path, backup, told())
        await signed_in(store, NOON_MS + 1)
        await store.commit([forgot(CUSTOMER, now_ms=NOON_MS + 2)])

    assert put_back(backup, path, told()) == 1

    assert await ids_of(path, ANNA) == []
    assert await ids_of(path, BERT) == ["anonymous"]
    async with opened(path) as store:
        assert (await store.load(ANNA)).consent == Consent("in", NOON_MS)


async def test_what_was_done_on_a_device_after_its_customer_signed_out_is_restored(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([arrived(event(event_id="anonymous"))])
        await signed_in(store, NOON_MS + 1)
        device = (await store.load(ANNA)).profile
        assert device is not None
        later = event(event_id="later", at_ms=NOON_MS + 2)
        rest = structs.replace(arrived(later, base=device.version), profile=with_one(device, later))
        assert not (await store.commit([rest])).conflicts
        copy_store(path, backup, told())
        await store.commit([forgot(CUSTOMER, now_ms=NOON_MS + 3)])

    assert put_back(backup, path, told()) == 1

    assert await ids_of(path, ANNA) == ["later"]
    assert await ids_of(path, CUSTOMER) == []


def test_an_erasure_looks_at_so_many_devices_of_a_name_however_many_took_it(tmp_path: Path) -> None:
    """Whoever merely names a device gets one of their own; a flood of them had held all writes."""
    path = tmp_path / "perso.sqlite"
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    moved = Moved(at_ms=NOON_MS, to=mark_of(CUSTOMER), version=1, marks=frozenset())
    keys = [ANNA, *(f"{ANNA}~{number:016x}" for number in range(1, MOST_DEVICES + 5))]
    came = [Profile(key=key, version=1, moved=(moved,)) for key in keys]
    customer = Profile(key=CUSTOMER, version=1, claims=(identity_of(ANNA),))
    rows = [(one.key, one.version, profile_record(one)) for one in (*came, customer)]
    writer.in_transaction(
        lambda connection: connection.executemany("INSERT INTO profile VALUES (?, ?, ?)", rows)
    )

    writer.commit([forgot(CUSTOMER)], False)

    marks = {mark for (mark,) in sql(path, "SELECT mark FROM erased")}
    assert moved_mark(ANNA) in marks
    assert sum(moved_mark(key) in marks for key in keys) == MOST_DEVICES
    writer.close()


def with_one(device: Profile, later: Event) -> Profile:
    return structs.replace(device, version=device.version + 1, events=(later,))


async def test_what_a_visitor_refused_since_the_backup_stays_refused(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        for key in (ANNA, BERT, CLARA):
            await store.commit([chose_at(Consent("in", NOON_MS), key)])
            await store.commit([arrived(event(event_id="consented"), key)])
        copy_store(path, backup, told())
        no_sharing = Consent("in", NOON_MS, share="n", share_since_ms=NOON_MS + 1)
        await store.commit([chose_at(Consent("out", NOON_MS + 1), ANNA)])
        await store.commit([chose_at(no_sharing, BERT)])

    put_back(backup, path, told())

    assert await ids_of(path, ANNA) == []
    assert await ids_of(path, BERT) == await ids_of(path, CLARA) == ["consented"]
    async with opened(path) as store:
        found = [(await store.load(key)).consent for key in (ANNA, BERT, CLARA)]
    assert found == [Consent("out", NOON_MS + 1), no_sharing, Consent("in", NOON_MS)]


async def test_a_refusal_stands_for_each_identity_that_was_linked_since(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    others = (f"{ORG} demo Email:a", f"{ORG} demo Phone:1")
    async with opened(path) as store:
        for key in (CUSTOMER, *others):
            await store.commit([arrived(event(event_id="consented"), key)])
        # By then of another identity's profile, which became part of the customer's.
        await store.join(Joining(source=others[1], target=others[0], linked=True, decided_ms=1))
        copy_store(path, backup, told())
        for key in others:
            joining = Joining(source=key, target=CUSTOMER, linked=True, decided_ms=NOON_MS)
            assert (await store.join(joining)).kept
        await store.commit([chose_at(Consent("out", NOON_MS + 1), CUSTOMER)])

    put_back(backup, path, told())

    assert [await ids_of(path, key) for key in (CUSTOMER, *others)] == [[], [], []]
    async with opened(path) as store:
        assert [(await store.load(key)).linked_to for key in others] == [CUSTOMER, CUSTOMER]


async def test_what_was_done_on_a_device_of_who_refused_since_does_not_come_back(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        for key in (ANNA, BERT):
            await store.commit([arrived(event(event_id="anonymous"), key)])
        await store.commit([chose("in")])
        copy_store(path, backup, told())
        await signed_in(store, NOON_MS + 1)
        await store.commit([chose_at(Consent("out", NOON_MS + 2), CUSTOMER)])

    put_back(backup, path, told())

    assert await ids_of(path, ANNA) == await ids_of(path, CUSTOMER) == []
    assert await ids_of(path, BERT) == ["anonymous"]
    async with opened(path) as store:
        assert (await store.load(ANNA)).consent == Consent("in", NOON_MS)


async def test_what_is_not_to_be_shared_is_so_under_each_identity_that_was_linked_since(
    tmp_path: Path,
) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    other = f"{ORG} demo Email:a"
    no_sharing = Consent("in", NOON_MS, share="n", share_since_ms=NOON_MS + 1)
    async with opened(path) as store:
        for key in (CUSTOMER, other):
            await store.commit([arrived(event(event_id="consented"), key)])
        copy_store(path, backup, told())
        joining = Joining(source=other, target=CUSTOMER, linked=True, decided_ms=NOON_MS)
        assert (await store.join(joining)).kept
        await store.commit([chose_at(no_sharing, CUSTOMER)])

    put_back(backup, path, told())

    assert [await ids_of(path, key) for key in (CUSTOMER, other)] == [["consented"]] * 2
    async with opened(path) as store:
        assert (await store.load(other)).consent == no_sharing


async def test_a_browsers_signal_against_sharing_since_the_backup_stands(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    shared = Consent("in", NOON_MS, share="y", share_since_ms=NOON_MS)
    async with opened(path) as store:
        await store.commit([chose_at(shared, ANNA)])
        copy_store(path, backup, told())
        for key in (ANNA, BERT):
            await store.commit([signalled(key, now_ms=NOON_MS + 1)])

    put_back(backup, path, told())

    async with opened(path) as store:
        found = [(await store.load(key)).consent for key in (ANNA, BERT)]
    assert found == [
        structs.replace(shared, gpc_since_ms=NOON_MS + 1),
        Consent(None, 0, gpc_since_ms=NOON_MS + 1),
    ]


async def test_where_a_refusal_cannot_be_kept_nothing_is_restored(tmp_path: Path) -> None:
    """For a disk that was full it had been restored without, as if the database were damaged."""
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    async with opened(path) as store:
        await store.commit([chose_at(Consent("in", NOON_MS))])
        copy_store(path, backup, told())
        await store.commit([chose_at(Consent("out", NOON_MS + 1))])
    sql(backup, "CREATE TRIGGER full BEFORE INSERT ON consent BEGIN SELECT RAISE(ABORT, ''); END")

    with pytest.raises(StoreUnavailable):
        put_back(backup, path, told())

    async with opened(path) as store:
        assert (await store.load(ANNA)).consent == Consent("out", NOON_MS + 1)


async def test_of_a_damaged_database_the_refusals_that_can_be_read_are_kept(tmp_path: Path) -> None:
    path, backup = tmp_path / "perso.sqlite", tmp_path / "monday.sqlite"
    keys = [f"ECID:{number:038d}" for number in range(200)]
    async with opened(path) as store:
        copy_store(path, backup, told())
        await store.commit([chose_at(Consent("out", NOON_MS), key) for key in keys])
    [(page,)] = sql(
        path,
        "SELECT pageno FROM dbstat WHERE name = 'consent' AND pagetype = 'leaf'"
        " ORDER BY path DESC LIMIT 1",
    )
    with path.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)

    assert put_back(backup, path, told()) is None

    async with opened(path) as store:
        assert (await store.load(keys[0])).consent == Consent("out", NOON_MS)


async def test_a_refusal_that_was_taken_back_before_a_newer_backup_does_not_return(
    tmp_path: Path,
) -> None:
    path, newer = tmp_path / "perso.sqlite", tmp_path / "tuesday.sqlite"
    async with opened(path) as store:
        await store.commit([chose_at(Consent("out", NOON_MS))])
        copy_store(path, tmp_path / "monday.sqlite", told())
        await store.commit([chose_at(Consent("in", NOON_MS + 1))])
        await store.commit([arrived(event(event_id="consented"), now_ms=NOON_MS + 2)])
        copy_store(path, newer, told())
    put_back(tmp_path / "monday.sqlite", path, told())

    put_back(newer, path, told())

    assert await ids_of(path, ANNA) == ["consented"]


def chose_at(consent: Consent, key: str = ANNA) -> Entry:
    assert consent.general is not None
    said = ConsentChosen(consent.general, consent.share)
    return structs.replace(chose(consent.general, key), change=said, consent=consent)


async def test_a_copy_ends_and_is_of_the_moment_it_began_however_often_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a database of more than 8 MB beside a busy server there was never a backup: with each
    write it began anew."""
    monkeypatch.setattr(sqlite_backup, "_PAGES", 4)
    path, backup, parts = tmp_path / "perso.sqlite", tmp_path / "backup", list[int]()

    def written_to(done: int, pages: int) -> None:
        parts.append(done)
        assert len(parts) <= pages
        sql(
            path, "INSERT INTO quarantine (kind, key, record, reason) VALUES ('event', 'a', '', '')"
        )

    async with opened(path) as store:
        await store.commit([arrived(event(), ANNA)])
        copy_store(path, backup, written_to)

    assert len(parts) > 2
    assert parts == sorted(parts)
    assert sql(backup, "SELECT count(*) FROM quarantine") == [(0,)]
    assert await ids_of(backup, ANNA) == [event().id]


def test_what_a_killed_restore_left_is_removed_and_not_what_one_under_way_writes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perso.sqlite"
    left = [tmp_path / f"perso.restoring{suffix}" for suffix in ("", "-wal")]
    for file in left:
        file.write_bytes(b"everybody")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as a restore does

    remove_unfinished(path)
    with pytest.raises(StoreUnavailable, match="another restore into"):
        put_back(path, path, told())
    assert all(file.exists() for file in left)
    os.close(descriptor)
    remove_unfinished(path)

    assert not any(file.exists() for file in left)


async def test_a_server_removes_what_a_killed_restore_left_as_it_starts(tmp_path: Path) -> None:
    (tmp_path / "perso.restoring").write_bytes(b"everybody")

    async with open_perso(Settings(data_dir=str(tmp_path))):
        assert not (tmp_path / "perso.restoring").exists()
