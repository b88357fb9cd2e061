"""The three standard streams, of which whoever starts a command may have closed any."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def open_closed_streams() -> None:
    """Point those that are closed at nowhere. A socket that got the number of one would be written
    to by whatever speaks to that stream, and uvloop aborts the process that closes it."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            # The lowest number that is free: it is this one, those before are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def told_if_possible(line: str) -> None:
    """Print it at once, for whoever waits for it. Where it cannot be printed, as on a full disk or
    where nobody reads any more, nothing is from now on."""
    try:
        print(line, flush=True)
    except OSError as error:
        with suppress(OSError):
            print(f"Not printed ({error.strerror}): {line}", file=sys.stderr, flush=True)
        print_nowhere()


def print_nowhere() -> None:
    """What is printed from now on is not: Python would complain as it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
