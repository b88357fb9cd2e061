"""Moving what the write-ahead log holds into the database, off the way of those who wait for a
commit."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import apsw

from perso_core.stores.forking import never_closed
from perso_core.stores.sqlite_file import checkpointing_connection, unavailable

# Changes after which it is done: about half of what the log may hold before a commit has to do it.
AFTER_CHANGES = 500


class Checkpointer:
    """Of one file, on a connection and in a thread of its own. Neither writers nor readers wait
    for it, nor it for them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None

    def run(self) -> None:
        """Move what can be moved now; nothing while a commit is at it. Raises StoreUnavailable: a
        commit will do it, or say why not."""
        with unavailable(self._path):
            if self._connection is None:
                self._connection = checkpointing_connection(self._path)
            with suppress(apsw.BusyError):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def leave_to_parent(self) -> None:
        if self._connection is not None:
            never_closed(self._connection)
            self._connection = None
