"""Whether a store's file is whole: a look that costs no more on a large one, and the whole look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import cast

import apsw
from msgspec import Struct

from perso_core.errors import DamagedStore, StoreUnavailable, UnreadableRecord
from perso_core.stores.compiled_file import NAME as COMPILED
from perso_core.stores.migrations import at, tables_at
from perso_core.stores.presence import serving
from perso_core.stores.record import (
    consent_from_record,
    definitions_from_record,
)
from perso_core.stores.rows import event_of_row, profile_of_row
from perso_core.stores.same_file import EMPTY_BYTES
from perso_core.stores.sqlite_file import RESTORE, has_log, reading_connection, sync, unavailable
from perso_core.stores.sqlite_imports import counted

# After an unclean end the whole file is looked through, for at most so long. A log that is cut off
# is no damage, and a store that is large must not keep its visitors waiting.
LOOKED_THROUGH_MS = 1_000
# An empty file may be one that another process is making, for so long.
MADE_WITHIN_MS = 2_000
_MADE_PAUSE_S = 0.02
# Files that are made once a database is there.
WRITTEN_LATER = ("cookie-keys.json", COMPILED)
# How often SQLite lets us look at the clock: about every 0.1 ms.
_STEPS = 1_000


def refuse_lost(path: Path) -> None:
    """Raises DamagedStore where the database is not there and its log is: SQLite would delete that
    as it makes a new one."""
    if has_log(path) and not path.exists() and has_log(path):  # not one that was put back meanwhile
        raise DamagedStore(
            f"{path} is missing, and {path.name}-wal beside it holds what was written last.",
            fix=f"Put {path.name} back, or `perso restore` a backup. To begin anew without what"
            f" there was: remove {path.name}-wal.",
        )


def refuse_missing(path: Path) -> None:
    """Of a process that comes after others. Raises StoreUnavailable where the database is not
    there, as while its disk is not: one made in its place, with other cookie keys, all would go
    over to, and to nobody's visitors."""
    if not path.exists():
        raise StoreUnavailable(
            f"{path} is not there any more.",
            fix="Put it back, or mount the disk that holds it. To begin anew without it stop perso"
            " serve, and start it again.",
        )


def refuse_damaged(path: Path, *, made: bool = False) -> None:
    """Raises DamagedStore, StoreUnavailable, StoreTooNew. Reads the head and a page of each table
    (that the file has its full length, SQLite sees by itself); after an unclean end as much as
    LOOKED_THROUGH_MS allow. made: the file was made just now, by us."""
    if made or not _begun(path):
        return
    unclean = _ended_uncleanly(path)
    with closing(reading_connection(path, empty=True)) as connection, unavailable(path):
        _refuse_without_tables(connection, path)
        if unclean:
            found = looked_through(connection, until=_after(LOOKED_THROUGH_MS), quick=True)
            if found:
                raise damaged(path, found[0])


def sync_log(path: Path) -> None:
    """After an unclean end: what the log has last may have been on its way to the disk, and nobody
    heard of it. From now on it is stored, and whoever sends it again is told so. Raises
    StoreUnavailable."""
    if not _ended_uncleanly(path):
        return
    try:
        with suppress(FileNotFoundError):  # it goes as the last one closes
            sync(path.with_name(f"{path.name}-wal"))
        sync(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"{path.name}-wal cannot be put on disk: {error.strerror}.",
            fix=f"Check the disk that holds {path}.",
        ) from error


def _ended_uncleanly(path: Path) -> bool:
    return has_log(path) and not serving(path.parent)


def _begun(path: Path) -> bool:
    """Whether something is in the file; False: it is a new one. Raises DamagedStore for one that
    has lost all it had: SQLite would take it for a new one, and delete the log beside it."""
    left = _left_beside(path)
    give_up_s = time.monotonic() + MADE_WITHIN_MS / 1_000
    while path.stat().st_size <= EMPTY_BYTES:
        if not left:
            return False
        # Another process may be making it, where somebody removed the one before.
        if time.monotonic() > give_up_s:
            raise DamagedStore(
                f"{path} is empty, and {left} beside it is of a database that was not.",
                fix=f"{RESTORE} To begin anew without what there was: remove {path.name} and"
                f" {path.name}-wal.",
            )
        time.sleep(_MADE_PAUSE_S)
    return True


def _left_beside(path: Path) -> str:
    """The name of a file that only somebody writes who has a database; "": there is none."""
    if has_log(path):
        return f"{path.name}-wal"
    return next((name for name in WRITTEN_LATER if (path.parent / name).is_file()), "")


def looked_through(
    connection: apsw.Connection, *, until: Callable[[], bool], quick: bool
) -> list[str]:
    """What is wrong with the file, at most 20 lines; none: nothing, as far as was looked. until:
    asked often; True ends it. quick: without comparing indexes with their tables. O(file)."""
    with _ended(connection, until):
        pragma = "quick_check" if quick else "integrity_check"
        rows = connection.execute(f"PRAGMA {pragma}(20)").fetchall()
        lines = [str(row[0]) for row in cast(list[tuple[str]], rows)]
        return [] if lines == ["ok"] else lines
    return []


class Records(Struct, frozen=True):
    """Of one table: how many there are, how many cannot be read, and how many are not what leads
    to them says, so that nobody can tell whose they are."""

    rows: int = 0
    unreadable: int = 0
    misplaced: int = 0


def records(
    connection: apsw.Connection, progress: Callable[[int, int], None]
) -> dict[str, Records]:
    """By table. O(records)."""
    total = sum(_count(connection, table) for table in _READ)
    found, done = {}, 0
    for table, (columns, read) in _READ.items():
        rows = unreadable = misplaced = 0
        for row in connection.execute(f"SELECT {columns} FROM {table}"):
            rows, done = rows + 1, done + 1
            try:
                read(*row)
            except DamagedStore:
                misplaced += 1
            except UnreadableRecord:
                unreadable += 1
            progress(done, total)
        found[table] = Records(rows, unreadable, misplaced)
    found["imported"] = Records(*counted(connection))
    return found


# As whoever loads them reads them.
_READ: Mapping[str, tuple[str, Callable[..., object]]] = {
    "profile": ("key, version, record", profile_of_row),
    "event": ("id, timestamp_ms, record", event_of_row),
    "consent": ("record", consent_from_record),
    "definitions": ("record", definitions_from_record),
}


def _count(connection: apsw.Connection, table: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {table}").get
    return count


def damaged(path: Path, what: str) -> DamagedStore:
    return DamagedStore(f"{path}: {' '.join(what.split())}.", fix=RESTORE)


def _refuse_without_tables(connection: apsw.Connection, path: Path) -> None:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    there = {row[0] for row in cast(list[tuple[str]], rows)}
    if "migration" in there:
        _refuse_at_an_earlier_step(connection, path)
    for table in sorted(tables_at(at(connection))):
        if table not in there:
            raise damaged(path, f"the table {table} is missing")
        connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchall()


def _refuse_at_an_earlier_step(connection: apsw.Connection, path: Path) -> None:
    """Whoever opens it to write would take a step once more, and be told that a table is there."""
    says, took = cast(
        tuple[int, int | None],
        connection.execute(
            "SELECT (SELECT user_version FROM pragma_user_version), max(number) FROM migration"
        ).get,
    )
    if took is not None and says < took:
        raise damaged(path, f"it says that it is at step {says}, and took step {took}")


def _after(ms: int) -> Callable[[], bool]:
    end_s = time.monotonic() + ms / 1_000
    return lambda: time.monotonic() > end_s


@contextmanager
def _ended(connection: apsw.Connection, until: Callable[[], bool]) -> Iterator[None]:
    """The block ends without a fault where until says so."""
    connection.set_progress_handler(until, _STEPS)
    try:
        yield
    except apsw.InterruptError:
        pass
    finally:
        connection.set_progress_handler(None)
