"""Rows of a damaged file: an error or a miss that is told, never what is another visitor's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from msgspec import structs

from perso_core.decision.membership import ImportedMembership
from perso_core.decision.retention import Retention
from perso_core.errors import DamagedStore, MisplacedRecord
from perso_core.stores.imports import Batch
from perso_core.stores.protocol import News
from perso_core.stores.record import profile_from, profile_record
from perso_core.stores.soundness import Records, records
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_file import reading_connection
from tests.building import DAY_MS, NOON_MS, event
from tests.stores.building import ANNA, BERT, arrived, profile
from tests.stores.test_sqlite import sql

PAGE = 4_096
BEFORE_ANNA = "ECID:" + "0" * 38


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with two visitors, closed."""
    path = tmp_path / "perso.sqlite"
    store = await open_sqlite(path)
    await store.commit([arrived(event(event_id="anna"), ANNA)])
    await store.commit([arrived(event(event_id="bert"), BERT)])
    await store.close()
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_sqlite(path)
    yield opened
    await opened.close()


def index_of(path: Path, table: str, *, places: dict[str, str]) -> None:
    """Write over what the index of a table's keys has in their places."""
    [(page,)] = sql(
        path, f"SELECT pageno FROM dbstat WHERE name = 'sqlite_autoindex_{table}_1' LIMIT 1"
    )
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        held = file.read(PAGE)
        for key, other in places.items():
            assert key.encode() in held
            held = held.replace(key.encode(), other.encode())
        file.seek((page - 1) * PAGE)
        file.write(held)


@pytest.mark.parametrize("table", ["profile", "event"])
async def test_nobody_is_told_what_is_another_visitors_where_an_index_leads_astray(
    table: str, path: Path
) -> None:
    index_of(path, table, places={ANNA: BEFORE_ANNA, BERT: ANNA})
    store = await open_sqlite(path)

    with pytest.raises(DamagedStore, match="an index leads to a row that is not the one"):
        await store.load(ANNA)
    await store.close()

    # It is not set aside, either: the row has its visitor.
    [(left,)] = sql(path, f"SELECT count(*) FROM {table} NOT INDEXED")
    assert (left, sql(path, "SELECT * FROM quarantine")) == (2, [])


async def test_an_event_that_the_index_knows_by_another_id_is_damage(
    store: SqliteStore, path: Path
) -> None:
    await store.commit([arrived(event(event_id="anne"), ANNA, base=1)])
    await store.close()
    index_of(path, "event", places={"anne": "ann!"})
    damaged = await open_sqlite(path)

    with pytest.raises(DamagedStore):
        await damaged.load(ANNA)
    await damaged.close()


async def test_an_event_whose_row_has_another_instant_is_set_aside(
    store: SqliteStore, path: Path
) -> None:
    sql(path, "UPDATE event SET timestamp_ms = ? WHERE key = ?", NOON_MS + 64, ANNA)

    kept = await store.load(ANNA)

    assert kept.set_aside
    assert kept.profile == profile()


@pytest.mark.parametrize("value", [7, "text"])
@pytest.mark.parametrize("table", ["profile", "consent", "event"])
async def test_a_record_that_is_no_record_at_all_is_set_aside_as_one_that_cannot_be_read(
    table: str, value: int | str, store: SqliteStore, path: Path
) -> None:
    sql(path, "INSERT OR IGNORE INTO consent VALUES (?, x'00')", ANNA)
    sql(path, f"UPDATE {table} SET record = ? WHERE key = ?", value, ANNA)

    found = [(await store.load(ANNA)).set_aside for _ in range(2)]

    assert found == [True, False]
    assert (await store.load(BERT)).profile is not None
    assert [kind for (kind,) in sql(path, "SELECT kind FROM quarantine")].count(table) == 1
    # An export of the visitor had ended there.
    aside = (await store.whole(ANNA)).quarantined
    assert [one.record for one in aside if one.kind == table] == [str(value).encode()]


async def imported(store: SqliteStore, *audience_ids: str) -> None:
    rows = tuple((ANNA, one, NOON_MS + DAY_MS) for one in audience_ids)
    await store.import_memberships(Batch(rows=rows, now_ms=NOON_MS, began_ms=NOON_MS))


NO_INSTANTS = pytest.mark.parametrize(
    ("column", "value"), [("until_ms", "abc"), ("until_ms", 1.5), ("since_ms", b"1")]
)


@NO_INSTANTS
async def test_an_imported_membership_whose_instants_are_none_is_set_aside_and_others_stay(
    column: str, value: object, store: SqliteStore, path: Path
) -> None:
    await imported(store, "risk", "vip")
    sql(path, f"UPDATE imported SET {column} = ? WHERE audience_id = 'risk'", value)

    found = [await store.load(ANNA) for _ in range(2)]

    assert [one.set_aside for one in found] == [True, False]
    for one in found:
        assert one.profile is not None
        assert [*one.profile.imported] == ["vip"]
        assert one.profile.events
    (aside,) = (await store.whole(ANNA)).quarantined
    assert aside.kind == "imported membership"
    assert aside.record.startswith(b"risk ")


@NO_INSTANTS
async def test_what_is_imported_anew_over_a_damaged_membership_is_kept(
    column: str, value: object, store: SqliteStore, path: Path
) -> None:
    await imported(store, "risk")
    sql(path, f"UPDATE imported SET {column} = ?", value)

    await imported(store, "risk")

    profile = (await store.load(ANNA)).profile
    assert profile is not None
    assert profile.imported == {"risk": ImportedMembership(NOON_MS, NOON_MS + DAY_MS)}


@NO_INSTANTS
async def test_an_imported_membership_whose_instants_are_none_does_not_keep_others_from_being_swept(
    column: str, value: object, store: SqliteStore, path: Path
) -> None:
    """The sweep began anew, and ended there, each round."""
    await imported(store, "a", "risk", "vip")
    sql(path, f"UPDATE imported SET {column} = ? WHERE audience_id = 'risk'", value)

    after: tuple[str, str] | None = ("", "")
    while after is not None:
        after = await store.sweep_ended(after, ended_ms=NOON_MS + 2 * DAY_MS, at_most=1)

    assert sql(path, "SELECT * FROM imported") == []
    assert sql(path, "SELECT kind, key FROM quarantine") == [("imported membership", ANNA)]


@pytest.mark.parametrize("value", [None, ANNA.encode()])
async def test_a_profile_whose_key_is_no_text_is_told_and_keeps_no_others_from_their_end(
    value: object, store: SqliteStore, path: Path
) -> None:
    sql(path, "UPDATE profile SET key = ? WHERE key = ?", value, ANNA)

    a_day = Retention(by_datastream={"demo": DAY_MS})
    await store.sweep_profiles(a_day, now_ms=NOON_MS + 2 * DAY_MS, events_from_ms=0)

    assert sql(path, "SELECT key FROM profile") == [(value,)]
    with closing(reading_connection(path)) as connection:
        assert records(connection, lambda *_: None)["profile"] == Records(1, misplaced=1)


async def test_a_queue_of_first_visits_goes_on_past_an_instant_that_is_none(
    store: SqliteStore, path: Path
) -> None:
    """It counts as one that begins now, as that of a clock that was ahead does."""
    for key, begun_ms in ((ANNA, "abc"), (BERT, 1)):
        sql(path, "INSERT INTO first_visit (key, begun_ms) VALUES (?, ?)", key, begun_ms)

    await store.sweep_first_visits(Retention(first_visit_ms=DAY_MS), now_ms=NOON_MS, at_most=9)

    assert sql(path, "SELECT key, begun_ms FROM first_visit") == [(ANNA, NOON_MS)]


async def test_what_is_set_aside_since_no_instant_is_set_aside_since_now(
    store: SqliteStore, path: Path
) -> None:
    """What stands behind it goes when it is due."""
    for since_ms in ("abc", 1):
        sql(
            path,
            "INSERT INTO quarantine (kind, key, record, reason, since_ms)"
            " VALUES ('event', ?, x'00', '', ?)",
            ANNA,
            since_ms,
        )

    await store.sweep_set_aside(Retention(), now_ms=NOON_MS, after=0)

    assert sql(path, "SELECT since_ms FROM quarantine") == [(NOON_MS,)]


@pytest.mark.parametrize("value", [b"1", "text"])
async def test_a_version_that_is_no_number_is_damage(
    value: bytes | str, store: SqliteStore, path: Path
) -> None:
    sql(path, "UPDATE profile SET version = ? WHERE key = ?", value, ANNA)

    with pytest.raises(DamagedStore, match="version"):
        await store.load(ANNA)

    assert (await store.load(BERT)).profile is not None


async def test_text_that_is_none_is_damage_and_costs_nobody_else_an_answer(
    store: SqliteStore, path: Path
) -> None:
    """The next reading had met a transaction that was still open."""
    sql(path, "INSERT INTO link VALUES (?, CAST(x'ff' AS TEXT), 0)", ANNA)

    with pytest.raises(DamagedStore, match="in what has to be text"):
        await store.load(ANNA)

    assert (await store.load(BERT)).profile is not None


@pytest.mark.parametrize(
    "notice", ["'no number', 'ECID:1'", "x'00', NULL", "7, CAST(x'ff' AS TEXT)"]
)
async def test_of_an_announcement_that_cannot_be_read_all_is_read_anew_and_others_are_heard(
    notice: str, store: SqliteStore, path: Path
) -> None:
    """Whom it was about may have withdrawn; with nothing heard any more nobody was answered."""
    await store.news()
    sql(path, f"INSERT INTO notice (origin, key) VALUES ({notice})")

    assert await store.news() == News(definitions=True, missed=True)

    sql(path, "INSERT INTO notice (origin, key) VALUES (7, ?)", ANNA)
    assert await store.news() == News(keys=frozenset({ANNA}))


async def test_a_clock_that_is_none_is_damage(store: SqliteStore, path: Path) -> None:
    sql(path, "INSERT INTO retention_clock VALUES (1, 'boot', 'no number', 0, 0)")

    with pytest.raises(DamagedStore):
        await store.clock_mark()


def test_a_record_of_an_earlier_perso_does_not_tell_whose_it_is_and_is_read() -> None:
    record = profile_record(profile())
    assert profile_from(ANNA, 1, record, ()) == profile()
    with pytest.raises(MisplacedRecord):
        profile_from(BERT, 1, record, ())

    fields = msgspec.msgpack.encode(msgspec.msgpack.decode(record[5:])[:11])
    earlier = b"\1" + crc32(fields, crc32(b"\1\1")).to_bytes(4, "big") + fields

    assert profile_from(BERT, 1, earlier, ()) == structs.replace(profile(), key=BERT)
