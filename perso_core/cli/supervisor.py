"""Several worker processes at one address: started, watched, replaced, restarted one by one.

Each worker has a socket of its own, all bound to the same address (SO_REUSEPORT), so that the
system spreads connections. The supervisor holds the sockets too: what waits to be accepted while a
worker is replaced is answered by the next one, not refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from perso_core.cli.address import Sockets, bound, claimed, close, refuse_taken
from perso_core.cli.at_start import AFTER_OTHERS
from perso_core.cli.own_core import NUMBER
from perso_core.cli.worker_pipe import SILENT_AFTER_S
from perso_core.cli.worker_process import WorkerProcess

# A worker that lived so long was well: its end is no sign of a loop.
STEADY_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
# After so many short lives in a row a slot's socket is closed: new connections go to the others.
LOOPING = 3
# Where no other worker answers, connections wait for the next start instead; not for a longer
# pause than this, as whoever asks learns of a lasting fault sooner from a refusal.
WAITED_FOR_S = 4.0
READY_WITHIN_S = 120.0  # compiling ten thousand audiences and opening a large store take a while

Tell = Callable[[str], None]


def pause_s(short_lives: int) -> float:
    """Before the next start, after so many short lives in a row; one alone is no reason to wait."""
    if short_lives < 2:
        return 0.0
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (short_lives - 2)))


class Slot(Struct):
    """One worker's place. sockets: kept over its replacements. short_lives: workers in a row that
    ended within STEADY_S. changing: held by whoever puts another worker here; the worker may be
    another one once it is."""

    number: int
    sockets: Sockets
    worker: WorkerProcess | None = None
    short_lives: int = 0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """command: starts a worker; the descriptors of its sockets and its pipe are added. host, port:
    where all listen. count: of workers. stop_within_s: how long one may take to stop.
    silent_after_s: one that was not heard of for so long hangs, and is killed. tell: hears what
    happens, a line at a time. not_taken_up: lines about what a restart does not change. Raises
    OSError for an address that is taken.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        host: str,
        port: int,
        count: int,
        stop_within_s: Callable[[], float],
        silent_after_s: float = SILENT_AFTER_S,
        tell: Tell,
        not_taken_up: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._command = command
        self._host = host
        self._stop_within_s = stop_within_s
        self._silent_after_s = silent_after_s
        self._tell = tell
        self._not_taken_up = not_taken_up
        refuse_taken(host, port)
        first = bound(host, port, shared=True)
        try:
            self._claims = claimed(first)
        except OSError:
            close(first)
            raise
        self.port = first[0].getsockname()[1]
        self._slots = [Slot(0, first)]
        self._slots += [
            Slot(number, bound(host, self.port, shared=True)) for number in range(1, count)
        ]
        self._any_up = False  # once the first worker answers: it has made what was not there
        self._running: set[WorkerProcess] = set()  # also those that no slot has yet, or any more
        self._stopping = asyncio.Event()
        self._restart = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> int:
        """Until SIGINT or SIGTERM; SIGHUP restarts the workers one by one. ready: called once all
        answer. Returns the exit status: not 0 where a worker did not come up at the first start.
        """
        loop = asyncio.get_running_loop()
        heard = {signal.SIGINT: self._stopping, signal.SIGTERM: self._stopping}
        heard[signal.SIGHUP] = self._restart
        before = {number: signal.getsignal(number) for number in heard}
        for number, event in heard.items():
            loop.add_signal_handler(number, event.set)
        try:
            if not await self._first_start():
                return 0 if self._stopping.is_set() else 1
            ready()
            await self._watch_all()
            return 0
        finally:
            await self._stop_all()
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    # ---- starting ---------------------------------------------------------------

    async def _first_start(self) -> bool:
        """The first worker alone, which makes what is not there yet; then the others."""
        first, *others = self._slots
        self._any_up = await self._all_up([first])
        return self._any_up and await self._all_up(others)

    async def _all_up(self, slots: Sequence[Slot]) -> bool:
        """Whether a first worker of each answers; no as soon as one is given up."""
        tasks = [asyncio.create_task(self._first_up(slot)) for slot in slots]
        try:
            for one in asyncio.as_completed(tasks):
                if not await one:
                    return False
            return True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _first_up(self, slot: Slot) -> bool:
        """Whether a first worker of the slot answers. Who is ended from outside is replaced."""
        for left in reversed(range(LOOPING)):
            try:
                slot.worker = worker = await self._started(slot)
            except OSError as error:
                self._tell(_not_started(slot, error))
                return False
            if await self._up(worker):
                return True
            if self._stopping.is_set() or self._gives_up(slot, worker, left):
                return False
            await asyncio.sleep(self._bury(slot, worker))
        return False

    def _gives_up(self, slot: Slot, worker: WorkerProcess, left: int) -> bool:
        """Whether no other one is tried at the first start; told is why. left: of the attempts."""
        status = worker.process.returncode
        if status is None:
            how = _not_up(worker)
        elif status > 0:  # a fault, of which it has told: others would have it as well
            return True
        elif left:
            return False
        else:
            how = f"{_how(status)}, as those before it"
        self._tell(f"{_named(slot, worker)} {how}: nothing is served.")
        return True

    async def _started(self, slot: Slot) -> WorkerProcess:
        reading, writing = os.pipe()
        try:
            sockets = [one.fileno() for one in slot.sockets]
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--sockets", ",".join(map(str, sockets)), "--pipe", str(writing)),
                # A worker of another Perso, which was installed meanwhile, may not know it.
                env=os.environ
                | {NUMBER: str(slot.number), AFTER_OTHERS: "1" if self._any_up else ""},
                pass_fds=(*sockets, writing),
                # Ctrl-C in a terminal is for the supervisor, which stops them in order.
                start_new_session=True,
            )
        except BaseException:  # also where we are stopped meanwhile
            os.close(reading)
            raise
        finally:
            os.close(writing)
        worker = WorkerProcess(process, reading)
        self._running.add(worker)
        worker.ended.add_done_callback(lambda _: self._running.discard(worker))
        return worker

    async def _started_at_last(self, slot: Slot) -> WorkerProcess:
        """Also where the system lacks memory or descriptors for a while."""
        while True:
            try:
                return await self._started(slot)
            except OSError as error:
                self._tell(
                    f"{_not_started(slot, error)} The next attempt is in {LONGEST_PAUSE_S:.0f} s."
                )
            await asyncio.sleep(LONGEST_PAUSE_S)

    async def _up(self, worker: WorkerProcess) -> bool:
        """Whether it answers in time, and nobody stops us meanwhile."""
        stopping = asyncio.create_task(self._stopping.wait())
        waited: list[asyncio.Future[Any]] = [worker.up, stopping]
        await asyncio.wait(waited, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return worker.up.done() and worker.up.result()

    # ---- watching ---------------------------------------------------------------

    async def _watch_all(self) -> None:
        """Until we are told to stop."""
        does: list[Coroutine[Any, Any, object]] = [self._keep(slot) for slot in self._slots]
        does += [self._restarts(), self._stopping.wait()]
        tasks = [asyncio.create_task(one) for one in does]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):  # rather than a slot that nobody watches
                raise ended

    async def _keep(self, slot: Slot) -> None:
        """One slot's worker, again and again."""
        while True:
            worker = slot.worker
            assert worker, "a slot is kept once its worker was started"
            await self._watched(slot, worker)
            async with slot.changing:
                if slot.worker is not worker:  # a restart put another in its place
                    continue
                pause = self._bury(slot, worker)
            await asyncio.sleep(pause)
            async with slot.changing:
                if slot.worker is worker:  # no restart has meanwhile
                    slot.worker = await self._started_at_last(slot)

    async def _watched(self, slot: Slot, worker: WorkerProcess) -> None:
        """Returns once it is gone, or another has its place; one that is silent for too long, or
        does not come up, is killed."""
        while slot.worker is worker and not worker.ended.done():
            began_s = time.monotonic()
            await asyncio.wait([worker.ended], timeout=self._silent_after_s / 10)
            if slot.worker is not worker:  # it stops, and need not be heard of
                return
            if time.monotonic() - began_s > self._silent_after_s / 2:
                # We stood still ourselves, and the worker with us: a paused container, a snapshot.
                worker.listen_anew()
            patience_s = self._silent_after_s if worker.up.done() else READY_WITHIN_S
            if worker.silent_s > patience_s:
                self._tell(f"{_named(slot, worker)} has hung for {worker.silent_s:.0f} s.")
                worker.signal(signal.SIGKILL)
                await asyncio.wait([worker.ended])

    def _bury(self, slot: Slot, gone: WorkerProcess) -> float:
        """Tell of its end. Returns the pause before the next one, in seconds."""
        lived_s = time.monotonic() - gone.began_s
        slot.short_lives = 0 if lived_s >= STEADY_S else slot.short_lives + 1
        pause = pause_s(slot.short_lives)
        how = _how(gone.process.returncode)
        next_one = f"The next one starts in {pause:.1f} s." if pause else "Another one starts."
        self._tell(f"{_named(slot, gone)} {how}. {next_one}")
        others = self._others_answer(slot)
        if slot.short_lives == LOOPING:
            take = "The other workers take its" if others else "The next one takes its"
            self._tell(
                f"Worker {slot.number} ended {LOOPING} times in a row within {STEADY_S:.0f} s;"
                f" what it wrote before says why. {take} connections."
            )
        if slot.short_lives >= LOOPING and (others or pause > WAITED_FOR_S):
            with contextlib.suppress(OSError):  # no descriptor left: then the old ones stay
                fresh = bound(self._host, self.port, shared=True)
                close(slot.sockets)
                slot.sockets = fresh
        return pause

    def _others_answer(self, slot: Slot) -> bool:
        """Whether a new connection would be accepted elsewhere."""
        others = (other.worker for other in self._slots if other is not slot)
        return any(worker.answers for worker in others if worker)

    # ---- restarting -------------------------------------------------------------

    async def _restarts(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            await self._restart_each()

    async def _restart_each(self) -> None:
        """A new worker beside each old one; the old one stops once the new one answers."""
        for line in self._not_taken_up():
            self._tell(line)
        for slot in self._slots:
            async with slot.changing:
                old = slot.worker
                new = await self._new(slot)
                if new is None:
                    return
                slot.worker, slot.short_lives = new, 0
            if old is not None:
                await old.leave(self._stop_within_s())
        self._tell(f"All {len(self._slots)} workers are restarted.")

    async def _new(self, slot: Slot) -> WorkerProcess | None:
        """One that answers. None: there is none; the log says why."""
        left = "The workers that run are left as they are."
        try:
            new = await self._started(slot)
        except OSError as error:
            self._tell(f"{_not_started(slot, error)} {left}")
            return None
        if await self._up(new):
            return new
        if not self._stopping.is_set():
            self._tell(f"{_named(slot, new)} {_not_up(new)}. {left}")
        await new.stop(0)
        return None

    async def _stop_all(self) -> None:
        within_s = self._stop_within_s()
        await asyncio.gather(*(worker.stop(within_s) for worker in self._running))
        for slot in self._slots:
            close(slot.sockets)
        close(self._claims)


def _named(slot: Slot, worker: WorkerProcess) -> str:
    return f"Worker {slot.number} (process {worker.process.pid})"


def _not_started(slot: Slot, error: OSError) -> str:
    return f"Worker {slot.number} cannot be started: {error.strerror or error}."


def _not_up(worker: WorkerProcess) -> str:
    """Of one that never answered."""
    status = worker.process.returncode
    if status is None:
        return f"did not answer within {READY_WITHIN_S:.0f} s"
    return _how(status) if status < 0 else "did not come up; what it wrote before says why"


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:  # of those for real-time two alone have names
            name = f"signal {-status}"
        return f"was ended by {name}"
    return f"ended with status {status}"


def told(line: str) -> None:
    """To the supervisor's own error output. Where that takes nothing, as a log on a full disk or a
    pipe that nobody reads any more, workers are looked after all the same."""
    with contextlib.suppress(OSError):
        print(f"perso: {line}", file=sys.stderr, flush=True)
