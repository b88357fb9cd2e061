"""What the system refuses to open or to write, and what changes that."""

from __future__ import annotations

import errno
import os

MORE_FILES = "Let this process open more files (ulimit -n, LimitNOFILE)."


def fix_of(error: OSError, otherwise: str) -> str:
    """What changes that the system refuses it. otherwise: where it is no limit or want of room."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return MORE_FILES
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on that disk."
    if error.errno == errno.EFBIG:
        return "Raise the size that a file may have (ulimit -f)."
    return otherwise


def no_more_files() -> bool:
    """Whether this process may open none: SQLite says of that only that it cannot open its file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
