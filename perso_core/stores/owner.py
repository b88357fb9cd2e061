"""Whose the files are that root makes in a data directory: the directory's owner's, as SQLite has
those beside a database. Else the user that Perso runs as could not open them."""

from __future__ import annotations

import os
from pathlib import Path


def made(path: Path, flags: int) -> int:
    """The descriptor of a file that is made now, for its owner alone. flags: how it is opened.
    Raises FileExistsError, OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        about = path.parent.stat()
        os.fchown(descriptor, about.st_uid, about.st_gid)
    return descriptor


def made_or_opened(path: Path) -> int:
    """For reading and writing. What is there already is given to nobody: it may be a link. Raises
    OSError."""
    try:
        return made(path, os.O_RDWR)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def make_directory(path: Path) -> None:
    """For its owner alone, unless it is there. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        about = path.parent.stat()
        os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)
