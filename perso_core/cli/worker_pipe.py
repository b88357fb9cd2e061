"""How a worker tells its supervisor that it answers, and that it still lives; and what the
supervisor tells it."""

from __future__ import annotations

import os
import signal

READY, BEAT = b"R", b"."
SILENT_AFTER_S = 30.0
# To one that has a successor: stop, and break no connection. SIGHUP is the supervisor's own.
LEAVE = signal.SIGUSR1


class Pipe:
    """The worker's end. Writing never waits: a supervisor that does not read is no reason to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def ready(self) -> None:
        """It answers."""
        self._say(READY)

    def alive(self) -> bool:
        """Call about every second. False: the supervisor is gone, and so there is nobody who
        would replace or stop this worker."""
        return self._say(BEAT)

    def _say(self, word: bytes) -> bool:
        try:
            os.write(self._descriptor, word)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True
