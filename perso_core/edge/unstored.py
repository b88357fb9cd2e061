"""What is answered where the store fails: the event was decided, and is not on disk (P4).

A call has answer_within_ms, of which the decision takes next to nothing. Where the disk does not
keep up, what was decided from the request is told, with an error that says that it is not known to
be stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from perso_core.edge.alarm import alarm_of
from perso_core.edge.problem import EdgeError, NotStored, ProfileSetAside
from perso_core.edge.services import EdgeServices
from perso_core.edge.turns import Turns
from perso_core.errors import Overloaded, StoreUnavailable


class Unread(Exception):
    """A profile cannot be read, or nothing more can wait for the disk. What the visitor consented
    to is not known, so nothing is told but what the call itself proves. ecid: of the device that
    its cookies prove; None: none."""

    def __init__(self, ecid: str | None) -> None:
        super().__init__()
        self.ecid = ecid


def not_stored(detail: str = "It is not known to be stored.") -> NotStored:
    # What failed is the worker's to report; what the caller needs to know is in the answer. Where
    # time was up it may be stored after all, so no more is said where it is known to be not.
    return NotStored(detail, fix="Send the same request again later.")


def failures(*, stored: bool) -> tuple[EdgeError, ...]:
    """What goes with an answer that was decided."""
    lost = set_aside_in(_deadline.get(None))
    return lost if stored else (not_stored(), *lost)


def set_aside_in(deadline: Deadline | None) -> tuple[EdgeError, ...]:
    """What is told where something was set aside before it was over."""
    if deadline is None or not deadline.set_aside:
        return ()
    lost = ProfileSetAside(
        "What was stored of the visitor before could not be read: they begin anew.",
        fix="Nothing is to be sent again. Look for a failing disk.",
    )
    return (lost,)


def note_set_aside() -> None:
    """Something of a profile that this call asked for could not be read, in whichever step: it is
    told with the answer, for later calls find nothing of it."""
    deadline = _deadline.get(None)
    if deadline is not None:
        deadline.set_aside = True


class Deadline:
    """A block of a task that ends in time: then what it waits for is cancelled, and TimeoutError is
    raised where the block does not catch that. on_disk in it waits no longer. set_aside: see
    note_set_aside.

    As asyncio.timeout, for 1 µs instead of 4: each request has one.
    """

    __slots__ = ("_alarm", "_before", "_cancelling", "_task", "_within_ms", "expired", "set_aside")

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self.expired = self.set_aside = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task, "the block is of a task"
        self._task, self._cancelling = task, task.cancelling()
        self._alarm = alarm_of(loop, self._within_ms)
        self._before = _deadline.set(self)
        self._alarm.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._alarm.remove(self)
        _deadline.reset(self._before)
        if not self.expired:
            return
        # Ours is taken back. Where somebody else has cancelled the task as well, that is obeyed.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @property
    def alone(self) -> bool:
        """Whether its own cancellation is all there is: of two at once the task hears one."""
        return self.expired and self._task.cancelling() <= self._cancelling + 1

    def begin(self) -> None:
        """The whole time, from now on."""
        self._alarm.add(self)

    def pause(self) -> None:
        self._alarm.remove(self)

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()


_deadline: ContextVar[Deadline] = ContextVar("_deadline")


async def not_counted(waiting: Awaitable[None]) -> None:
    """Waits without the deadline, which begins anew."""
    deadline = _deadline.get(None)
    if deadline is None or deadline.expired:
        return await waiting
    deadline.pause()
    try:
        await waiting
    finally:
        deadline.begin()


def another_calls(services: EdgeServices) -> None:
    """One that gives way to nobody."""
    for turns in services.giving_way:
        turns.another_calls()


def on_disk(sequence: int, services: EdgeServices) -> Coroutine[Any, Any, bool]:
    """Whether what was decided is on disk, once it is, or it failed, or time is up. 0: at once."""
    return _on_disk(sequence, services, ())


def on_disk_first(sequence: int, services: EdgeServices) -> Coroutine[Any, Any, bool]:
    """As on_disk, of a call that somebody waits for. Those which give way stand still meanwhile."""
    return _on_disk(sequence, services, services.giving_way)


async def _on_disk(sequence: int, services: EdgeServices, standing_still: Iterable[Turns]) -> bool:
    if not sequence:
        return True
    # A call that has two things to store waits for both as long as for one.
    deadline = _deadline.get(None)
    if deadline is not None and deadline.expired:
        return services.is_kept(sequence)
    for turns in standing_still:
        turns.another_waits_for_disk()
    try:
        # Who waits to hear of a commit, behind hundreds of others, may run out of time once it is
        # done.
        return await finished(services.durable(sequence)) or services.is_kept(sequence)
    finally:
        for turns in standing_still:
            turns.another_waits_no_more()


async def finished(work: Awaitable[object]) -> bool:
    """Whether the store has done it, once it has, or it failed, or time is up."""
    try:
        await work
    except (StoreUnavailable, Overloaded):
        return False
    except asyncio.CancelledError:
        # The deadline takes its cancellation back as its block ends. Anybody else's is obeyed.
        deadline = _deadline.get(None)
        if deadline is None or not deadline.alone:
            raise
        return False
    return True
