"""`perso doctor`: whether the database is safe where it is, and whole. Writes nothing."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perso_core.cli.definitions import has_store
from perso_core.cli.files import settings_of
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.compiled import FORM
from perso_core.errors import BadSettings, NothingDefined

if TYPE_CHECKING:
    from perso_core.stores.soundness import Records

PUT_BACK = "Stop the servers, and put it back from a backup."


def doctor(arguments: argparse.Namespace) -> int:
    """Returns 1 where a record cannot be read or is another's, or the cookie keys are amiss. Raises
    UnsafeStore, DamagedStore, StoreTooNew, StoreUnavailable, NothingDefined."""
    import apsw

    from perso_core.assembly import DATABASE
    from perso_core.stores import soundness
    from perso_core.stores.sqlite_file import reading_connection, unavailable
    from perso_core.stores.surroundings import VOLATILE, file_system, refuse_unsafe

    settings = settings_of(arguments)
    if not has_store(settings):
        raise NothingDefined(f"{settings.data_dir} holds no database.", fix="Check --data-dir.")
    path = Path(settings.data_dir) / DATABASE
    refuse_unsafe(path)
    kind = file_system(path) or "not known"
    print(f"The rules run {FORM}.")
    print(f"SQLite {apsw.sqlite_lib_version()} is safe for several processes.")
    print(f"The file system ({kind}) has locks; {_room(path):,} bytes are free.")
    if kind in VOLATILE:
        print("It is kept in memory: a power cut loses everything.")
    _tell_failed(path.parent)
    soundness.refuse_damaged(path)
    with closing(reading_connection(path)) as connection, unavailable(path):
        faults = soundness.looked_through(connection, until=_telling(), quick=False)
        if faults:
            raise soundness.damaged(path, "; ".join(faults))
        print(shown(f"{path} is whole: {connection.pragma('page_count'):,} pages."))
        found = soundness.records(connection, Progress("records read").tell)
    return int(not all([_told(found), _tell_keys(path)]))


def _tell_failed(data_dir: Path) -> None:
    """Which of the processes that serve now had to answer that something failed. Raises OSError."""
    from perso_core.stores.presence import serving

    for one in serving(data_dir):
        if one.failed:
            last = datetime.fromtimestamp(one.failed_ms / 1_000, UTC)
            print(
                f"Answers of process {one.pid} with status 207 since it began: {one.failed:,}, the"
                f" last at {last:%Y-%m-%d %H:%M:%S} UTC; its log says which errors they had."
            )


def _told(found: Mapping[str, Records]) -> bool:
    """Whether all records are well."""
    for table, of_table in found.items():
        wrong = f" and {of_table.misplaced:,} are another's" if of_table.misplaced else ""
        unreadable = f"of which {of_table.unreadable:,} cannot be read"
        print(f"{table}: {of_table.rows:,}, {unreadable}{wrong}.")
    if any(one.unreadable for one in found.values()):
        print("A record that cannot be read is set aside once its visitor comes, who is then new.")
    if any(one.misplaced for one in found.values()):
        print(
            "Where a record is another's, nothing of its visitor is answered or erased: stop the"
            " servers, keep the damaged file, and `perso restore` a backup."
        )
    return not any(one.unreadable or one.misplaced for one in found.values())


def _tell_keys(database: Path) -> bool:
    """Whether the cookie keys beside it are well; where nobody came yet there may be none. Raises
    OSError."""
    from perso_core.beside import KEYS
    from perso_core.edge.keys import keys_from
    from perso_core.stores.sqlite_reader import Reader

    path = database.with_name(KEYS)
    try:
        if path.exists():
            keys_from(path)
            return True
    except BadSettings as error:
        print(shown(f"{KEYS} cannot be read, and no server starts. {error.detail} {PUT_BACK}"))
        return False
    with closing(Reader(database, origin=0)) as reader:
        if not reader.has_devices():
            return True
    print(f"{KEYS} is missing: nobody who came before is known by their cookies. {PUT_BACK}")
    return False


def _room(path: Path) -> int:
    return shutil.disk_usage(path.parent).free


def _telling() -> Callable[[], bool]:
    """Tells each second that the look goes on; it is never ended."""
    began_s = told_s = time.monotonic()

    def look() -> bool:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= 1:
            told_s = now_s
            print(f"reading the file for {now_s - began_s:.0f} s …", file=sys.stderr)
        return False

    return look
