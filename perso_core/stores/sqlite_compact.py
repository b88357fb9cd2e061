"""A store's file made as small as what it holds, that shrinks by itself from then on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from perso_core.stores.sqlite_file import unavailable, writing_connection


def compact_store(path: Path) -> tuple[int, int]:
    """Rewrite a store that nobody else uses; a crash leaves it as it was. Needs room for a second
    one. Returns its bytes before and after. Raises StoreUnavailable, StoreTooNew."""
    with closing(writing_connection(path)) as connection, unavailable(path):
        # Once before: what stands in the -wal file is part of the size.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = path.stat().st_size
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return before, path.stat().st_size
