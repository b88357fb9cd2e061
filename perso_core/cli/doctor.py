"""`perso doctor`: whether the database is safe where it is, and whole. Writes nothing."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from perso_core.cli.definitions import has_store
from perso_core.cli.files import settings_of
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.compiled import FORM
from perso_core.errors import NothingDefined


def doctor(arguments: argparse.Namespace) -> int:
    """Returns 1 where a record cannot be read. Raises UnsafeStore, DamagedStore, StoreTooNew,
    StoreUnavailable, NothingDefined."""
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
    soundness.refuse_damaged(path)
    with closing(reading_connection(path)) as connection, unavailable(path):
        faults = soundness.looked_through(connection, until=_telling(), quick=False)
        if faults:
            raise soundness.damaged(path, "; ".join(faults))
        print(shown(f"{path} is whole: {connection.pragma('page_count'):,} pages."))
        found = soundness.records(connection, Progress("records read").tell)
    for table, (rows, unreadable) in found.items():
        print(f"{table}: {rows:,}, of which {unreadable:,} cannot be read.")
    if any(unreadable for _, unreadable in found.values()):
        print("A record that cannot be read is set aside once its visitor comes, who is then new.")
        return 1
    return 0


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
