"""How many files the system lets a command open: with too few the first that is opened beyond them
would be called damaged, or not this user's."""

from __future__ import annotations

import resource
from contextlib import suppress

# A server has 22 open as it begins, and takes half of what it may have for connections.
LEAST = 48


def too_few() -> str:
    """What is to be told of that; "": there are enough, now that more were asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft):
        return ""
    with suppress(OSError, ValueError):
        soft = LEAST if _enough(hard) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if _enough(soft):
        return ""
    return (
        f"the system lets this process open {soft} files, and Perso needs {LEAST}. Raise that"
        " limit (ulimit -n, LimitNOFILE)."
    )


def _enough(limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= LEAST
