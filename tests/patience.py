"""Limits on an answer's time set aside, where a slow test machine is not what is tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perso_aiohttp import init_app
from perso_core.edge.services import EdgeServices

PATIENT_MS = 10_000


@contextmanager
def patience() -> Iterator[None]:
    """What is assembled meanwhile answers late rather than with a 207 or a page's defaults."""
    with pytest.MonkeyPatch.context() as patch:
        for made, name in ((EdgeServices.__init__, "answer_within_ms"), (init_app, "wait_ms")):
            defaults = made.__kwdefaults__
            assert defaults is not None
            assert name in defaults
            patch.setitem(defaults, name, PATIENT_MS)
        yield
