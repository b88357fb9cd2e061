"""Settings that a supervisor and all its workers have to agree on, for as long as it runs.

Workers read the settings anew when they are restarted, one after the other, and when one that ended
is replaced. A worker that took itself for the only one would tell the others nothing, and one with
another directory would know other visitors than those beside it.
"""

from __future__ import annotations

import argparse
from contextlib import suppress

from perso_core.cli.files import settings_of
from perso_core.errors import PersoError
from perso_core.settings import Settings

# A worker may take as long to stop as its store may, and a little longer.
STOP_MARGIN_S = 5
# Set by the supervisor in a worker's environment once another one has answered: this one makes no
# database. The underscore keeps it apart from the settings (PERSO_…).
AFTER_OTHERS = "_PERSO_WORKER_AFTER_OTHERS"
AT_START = ("data_dir", "host", "port", "workers")


def at_start(settings: Settings) -> list[str]:
    """The options that start a worker with them."""
    return [f"--{name.replace('_', '-')}={getattr(settings, name)}" for name in AT_START]


def not_taken_up(arguments: argparse.Namespace, settings: Settings) -> list[str]:
    """A line for each of them that says something else now than when the supervisor started.
    Empty also where the settings cannot be read now: the worker that tries says why."""
    try:
        now = settings_of(arguments)
    except PersoError:
        return []
    return [
        f"“{name}” stays {getattr(settings, name)}: a restart of the workers does not change it to"
        f" {getattr(now, name)}. Stop perso serve and start it again."
        for name in AT_START
        if getattr(now, name) != getattr(settings, name)
    ]


def stop_within_s(arguments: argparse.Namespace, settings: Settings) -> float:
    """How long a worker may take to stop: as the settings say now, which it may have read, or as
    they said when the supervisor started."""
    longest = settings.drain_timeout_s
    with suppress(PersoError):
        longest = max(longest, settings_of(arguments).drain_timeout_s)
    return longest + STOP_MARGIN_S
