"""How a test starts a server of its own process."""

from __future__ import annotations

import sys


def python_module(name: str) -> list[str]:
    """The words that run a module, planted and watched."""
    return [sys.executable, "-m", "tests.canaries", name]
