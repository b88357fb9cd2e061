"""`perso backup` and `perso restore`: the database and the cookie keys, together. `perso compact`:
the database as small as what it holds."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perso_core.cli.definitions import has_store
from perso_core.cli.files import settings_of
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.errors import (
    BadBackup,
    BadSettings,
    DamagedStore,
    StoreTooNew,
    StoreUnavailable,
)
from perso_core.settings import Settings
from perso_core.stores.owner import made
from perso_core.stores.turn import locked

# A backup whose name ends so lacks something; it stays until the next one of its name.
UNFINISHED = ".unfinished"


def backup(arguments: argparse.Namespace) -> int:
    """Write a directory that is not there yet, or, on a fault, none. Raises BadBackup,
    StoreUnavailable."""
    from perso_core.beside import DATABASE, KEYS

    settings, target = settings_of(arguments), Path(arguments.directory)
    if not has_store(settings):
        raise BadBackup(f"{settings.data_dir} holds no database.", fix="Check --data-dir.")
    if target.exists() or target.is_symlink():
        raise BadBackup(f"{target} is there already.", fix="Name a new directory.")
    data_dir = Path(settings.data_dir)
    held = "the database"
    with _named_once_whole(target) as fresh:
        _copy_whole(data_dir / DATABASE, fresh / DATABASE)
        if (data_dir / KEYS).is_file():  # whoever never served has none
            _copy_keys(data_dir / KEYS, fresh / KEYS)
            _check_keys(fresh / KEYS, "Restore the key file that is beside the database.")
            held += " and the cookie keys"
    size = (target / DATABASE).stat().st_size
    print(f"{shown(str(target))}: {held}, {size:,} bytes. Keep it secret.")
    return 0


@contextmanager
def _named_once_whole(target: Path) -> Iterator[Path]:
    """An empty directory that gets the target's name, on disk, once the block ends; after a fault
    there is none. What a backup that was killed left of it is removed. Raises BadBackup."""
    from perso_core.stores.sqlite_file import sync

    fresh = target.with_name(target.name + UNFINISHED)
    fresh.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(fresh) as mine:
        if not mine:
            raise BadBackup(
                f"{fresh} is being made by another process.", fix="Wait for it, or end it."
            )
        _empty(fresh)
        try:
            yield fresh
            fresh.rename(target)
            sync(target.parent)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def _empty(fresh: Path) -> None:
    """Raises BadBackup where there is what no backup wrote."""
    from perso_core.beside import DATABASE, KEYS

    for left in sorted(fresh.iterdir()):
        if not left.name.startswith((DATABASE, KEYS)):
            raise BadBackup(f"{fresh} holds {left.name}.", fix="Name another directory.")
    for left in fresh.iterdir():
        left.unlink()


def _copy_whole(source: Path, target: Path) -> None:
    """Raises StoreUnavailable; DamagedStore where the copy, and so what it is of, is not whole:
    that is found while there are earlier backups."""
    from perso_core.stores.sqlite_backup import check_store, copy_store
    from perso_core.stores.sqlite_file import RESTORE

    copy_store(source, target, Progress("pages copied").tell)
    if sys.stderr.isatty():
        print("The copy is read through …", file=sys.stderr)
    try:
        check_store(target)
    except StoreUnavailable as error:
        raise DamagedStore(
            f"the copy of {source} is not whole, and was removed: {error.detail}", fix=RESTORE
        ) from None


def restore(arguments: argparse.Namespace) -> int:
    """Put a backup in the place of what is there. Raises BadBackup, StoreUnavailable."""
    from perso_core.beside import DATABASE, KEYS
    from perso_core.stores.sqlite_backup import put_back

    settings, source = settings_of(arguments), Path(arguments.directory)
    _refuse_no_backup(source)
    _refuse_beside_servers(settings)
    _check_backup(source)
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = data_dir / DATABASE
    lost = not database.exists()
    try:
        erased = put_back(source / DATABASE, database, Progress("pages written").tell)
    except StoreTooNew as error:
        raise _unasked(database, error) from None
    if (source / KEYS).is_file():
        _copy_keys(source / KEYS, data_dir / KEYS)
    stays = _said_of_erased(erased, lost=lost)
    print(f"{shown(str(source))} is restored to {shown(settings.data_dir)}.{stays}")
    return 0


def _refuse_no_backup(source: Path) -> None:
    from perso_core.beside import DATABASE

    if not (source / DATABASE).is_file():
        raise BadBackup(f"{source} is no backup.", fix="Name what `perso backup` wrote.")
    if source.name.endswith(UNFINISHED):
        raise BadBackup(f"{source} was not finished.", fix="Name a backup that was.")


def _check_backup(source: Path) -> None:
    """Raises BadBackup, StoreUnavailable."""
    from perso_core.beside import DATABASE, KEYS
    from perso_core.stores.sqlite_backup import check_store

    try:
        check_store(source / DATABASE)
    except DamagedStore as error:  # of the backup, not of what is there
        raise BadBackup(f"{source}: {error.detail}", fix="Use another backup.") from None
    if (source / KEYS).is_file():
        _check_keys(source / KEYS, "Use another backup.")


def _said_of_erased(erased: int | None, *, lost: bool) -> str:
    """erased: as put_back returns it. lost: there was no database that knew of any."""
    if erased is None:
        return (
            " What was there is too damaged to say who was erased since, or refused to be kept:"
            " erase them again."
        )
    if lost:
        return (
            " No database was there that says who was erased since the backup, or refused to be"
            " kept: erase them again."
        )
    return f" Of what was erased since, {erased} stay erased." if erased else ""


def _unasked(database: Path, error: StoreTooNew) -> StoreTooNew:
    """Of a newer Perso's database this one does not know who was erased since: that it is given up
    is to be said by a hand."""
    return StoreTooNew(
        error.detail,
        fix=f"Restore by the Perso that wrote it; to go back to this one, move {database} away,"
        " restore, and erase again whoever was erased since the backup.",
    )


def compact(arguments: argparse.Namespace) -> int:
    """Make the database as small as what it holds. Raises BadBackup, StoreUnavailable."""
    from perso_core.beside import DATABASE
    from perso_core.stores.sqlite_compact import compact_store

    settings = settings_of(arguments)
    if not has_store(settings):
        raise BadBackup(f"{settings.data_dir} holds no database.", fix="Check --data-dir.")
    _refuse_beside_servers(settings, then="compact")
    if sys.stderr.isatty():
        print("The database is written anew …", file=sys.stderr)
    before, after = compact_store(Path(settings.data_dir) / DATABASE)
    print(f"{shown(settings.data_dir)}: {before:,} bytes before, {after:,} now.")
    return 0


def _refuse_beside_servers(settings: Settings, *, then: str = "restore") -> None:
    from perso_core.stores.presence import serving

    found = serving(Path(settings.data_dir))
    if found:
        ids = ", ".join(str(one.pid) for one in found)
        raise BadBackup(
            f"{settings.data_dir} is served by process {ids}.", fix=f"Stop it, then {then}."
        )


def _check_keys(path: Path, fix: str) -> None:
    """Raises BadBackup: with such keys no server starts."""
    from perso_core.edge.keys import keys_from

    try:
        keys_from(path)
    except BadSettings as error:
        raise BadBackup(f"{path.parent}: {error.detail}", fix=fix) from None


def _copy_keys(source: Path, target: Path) -> None:
    """With the keys' own mode from the first byte on; on disk when this returns."""
    from perso_core.stores.sqlite_file import sync

    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(made(fresh, os.O_WRONLY), "wb") as writing, source.open("rb") as reading:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        os.fsync(writing.fileno())
    os.replace(fresh, target)
    sync(target.parent)
