"""Which incarnation of the store a file is: its epoch, which version tokens name.

In a store that is created anew, or put back from a copy, versions begin again or go back: what was
told of another incarnation is neither older nor newer than what is in this one. A copy of a file
has its epoch, until it is opened for writing where it lies: it knows itself by its inode.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import apsw

# Of a store that tells none: a file of an older Perso, until a newer one writes to it.
NO_EPOCH = 0
# It has six bytes in a version token.
_EPOCHS = (1 << 48) - 1
# A file that is yet to be told from the one that it was copied from.
_A_COPY = 0
_LARGEST = (1 << 63) - 1  # SQLite's integers have a sign


def new_epoch() -> int:
    """One that no store has had."""
    return 1 + secrets.randbelow(_EPOCHS)


def is_another(decided_on: int, epoch: int) -> bool:
    """Whether what was decided on one incarnation meets another. NO_EPOCH: it fits any."""
    return decided_on not in (epoch, NO_EPOCH)


def epoch_of(connection: apsw.Connection) -> int:
    """The incarnation that the file is of; NO_EPOCH: it does not say."""
    if not connection.table_exists(None, "incarnation"):
        return NO_EPOCH
    return connection.execute("SELECT epoch FROM incarnation").get or NO_EPOCH


def unnamed(connection: apsw.Connection, path: Path) -> bool:
    """Whether the file is one of its own and does not say so yet."""
    inode: int | None = connection.execute("SELECT inode FROM incarnation").get
    return inode != _inode(path)


def name(connection: apsw.Connection, path: Path) -> None:
    """Begin an incarnation with a file that is unnamed, within a transaction that writes."""
    if unnamed(connection, path):
        row = (new_epoch(), _inode(path))
        connection.execute("REPLACE INTO incarnation VALUES (1, ?, ?)", row)


def mark_copied(connection: apsw.Connection) -> None:
    """The file is a copy: also in the very place of the other one it begins an incarnation."""
    if connection.table_exists(None, "incarnation"):
        connection.execute("UPDATE incarnation SET inode = ?", (_A_COPY,))


def _inode(path: Path) -> int:
    return path.stat().st_ino & _LARGEST
