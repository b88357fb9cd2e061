"""Whether a store's files are still those that were opened: what is written to one that was removed
or replaced, nobody ever reads again."""

from __future__ import annotations

import os
from pathlib import Path

from perso_core.errors import StoreUnavailable


class SameFile:
    """The database and its write-ahead log, as they are while a connection to them is opened.

    A connection to files that were replaced may be closed: SQLite sees it, and leaves the log of
    those in their place alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._paths = (os.fspath(path), f"{path}-wal")
        self._opened = self._now()

    @property
    def replaced(self) -> bool:
        """Costs two looks at the directory. A log may come where there was none, as where a store
        that was put back has no writer yet; from then on it is looked for."""
        now = self._now()
        if self._opened == [now[0], None]:
            self._opened = now
        return now != self._opened

    def check(self) -> None:
        """Raises StoreUnavailable."""
        if self.replaced:
            raise self.refusal()

    def refusal(self) -> StoreUnavailable:
        """What is to be said of files that were replaced."""
        return StoreUnavailable(
            f"{self._path} or its -wal file was removed or replaced while it was open.",
            fix="Put it back, or `perso restore` a backup; stop the servers before you do.",
        )

    def _now(self) -> list[tuple[int, int] | None]:
        """Device and number of each; None: it is not there."""
        found: list[tuple[int, int] | None] = []
        for path in self._paths:
            try:
                told = os.stat(path)
            except OSError:
                found.append(None)
            else:
                found.append((told.st_dev, told.st_ino))
        return found
