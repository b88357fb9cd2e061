"""The three standard streams, of which whoever starts a command may have closed any."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import TextIO

STDOUT = "-"  # as -o has it


def open_closed_streams() -> bool:
    """Point those that are closed at nowhere; returns whether standard output is. A socket that got
    the number of one would be written to by whatever speaks to that stream, and uvloop aborts the
    process that closes it. What prints to a stream that Python has not would fail, or, meant for
    standard error, print to standard output."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            # The lowest number that is free: it is this one, those before are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    closed = sys.stdout is None
    sys.stdout = sys.stdout or _nowhere(1)
    sys.stderr = sys.stderr or _nowhere(2)
    return closed


def _nowhere(stream: int) -> TextIO:
    return open(stream, "w", encoding="utf-8", closefd=False)


def writes_to_stdout(arguments: argparse.Namespace) -> bool:
    """Whether what the command is run for goes there."""
    output = getattr(arguments, "output", None)
    return output == STDOUT or (output is None and getattr(arguments, "prints", False))


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
