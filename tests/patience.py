"""Limits on an answer's time set aside, where a slow test machine is not what is tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perso_aiohttp import init_app

PATIENT_MS = 10_000


@contextmanager
def patience() -> Iterator[None]:
    """A page that is assembled meanwhile waits for its visitor rather than show its defaults."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = init_app.__kwdefaults__
        assert defaults is not None
        assert "wait_ms" in defaults
        patch.setitem(defaults, "wait_ms", PATIENT_MS)
        yield
