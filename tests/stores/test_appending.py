"""A batch of nothing but events is kept by one statement, as if each key had been looked at by
itself (P1, P5)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from perso_core.engine.journal import Entry
from perso_core.errors import StoreTooNew, StoreUnavailable
from perso_core.stores import sqlite_writer
from perso_core.stores.sqlite_appending import append
from perso_core.stores.sqlite_writer import Writer
from tests.building import DAY_MS, NOON_MS, event
from tests.stores.building import ANNA, BERT, arrived, forgot
from tests.stores.test_sqlite import sql
from tests.stores.watched_disk import Operation, Watcher, watched_disk

KEYS = (ANNA, BERT, "Ümläut\0~:7")
TABLES = ("profile", "event", "notice", "erased", "erased_event")

events = st.builds(
    lambda id, later_ms, text: event(event_id=id, at_ms=NOON_MS + later_ms, text=text),
    st.sampled_from(["a", "b", "c", "\0", "ä" * 90]),
    st.integers(-2, 2),
    st.text(max_size=3),
)
# By key what comes in one batch; a key may be decided on a version that is not the stored one.
batches = st.dictionaries(
    st.sampled_from(KEYS),
    st.tuples(st.lists(events, min_size=1, max_size=3), st.sampled_from([0, 0, 0, 0, 5])),
    min_size=1,
)
# Who is forgotten, as of how much later than what comes.
forgotten = st.tuples(st.sampled_from(KEYS), st.sampled_from([0, 0, 1]))


class Beside:
    """Two files to which the same is done: one statement for a batch, or each key by itself."""

    def __init__(self, directory: Path) -> None:
        self.paths = [directory / name / "perso.sqlite" for name in ("at-once", "by-itself")]
        for path in self.paths:
            path.parent.mkdir()
            path.touch(0o600)
        self.writers = [
            Writer(path, origin=7, max_events=5_000, clock_ms=lambda: NOON_MS)
            for path in self.paths
        ]
        self.versions = dict.fromkeys(KEYS, 0)
        self.begun = 0

    def commit(self, entries: Sequence[Entry], announce: bool) -> None:
        at_once, by_itself = self.writers
        conflicts = at_once.commit(entries, announce)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_writer, "append", lambda *_, **__: False)
            assert by_itself.commit(entries, announce) == conflicts
        for entry in entries:
            if entry.key not in conflicts:
                self.versions[entry.key] = entry.profile.version if entry.profile else 0
        assert rows(self.paths[0]) == rows(self.paths[1])

    def begin(self, key: str, announce: bool, *, version: int = 1) -> None:
        """With an event that is old by the time that others come."""
        self.begun += 1
        first = event(event_id=f"first {self.begun}", at_ms=NOON_MS - DAY_MS)
        begun = arrived(first, key, now_ms=NOON_MS + 1)
        assert begun.profile is not None
        profile = structs.replace(begun.profile, version=version)
        self.commit([structs.replace(begun, profile=profile)], announce)

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


@contextmanager
def two_files() -> Iterator[Beside]:
    with tempfile.TemporaryDirectory() as directory:
        beside = Beside(Path(directory))
        try:
            yield beside
        finally:
            beside.close()


def rows(path: Path) -> dict[str, list[Any]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in TABLES
        }
    finally:
        connection.close()


def to_add(
    key: str, added: Sequence[Any], base: int, *, events_from_ms: int = NOON_MS - 1
) -> list[Entry]:
    return [
        arrived(one, key, base=base + place, events_from_ms=events_from_ms)
        for place, one in enumerate(added)
    ]


@given(st.lists(batches | forgotten, max_size=8), st.booleans(), st.sampled_from([0, 62, 63]))
def test_at_once_leaves_what_one_by_one_leaves(
    steps: list[dict[str, Any] | tuple[str, int]], announce: bool, versions: int
) -> None:
    """Also where an erased event comes again, another process was faster, or old events are due to
    go, which is so in the 64th version."""
    with two_files() as beside:
        for key in KEYS:
            beside.begin(key, announce, version=versions + 1)
        for step in steps:
            if isinstance(step, tuple):
                key, later_ms = step
                gone = forgot(key, base=beside.versions[key], now_ms=NOON_MS + later_ms)
                beside.commit([gone], announce)
                beside.begin(key, announce)
                continue
            entries = [
                entry
                for key, (added, off) in step.items()
                for entry in to_add(key, added, beside.versions[key] + off)
            ]
            beside.commit(entries, announce)


@contextmanager
def told(writer: Writer) -> Iterator[list[str]]:
    """The statements that its connection is asked for meanwhile."""
    asked: list[str] = []
    connection = writer._connection
    assert connection is not None

    def hear(_: apsw.Cursor, statement: str, __: object) -> bool:
        asked.append(statement.split()[0])
        return True

    connection.exec_trace = hear
    yield asked
    connection.exec_trace = None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "perso.sqlite"
    path.touch(0o600)
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path, origin=7, max_events=5_000, clock_ms=lambda: NOON_MS)
    writer.commit([arrived(event(event_id="1"), key) for key in (ANNA, BERT)], announce=True)
    yield writer
    writer.close()


def test_a_batch_is_one_call_of_sqlite(writer: Writer) -> None:
    batch = [arrived(event(event_id="2"), key, base=1) for key in (ANNA, BERT)]

    with told(writer) as asked:
        assert writer.commit(batch, announce=True) == frozenset()

    assert asked == ["INSERT"]


def test_so_it_is_while_marks_of_somebody_erased_are_kept(writer: Writer) -> None:
    writer.commit([forgot(BERT, base=1)], announce=True)
    writer.commit([arrived(event(event_id="2"), base=1, now_ms=NOON_MS + 1)], announce=True)

    with told(writer) as asked:
        again = arrived(event(event_id="3"), base=2, now_ms=NOON_MS + 1)
        assert writer.commit([again], announce=True) == frozenset()

    assert asked == ["INSERT"]


def test_marks_are_searched_for_whatever_statistics_somebody_made(
    writer: Writer, path: Path
) -> None:
    """By ANALYZE when there was one mark, for which its table might be read as a whole."""
    writer.commit([forgot(BERT, base=1)], announce=True)
    sql(path, "ANALYZE")
    sql(
        path,
        "INSERT INTO erased_event WITH RECURSIVE mark (number) AS"
        " (SELECT 1 UNION ALL SELECT number + 1 FROM mark WHERE number < 10000)"
        f" SELECT randomblob(16), randomblob(16), {NOON_MS} FROM mark",
    )
    writer.commit([arrived(event(event_id="2"), base=1, now_ms=NOON_MS + 1)], announce=True)
    connection = writer._connection
    assert connection is not None
    steps = count()
    connection.set_progress_handler(lambda: next(steps) < 0, 1)

    again = arrived(event(event_id="3"), base=2, now_ms=NOON_MS + 1)
    assert writer.commit([again], announce=True) == frozenset()

    assert next(steps) < 1_000


def test_who_was_overtaken_keeps_nobody_else_waiting(writer: Writer) -> None:
    batch = [
        arrived(event(event_id="2"), ANNA, base=1),
        arrived(event(event_id="2"), BERT, base=5),
    ]

    assert writer.commit(batch, announce=True) == {BERT}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_was_erased_does_not_come_back(elsewhere: bool, writer: Writer, path: Path) -> None:
    """Be it by another process, of whose marks this one has not heard."""
    other = Writer(path, origin=8, max_events=5_000, clock_ms=lambda: NOON_MS)
    by = other if elsewhere else writer
    by.commit([forgot(ANNA, base=1)], announce=True)
    anew = arrived(event(event_id="2"), ANNA, now_ms=NOON_MS + 1)
    assert by.commit([anew], announce=True) == frozenset()
    other.close()

    again = arrived(event(event_id="1"), ANNA, base=1, now_ms=NOON_MS + 2)
    assert writer.commit([again], announce=True) == {ANNA}


def test_a_file_that_a_newer_perso_took_over_is_left_alone(writer: Writer, path: Path) -> None:
    sql(path, "PRAGMA user_version = 999")

    with pytest.raises(StoreTooNew):
        writer.commit([arrived(event(event_id="2"), base=1)], announce=True)


def test_what_was_decided_on_another_store_is_not_kept_in_this_one(writer: Writer) -> None:
    """Though a profile of the same version lies there, as after a backup was put back."""
    elsewhere = structs.replace(arrived(event(event_id="2"), base=1), epoch=writer._epoch + 1)

    assert writer.commit([elsewhere], announce=True) == {ANNA}


def test_nothing_is_acknowledged_whose_file_is_gone_once_it_is_kept(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept_and_gone(*of: Any, **more: Any) -> bool:
        done = append(*of, **more)
        path.unlink()
        return done

    monkeypatch.setattr(sqlite_writer, "append", kept_and_gone)

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        writer.commit([arrived(event(event_id="2"), base=1)], announce=True)


def test_without_carray_each_key_is_looked_at(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an apsw of a distribution."""
    monkeypatch.delattr(apsw, "carray")

    with told(writer) as asked:
        again = arrived(event(event_id="2"), base=1)
        assert writer.commit([again], announce=True) == frozenset()

    assert asked[0] == "BEGIN"


class NoRoomBeside(Watcher):
    """A disk with room for the database and its log, and for no file that SQLite puts aside."""

    def before(self, operation: Operation) -> None:
        if not operation.file:
            raise apsw.FullError("there is no room, as the test wants it")


def test_a_large_batch_is_kept_where_no_other_file_has_room(path: Path) -> None:
    """As in a container of which the data directory alone can be written."""
    keys = [f"ECID:{number:038d}" for number in range(500)]
    with watched_disk(NoRoomBeside()):
        writer = Writer(path, origin=7, max_events=5_000, clock_ms=lambda: NOON_MS)
        writer.commit([arrived(event(event_id="1"), key) for key in keys], announce=True)

        batch = [arrived(event(event_id="2", text="x" * 8_000), key, base=1) for key in keys]
        with told(writer) as asked:
            assert writer.commit(batch, announce=True) == frozenset()
        writer.close()

    assert asked == ["INSERT"]


def test_a_connection_on_which_a_batch_failed_is_closed_whoever_holds_the_error(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the log does, and whoever waited for the commit: with the error it would live on."""
    before = writer._connection
    assert before is not None

    def fails(*_: object, **__: object) -> bool:
        raise apsw.IOError("the disk fails, as the test wants it")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_writer, "append", fails)
        with pytest.raises(StoreUnavailable):
            writer.commit([arrived(event(event_id="2"), base=1)], announce=True)

    with pytest.raises(apsw.ConnectionClosedError):
        before.execute("SELECT 1")
    assert writer.commit([arrived(event(event_id="2"), base=1)], announce=True) == frozenset()


def test_a_transaction_that_failed_keeps_nobody_from_writing_whoever_holds_the_error(
    writer: Writer, path: Path
) -> None:
    """The error holds the connection, and that the lock: another worker had waited for it."""

    def fails(connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM profile")
        raise apsw.IOError("the disk fails, as the test wants it")

    other = Writer(path, origin=8, max_events=5_000, clock_ms=lambda: NOON_MS)
    with pytest.raises(StoreUnavailable) as held:
        writer.in_transaction(fails)

    kept = other.commit([arrived(event(event_id="2"), base=1)], announce=True)

    assert kept == frozenset()
    assert held.value.__cause__
    other.close()
