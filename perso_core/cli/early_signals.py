"""What signals do to `perso serve` until its server hears them itself. Loading it takes a second on
a busy machine, and by default they would end it meanwhile."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


class EarlySignals:
    """From now on. SIGTERM ends the process with status 0, as it does once it serves. SIGHUP is
    kept: what it asks for, settings read anew, a start does anyway."""

    def __init__(self) -> None:
        self._hung_up = False
        self._before = signal.getsignal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.signal(signal.SIGTERM, _leave)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._hung_up = True

    def let_hang_up(self) -> None:
        """One process alone restarts none: SIGHUP, also one that came, does what it always does,
        such as ending it with its terminal."""
        signal.signal(signal.SIGHUP, self._before)
        if self._hung_up:
            signal.raise_signal(signal.SIGHUP)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
