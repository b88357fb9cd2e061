"""What is answered where the store fails: the event was decided, and is not on disk (P4).

A call has answer_within_ms, of which the decision takes next to nothing. Where the disk does not
keep up, what was decided from the request is told, with an error that says that it is not stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from perso_core.edge.problem import EdgeError, NotStored, ProfileSetAside
from perso_core.edge.services import EdgeServices
from perso_core.errors import Overloaded, StoreUnavailable

_time_left: ContextVar[asyncio.Timeout] = ContextVar("_time_left")


class Unread(Exception):
    """A profile cannot be read, or nothing more can wait for the disk. What the visitor consented
    to is not known, so nothing is told but what the call itself proves. ecid: of the device that
    its cookies prove; None: none."""

    def __init__(self, ecid: str | None) -> None:
        super().__init__()
        self.ecid = ecid


def not_stored() -> NotStored:
    # What failed is the worker's to report; what the caller needs to know is in the answer.
    return NotStored("Nothing was stored.", fix="Send it again later.")


def failures(*, stored: bool, set_aside: bool) -> tuple[EdgeError, ...]:
    """What goes with an answer that was decided."""
    if stored and not set_aside:
        return ()
    lost = ProfileSetAside(
        "What was stored of the visitor before could not be read: they begin anew.",
        fix="Nothing is to be sent again. Look for a failing disk.",
    )
    return (not_stored(),) * (not stored) + (lost,) * set_aside


@contextmanager
def within(timeout: asyncio.Timeout) -> Iterator[None]:
    """on_disk in this block waits no longer."""
    before = _time_left.set(timeout)
    try:
        yield
    finally:
        _time_left.reset(before)


async def on_disk(sequence: int, services: EdgeServices) -> bool:
    """Whether what was decided is on disk, once it is, or it failed, or time is up. 0: at once."""
    return not sequence or await finished(services.durable(sequence))


async def finished(work: Awaitable[object]) -> bool:
    """Whether the store has done it, once it has, or it failed, or time is up."""
    try:
        await work
    except (StoreUnavailable, Overloaded):
        return False
    except asyncio.CancelledError:
        # The timeout takes its cancellation back as its block ends. Anybody else's is obeyed.
        timeout = _time_left.get(None)
        if timeout is None or not timeout.expired():
            raise
        return False
    return True
