"""What was opened before a process forked is its parent's: the child has no threads of it, no
locks, and by closing it would spoil what the parent goes on with. It leaves it alone, and says so
to whoever asks."""

from __future__ import annotations

import ctypes
import os
from typing import Protocol
from weakref import WeakSet

from perso_core.errors import OpenedBeforeFork


class Opened(Protocol):
    def leave_to_parent(self) -> None:
        """Called in the child, which has one thread: touch nothing that was opened."""
        ...


_opened: WeakSet[Opened] = WeakSet()
_none_from_now_on = False


def leave_to_parent_at_fork(one: Opened) -> None:
    """From now on, as long as it is there."""
    _opened.add(one)


def never_closed(one: object) -> None:
    """It is not closed, either, when nobody refers to it, nor when the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def no_store_from_now_on() -> None:
    """SQLite's own notes, on which files this process has locked, are the parent's: of a file that
    the parent had open it would not lock anything in this process again."""
    global _none_from_now_on
    _none_from_now_on = True


def refuse_after_fork() -> None:
    """Raises OpenedBeforeFork in a child of a process that had a store open as it forked."""
    if _none_from_now_on:
        raise opened_before_fork()


def opened_before_fork() -> OpenedBeforeFork:
    return OpenedBeforeFork(
        f"process {os.getpid()} was forked off the one that opened it.",
        fix="Open Perso in each process and nowhere before: under gunicorn in the application's"
        " cleanup_ctx or on_startup, which run after the fork.",
    )


def _in_child() -> None:
    for one in list(_opened):
        one.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
