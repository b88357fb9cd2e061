"""A worker as its supervisor sees it: a process that tells by a pipe that it answers and lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

from perso_core.cli.worker_pipe import BEAT, LEAVE, READY


class WorkerProcess:
    """One process. up: settles once it answers (True), or is gone before it did (False). ended:
    it is gone."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        self.process = process
        self.began_s = time.monotonic()
        self.up: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.create_task(process.wait())
        self._pipe = pipe
        self._heard_s = self.began_s
        os.set_blocking(pipe, False)
        asyncio.get_running_loop().add_reader(pipe, self._hear)
        self.ended.add_done_callback(self._end)

    @property
    def silent_s(self) -> float:
        """How long nothing was heard of it."""
        return time.monotonic() - self._heard_s

    @property
    def answers(self) -> bool:
        """It came up, and is there."""
        return self.up.done() and self.up.result() and not self.ended.done()

    def listen_anew(self) -> None:
        """Nobody listened for a while: its silence counts from now."""
        self._heard_s = time.monotonic()

    def _hear(self) -> None:
        try:
            said = os.read(self._pipe, 4_096)
        except BlockingIOError:  # woken for nothing: it is not its end
            return
        if READY in said and not self.up.done():
            self.up.set_result(True)
        if BEAT in said or READY in said:
            self._heard_s = time.monotonic()
        elif not said:
            asyncio.get_running_loop().remove_reader(self._pipe)

    def _end(self, _: object) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        if not self.up.done():
            self.up.set_result(False)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def stop(self, within_s: float) -> None:
        """Let it answer what is under way; kill it after that time."""
        await self._end_by(signal.SIGTERM, within_s)

    async def leave(self, within_s: float) -> None:
        """Stop, and break no connection that is kept: another one listens."""
        await self._end_by(LEAVE, within_s)

    async def _end_by(self, number: int, within_s: float) -> None:
        self.signal(number)
        done, _ = await asyncio.wait([self.ended], timeout=within_s)
        if not done:
            self.signal(signal.SIGKILL)
            await asyncio.wait([self.ended])
