"""Who else serves the data directory of a process that takes itself for the only one."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from perso_core.stores.presence import serving

_log = logging.getLogger("perso.worker")


def tell_of_others(data_dir: Path) -> None:
    """Say so in the log where there is one; this process is seen there already. With workers = 1
    nobody is told of what this one writes, and what others write is not looked for."""
    others = []
    with suppress(OSError):  # a warning is no reason not to serve
        others = [one.pid for one in serving(data_dir)]
    with suppress(ValueError):
        others.remove(os.getpid())
    if others:
        _log.warning(
            "%s is served by process %s as well, and this one has workers = 1: each answers without"
            " what the other is told. Stop the other, or set workers of both to their number.",
            data_dir,
            ", ".join(map(str, sorted(others))),
        )
