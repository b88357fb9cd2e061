"""How long a test goes on: short in every run, long in `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("PERSO_SOAK") == "1"


def times(short: int, soak: int) -> int:
    """How many times to do something that may go wrong."""
    return soak if SOAK else short
